"""The figures in docs/measuring.md: pictures and table, written between its markers."""

from __future__ import annotations

import os
from pathlib import Path

from . import figures
from .report import Run
from .servers import REPOSITORY

#: Where the JSON and the pictures are kept that the page shows.
RESULTS = REPOSITORY / "benches" / "results"

_PAGE = REPOSITORY / "docs" / "measuring.md"
_BEGIN = "<!-- figures: written by benches/compare --docs -->\n"
_END = "<!-- end of figures -->\n"

#: Name of the picture, and what is read out in its place.
_PICTURES = (
    ("cost", "CPU time a request, by server and workload"),
    ("other", "Memory and time, by server"),
    ("latency", "99th percentile of latency over connections, by server"),
)


def update(run: Run) -> Path:
    """Writes the figures of `run` into the page; returns the page's path.

    # Errors
    `ValueError` if the page has lost its markers.
    """
    text = _PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{_PAGE} has no markers around its figures")
    _PAGE.write_text(before + begin + _section(run) + end + after, encoding="utf-8")
    return _PAGE


def _section(run: Run) -> str:
    pictures = [_picture(name, title) for name, title in _PICTURES if (RESULTS / f"{name}-light.svg").exists()]
    return "\n".join([figures.conditions(run), "", *pictures, figures.table(run), "", figures.throughput(run), ""])


def _picture(name: str, title: str) -> str:
    place = Path(os.path.relpath(RESULTS, _PAGE.parent)).as_posix()
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="{place}/{name}-dark.svg">\n'
        f'  <img alt="{title}" src="{place}/{name}-light.svg">\n'
        "</picture>\n"
    )

"""The README's section of figures: pictures and table, written between its markers."""

from __future__ import annotations

from pathlib import Path

from . import figures
from .report import Run
from .servers import REPOSITORY

#: Where what the README shows is kept.
RESULTS = REPOSITORY / "benches" / "results"

_README = REPOSITORY / "README.md"
_BEGIN = "<!-- figures: written by benches/compare --readme -->\n"
_END = "<!-- end of figures -->\n"

#: Name of the picture, and what is read out in its place.
_PICTURES = (
    ("cost", "CPU time a request, by server and workload"),
    ("other", "Memory and time, by server"),
    ("latency", "99th percentile of latency over connections, by server"),
)


def update(run: Run) -> Path:
    """Puts the figures of `run` into the README; the path of it.

    # Errors
    `ValueError` if the README has lost its markers.
    """
    text = _README.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{_README} has no markers around its figures")
    _README.write_text(before + begin + _section(run) + end + after, encoding="utf-8")
    return _README


def _section(run: Run) -> str:
    pictures = [_picture(name, title) for name, title in _PICTURES if (RESULTS / f"{name}-light.svg").exists()]
    return "\n".join([figures.conditions(run), "", *pictures, figures.table(run), "", figures.throughput(run), ""])


def _picture(name: str, title: str) -> str:
    place = RESULTS.relative_to(REPOSITORY).as_posix()
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="{place}/{name}-dark.svg">\n'
        f'  <img alt="{title}" src="{place}/{name}-light.svg">\n'
        "</picture>\n"
    )

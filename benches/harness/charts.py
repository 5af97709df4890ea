"""The pictures: what a request costs, and memory and times, in bars with ratios; latency in curves."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path

from .figures import OURS
from .report import Run, describe_version
from .svg import THEMES, Drawing, Theme
from .workloads import BYTES, CPU, Workload

#: What the others' bars are compared with in their labels.
_BASE = "nginx"

_WIDTH = 960
_MARGIN = 24
_FOOTER = 58
_FOOTER_LINE = 15
#: Characters of small text that fit across.
_FOOTER_WIDTH = 160
_HEADER = 64

# A panel of bars.
_COLUMNS = 3
_PANEL_GAP = 36
_BAR = 15
_BAR_STEP = 21
_NAME = 112
_LABEL = 84
_PANEL_HEAD = 26

# The curves.
_CURVE_HEIGHT = 480
_AXIS_LEFT = 64
_AXIS_RIGHT = 150
_AXIS_BOTTOM = 52
_LABEL_STEP = 15


def write(run: Run, directory: Path) -> list[Path]:
    """Draws every chart there is data for, light and dark; returns what was written."""
    written = []
    for theme in THEMES:
        drawings = (("cost", _costs(run, theme)), ("other", _others(run, theme)), ("latency", _curves(run, theme)))
        for name, drawing in drawings:
            if drawing is not None:
                path = directory / f"{name}-{theme.name}.svg"
                path.write_text(drawing.text(), encoding="utf-8")
                written.append(path)
    return written


def _costs(run: Run, theme: Theme) -> Drawing | None:
    subtitle = f"microseconds on one core, all threads, user and kernel; less is better; × is relative to {_BASE}"
    workloads = [workload for workload in run.workloads if workload.is_drawn and workload.unit == CPU]
    return _bars(run, theme, workloads, "CPU time a request", subtitle)


def _others(run: Run, theme: Theme) -> Drawing | None:
    workloads = [workload for workload in run.workloads if workload.is_drawn and workload.unit != CPU]
    return _bars(run, theme, workloads, "Memory and time", f"less is better; × is relative to {_BASE}")


def _bars(run: Run, theme: Theme, workloads: list[Workload], title: str, subtitle: str) -> Drawing | None:
    """Small panels, one a workload, each with its own scale: in one, lengths compare servers."""
    panels = [(workload, bars) for workload in workloads if (bars := _ranked(run, workload))]
    if not panels:
        return None
    rows = [panels[start:start + _COLUMNS] for start in range(0, len(panels), _COLUMNS)]
    heights = [_PANEL_HEAD + _BAR_STEP * max(len(bars) for _, bars in row) + _MARGIN for row in rows]
    drawing = Drawing(_WIDTH, _HEADER + sum(heights) + _FOOTER, theme, f"{title}, by server and workload")
    _heading(drawing, title, subtitle)
    width = (_WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _PANEL_GAP) / _COLUMNS
    top = float(_HEADER)
    for row, height in zip(rows, heights):
        for column, (workload, bars) in enumerate(row):
            _panel(drawing, _MARGIN + column * (width + _PANEL_GAP), top, width, workload, bars, run)
        top += height
    _footer(drawing, run)
    return drawing


def _ranked(run: Run, workload: Workload) -> list[tuple[str, float]]:
    """Servers with their medians, cheapest first."""
    medians = ((server, run.results.median(workload.name, server)) for server in run.versions)
    known = [(server, value) for server, value in medians if value is not None]
    return sorted(known, key=lambda bar: bar[1])


def _panel(
    drawing: Drawing, left: float, top: float, width: float,
    workload: Workload, bars: list[tuple[str, float]], run: Run,
) -> None:
    theme = drawing.theme
    longest = max(value for _, value in bars)
    room = width - _NAME - _LABEL
    title = workload.title if workload.unit == CPU else f"{workload.title}, {workload.unit}"
    drawing.words(left, top + 12, title, size=13, bold=True)
    for index, (server, value) in enumerate(bars):
        y = top + _PANEL_HEAD + index * _BAR_STEP
        is_ours = server == OURS
        length = max(2.0, room * value / longest)
        baseline = y + _BAR - 3
        drawing.words(left + _NAME - 8, baseline, server, None if is_ours else theme.muted, anchor="end", bold=is_ours, size=11.5)
        drawing.rectangle(left + _NAME, y, length, _BAR, theme.accent if is_ours else theme.neutral, radius=2)
        drawing.words(left + _NAME + length + 6, baseline, _label(run, workload, server, value), theme.text if is_ours else theme.muted, size=11, bold=is_ours)


def _label(run: Run, workload: Workload, server: str, value: float) -> str:
    """The figure, and how it compares."""
    digits = 0 if workload.unit == BYTES or value >= 100 else 1 if value >= 1 else 2
    ratio = run.results.ratio(workload.name, server, _BASE)
    return f"{value:,.{digits}f}" + (f" · {ratio:.2f}×" if ratio is not None else "")


def _curves(run: Run, theme: Theme) -> Drawing | None:
    """p99 of the small file over connections, both axes logarithmic."""
    points = {server: _curve(run, server) for server in run.versions}
    curves = {server: curve for server, curve in points.items() if len(curve) > 1}
    if not curves:
        return None
    drawing = Drawing(_WIDTH, _CURVE_HEIGHT, theme, "p99 latency over connections, by server")
    _heading(drawing, "Latency under full load", "99th percentile, milliseconds, 612-byte file, over connections; less is better")
    axes = _Axes([point for curve in curves.values() for point in curve])
    axes.draw(drawing)
    colours = _colours(theme, list(curves))
    for server, curve in curves.items():
        spots = [axes.place(*point) for point in curve]
        drawing.line(spots, colours[server], width=2.5 if server == OURS else 1.5, dash="5 4" if server == "floor" else "")
        for x, y in spots:
            drawing.dot(x, y, colours[server])
    _name_ends(drawing, {server: axes.place(*curve[-1])[1] for server, curve in curves.items()}, colours)
    _footer(drawing, run)
    return drawing


def _curve(run: Run, server: str) -> list[tuple[float, float]]:
    points = [
        (float(workload.curve), run.results.median(workload.name, server, "p99_ms"))
        for workload in run.workloads
        if workload.curve is not None
    ]
    return [(x, y) for x, y in points if y]


def _colours(theme: Theme, servers: list[str]) -> dict[str, str]:
    """The accent for us; a hue each for the others, the same whoever else is there."""
    others = [server for server in servers if server != OURS]
    hues = {server: theme.lines[index % len(theme.lines)] for index, server in enumerate(others)}
    return hues | {OURS: theme.accent}


def _name_ends(drawing: Drawing, ends: dict[str, float], colours: dict[str, str]) -> None:
    """Names each curve at its right end; names that would overlap move down."""
    lowest = -math.inf
    for server, y in sorted(ends.items(), key=lambda end: end[1]):
        y = max(y, lowest + _LABEL_STEP)
        lowest = y
        drawing.words(_WIDTH - _AXIS_RIGHT + 12, y + 4, server, colours[server], bold=server == OURS)


class _Axes:
    """Both logarithmic: from data to places."""

    def __init__(self, points: list[tuple[float, float]]) -> None:
        self._xs = sorted({x for x, _ in points})
        ys = [y for _, y in points]
        self._low = math.floor(math.log10(min(ys)))
        self._high = max(self._low + 1, math.ceil(math.log10(max(ys))))
        self._bottom = _CURVE_HEIGHT - _FOOTER - _AXIS_BOTTOM
        self._top = _HEADER + 8

    def place(self, x: float, y: float) -> tuple[float, float]:
        span = math.log(self._xs[-1] / self._xs[0]) or 1
        across = math.log(x / self._xs[0]) / span
        up = (math.log10(y) - self._low) / (self._high - self._low)
        width = _WIDTH - _AXIS_LEFT - _AXIS_RIGHT
        return _AXIS_LEFT + across * width, self._bottom - up * (self._bottom - self._top)

    def draw(self, drawing: Drawing) -> None:
        theme = drawing.theme
        for exponent in range(self._low, self._high + 1):
            value = 10.0 ** exponent
            left, y = self.place(self._xs[0], value)
            drawing.line([(left, y), (_WIDTH - _AXIS_RIGHT, y)], theme.grid)
            drawing.words(left - 14, y + 4, f"{value:g}", theme.muted, size=11, anchor="end")
        for x in self._xs:
            place, _ = self.place(x, 1)
            drawing.words(place, self._bottom + 20, f"{x:g}", theme.muted, size=11, anchor="middle")
        middle = (_AXIS_LEFT + _WIDTH - _AXIS_RIGHT) / 2
        drawing.words(middle, self._bottom + 38, "connections", theme.muted, size=11, anchor="middle")


def _heading(drawing: Drawing, title: str, subtitle: str) -> None:
    drawing.words(_MARGIN, 30, title, size=18, bold=True)
    drawing.words(_MARGIN, 49, subtitle, drawing.theme.muted)


def _footer(drawing: Drawing, run: Run) -> None:
    """The machine and the versions, without which figures mean nothing."""
    versions = ", ".join(describe_version(name, version) for name, version in run.versions.items())
    machine = f"{run.machine['cpu']}, {run.machine['kernel']}; one worker on one core; medians of {run.rounds} rounds of {run.seconds} s"
    lines = textwrap.wrap(machine, _FOOTER_WIDTH) + textwrap.wrap(versions, _FOOTER_WIDTH)
    for above, line in enumerate(reversed(lines)):
        y = drawing.height - 11 - above * _FOOTER_LINE
        drawing.words(_MARGIN, y, line, drawing.theme.muted, size=10.5)

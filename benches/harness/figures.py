"""The figures this server is held to, and one table of everything for docs/measuring.md."""

from __future__ import annotations

from dataclasses import dataclass

from .report import Run, aligned, describe_version
from .workloads import BYTES, MILLISECONDS, TIMES, WALL, WORKLOADS, Workload

#: Who is held to them.
OURS = "tidegate"


@dataclass(frozen=True)
class Figure:
    """What a workload must come to: no more than `bound`, or that many times a yardstick."""

    bound: float
    yardstick: str | None = None

    def describe(self, unit: str) -> str:
        """As the table says it."""
        if self.yardstick is None:
            return f"≤ {_number(self.bound, unit)}"
        return f"≤ {self.yardstick}" if self.bound == 1 else f"≤ {self.bound:g} × {self.yardstick}"

    def value(self, run: Run, workload: str) -> float | None:
        """What it came to, in the terms of the bound."""
        if self.yardstick is None:
            return run.results.median(workload, OURS)
        return run.results.ratio(workload, OURS, self.yardstick)


#: By workload; of some there are several. 1.11: two workers then do 1.8 times the work of one.
FIGURES: dict[str, Figure | tuple[Figure, ...]] = {
    "small-64": Figure(1.15, "floor"),
    "browser": Figure(1.15, "floor"),
    "small-512": Figure(1.15, "floor"),
    "close": Figure(1.2, "floor"),
    "pipelined": Figure(2, "floor"),
    "random": Figure(0.8, "nginx"),
    "10k": Figure(0.9, "nginx"),
    "100k": Figure(1, "nginx"),
    "10m": Figure(1, "nginx"),
    "idle": Figure(400),
    "mixed": Figure(1, "nginx"),
    "sleepers": Figure(1.25),
    "start": Figure(10),
    "reload": Figure(50),
    "scrape": Figure(5),
    "log-cost": Figure(1.10),
    "limits-cost": Figure(1.05),
    "metrics-cost": Figure(1.03),
    "workers-cost": Figure(1.11),
    "proxy-612": (Figure(0.95, "nginx"), Figure(1.15, "floor")),
    "proxy-100k": (Figure(0.6, "nginx"), Figure(1, "haproxy")),
    "proxy-idle": Figure(400),
    "proxy-tunnel": Figure(1024),
    "gzip-stream": Figure(0.6, "nginx"),
    "gzip-stream-octets": Figure(1.03, "nginx"),
    "zstd-stream": Figure(0.25, "nginx"),
    "compressed-cost": Figure(1.05),
}


#: PHP takes most of the time, and both servers wait for the same PHP: these are "no worse than nginx",
#: with room for the noise of it.
FIGURES |= {
    workload.name: Figure(1.05 if workload.unit == WALL else 1.15, "nginx")
    for workload in WORKLOADS
    if workload.group == "fastcgi"
}


def table(run: Run) -> str:
    """Every workload, every server, and of ours whether it is what it must be."""
    servers = list(run.versions)
    heading = ["work, CPU µs a request", *servers, "must be", "is", "reached"]
    rows = [_row(run, workload, servers) for workload in run.workloads]
    return "\n".join(aligned([heading, *(row for row in rows if row is not None)]))


def _row(run: Run, workload: Workload, servers: list[str]) -> list[str] | None:
    medians = [run.results.median(workload.name, server) for server in servers]
    if all(median is None for median in medians):
        return None
    cells = [_cell(run, workload, server, median) for server, median in zip(servers, medians)]
    return [_title(workload), *cells, *_verdict(run, workload)]


def _title(workload: Workload) -> str:
    if workload.unit == WALL:
        return f"{workload.title}, µs a request"
    is_other = workload.unit in (BYTES, MILLISECONDS)
    return f"{workload.title}, {workload.unit}" if is_other else workload.title


def _cell(run: Run, workload: Workload, server: str, median: float | None) -> str:
    """A median; with the errors that were counted, if there were any."""
    if median is None:
        return ""
    errors = run.results.errors(workload.name, server)
    return _number(median, workload.unit) + (f" ({errors:,} errors)" if errors else "")


def _verdict(run: Run, workload: Workload) -> list[str]:
    figures = FIGURES.get(workload.name, ())
    figures = figures if isinstance(figures, tuple) else (figures,)
    verdicts = [_one_verdict(figure, figure.value(run, workload.name), workload.unit) for figure in figures]
    known = [verdict for verdict in verdicts if verdict is not None]
    return ["; ".join(cells) for cells in zip(*known)] if known else ["", "", ""]


def _one_verdict(figure: Figure, value: float | None, unit: str) -> tuple[str, str, str] | None:
    """A bound, the value and whether it is kept; none where it was not measured."""
    if value is None:
        return None
    shown = f"{value:.2f}" if figure.yardstick or unit == TIMES else _number(value, unit)
    return figure.describe(unit), shown, "yes" if value <= figure.bound else "**no**"


def _number(value: float, unit: str) -> str:
    if unit == BYTES:
        return f"{value:,.0f}"
    digits = 2 if unit == TIMES or value < 1 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}"


def throughput(run: Run) -> str:
    """Requests a second of one worker and of two, of those that were asked for both."""

    def rate(server: str, workload: str) -> float | None:
        return run.results.median(workload, server, "requests_per_second")

    rates = [(server, rate(server, "small-64"), rate(server, "workers")) for server in run.versions]
    told = [f"{server} {one:,.0f} and {two:,.0f}" for server, one, two in rates if one and two]
    if not told:
        return ""
    return (
        "Requests a second for the small file at 64 connections, of one worker and of two, where the load "
        f"generator permits: {', '.join(told)}."
    )


def conditions(run: Run) -> str:
    """The machine and the versions, without which figures mean nothing."""
    versions = ", ".join(describe_version(name, version) for name, version in run.versions.items())
    return (
        f"On {run.machine['cpu']}, {run.machine['cores']} cores, {run.machine['kernel']}, {run.machine['system']}: "
        f"one worker pinned to one core, the load from another; medians of {run.rounds} rounds of "
        f"{run.seconds} s, ratios taken within a round. {versions}."
    )

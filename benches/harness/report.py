"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .rounds import YARDSTICKS, Results
from .sample import Sample
from .servers import Server
from .workloads import WORKLOADS, Workload


@dataclass(frozen=True)
class Run:
    """A run of the comparison, whole."""

    machine: dict[str, str]
    #: Versions by the servers' names, in the order in which they are shown.
    versions: dict[str, str]
    workloads: list[Workload]
    rounds: int
    seconds: int
    results: Results


def describe_version(name: str, version: str) -> str:
    """A server as a legend names it."""
    return f"{name} {version}".strip()


def table(run: Run) -> str:
    """All rows, workload by workload, as Markdown."""
    lines = [
        f"{run.machine['cpu']}, {run.machine['kernel']}, {run.machine['system']}; "
        f"{run.rounds} rounds of {run.seconds} s, medians",
        "",
    ]
    for workload in run.workloads:
        rows = [_row(run.results, workload, server) for server in run.versions]
        present = [row for row in rows if row is not None]
        failures = _failures(run.results, workload)
        if present or failures:
            lines += [f"### {workload.title}", ""]
        if present:
            lines += [*aligned([_heading(workload), *present]), ""]
        if failures:
            lines += [*failures, ""]
    return "\n".join(lines)


def _failures(results: Results, workload: Workload) -> list[str]:
    """Who was asked and could not, and why."""
    return [
        f"- {server} failed: {reason}"
        for (name, server), reason in results.failures.items()
        if name == workload.name
    ]


def _heading(workload: Workload) -> list[str]:
    ratios = [f"× {yardstick}" for yardstick in YARDSTICKS]
    return ["server", workload.unit, *ratios, "requests/s", "p50 ms", "p99 ms", "errors"]


def _row(results: Results, workload: Workload, server: str) -> list[str] | None:
    """A server's row; none for one that was not asked, or failed."""
    if not results.taken(workload.name, server):
        return None
    columns = [("value", 2), ("requests_per_second", 0), ("p50_ms", 3), ("p99_ms", 3)]
    value, *others = (_number(results.median(workload.name, server, name), d) for name, d in columns)
    ratios = [_number(results.ratio(workload.name, server, other), 2) for other in YARDSTICKS]
    return [server, value, *ratios, *others, str(results.errors(workload.name, server))]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def aligned(rows: list[list[str]]) -> list[str]:
    """A Markdown table whose columns line up in a terminal too: the first to the left."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]

    def line(cells: list[str]) -> str:
        first, *rest = zip(cells, widths)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(rows[0]), line(rule), *map(line, rows[1:])]


def write_json(run: Run, path: Path) -> None:
    """Every sample of every round, with the medians and ratios the table shows."""
    content = {
        "machine": run.machine,
        "versions": run.versions,
        "rounds": run.rounds,
        "seconds": run.seconds,
        "workloads": [_workload_json(run, workload) for workload in run.workloads],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Run:
    """A run that was written by `write_json`; workloads that there are no more are left out."""
    content = json.loads(path.read_text(encoding="utf-8"))
    results = Results()
    for workload in content["workloads"]:
        for server, taken in workload["servers"].items():
            for sample in taken["rounds"]:
                results.add(workload["name"], server, sample and Sample(**sample))
            if taken["failure"] is not None:
                results.failures[workload["name"], server] = taken["failure"]
    workloads = [workload for workload in WORKLOADS if workload.name in results.samples]
    return Run(content["machine"], content["versions"], workloads, content["rounds"], content["seconds"], results)


def _workload_json(run: Run, workload: Workload) -> dict[str, object]:
    servers = run.results.samples.get(workload.name, {})
    return {
        "name": workload.name,
        "title": workload.title,
        "unit": workload.unit,
        "servers": {name: _server_json(run.results, workload.name, name) for name in servers},
    }


def _server_json(results: Results, workload: str, server: str) -> dict[str, object]:
    rounds = results.samples[workload][server]
    return {
        "median": results.median(workload, server),
        "ratios": {other: results.ratio(workload, server, other) for other in YARDSTICKS},
        "errors": results.errors(workload, server),
        "failure": results.failures.get((workload, server)),
        "rounds": [sample and asdict(sample) for sample in rounds],
    }


def missing(servers: list[Server]) -> str:
    """Says who is not there, and where they would come from."""
    names = ", ".join(f"{server.name} ({server.source})" for server in servers)
    return f"not installed, left out: {names}"

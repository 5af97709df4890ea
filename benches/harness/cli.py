"""The command line of `benches/compare`."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from . import charts, figures, load, machine, report, results_page, rounds, site
from .report import Run
from .sample import Plan
from .servers import REPOSITORY, SERVERS, Server
from .workloads import WORKLOADS, Workload

#: Idle connections held for the memory they take, and the descriptors this program needs besides.
_IDLE = 10_000
_IDLE_QUICK = 1_000
_SPARE_DESCRIPTORS = 1_000


def main(arguments: list[str]) -> int:
    """Measures, prints, writes; the exit status."""
    options = _parse(arguments)
    # An end from outside unwinds, so that the servers are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = report.read_json(options.read) if options.read else _measured(options)
    if run is None:
        return 1
    print(report.table(run))
    print(figures.table(run), figures.throughput(run), sep="\n\n")
    _write(run, results_page.RESULTS if options.docs else options.out)
    if options.docs:
        _say(f"wrote {results_page.update(run)}")
    return 0


def _measured(options: argparse.Namespace) -> Run | None:
    """A run; none, and a word why, where nothing can be measured."""
    if not options.no_build:
        _build()
    if not load.is_installed():
        _say("error: wrk is not installed (Debian package wrk); nothing can be measured without it")
        return None
    servers = _present(_chosen(SERVERS, options.servers))
    workloads = [one for one in WORKLOADS if _is_chosen(one, options.only)]
    if not servers:
        _say("error: none of these servers is installed")
        return None
    return _measure(options, servers, workloads)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benches/compare",
        description="Measures this server beside others: the same work, in the same run, on loopback.",
    )
    servers = [server.name for server in SERVERS]
    workloads = [workload.name for workload in WORKLOADS]
    groups = sorted({workload.group for workload in WORKLOADS if workload.group})
    parser.add_argument("--rounds", type=_positive, default=5, help="turns each server gets (5)")
    parser.add_argument("--seconds", type=_positive, default=3, help="of one turn (3)")
    parser.add_argument("--only", nargs="+", choices=groups + workloads, metavar="WORKLOAD", help=f"of {', '.join(workloads)}; or of all in a group: {', '.join(groups)}")
    parser.add_argument("--servers", nargs="+", choices=servers, metavar="SERVER", help=f"of {', '.join(servers)}")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "target" / "compare", help="directory for JSON and charts (target/compare)")
    parser.add_argument("--docs", "--readme", action="store_true", help="write into benches/results, and pictures and table into docs/measuring.md")
    parser.add_argument("--read", type=Path, metavar="JSON", help="measure nothing: show what an earlier run wrote")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s, 1,000 idle connections: a look, no result")
    parser.add_argument("--no-build", action="store_true", help="take target/release as it is")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds = 2, 1
    return options


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)


def _build() -> None:
    """Builds this server and the floor; without cargo, what is there is taken."""
    if shutil.which("cargo") is None:
        _say("cargo is not installed; measuring what target/release holds")
        return
    subprocess.run(["cargo", "build", "--release", "--workspace"], cwd=REPOSITORY, check=True)


def _chosen(all_of_them: tuple, names: list[str] | None) -> list:
    """Those named, in their own order; all, if none is."""
    return [one for one in all_of_them if names is None or one.name in names]


def _is_chosen(workload: Workload, names: list[str] | None) -> bool:
    return names is None or workload.name in names or workload.group in names


def _present(servers: list[Server]) -> list[Server]:
    absent = [server for server in servers if server.find() is None]
    if absent:
        _say(report.missing(absent))
    return [server for server in servers if server not in absent]


def _measure(options: argparse.Namespace, servers: list[Server], workloads: list[Workload]) -> Run:
    cores = machine.choose_cores()
    if cores.are_shared:
        _say("warning: one core only; server and load generator share it")
    descriptors = machine.raise_descriptor_limit()
    wanted = _IDLE_QUICK if options.quick else _IDLE
    idle = min(wanted, descriptors - _SPARE_DESCRIPTORS)
    if idle < wanted:
        _say(f"the descriptor limit is {descriptors}: holding {idle} idle connections, not {wanted}")
    with tempfile.TemporaryDirectory(prefix="compare-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)  # some servers change user
        root = scratch / "site"
        site.build(root)
        plan = Plan(cores, root, scratch, options.seconds, idle)
        machine.pin(cores.load)
        results = rounds.measure(servers, workloads, plan, options.rounds, _say)
    versions = {server.name: server.describe_version() for server in servers}
    return Run(machine.describe(), versions, workloads, options.rounds, options.seconds, results)


def _write(run: Run, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "results.json"
    report.write_json(run, path)
    for written in [path, *charts.write(run, directory)]:
        _say(f"wrote {written}")


def _say(text: str) -> None:
    """To standard error: standard output is the table."""
    print(text, file=sys.stderr, flush=True)

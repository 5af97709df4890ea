"""What is measured, in the order of the table. A workload is a line here, or a probe of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from . import probes
from .load import BROWSER_FIELDS, Kind, Load
from .sample import Sample, Subject
from .servers import Feature
from .site import MANY_SIZE, SIZES

#: The units of the headline figures.
CPU = "CPU µs/request"
BYTES = "bytes"
MILLISECONDS = "ms"


@dataclass(frozen=True)
class Workload:
    """One row of the table."""

    name: str
    title: str
    unit: str
    needs: Feature
    measure: Callable[[Subject], Sample]
    #: The connections, of the workloads that differ in them alone.
    curve: int | None = None


def _requests(
    name: str,
    title: str,
    load: Load,
    *,
    needs: Feature = Feature.FILES,
    status: int = 200,
    length: int | None = None,
    has_log: bool = False,
    curve: int | None = None,
) -> Workload:
    """A workload that is a run of wrk."""
    needs = needs | Feature.LOG if has_log else needs
    measure = functools.partial(
        probes.cpu_per_request, what=load, status=status, length=length, has_log=has_log
    )
    return Workload(name, title, CPU, needs, measure, curve)


def _connections(count: int) -> Workload:
    """The small file again: together they are the latency curve."""
    load = Load("/612.html", count)
    unit = "connection" if count == 1 else "connections"
    return _requests(
        f"small-{count}", f"612 B file, {count} {unit}", load,
        needs=Feature.CANNED, length=612, curve=count,
    )


def _file(name: str, title: str, path: str, connections: int = 64) -> Workload:
    return _requests(name, title, Load(f"/{path}", connections), length=SIZES[path])


WORKLOADS = (
    *map(_connections, (1, 16, 64, 256, 512)),
    _requests(
        "browser", "612 B file, a browser's head", Load("/612.html", fields=BROWSER_FIELDS),
        needs=Feature.CANNED, length=612,
    ),
    _requests(
        "close", "612 B file, one connection per request",
        Load("/612.html", fields={"Connection": "close"}), needs=Feature.CANNED, length=612,
    ),
    _requests(
        "pipelined", "612 B file, 16 requests pipelined", Load("/612.html", kind=Kind.PIPELINED),
        needs=Feature.CANNED, length=612,
    ),
    _file("10k", "10 KiB file", "10k.html"),
    _file("100k", "100 KiB file", "100k.html"),
    _file("10m", "10 MiB file", "10m.bin", connections=16),
    _requests(
        "random", "random among 10,000 files of 4 KiB", Load("/many/00000.html", kind=Kind.RANDOM),
        length=MANY_SIZE,
    ),
    _requests("404", "404", Load("/nowhere.html"), status=404),
    _requests("304", "304", Load("/612.html"), status=304, length=0),
    _requests("index", "a directory's index", Load("/directory/"), length=612),
    _requests("fixed", "an answer from the configuration", Load("/fixed"), needs=Feature.FIXED, length=2),
    _requests("log", "612 B file, access log on", Load("/612.html"), length=612, has_log=True),
    Workload(
        "mixed", "p99 of 612 B files under 10 MiB downloads", MILLISECONDS, Feature.FILES,
        probes.latency_under_downloads,
    ),
    Workload(
        "idle", "memory of an idle connection", BYTES, Feature.CANNED, probes.idle_memory,
    ),
    Workload(
        "start", "from start to first answer", MILLISECONDS, Feature.CANNED, probes.start_time,
    ),
)

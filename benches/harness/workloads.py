"""What is measured, in the order of the table. A workload is a line here, or a probe of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from . import probes, tls
from .load import BROWSER_FIELDS, Kind, Load
from .sample import Sample, Subject
from .servers import PLAIN, Feature, Variant
from .site import MANY_SIZE, PACKED, PAGE, SIZES

#: The units of the headline figures.
CPU = "CPU µs/request"
BYTES = "bytes"
MILLISECONDS = "ms"
TIMES = "×"
WALL = "µs/request"

#: Routes of the configuration that is reloaded.
ROUTES = 1_000


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
    #: Whether it is in the pictures.
    is_drawn: bool = False
    #: Names several workloads at once on the command line.
    group: str | None = None


def _requests(
    name: str,
    title: str,
    load: Load,
    *,
    needs: Feature = Feature.FILES,
    status: int = 200,
    length: int | None = None,
    variant: Variant = PLAIN,
    curve: int | None = None,
    is_drawn: bool = True,
    group: str | None = None,
) -> Workload:
    """A workload that is a run of wrk."""
    measure = functools.partial(
        probes.cpu_per_request, what=load, status=status, length=length, variant=variant
    )
    return Workload(name, title, CPU, needs, measure, curve, is_drawn, group)


def _relative(
    name: str, title: str, needs: Feature, variant: Variant, load: Load = Load("/612.html")
) -> Workload:
    """The small file as a variant serves it, relative to the plain instance."""
    measure = functools.partial(probes.relative_cost, what=load, variant=variant)
    return Workload(name, title, TIMES, Feature.CANNED | needs, measure)


def _connections(count: int) -> Workload:
    """The small file again: together they are the latency curve."""
    load = Load("/612.html", count)
    unit = "connection" if count == 1 else "connections"
    return _requests(
        f"small-{count}", f"612 B file, {count} {unit}", load,
        needs=Feature.CANNED, length=612, curve=count, is_drawn=count == 64,
    )


def _file(name: str, title: str, path: str, connections: int = 64) -> Workload:
    return _requests(name, title, Load(f"/{path}", connections), length=SIZES[path])


def _handler(place: str) -> Workload:
    """612 octets from code that runs on the loop, or on the pool."""
    return _requests(
        place, f"612 B from a handler on the {place}", Load(f"/{place}"),
        needs=Feature.HANDLERS, length=612, variant=Variant(has_handlers=True), is_drawn=False,
    )


#: PHP-FPM's processes, and clients: fewer than processes, as many, and more.
_POOLS = (2, 8)
_CLIENTS = (1, 8, 32)

#: Octets of content of a POST to PHP: a small form.
_FORM = 100


def _php(method: str, clients: int, processes: int) -> tuple[Workload, Workload]:
    """A script in PHP: how many requests there are in a second, and how long they take at most."""
    load = Load("/php/hello.php", clients, content=_FORM if method == "POST" else 0)
    name = f"fastcgi-{method.lower()}-{clients}-of-{processes}"
    title = f"PHP, {method}, {clients} clients, {processes} processes".replace(" 1 clients", " 1 client")
    probed = {"what": load, "variant": Variant(php=processes)}
    return (
        Workload(
            name, title, WALL, Feature.PHP, functools.partial(probes.time_per_request, **probed),
            group="fastcgi",
        ),
        Workload(
            f"{name}-p99", f"{title}: p99", MILLISECONDS, Feature.PHP,
            functools.partial(probes.tail_latency, **probed), group="fastcgi",
        ),
    )


#: A server that asks the one behind it. Its own CPU counts, not that of the other.
_PROXY = Variant(is_proxy=True)

#: Clients of a proxy, fewer than the connections that it keeps to its upstream.
_PROXIED = 16


def _proxied(name: str, title: str, load: Load, length: int = 612) -> Workload:
    return _requests(
        f"proxy-{name}", f"proxy, {title}", load,
        needs=Feature.PROXY, length=length, variant=_PROXY, is_drawn=False, group="proxy",
    )


def _proxied_memory(name: str, title: str, probe: Callable[..., Sample]) -> Workload:
    measure = functools.partial(probe, variant=_PROXY)
    return Workload(f"proxy-{name}", f"proxy, {title}", BYTES, Feature.PROXY, measure, group="proxy")


_PROXY_WORKLOADS = (
    _proxied("612", f"612 B, {_PROXIED} clients", Load("/612.html", _PROXIED)),
    _proxied("100k", f"100 KiB, {_PROXIED} clients", Load("/100k.html", _PROXIED), SIZES["100k.html"]),
    _proxied("post", f"POST of 1 KiB, {_PROXIED} clients", Load("/612.html", _PROXIED, content=1024)),
    _proxied("512", "612 B, 512 clients", Load("/612.html", 512)),
    _proxied(
        "close", "612 B, a client's connection per request",
        Load("/612.html", _PROXIED, fields={"Connection": "close"}),
    ),
    _proxied_memory("idle", "memory of an idle client", probes.idle_memory),
    _proxied_memory("tunnel", "memory of an idle WebSocket, both connections", probes.tunnel_memory),
)


_SECURED = Variant(key=tls.Key.ECDSA)


def _secured(name: str, title: str, load: Load, length: int = 612) -> Workload:
    return _requests(
        f"tls-{name}", f"TLS, {title}", replace(load, is_secured=True),
        needs=Feature.TLS, length=length, variant=_SECURED, is_drawn=False, group="tls",
    )


def _handshake(name: str, title: str, key: tls.Key = tls.Key.ECDSA, *, is_resuming: bool = False) -> Workload:
    measure = functools.partial(probes.cpu_per_handshake, variant=Variant(key=key), is_resuming=is_resuming)
    return Workload(f"tls-{name}", f"TLS, {title} and 612 B", CPU, Feature.TLS, measure, group="tls")


_TLS_WORKLOADS = (
    _handshake("ecdsa", "a handshake (P-256)"),
    _handshake("rsa", "a handshake (RSA-2048)", tls.Key.RSA),
    _handshake("resumed", "a session resumed", is_resuming=True),
    _secured("612", "612 B", Load("/612.html")),
    _secured("100k", "100 KiB", Load("/100k.html"), SIZES["100k.html"]),
    _secured("10m", "10 MiB", Load("/10m.bin", 16), SIZES["10m.bin"]),
    Workload(
        "tls-idle", "TLS, memory of an idle connection", BYTES, Feature.TLS,
        functools.partial(probes.secured_memory, variant=_SECURED), group="tls",
    ),
)


#: Servers that compress: files, and what an upstream sends, which is not the same twice.
_COMPRESSING = Variant(is_compressing=True)
_COMPRESSING_PROXY = replace(_PROXY, is_compressing=True)

#: What clients take. Who does not have the first compresses with the other: that is what it costs them.
_CODINGS = {"gzip": "gzip", "br": "br, gzip", "zstd": "zstd, gzip"}


def _coded(coding: str) -> tuple[Workload, ...]:
    """100 KiB of HTML in a coding, from a file and from an upstream: CPU and octets."""
    fields = {"Accept-Encoding": _CODINGS[coding]}
    # So few at once that there is memory for an encoder each.
    file, stream = (Load(path, _PROXIED, fields) for path in (f"/{PAGE}", "/100k.html"))
    sources = (
        ("file", file, _COMPRESSING, Feature.FILES),
        ("stream", stream, _COMPRESSING_PROXY, Feature.PROXY),
    )
    return tuple(
        Workload(
            f"{coding}-{source}{suffix}",
            f"{_CODINGS[coding]}: 100 KiB of HTML, {source}{described}",
            unit,
            needs | Feature.COMPRESSION,
            functools.partial(probe, what=load, variant=variant),
            group="compression",
        )
        for source, load, variant, needs in sources
        for suffix, described, unit, probe in (
            ("", "", CPU, probes.cpu_per_coded_request),
            ("-octets", ", its length", BYTES, probes.coded_length),
        )
    )


_COMPRESSION_WORKLOADS = (
    *(workload for coding in _CODINGS for workload in _coded(coding)),
    Workload(
        "compressed-cost", "CPU a request, a compressed file to a plain one as long", TIMES,
        Feature.FILES | Feature.COMPRESSION,
        functools.partial(
            probes.coded_cost, what=Load(f"/{PAGE}", fields={"Accept-Encoding": "gzip"}),
            plain=Load(f"/{PACKED}"), variant=_COMPRESSING,
        ),
        group="compression",
    ),
)


WORKLOADS = (
    *map(_connections, (1, 8, 64, 256, 512)),
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
    _requests("404", "404", Load("/nowhere.html"), status=404, is_drawn=False),
    _requests("304", "304", Load("/612.html"), status=304, length=0),
    _requests("index", "a directory's index", Load("/directory/"), length=612, is_drawn=False),
    _requests(
        "fixed", "an answer from the configuration", Load("/fixed"),
        needs=Feature.FIXED, length=2, is_drawn=False,
    ),
    *map(_handler, ("loop", "pool")),
    *(
        workload
        for processes in _POOLS
        for method in ("GET", "POST")
        for clients in _CLIENTS
        for workload in _php(method, clients, processes)
    ),
    *_PROXY_WORKLOADS,
    *_TLS_WORKLOADS,
    *_COMPRESSION_WORKLOADS,
    _requests(
        "log", "612 B file, access log on", Load("/612.html"),
        needs=Feature.CANNED | Feature.LOG, length=612, variant=Variant(has_log=True), is_drawn=False,
    ),
    _relative("log-cost", "CPU a request, access log on to off", Feature.LOG, Variant(has_log=True)),
    _relative(
        "limits-cost", "CPU a request, with allow, rate and cors to without", Feature.LIMITS,
        Variant(is_limited=True), Load("/612.html", fields={"Origin": "https://a.test"}),
    ),
    _relative(
        "metrics-cost", "CPU a request, with metrics and a log as JSON to without", Feature.METRICS,
        Variant(has_log=True, is_observed=True),
    ),
    _requests(
        "workers", "612 B file, two workers on two cores", Load("/612.html"),
        needs=Feature.CANNED | Feature.WORKERS, length=612, variant=Variant(workers=2), is_drawn=False,
    ),
    _relative("workers-cost", "CPU a request, two workers to one", Feature.WORKERS, Variant(workers=2)),
    Workload(
        "mixed", "p99 during 10 MiB downloads", MILLISECONDS, Feature.FILES,
        probes.latency_under_downloads, is_drawn=True,
    ),
    Workload(
        "sleepers", "p99 while a handler sleeps in every thread, to p99 before", TIMES, Feature.HANDLERS,
        functools.partial(probes.latency_beside_sleepers, variant=Variant(has_handlers=True)),
    ),
    Workload(
        "idle", "memory of an idle connection", BYTES, Feature.CANNED, probes.idle_memory, is_drawn=True,
    ),
    Workload(
        "start", "from start to first answer", MILLISECONDS, Feature.CANNED, probes.start_time,
        is_drawn=True,
    ),
    Workload(
        "reload", f"a reload with {ROUTES:,} routes", MILLISECONDS, Feature.RELOAD,
        functools.partial(probes.reload_time, routes=ROUTES),
    ),
    Workload(
        "scrape", f"a scrape of {ROUTES:,} routes", MILLISECONDS, Feature.METRICS,
        functools.partial(probes.scrape_time, variant=Variant(is_observed=True), routes=ROUTES),
    ),
)

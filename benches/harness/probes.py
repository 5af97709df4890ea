"""How each kind of figure is taken from a server."""

from __future__ import annotations

import http.client
import socket
import ssl
import statistics
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace

from . import load, process, recipes, tls
from .load import Kind, Load
from .process import ServerFailed
from .sample import Sample, Subject
from .servers import PLAIN, Variant

#: The 10 MiB downloads that saturate the link while small files are asked for.
_DOWNLOADS = Load("/10m.bin", connections=4)
_SMALL = Load("/612.html", connections=16)

#: Threads of the blocking pool, as many as there are unless the configuration says otherwise.
_BLOCKING_THREADS = 32

#: Connections opened before memory is first read, so that what a server sets up once is there.
_WARM_CONNECTIONS = 100

#: Scrapes of which the median counts.
_SCRAPES = 21

#: For a server to have done with what it began, in seconds.
_SETTLE = 0.3


def cpu_per_request(
    subject: Subject, what: Load, status: int = 200, length: int | None = None, variant: Variant = PLAIN
) -> Sample:
    """Microseconds of CPU a request, and what wrk saw meanwhile."""
    running = subject.instance(variant)
    what = _with_conditions(running, what) if status == 304 else what
    _check(running, what, status, length)
    plan = subject.plan
    before = running.cpu_seconds()
    outcome = load.run(what, running.port, plan.seconds, plan.cores.load, plan.scratch)
    used = running.cpu_seconds() - before
    if outcome.requests == 0:
        raise ServerFailed("no request was answered")
    unexpected = outcome.refusals if status < 400 else outcome.requests - outcome.refusals
    # wrk makes up for answers it could not ask for in time; with many requests at once that yields noise.
    has_latency = what.kind is not Kind.PIPELINED
    return Sample(
        value=used * 1e6 / outcome.requests,
        errors=outcome.failures + unexpected,
        requests_per_second=outcome.requests / outcome.seconds,
        p50_ms=outcome.p50_ms if has_latency else None,
        p99_ms=outcome.p99_ms if has_latency else None,
    )


def cpu_per_handshake(subject: Subject, variant: Variant, is_resuming: bool = False) -> Sample:
    """Microseconds of CPU for a client that comes, perhaps with the session of before, and its one request."""
    running = subject.instance(variant)
    tls.handshakes(running.port, _SETTLE, is_resuming)
    before = running.cpu_seconds()
    count, refused = tls.handshakes(running.port, subject.plan.seconds, is_resuming)
    used = running.cpu_seconds() - before
    return Sample(value=used * 1e6 / count, errors=refused)


def secured_memory(subject: Subject, variant: Variant) -> Sample:
    """Bytes of proportional memory that an idle connection over TLS adds, after one exchange."""
    context = tls.client()

    def secure(connection: socket.socket) -> socket.socket:
        return context.wrap_socket(connection, server_hostname="localhost")

    return _memory_of_each(subject, variant, subject.plan.idle_connections // 5, _is_answered, secure)


def time_per_request(subject: Subject, what: Load, variant: Variant) -> Sample:
    """Microseconds in which one more request is answered: the inverse of requests a second."""
    sample = cpu_per_request(subject, what, variant=variant)
    return replace(sample, value=1e6 / sample.requests_per_second)


def tail_latency(subject: Subject, what: Load, variant: Variant) -> Sample:
    """p99 in milliseconds."""
    sample = cpu_per_request(subject, what, variant=variant)
    return replace(sample, value=sample.p99_ms)


def relative_cost(subject: Subject, what: Load, variant: Variant) -> Sample:
    """What a request costs a variant, relative to the plain instance right before."""
    plain = cpu_per_request(subject, what)
    varied = cpu_per_request(subject, what, variant=variant)
    return replace(varied, value=varied.value / plain.value, errors=plain.errors + varied.errors)


def cpu_per_coded_request(subject: Subject, what: Load, variant: Variant) -> Sample:
    """Microseconds of CPU a request whose answer is compressed."""
    _ask_coded(subject.instance(variant), what)
    return cpu_per_request(subject, what, variant=variant)


def coded_length(subject: Subject, what: Load, variant: Variant) -> Sample:
    """Octets of a compressed answer."""
    return Sample(value=_ask_coded(subject.instance(variant), what).length)


def coded_cost(subject: Subject, what: Load, plain: Load, variant: Variant) -> Sample:
    """What a compressed answer costs, relative to a plain one right before."""
    before = cpu_per_request(subject, plain, variant=variant)
    coded = cpu_per_coded_request(subject, what, variant)
    return replace(coded, value=coded.value / before.value, errors=before.errors + coded.errors)


def latency_under_downloads(subject: Subject) -> Sample:
    """p99 of small files, in milliseconds, while downloads take all the server has."""
    running = subject.instance()
    _check(running, _DOWNLOADS, 200, 10 * 1024 * 1024)
    plan = subject.plan
    # Longer than the other run on both sides: that one begins and ends under load.
    downloads = load.begin(
        _DOWNLOADS, running.port, plan.seconds + 1, plan.cores.second_load, plan.scratch
    )
    with downloads:
        time.sleep(_SETTLE)
        small = load.run(_SMALL, running.port, plan.seconds, plan.cores.load, plan.scratch)
        large = load.finish(downloads, plan.seconds)
    return Sample(
        value=small.p99_ms,
        errors=small.failures + small.refusals + large.failures + large.refusals,
        requests_per_second=small.requests / small.seconds,
        p50_ms=small.p50_ms,
        p99_ms=small.p99_ms,
    )


def latency_beside_sleepers(subject: Subject, variant: Variant) -> Sample:
    """p99 of small files while a handler sleeps in every thread of the blocking pool, and as many
    requests again wait for one, relative to p99 right before."""
    plan = subject.plan

    def small_files(running: process.Running) -> load.Outcome:
        return load.run(_SMALL, running.port, plan.seconds, plan.cores.load, plan.scratch)

    with subject.fresh(variant) as running:
        _check(running, _SMALL, 200, 612)
        before = small_files(running)
        sleepers: list[socket.socket] = []
        try:
            for _ in range(2 * _BLOCKING_THREADS):
                sleeper = socket.create_connection(("127.0.0.1", running.port), timeout=5)
                sleepers.append(sleeper)
                sleeper.sendall(b"GET /sleep HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(_SETTLE)
            beside = small_files(running)
            awake = sum(_is_closed(sleeper) for sleeper in sleepers)
        finally:
            for sleeper in sleepers:
                _reset(sleeper)
    return Sample(
        value=beside.p99_ms / before.p99_ms,
        errors=beside.failures + beside.refusals + before.failures + before.refusals + awake,
        requests_per_second=beside.requests / beside.seconds,
        p50_ms=beside.p50_ms,
        p99_ms=beside.p99_ms,
    )


def start_time(subject: Subject) -> Sample:
    """Milliseconds from the start of the process to its first answer."""
    with subject.fresh() as running:
        return Sample(value=running.start_seconds * 1e3)


def reload_time(subject: Subject, routes: int) -> Sample:
    """Milliseconds that `tidegate reload` takes, which returns when every worker has the new routes."""
    with subject.fresh() as running:
        program, *_, config = running.argv
        for state in range(2):
            recipes.tidegate_routes(running.setting, routes, state)
            begin = time.perf_counter()
            done = subprocess.run([program, "reload", "--config", config], capture_output=True, text=True, check=False)
            took = time.perf_counter() - begin
            if done.returncode != 0:
                raise ServerFailed(f"reload: {done.stdout}{done.stderr}".strip())
    return Sample(value=took * 1e3)


def scrape_time(subject: Subject, variant: Variant, routes: int) -> Sample:
    """Milliseconds from asking for the metrics to having read them all, the median of some scrapes: with so many
    routes, each of which has answered."""
    with subject.fresh(variant) as running:
        program, *_, config = running.argv
        recipes.tidegate_routes(running.setting, routes, 0)
        done = subprocess.run([program, "reload", "--config", config], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServerFailed(f"reload: {done.stdout}{done.stderr}".strip())
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
        for number in range(routes - 1):
            _read(connection, f"/route-{number}")
        times: list[float] = []
        for _ in range(_SCRAPES):
            begin = time.perf_counter()
            told = _read(connection, "/metrics")
            times.append(time.perf_counter() - begin)
        connection.close()
    counted = told.count(b'tidegate_http_requests_total{')
    if counted < routes:
        raise ServerFailed(f"{counted} of {routes} routes are counted")
    return Sample(value=statistics.median(times) * 1e3)


def _read(connection: http.client.HTTPConnection, path: str) -> bytes:
    """The content of the answer to one GET on `connection`, which stays open."""
    connection.request("GET", path)
    return connection.getresponse().read()


def idle_memory(subject: Subject, variant: Variant = PLAIN) -> Sample:
    """Bytes of proportional memory that an idle connection adds; what the kernel holds is not in it."""
    # A proxy may set aside a connection to the upstream for each.
    wanted = subject.plan.idle_connections // (2 if variant.is_proxy else 1)
    return _memory_of_each(subject, variant, wanted, _is_answered)


def tunnel_memory(subject: Subject, variant: Variant) -> Sample:
    """The same of a tunnel in which nothing is said: both of its connections, since a proxy holds both."""
    return _memory_of_each(subject, variant, subject.plan.idle_connections // 2, _is_upgraded)


def _memory_of_each(
    subject: Subject, variant: Variant, wanted: int, begin: Callable[[socket.socket], bool],
    secure: Callable[[socket.socket], socket.socket] | None = None,
) -> Sample:
    """Bytes of proportional memory that a connection adds on which `begin` did its part."""
    with subject.fresh(variant) as running:
        held: list[socket.socket] = []
        try:
            errors = _hold(running.port, _WARM_CONNECTIONS, held, begin, secure)
            before = _settled_memory(running)
            errors += _hold(running.port, wanted, held, begin, secure)
            after = _settled_memory(running)
            errors += sum(_is_closed(connection) for connection in held)
        finally:
            for connection in held:
                _reset(connection)
    return Sample(value=max(0, after.pss - before.pss) / wanted, errors=errors)


def _hold(
    port: int, count: int, held: list[socket.socket], begin: Callable[[socket.socket], bool],
    secure: Callable[[socket.socket], socket.socket] | None,
) -> int:
    """Opens connections and begins on each; returns how many failed."""
    failed = 0
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        if secure:
            connection = secure(connection)
        held.append(connection)
        failed += not begin(connection)
    return failed


def _is_answered(connection: socket.socket) -> bool:
    """Asks for the small file."""
    connection.sendall(b"GET /612.html HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return _has_answer(connection)


def _is_upgraded(connection: socket.socket) -> bool:
    """Opens a WebSocket, and has a few octets come back through it."""
    connection.sendall(
        b"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        chunk = connection.recv(4096)
        if not chunk:
            return False
        answer += chunk
    connection.sendall(b"echo")
    return answer.startswith(b"HTTP/1.1 101 ") and connection.recv(4096) == b"echo"


def _has_answer(connection: socket.socket) -> bool:
    """Reads one answer of 612 bytes of content."""
    answer = b""
    while chunk := connection.recv(4096):
        answer += chunk
        head, end, content = answer.partition(b"\r\n\r\n")
        if end and len(content) >= 612:
            return head.startswith(b"HTTP/1.1 200")
    return False


def _settled_memory(running: process.Running) -> process.Memory:
    time.sleep(_SETTLE)
    return running.memory()


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


def _reset(connection: socket.socket) -> None:
    """Closes without leaving the port in TIME_WAIT: there are ten thousand of them."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _with_conditions(running: process.Running, what: Load) -> Load:
    """The request a browser makes that holds the file already."""
    fields = running.ask(what.path).fields
    conditions = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
    held = {name: fields[source] for name, source in conditions.items() if source in fields}
    return replace(what, fields=what.fields | held)


def _ask_coded(running: process.Running, what: Load) -> process.Answer:
    """Asks once: the answer must be compressed."""
    answer = running.ask(what.path, what.fields)
    coding = answer.fields.get("content-encoding")
    if answer.status != 200 or coding not in what.fields["Accept-Encoding"].split(", "):
        raise ServerFailed(f"{what.path}: {answer.status} in the coding {coding}")
    return answer


def _check(running: process.Running, what: Load, status: int, length: int | None) -> None:
    """Asks once: what is measured must be the right answer."""
    answer = running.ask(what.path, what.fields)
    if answer.status != status or length not in (None, answer.length):
        raise ServerFailed(
            f"{what.path}: {answer.status} with {answer.length} bytes, where {status} with {length} was due"
        )

"""System calls an exchange costs, counted by `strace -c -f` and held to bounds.

One peer works through its requests, each after the answer to the one before, so that every one of them
wakes the loop: waiting is counted once for each and stands in a bound of its own. (With many peers, one
wait wakes for many.) Each piece of work is done twice, by a fresh server each time, once with few
repetitions and once with many; the difference, divided by the repetitions, is free of starting and stopping.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .recipes import Setting, tidegate
from .servers import REPOSITORY

#: Repetitions of a piece of work, in the first run and in the second.
_FEW = 50
_MANY = 1050

#: What a clock may add to each count: a timer's turn, a date encoded anew.
_SLACK = 0.05

#: Requests written at once.
_PIPELINED = 16

_REQUEST = b"GET /612.html HTTP/1.1\r\nHost: localhost\r\n\r\n"
_LAST_REQUEST = b"GET /612.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

_PATIENCE = 10.0

#: What is a wait for readiness, and not work.
_WAITS = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2"})


@dataclass(frozen=True)
class Work:
    """Something a peer does over and over, and what the server may spend on each."""

    title: str
    repeat: Callable[[int, int], None]
    #: The calls that are work: without the waits for readiness.
    calls: float
    waits: float


def main(arguments: list[str]) -> int:
    """Counts, prints, compares; the exit status."""
    program = arguments[0] if arguments else str(REPOSITORY / "target/release/tidegate")
    if shutil.which("strace") is None:
        print("error: strace is not installed (Debian package strace)", file=sys.stderr)
        return 1
    if not os.access(program, os.X_OK):
        print(f"error: {program} is not there; build it: cargo build --release", file=sys.stderr)
        return 1
    try:
        kept = [_is_kept(work, _calls_each(program, work)) for work in WORKS]
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"error: {program}: {error}", file=sys.stderr)
        return 1
    return 0 if all(kept) else 1


def _is_kept(work: Work, counts: dict[str, float]) -> bool:
    """Prints what was counted; whether it is within the bounds."""
    waits = sum(count for name, count in counts.items() if name in _WAITS)
    calls = sum(counts.values()) - waits
    is_kept = calls <= work.calls + _SLACK and waits <= work.waits + _SLACK
    named = ", ".join(f"{name} {count:.2f}" for name, count in sorted(counts.items()))
    verdict = "ok" if is_kept else "TOO MANY"
    print(f"{work.title}: {calls:.2f} calls (at most {work.calls:g}), {waits:.2f} waits (at most {work.waits:g}): {verdict}")
    print(f"    {named}")
    return is_kept


def _calls_each(program: str, work: Work) -> dict[str, float]:
    """The calls of one repetition, by name; what rounds to nothing is left out."""
    few, many = (_count(program, work, times) for times in (_FEW, _MANY))
    names = few.keys() | many.keys()
    each = {name: (many[name] - few[name]) / (_MANY - _FEW) for name in names}
    return {name: count for name, count in each.items() if count >= 0.005}


def _count(program: str, work: Work, times: int) -> Counter[str]:
    """All calls of a server that does the work so many times, from its start to its end."""
    with tempfile.TemporaryDirectory(prefix="guard-") as name:
        scratch = Path(name)
        (scratch / "612.html").write_bytes(b"x" * 612)
        port = _free_port()
        launch = tidegate(program, Setting(port, scratch, scratch, log=None))
        summary = scratch / "summary"
        argv = ["strace", "-f", "-c", "-o", str(summary), *launch.argv]
        with (scratch / "output").open("wb") as sink:
            tracer = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        try:
            _connect(port).close()
            work.repeat(port, times)
        finally:
            _stop(tracer)
        return _parse(summary.read_text(encoding="ascii"))


def _stop(tracer: subprocess.Popen[bytes]) -> None:
    """Ends the server, whose end is the tracer's."""
    children = Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text(encoding="ascii")
    for child in children.split():
        os.kill(int(child), signal.SIGTERM)
    try:
        tracer.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        tracer.kill()
        raise


def _parse(summary: str) -> Counter[str]:
    """The table of `strace -c`: % time, seconds, µs/call, calls, errors if any, name."""
    counts: Counter[str] = Counter()
    for line in summary.splitlines():
        cells = line.split()
        is_row = len(cells) in (5, 6) and cells[3].isdigit() and cells[-1] != "total"
        if is_row:
            counts[cells[-1]] += int(cells[3])
    return counts


def _keep_alive(port: int, times: int) -> None:
    with _connect(port) as connection:
        for _ in range(times):
            connection.sendall(_REQUEST)
            _read_answers(connection, 1)


def _pipelined(port: int, times: int) -> None:
    with _connect(port) as connection:
        for _ in range(times):
            connection.sendall(_REQUEST * _PIPELINED)
            _read_answers(connection, _PIPELINED)


def _one_each(port: int, times: int) -> None:
    for _ in range(times):
        with _connect(port) as connection:
            connection.sendall(_LAST_REQUEST)
            _read_answers(connection, 1)
            while connection.recv(4096):
                pass


def _connect(port: int) -> socket.socket:
    """A connection, as soon as the server takes one."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _read_answers(connection: socket.socket, count: int) -> None:
    """Reads that many answers of 612 bytes of content."""
    received = b""
    for _ in range(count):
        while b"\r\n\r\n" not in received:
            received += _read(connection)
        head, _, received = received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"not the answer that is counted: {head[:80]!r}")
        while len(received) < 612:
            received += _read(connection)
        received = received[612:]


def _read(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise RuntimeError("the server closed the connection before it had answered")
    return data


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


#: DESIGN §3. A read and a write each; a connection besides is accepted, the next accept finds none,
#: and it is closed; sixteen pipelined requests are one read and one write.
WORKS = (
    Work("a keep-alive request", _keep_alive, calls=2, waits=1),
    Work("a connection with one request", _one_each, calls=5, waits=1),
    Work(f"a batch of {_PIPELINED} pipelined requests", _pipelined, calls=2, waits=1),
)

"""A running server: started pinned to its core, watched through /proc, ended by what was started."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from . import tls
from .recipes import Setting

#: How long a server may take to its first answer, and to its end, in seconds.
START_PATIENCE = 15.0
STOP_PATIENCE = 5.0

#: Between two attempts to connect to a server that is starting, in seconds.
START_INTERVAL = 0.0002


class ServerFailed(Exception):
    """A server that does not start, or does not answer as it should."""


class Beside(Protocol):
    """What runs beside a server."""

    def stop(self) -> None:
        """Ends it."""


@dataclass
class Running:
    """A server's process, the leader of a session that holds its children."""

    process: subprocess.Popen[bytes]
    argv: list[str]
    setting: Setting
    output: Path
    #: What runs beside it, and is not part of it.
    beside: list[Beside] = field(default_factory=list)
    #: Seconds from the start of the process to its first answer.
    start_seconds: float = field(default=0.0)

    @property
    def port(self) -> int:
        """Where it answers."""
        return self.setting.port

    def processes(self) -> list[int]:
        """The server and all that descends from it."""
        parents = dict(_parents())
        found = [self.process.pid]
        for pid in found:  # grows as it goes
            found.extend(child for child, parent in parents.items() if parent == pid)
        return found

    def ask(self, path: str, fields: dict[str, str] | None = None) -> Answer:
        """One GET on a connection of its own."""
        if self.setting.certificate:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "localhost", self.port, timeout=5, context=tls.client()
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        return _ask(connection, path, fields or {})

    def cpu_seconds(self) -> float:
        """CPU time of all threads so far, user and kernel."""
        return sum(_cpu_nanoseconds(pid) for pid in self.processes()) / 1e9

    def memory(self) -> Memory:
        """Resident memory of all processes."""
        sums = {"Rss": 0, "Pss": 0}
        for pid in self.processes():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                name, _, rest = line.partition(":")
                if name in sums:
                    sums[name] += int(rest.split()[0]) * 1024
        return Memory(rss=sums["Rss"], pss=sums["Pss"])

    def stop(self) -> None:
        """Ends the server, asked first, then told, and what runs beside it."""
        self._stop_server()
        for pool in self.beside:
            pool.stop()

    def _stop_server(self) -> None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                pass
            try:
                self.process.wait(STOP_PATIENCE)
                return
            except subprocess.TimeoutExpired:
                continue


@dataclass(frozen=True)
class Memory:
    """In bytes; what is shared counts in full in `rss` and in part in `pss`."""

    rss: int
    pss: int


def start(
    argv: list[str], environment: dict[str, str], cores: set[int], setting: Setting, output: Path,
    beside: list[Beside],
) -> Running:
    """Starts a server on `cores` and waits for its first answer.

    The cores are inherited: an interposed `taskset`, or code between fork and exec, would be in the
    time to the first answer.
    """
    own = os.sched_getaffinity(0)
    with output.open("wb") as sink:
        os.sched_setaffinity(0, cores)
        try:
            begin = time.perf_counter()
            process = subprocess.Popen(
                argv,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        except OSError as error:
            for pool in beside:
                pool.stop()
            raise ServerFailed(f"{argv[0]}: {error}") from error
        finally:
            os.sched_setaffinity(0, own)
    running = Running(process, argv, setting, output, beside)
    try:
        _wait_for_answer(running, begin + START_PATIENCE)
    except ServerFailed:
        running.stop()
        raise
    running.start_seconds = time.perf_counter() - begin
    return running


def _wait_for_answer(running: Running, deadline: float) -> None:
    while time.perf_counter() < deadline:
        if running.process.poll() is not None:
            raise ServerFailed(f"ended with {running.process.returncode}: {_last_words(running)}")
        try:
            running.ask("/612.html")
            return
        except (OSError, http.client.HTTPException):
            time.sleep(START_INTERVAL)
    raise ServerFailed(f"no answer in {START_PATIENCE:.0f} s: {_last_words(running)}")


@dataclass(frozen=True)
class Answer:
    """One answer, as a check."""

    status: int
    fields: dict[str, str]
    length: int


def _ask(connection: http.client.HTTPConnection, path: str, fields: dict[str, str]) -> Answer:
    """One GET, and no other, on `connection`."""
    try:
        connection.request("GET", path, headers=fields | {"Connection": "close"})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, names, len(content))


def _last_words(running: Running) -> str:
    lines = running.output.read_text(encoding="utf-8", errors="replace").split("\n")
    return " / ".join(line.strip() for line in lines if line.strip())[-300:] or "it said nothing"


def _parents() -> Iterator[tuple[int, int]]:
    """Every process and its parent."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # ended meanwhile
        # The name, in parentheses, may hold anything: count from its end.
        yield int(entry.name), int(stat.rpartition(")")[2].split()[1])


def _cpu_nanoseconds(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        except OSError:
            continue  # a thread that ended meanwhile
    return total

"""Running this server under a tool that counts, and what one repetition of some work adds.

Each piece of work is done twice, by a fresh server each time, once with few repetitions and once with
many; the difference, divided by the repetitions, is free of starting and stopping.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .recipes import Setting, tidegate
from .traffic import Work, connect
from .upstream import Canned

#: Repetitions of a piece of work, in the first run and in the second.
_FEW = 50
_MANY = 1050

_PATIENCE = 20.0


@dataclass(frozen=True)
class Tool:
    """A program that runs another one and counts something."""

    program: str
    #: The Debian package it is in.
    package: str
    #: What comes before the command line of the server; it takes the path of the report.
    arguments: Callable[[Path], list[str]]
    #: The counts that a report holds, by name.
    read: Callable[[str], Counter[str]]


def each(tool: Tool, program: str, work: Work) -> dict[str, float]:
    """The counts of one repetition, by name."""
    few, many = (_count(tool, program, work, times) for times in (_FEW, _MANY))
    return {name: (many[name] - few[name]) / (_MANY - _FEW) for name in few.keys() | many.keys()}


def _count(tool: Tool, program: str, work: Work, times: int) -> Counter[str]:
    """Everything that a server does which does the work so many times, from its start to its end."""
    with tempfile.TemporaryDirectory(prefix="guard-") as name:
        scratch = Path(name)
        (scratch / "612.html").write_bytes(b"x" * 612)
        port = _free_port()
        behind = Canned() if work.is_proxied else None
        setting = Setting(
            port, scratch, scratch, log=None, upstream=behind and behind.port, is_limited=work.is_limited
        )
        # The end of a thread of the pool is counted or not, as it comes: there is one of them.
        launch = tidegate(program, setting, "blocking = { threads = 1, queue = 16 }")
        report = scratch / "report"
        argv = [tool.program, *tool.arguments(report), *launch.argv]
        with (scratch / "output").open("wb") as sink:
            running = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        try:
            connect(port).close()
            work.repeat(port, times)
        finally:
            _stop(running)
            if behind:
                behind.stop()
        return tool.read(report.read_text(encoding="utf-8"))


def _stop(running: subprocess.Popen[bytes]) -> None:
    """Ends the server: a child of the tool, or the tool's own process; and so the tool."""
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text(encoding="ascii")
    if children.strip():
        subprocess.run(["kill", "-TERM", *children.split()], check=False)
    else:
        running.send_signal(signal.SIGTERM)
    try:
        running.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        running.kill()
        raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""The server behind the proxies that are measured: the floor, as an upstream."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

#: How long it may take until it listens, and to its end, in seconds.
_PATIENCE = 10.0


class UpstreamFailed(Exception):
    """An upstream that is not built, or does not listen."""


@dataclass(frozen=True)
class Upstream:
    """One that is running."""

    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Ends it: it has nothing to lose."""
        self.process.kill()
        self.process.wait(_PATIENCE)


def start(program: Path, port: int, cores: set[int]) -> Upstream:
    """Starts it at a port, on `cores`.

    # Errors
    `UpstreamFailed` when it is not built or does not listen.
    """
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        process = subprocess.Popen([str(program), "upstream", f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL)
    except OSError as error:
        raise UpstreamFailed(f"{program}: {error}; build it: cargo build --release -p floor") from error
    finally:
        os.sched_setaffinity(0, own)
    upstream = Upstream(process)
    if not _listens(port):
        upstream.stop()
        raise UpstreamFailed("the upstream does not listen")
    return upstream


def _listens(port: int) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.01)
    return False

"""The server behind the proxies that are measured: the floor, as an upstream. Behind one whose work is
counted it is a thread of this process, whose speed does not matter."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
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


def start(program: Path, port: int, cores: set[int], text: Path) -> Upstream:
    """Starts it at a port, on `cores`; its answers hold what is in the file `text`.

    # Errors
    `UpstreamFailed` when it is not built or does not listen.
    """
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        process = subprocess.Popen(
            [str(program), "upstream", f"127.0.0.1:{port}", str(text)], stdin=subprocess.DEVNULL
        )
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


class Canned:
    """An upstream that answers every head with the same 612 octets, and keeps its connections."""

    _ANSWER = (
        b"HTTP/1.1 200 OK\r\nServer: canned\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        b"Content-Type: text/html; charset=utf-8\r\nContent-Length: 612\r\n\r\n" + b"x" * 612
    )

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Takes no further connections; those that there are end with their clients."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = b""
            while octets := connection.recv(65536):
                head += octets
                if head.endswith(b"\r\n\r\n"):
                    connection.sendall(self._ANSWER)
                    head = b""

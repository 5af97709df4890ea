"""What a peer does over and over while a server is counted: one at a time, each after its answer."""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from .load import BROWSER_FIELDS, PIPELINED

#: The file that is asked for, and an answer from the configuration (see `recipes.tidegate`).
FILE = "/612.html"
FIXED = "/fixed"

_PATIENCE = 10.0


@dataclass(frozen=True)
class Work:
    """Something a peer does; `repeat` takes a port and how many times."""

    title: str
    repeat: Callable[[int, int], None]
    #: Whether an upstream answers in the server's place.
    is_proxied: bool = False
    #: Whether the server looks at who asks, how often, and from which page.
    is_limited: bool = False


def _request(path: str, fields: dict[str, str] | None = None) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in (fields or {}).items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


class Peer:
    """A connection on which answers are read whole."""

    def __init__(self, port: int) -> None:
        self._socket = connect(port)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """One answer, however long it is."""
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._read()
        head, _, content = answer.partition(b"\r\n\r\n")
        missing = int(field_of(head, b"content-length") or 0) - len(content)
        return answer + self._read_exactly(missing)

    def ask_again(self, request: bytes, like: bytes, count: int = 1) -> None:
        """So many answers to `request`, which holds as many, all as long as `like`."""
        self._socket.sendall(request)
        answers = self._read_exactly(len(like) * count)
        status = like.partition(b"\r\n")[0]
        if answers.count(status) != count:
            raise RuntimeError(f"not the answer that is counted: {answers[:80]!r}")

    def read_end(self) -> None:
        """Waits until the server closes."""
        while self._socket.recv(4096):
            pass

    def _read_exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            received += self._read()
        return received

    def _read(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise RuntimeError("the server closed the connection before it had answered")
        return data


def field_of(head: bytes, name: bytes) -> bytes | None:
    """The value of a field in a head, which is named in lower case."""
    for line in head.split(b"\r\n")[1:]:
        found, _, value = line.partition(b": ")
        if found.lower() == name:
            return value
    return None


def connect(port: int) -> socket.socket:
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


def _keep_alive(port: int, times: int, request: bytes, count: int = 1) -> None:
    with Peer(port) as peer:
        like = peer.ask(request)
        for _ in range(times):
            peer.ask_again(request * count, like, count)


def _not_modified(port: int, times: int) -> None:
    with Peer(port) as peer:
        tag = field_of(peer.ask(_request(FILE)), b"etag")
    if tag is None:
        raise RuntimeError("a file without an entity tag")
    _keep_alive(port, times, _request(FILE, {"If-None-Match": tag.decode()}))


def _one_each(port: int, times: int) -> None:
    for _ in range(times):
        with Peer(port) as peer:
            peer.ask(_request(FILE, {"Connection": "close"}))
            peer.read_end()


def _persisting(title: str, request: bytes, count: int = 1, is_proxied: bool = False) -> Work:
    return Work(title, functools.partial(_keep_alive, request=request, count=count), is_proxied)


KEEP_ALIVE = _persisting("a keep-alive request of a small file", _request(FILE))
BROWSER = _persisting("the same, with a browser's head", _request(FILE, BROWSER_FIELDS))
RESPOND = _persisting("a keep-alive request of an answer from the configuration", _request(FIXED))
NOT_MODIFIED = Work("a keep-alive request that is answered 304", _not_modified)
ONE_EACH = Work("a connection with one request", _one_each)
BATCH = _persisting(f"a batch of {PIPELINED} pipelined requests", _request(FILE), PIPELINED)
PROXIED = _persisting("a keep-alive request that is passed on", _request(FILE), is_proxied=True)
LIMITED = replace(
    _persisting("a keep-alive request with allow, rate and cors", _request(FILE, {"Origin": "https://a.test"})),
    is_limited=True,
)

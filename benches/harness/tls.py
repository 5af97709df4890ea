"""HTTPS: a certificate for the servers, and clients that do not ask whose it is."""

from __future__ import annotations

import enum
import functools
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

#: How long one exchange of a client may take, in seconds.
_PATIENCE = 5


class Key(enum.Enum):
    """Keys that certificates have, as `openssl genpkey` is told."""

    ECDSA = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    RSA = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")


@dataclass(frozen=True)
class Certificate:
    """Two files of PEM."""

    certificate: Path
    key: Path


@functools.cache
def certificate(key: Key, directory: Path) -> Certificate:
    """A certificate for localhost that signs itself, the same for all servers of a run."""
    made = Certificate(directory / f"{key.name}.pem", directory / f"{key.name}.key")
    _openssl("genpkey", "-quiet", *key.value, "-out", str(made.key))
    _openssl(
        "req", "-x509", "-new", "-key", str(made.key), "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-out", str(made.certificate),
    )
    made.key.chmod(0o644)  # some servers read it as another user
    return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def client() -> ssl.SSLContext:
    """What a client goes by: TLS 1.3, and any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def handshakes(port: int, seconds: float, is_resuming: bool) -> tuple[int, int]:
    """Comes again and again, one request each time, if it is resuming with the session of before.

    wrk resumes sessions by itself, so it cannot be had for the others. Returns how often it came, and how
    often the server would not have the session.
    """
    context = client()
    session = None
    count = refused = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        plain = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as secured:
            secured.sendall(b"GET /612.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while secured.recv(65536):
                pass
            count += 1
            refused += session is not None and not secured.session_reused
            session = secured.session if is_resuming else None
    return count, refused

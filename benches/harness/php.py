"""PHP-FPM behind a server that is measured: a pool of its own for each instance."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

#: How long it may take until it listens, and to its end, in seconds.
_PATIENCE = 15.0


class PhpFailed(Exception):
    """A PHP-FPM that is not installed, or does not start."""


@dataclass(frozen=True)
class Pool:
    """Processes of PHP-FPM that are running, all at one socket."""

    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Ends them."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            self.process.send_signal(sign)
            try:
                self.process.wait(_PATIENCE)
                return
            except subprocess.TimeoutExpired:
                continue


def start(directory: Path, processes: int, cores: set[int]) -> Pool:
    """Starts so many processes at `socket_path(directory)`, on `cores`.

    # Errors
    `PhpFailed` when it is not installed or does not listen.
    """
    program = next(iter(sorted(Path("/usr/sbin").glob("php-fpm*"))), None)
    if program is None:
        raise PhpFailed("PHP-FPM is not installed (Debian package php-fpm)")
    # The server may run as another user.
    config = directory / "php-fpm.conf"
    config.write_text(f"""
[global]
daemonize = no
error_log = {directory}/php-fpm.log
[www]
{"user = root" if os.geteuid() == 0 else ""}
listen = {socket_path(directory)}
listen.mode = 0666
pm = static
pm.max_children = {processes}
""", encoding="utf-8")
    argv = [str(program), "--nodaemonize", "--fpm-config", str(config)]
    if os.geteuid() == 0:
        argv.append("--allow-to-run-as-root")
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        os.sched_setaffinity(0, own)
    pool = Pool(process)
    if not _listens(socket_path(directory)):
        pool.stop()
        raise PhpFailed("PHP-FPM does not listen")
    return pool


def socket_path(directory: Path) -> Path:
    """Where the pool of an instance listens that has this directory."""
    return directory / "php.sock"


def _listens(path: Path) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
                return True
            except OSError:
                time.sleep(0.01)
    return False

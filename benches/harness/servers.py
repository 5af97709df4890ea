"""Who is measured, and how each is found and started."""

from __future__ import annotations

import enum
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import php, process, recipes, site, tls, upstream
from .recipes import Launch, Setting

REPOSITORY = Path(__file__).resolve().parents[2]


class Feature(enum.Flag):
    """What a server can be asked for."""

    #: The canned 612 bytes, at any path.
    CANNED = enum.auto()
    #: Files, their conditions and their absence.
    FILES = enum.auto()
    #: An answer that stands in the configuration, at /fixed.
    FIXED = enum.auto()
    #: An access log.
    LOG = enum.auto()
    #: Workers that share nothing, as many as are wanted.
    WORKERS = enum.auto()
    #: A reload that tells when it is done.
    RELOAD = enum.auto()
    #: Code of ours behind routes.
    HANDLERS = enum.auto()
    #: Scripts that PHP-FPM runs.
    PHP = enum.auto()
    #: Passing requests on to a server behind it.
    PROXY = enum.auto()
    #: Answering over TLS.
    TLS = enum.auto()
    #: Who may ask, how often, and from which pages.
    LIMITS = enum.auto()
    #: Compressing what clients take so.
    COMPRESSION = enum.auto()
    #: Telling what it has counted, by route.
    METRICS = enum.auto()


@dataclass(frozen=True)
class Variant:
    """How an instance differs from the plain one."""

    has_log: bool = False
    workers: int = 1
    has_handlers: bool = False
    #: Processes of the PHP-FPM behind it; none without.
    php: int = 0
    #: Whether it answers nothing itself and asks the server behind it.
    is_proxy: bool = False
    #: The key of its certificate, if it speaks TLS.
    key: tls.Key | None = None
    #: Whether it looks at who asks, how often, and from which page.
    is_limited: bool = False
    #: Whether it compresses.
    is_compressing: bool = False
    #: Whether it tells what it counts, and writes its access log, if it has one, as JSON.
    is_observed: bool = False


PLAIN = Variant()


@dataclass(frozen=True)
class Server:
    """A server that could be measured."""

    name: str
    #: Names its program goes by on PATH, or paths within the repository.
    programs: tuple[str, ...]
    recipe: Callable[[str, Setting], Launch]
    version: tuple[str, ...]
    features: Feature
    #: Where to get it, said when it is missing.
    source: str

    def find(self) -> str | None:
        """The path of its program."""
        for name in self.programs:
            found = str(REPOSITORY / name) if "/" in name else _which(name)
            if found and os.access(found, os.X_OK):
                return found
        return None

    def describe_version(self) -> str:
        """The first thing in what it says of itself that looks like a version."""
        program = self.find()
        if program is None or not self.version:
            return ""
        done = subprocess.run(
            [program, *self.version], capture_output=True, text=True, timeout=10, check=False
        )
        found = re.search(r"\d+\.\d+[\w.-]*", done.stdout + done.stderr)
        return found.group() if found else "unknown"

    def start(
        self, root: Path, scratch: Path, cores: set[int], other_cores: set[int], variant: Variant
    ) -> process.Running:
        """Starts it on a free port, on `cores`. PHP-FPM may use the others too; an upstream uses only
        those.

        # Errors
        `ServerFailed` when it is not installed, does not start or does not answer.
        """
        program = self.find()
        if program is None:
            raise process.ServerFailed("not installed")
        port = _free_port()
        directory = scratch / f"{self.name}-{port}"
        directory.mkdir()
        directory.chmod(0o777)  # some write their log as another user
        log = directory / "access.log" if variant.has_log else None
        beside: list[process.Beside] = []
        behind = None
        try:
            if variant.php:
                beside.append(php.start(directory, variant.php, cores | other_cores))
            if variant.is_proxy:
                behind = _free_port()
                floor = REPOSITORY / "target/release/floor"
                beside.append(upstream.start(floor, behind, other_cores, root / site.PAGE))
        except (php.PhpFailed, upstream.UpstreamFailed) as error:
            raise process.ServerFailed(str(error)) from error
        setting = Setting(
            port, root, directory, log, variant.workers, variant.has_handlers, bool(variant.php), behind,
            tls.certificate(variant.key, scratch) if variant.key else None, variant.is_limited,
            variant.is_compressing, variant.is_observed,
        )
        launch = self.recipe(program, setting)
        return process.start(launch.argv, launch.environment, cores, setting, directory / "output", beside)


_FILE_SERVER = Feature.CANNED | Feature.FILES

SERVERS = (
    Server(
        "tidegate", ("target/release/tidegate",), recipes.tidegate, ("--version",),
        _FILE_SERVER | Feature.FIXED | Feature.LOG | Feature.WORKERS | Feature.RELOAD | Feature.HANDLERS
        | Feature.PHP | Feature.PROXY | Feature.TLS | Feature.LIMITS | Feature.COMPRESSION | Feature.METRICS,
        "cargo build --release",
    ),
    Server(
        "floor", ("target/release/floor",), recipes.floor, (),
        Feature.CANNED | Feature.PROXY, "cargo build --release -p floor",
    ),
    Server(
        "nginx", ("nginx",), recipes.nginx, ("-v",),
        _FILE_SERVER | Feature.FIXED | Feature.LOG | Feature.WORKERS | Feature.PHP | Feature.PROXY
        | Feature.TLS | Feature.COMPRESSION,
        "Debian package nginx",
    ),
    Server(
        "nginx-buffers", ("nginx",), recipes.nginx_buffers, ("-v",),
        Feature.PROXY, "Debian package nginx",
    ),
    Server(
        "haproxy", ("haproxy",), recipes.haproxy, ("-v",),
        Feature.PROXY, "Debian package haproxy",
    ),
    Server(
        "nginx-copying", ("nginx",), recipes.nginx_copying, ("-v",),
        _FILE_SERVER | Feature.FIXED | Feature.LOG, "Debian package nginx",
    ),
    Server(
        "lighttpd", ("lighttpd",), recipes.lighttpd, ("-v",),
        _FILE_SERVER | Feature.LOG, "Debian package lighttpd",
    ),
    Server(
        "h2o", ("h2o",), recipes.h2o, ("--version",),
        _FILE_SERVER | Feature.LOG | Feature.PROXY, "Debian package h2o",
    ),
    Server(
        "caddy", ("caddy",), recipes.caddy, ("version",),
        _FILE_SERVER | Feature.FIXED | Feature.LOG | Feature.PROXY | Feature.COMPRESSION,
        "Debian package caddy",
    ),
    Server(
        "apache", ("apache2", "httpd"), recipes.apache, ("-v",),
        _FILE_SERVER | Feature.LOG | Feature.PROXY, "Debian package apache2",
    ),
    Server(
        "static-web-server", ("static-web-server",), recipes.static_web_server, ("--version",),
        _FILE_SERVER, "cargo install static-web-server",
    ),
)


def _which(name: str) -> str | None:
    """As `which`, also where system programs live: they need not be on a user's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

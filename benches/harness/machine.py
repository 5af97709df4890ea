"""The machine: which cores to use, how many descriptors there may be, what to call it."""

from __future__ import annotations

import os
import platform
import resource
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """Who runs where."""

    server: int
    load: int
    #: For a second load generator; the first one's if there is no third core.
    second_load: int
    #: For a second worker; the load generator's if there is no third core.
    second_server: int

    @property
    def are_shared(self) -> bool:
        """Whether server and load generator contend for one core."""
        return self.server == self.load


def choose_cores() -> Cores:
    """The last core this process may use for the servers, the others for the load."""
    available = sorted(os.sched_getaffinity(0))
    return Cores(
        server=available[-1],
        load=available[0],
        second_load=available[len(available) // 2 - 1],
        second_server=available[-2] if len(available) > 2 else available[0],
    )


def pin(core: int) -> None:
    """Keeps this process, and by default those it starts, on one core."""
    os.sched_setaffinity(0, {core})


def raise_descriptor_limit() -> int:
    """Raises the limit of this process, and of those it starts, to the hard one; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def describe() -> dict[str, str]:
    """What a reader of the figures should know of the machine."""
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system_name(),
    }


def _cpu_model() -> str:
    return _value_after(Path("/proc/cpuinfo"), "model name", ":") or platform.machine()


def _system_name() -> str:
    return _value_after(Path("/etc/os-release"), "PRETTY_NAME", "=") or "unknown"


def _value_after(path: Path, key: str, separator: str) -> str | None:
    """The value of the first line that begins with `key`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        name, found, value = line.partition(separator)
        if found and name.strip() == key:
            return value.strip().strip('"')
    return None

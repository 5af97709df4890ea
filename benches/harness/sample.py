"""A figure, and what it is taken from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .machine import Cores
from .process import Running
from .servers import Server


@dataclass(frozen=True)
class Sample:
    """One measurement of one server."""

    #: The headline, in the workload's unit; the less the better.
    value: float
    errors: int = 0
    requests_per_second: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True)
class Plan:
    """What all measurements of a run share."""

    cores: Cores
    root: Path
    scratch: Path
    seconds: int
    #: Idle connections to hold.
    idle_connections: int


@dataclass
class Subject:
    """A server under measurement: started once, with the log and without, or anew when asked."""

    server: Server
    plan: Plan
    _instances: dict[bool, Running] = field(default_factory=dict)

    def instance(self, has_log: bool = False) -> Running:
        """The instance that the workloads share."""
        if has_log not in self._instances:
            self._instances[has_log] = self._start(has_log)
        return self._instances[has_log]

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Running]:
        """An instance that nobody has asked anything but its first request."""
        running = self._start(has_log=False)
        try:
            yield running
        finally:
            running.stop()

    def stop(self) -> None:
        """Ends what is running."""
        for running in self._instances.values():
            running.stop()
        self._instances.clear()

    def _start(self, has_log: bool) -> Running:
        plan = self.plan
        return self.server.start(plan.root, plan.scratch, plan.cores.server, has_log)

"""A figure, and what it is taken from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .machine import Cores
from .process import Running
from .servers import PLAIN, Server, Variant


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
    """A server under measurement: each variant is started once, or anew when asked."""

    server: Server
    plan: Plan
    _instances: dict[Variant, Running] = field(default_factory=dict)

    def instance(self, variant: Variant = PLAIN) -> Running:
        """The instance that the workloads share."""
        if variant not in self._instances:
            self._instances[variant] = self._start(variant)
        return self._instances[variant]

    @contextlib.contextmanager
    def fresh(self, variant: Variant = PLAIN) -> Iterator[Running]:
        """An instance that nobody has asked anything but its first request."""
        running = self._start(variant)
        try:
            yield running
        finally:
            running.stop()

    def stop(self) -> None:
        """Ends what is running."""
        for running in self._instances.values():
            running.stop()
        self._instances.clear()

    def _start(self, variant: Variant) -> Running:
        plan = self.plan
        cores = {plan.cores.server} if variant.workers == 1 else {plan.cores.server, plan.cores.second_server}
        others = {plan.cores.load, plan.cores.second_server}
        return self.server.start(plan.root, plan.scratch, cores, others, variant)

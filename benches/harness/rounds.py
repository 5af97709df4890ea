"""Rounds: the servers take turns on each workload; then medians, and ratios taken within a round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .load import LoadFailed
from .process import ServerFailed
from .sample import Plan, Sample, Subject
from .servers import Server
from .workloads import Workload

#: Those whom all others are compared with.
YARDSTICKS = ("floor", "nginx")


@dataclass
class Results:
    """All samples: by workload, by server, one a round; and why there are none."""

    samples: dict[str, dict[str, list[Sample | None]]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def taken(self, workload: str, server: str) -> list[Sample]:
        """The samples of the rounds that gave one."""
        return [sample for sample in self._rounds(workload, server) if sample is not None]

    def median(self, workload: str, server: str, name: str = "value") -> float | None:
        """The median of one of a sample's figures."""
        values = [getattr(sample, name) for sample in self.taken(workload, server)]
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    def errors(self, workload: str, server: str) -> int:
        """Errors of all rounds together."""
        return sum(sample.errors for sample in self.taken(workload, server))

    def ratio(self, workload: str, server: str, yardstick: str) -> float | None:
        """The median of the ratios to another server, each within its round."""
        pairs = zip(self._rounds(workload, server), self._rounds(workload, yardstick))
        ratios = [
            own.value / other.value
            for own, other in pairs
            if own is not None and other is not None and other.value > 0
        ]
        return statistics.median(ratios) if ratios else None

    def add(self, workload: str, server: str, sample: Sample | None) -> None:
        """Appends the sample of a round, or its absence."""
        self.samples.setdefault(workload, {}).setdefault(server, []).append(sample)

    def _rounds(self, workload: str, server: str) -> list[Sample | None]:
        return self.samples.get(workload, {}).get(server, [])


def measure(
    servers: Iterable[Server],
    workloads: Iterable[Workload],
    plan: Plan,
    rounds: int,
    say: Callable[[str], None],
) -> Results:
    """Measures every server on every workload it can do, `rounds` times."""
    results = Results()
    subjects = [Subject(server, plan) for server in servers]
    try:
        for workload in workloads:
            able = [subject for subject in subjects if workload.needs in subject.server.features]
            say(f"{workload.title} …")
            for number in range(rounds):
                _take_turns(workload, _rotated(able, number), results)
    finally:
        for subject in subjects:
            subject.stop()
    return results


def _take_turns(workload: Workload, subjects: list[Subject], results: Results) -> None:
    """One round. A server that failed in an earlier one is passed over."""
    for subject in subjects:
        name = subject.server.name
        sample = None
        if (workload.name, name) not in results.failures:
            try:
                sample = workload.measure(subject)
            except (ServerFailed, LoadFailed, OSError) as error:
                results.failures[workload.name, name] = str(error)
        results.add(workload.name, name, sample)


def _rotated(subjects: list[Subject], by: int) -> list[Subject]:
    """Who begins changes from round to round, so that nobody always follows the same neighbour."""
    if not subjects:
        return []
    by %= len(subjects)
    return subjects[by:] + subjects[:by]

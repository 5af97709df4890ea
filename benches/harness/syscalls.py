"""System calls an exchange costs, counted by `strace -c -f` and held to bounds.

One peer works through its requests, each after the answer to the one before, so that every one of them
wakes the loop: waiting is counted once for each and stands in a bound of its own. (With many peers, one
wait wakes for many.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from . import counting, traffic
from .counting import Tool
from .traffic import Work

#: What a clock may add to each count: a timer's turn, a date encoded anew.
_SLACK = 0.05

#: What is a wait for readiness, and not work.
_WAITS = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2"})


def _parse(summary: str) -> Counter[str]:
    """The table of `strace -c`: % time, seconds, µs/call, calls, errors if any, name."""
    counts: Counter[str] = Counter()
    for line in summary.splitlines():
        cells = line.split()
        is_row = len(cells) in (5, 6) and cells[3].isdigit() and cells[-1] != "total"
        if is_row:
            counts[cells[-1]] += int(cells[3])
    return counts


TOOL = Tool("strace", "strace", lambda report: ["-f", "-c", "-o", str(report)], _parse)


@dataclass(frozen=True)
class Bound:
    """What the server may spend on a piece of work."""

    work: Work
    #: The calls that are work: without the waits for readiness.
    calls: float
    waits: float


#: A read and a write each; a connection besides is accepted, the next accept finds none,
#: and it is closed; sixteen pipelined requests are one read and one write. A request
#: that is passed on is a read and a write on either side, and wakes the loop twice.
BOUNDS = (
    Bound(traffic.KEEP_ALIVE, calls=2, waits=1),
    Bound(traffic.RESPOND, calls=2, waits=1),
    Bound(traffic.NOT_MODIFIED, calls=2, waits=1),
    Bound(traffic.ONE_EACH, calls=5, waits=1),
    Bound(traffic.BATCH, calls=2, waits=1),
    Bound(traffic.PROXIED, calls=4, waits=2),
    Bound(traffic.LIMITED, calls=2, waits=1),
)


def is_kept(program: str, bound: Bound) -> bool:
    """Counts, and prints what was counted; whether it is within the bounds."""
    # What rounds to nothing is left out.
    counts = {name: count for name, count in counting.each(TOOL, program, bound.work).items() if count >= 0.005}
    waits = sum(count for name, count in counts.items() if name in _WAITS)
    calls = sum(counts.values()) - waits
    kept = calls <= bound.calls + _SLACK and waits <= bound.waits + _SLACK
    named = ", ".join(f"{name} {count:.2f}" for name, count in sorted(counts.items()))
    verdict = "ok" if kept else "TOO MANY"
    print(f"{bound.work.title}: {calls:.2f} calls (at most {bound.calls:g}), {waits:.2f} waits (at most {bound.waits:g}): {verdict}")
    print(f"    {named}", flush=True)
    return kept

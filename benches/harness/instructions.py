"""Instructions an exchange costs outside the kernel, counted by callgrind and held to bounds.

The count is of the program, its compiler and its libraries, not of the machine's speed: the same build
gives the same figure within a few in a thousand (a date is encoded once a second, whatever the speed).
The bounds leave room for another compiler, and none for an allocation, a lock or a formatted number
that somebody puts on the path of every request.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from . import counting, traffic
from .counting import Tool
from .traffic import Work


def _parse(profile: str) -> Counter[str]:
    """The total of a callgrind profile, whose only event is the instruction."""
    for line in profile.splitlines():
        if line.startswith("totals:"):
            return Counter({"instructions": int(line.split()[1])})
    raise RuntimeError("callgrind reported no total")


TOOL = Tool("valgrind", "valgrind", lambda report: ["--tool=callgrind", f"--callgrind-out-file={report}"], _parse)


@dataclass(frozen=True)
class Bound:
    """How many instructions a piece of work may take."""

    work: Work
    instructions: int


BOUNDS = (
    Bound(traffic.KEEP_ALIVE, 5_300),
    Bound(traffic.BROWSER, 8_700),
    Bound(traffic.RESPOND, 4_700),
    Bound(traffic.NOT_MODIFIED, 6_500),
    Bound(traffic.ONE_EACH, 6_400),
    Bound(traffic.BATCH, 60_000),
    Bound(traffic.PROXIED, 17_000),
    Bound(traffic.LIMITED, 7_500),
)


def is_kept(program: str, bound: Bound) -> bool:
    """Counts, and prints what was counted; whether it is within the bound."""
    count = counting.each(TOOL, program, bound.work)["instructions"]
    kept = count <= bound.instructions
    verdict = "ok" if kept else "TOO MANY"
    print(f"{bound.work.title}: {count:,.0f} instructions (at most {bound.instructions:,}): {verdict}", flush=True)
    return kept

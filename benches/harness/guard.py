"""The command line of `benches/guard`: system calls and instructions, each within its bound."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from . import instructions, syscalls
from .servers import REPOSITORY


def main(arguments: list[str]) -> int:
    """Counts, prints, compares; the exit status."""
    program = arguments[0] if arguments else str(REPOSITORY / "target/release/tidegate")
    if not os.access(program, os.X_OK):
        print(f"error: {program} is not there; build it: cargo build --release", file=sys.stderr)
        return 1
    try:
        kept = [kept for counter in (syscalls, instructions) for kept in _run(counter, program)]
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"error: {program}: {error}", file=sys.stderr)
        return 1
    return 0 if kept and all(kept) else 1


def _run(counter, program: str) -> list[bool]:
    """Whether each bound of a counter is kept; none if its tool is missing."""
    tool = counter.TOOL
    if shutil.which(tool.program) is None:
        print(f"skipped: {tool.program} is not installed (Debian package {tool.package})", flush=True)
        return []
    return [counter.is_kept(program, bound) for bound in counter.BOUNDS]

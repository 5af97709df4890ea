"""What is served: the files, made anew for each run in a directory of its own."""

from __future__ import annotations

import random
from pathlib import Path

#: Files among which the random workload chooses, and the size of each.
MANY_FILES = 10_000
MANY_SIZE = 4 * 1024

#: Path below the root, and size in bytes. 612 is the page nginx welcomes with.
SIZES = {
    "612.html": 612,
    "10k.html": 10 * 1024,
    "100k.html": 100 * 1024,
    "10m.bin": 10 * 1024 * 1024,
    "directory/index.html": 612,
}


#: Says what it was asked, and how much came with it.
_SCRIPT = """<?php
echo 'hello ', $_SERVER['REQUEST_METHOD'], ' ', strlen(file_get_contents('php://input'));
"""


def build(root: Path) -> None:
    """Writes the files; every directory may be read by everybody, since some servers change user."""
    root.mkdir(parents=True)
    noise = random.Random(612)
    for name, size in SIZES.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(_printable(noise, size))
    scripts = root / "php"
    scripts.mkdir()
    (scripts / "hello.php").write_text(_SCRIPT, encoding="ascii")
    many = root / "many"
    many.mkdir()
    for index in range(MANY_FILES):
        (many / f"{index:05}.html").write_bytes(_printable(noise, MANY_SIZE))


def _printable(noise: random.Random, size: int) -> bytes:
    """Bytes that look like text."""
    return noise.randbytes(size // 2 + 1).hex().encode()[:size]

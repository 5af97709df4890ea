"""What is served: the files, made anew for each run in a directory of its own."""

from __future__ import annotations

import gzip
import html
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

#: A page that is worth compressing, and a file of as many octets as it has when it is compressed.
PAGE = "page.html"
PACKED = "page.packed"
PAGE_SIZE = 100 * 1024

#: What it is made of: text that people wrote.
_DOCUMENTS = Path(__file__).resolve().parents[2] / "docs"

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
    page = _page(PAGE_SIZE)
    (root / PAGE).write_bytes(page)
    (root / PACKED).write_bytes(gzip.compress(page, 9))
    many = root / "many"
    many.mkdir()
    for index in range(MANY_FILES):
        (many / f"{index:05}.html").write_bytes(_printable(noise, MANY_SIZE))


def _page(size: int) -> bytes:
    """The beginning of this server's documents, as HTML."""
    documents = "\n".join(path.read_text(encoding="utf-8") for path in sorted(_DOCUMENTS.glob("*.md")))
    blocks = (_block(number, line) for number, line in enumerate(documents.splitlines()) if line.strip())
    page = "<!DOCTYPE html>\n<title>Documents</title>\n" + "\n".join(blocks)
    octets = page.encode("ascii", "xmlcharrefreplace")
    if len(octets) < size:
        raise ValueError(f"the documents have {len(octets)} octets, where {size} are needed")
    return octets[:size]


def _block(number: int, line: str) -> str:
    """A line of Markdown, roughly as it is shown."""
    text = html.escape(line.strip("#|-* "))
    if line.startswith("#"):
        return f'<h2 id="section-{number}"><a href="#section-{number}">{text}</a></h2>'
    if line.startswith("|"):
        cells = "".join(f"<td>{cell.strip()}</td>" for cell in text.split("|"))
        return f'<tr class="row">{cells}</tr>'
    if line.startswith("- "):
        return f'<li class="item">{text}</li>'
    return f"<p>{text}</p>"


def _printable(noise: random.Random, size: int) -> bytes:
    """Bytes that look like text."""
    return noise.randbytes(size // 2 + 1).hex().encode()[:size]

"""The load generator: `wrk`, with a script that reports as JSON, on one thread and one core."""

from __future__ import annotations

import enum
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from . import site

#: Marks the line of the report among what wrk prints for people.
_MARK = "report: "

#: Requests written at once by the pipelining load.
PIPELINED = 16

#: Beyond what it was told to take, in seconds.
_PATIENCE = 30

#: What a current browser sends with a navigation: about 450 bytes with the request line and Host.
BROWSER_FIELDS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.5",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-User": "?1",
    "Priority": "u=0, i",
    "Cookie": "theme=dark; session=4f9c2d7a",
}


class Kind(enum.Enum):
    """Which requests follow one another."""

    SAME = "the same request, each after the answer to the one before"
    PIPELINED = "the same request, many at once"
    RANDOM = "a file chosen among many"


@dataclass(frozen=True)
class Load:
    """What one run of wrk asks for."""

    path: str
    connections: int = 64
    fields: dict[str, str] = field(default_factory=dict)
    kind: Kind = Kind.SAME
    #: Octets of content to POST; without any, the method is GET.
    content: int = 0
    #: Whether it comes over TLS.
    is_secured: bool = False


@dataclass(frozen=True)
class Outcome:
    """What one run of wrk found; `failures` has no connection or no answer, `refusals` a status from 400."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failures: int
    refusals: int


class LoadFailed(Exception):
    """A load generator that is not there or does not report."""


def is_installed() -> bool:
    """Whether there is anything to measure with."""
    return shutil.which("wrk") is not None


def run(load: Load, port: int, seconds: int, core: int, scratch: Path) -> Outcome:
    """Loads the server at `port`, from `core`, until `seconds` are over."""
    with begin(load, port, seconds, core, scratch) as process:
        return finish(process, seconds)


def begin(load: Load, port: int, seconds: int, core: int, scratch: Path) -> subprocess.Popen[str]:
    """Starts loading; `finish` waits for the end."""
    script = scratch / f"{load.kind.name.lower()}-{load.content}.lua"
    posting = _POSTING.format(load.content) if load.content else ""
    script.write_text(posting + _SCRIPTS[load.kind] + _REPORT, encoding="utf-8")
    fields = [argument for name, value in load.fields.items() for argument in ("-H", f"{name}: {value}")]
    scheme = "https" if load.is_secured else "http"
    argv = [
        "taskset", "-c", str(core), "wrk", "-t", "1", "-c", str(load.connections), "-d", f"{seconds}s",
        "-s", str(script), *fields, f"{scheme}://127.0.0.1:{port}{load.path}",
    ]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str], seconds: int) -> Outcome:
    """What the run that was begun found."""
    try:
        output, _ = process.communicate(timeout=seconds + _PATIENCE)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise LoadFailed("wrk did not end in time") from error
    for line in output.splitlines():
        if line.startswith(_MARK):
            return _outcome(json.loads(line[len(_MARK):]))
    raise LoadFailed(f"wrk did not report: {output.strip()[-200:]}")


def _outcome(report: dict[str, float]) -> Outcome:
    return Outcome(
        requests=int(report["requests"]),
        seconds=report["duration_us"] / 1e6,
        p50_ms=report["p50_us"] / 1e3,
        p99_ms=report["p99_us"] / 1e3,
        failures=int(report["failures"]),
        refusals=int(report["refusals"]),
    )


_REPORT = f"""
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{_MARK}{{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"failures":%d,"refusals":%d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
"""

_POSTING = """
wrk.method = "POST"
wrk.body = string.rep("x", {})
wrk.headers["Content-Type"] = "text/plain"
"""

_SCRIPTS = {
    Kind.SAME: "",
    Kind.PIPELINED: f"""
local batch
init = function(args) batch = string.rep(wrk.format(), {PIPELINED}) end
request = function() return batch end
""",
    # Formatted beforehand: the load generator's own work must not set the pace.
    Kind.RANDOM: f"""
local requests = {{}}
init = function(args)
  math.randomseed(612)
  for index = 1, {site.MANY_FILES} do
    requests[index] = wrk.format(nil, string.format("/many/%05d.html", index - 1))
  end
end
request = function() return requests[math.random({site.MANY_FILES})] end
""",
}

"""The backlog: what many breadcrumbs that wait cost a host that starts, and how fast they go."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

from migas._crumb import breadcrumb
from migas._delivery import graphql
from migas._delivery.parcel import Outcome
from migas._delivery.throttle import Backoff
from migas._delivery.transport import Transport
from migas._disk.spool import Bounds, Spool, directory_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas._crumb.breadcrumb import Breadcrumb

#: So many may wait here as anybody likes.
_BOUNDLESS = Bounds(10_000_000, 10_000_000_000, 365 * 86400.0)

#: Sends all that waits, and tells how much memory that took.
_FLUSH = """
import resource, sys, migas
assert migas.flush(600) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

#: What a request holds of breadcrumbs of as many runs.
_FULL = 12

_LINE = "import migas; migas.add_project('owner/repo', '1')"


class Speed(NamedTuple):
    """How fast a backlog goes."""

    #: Times as fast as one request a breadcrumb on the same kept connection.
    ratio: float
    #: Times as fast as that go requests as full that are made beforehand, and read from no disk.
    possible: float
    #: Kilobytes of memory at most.
    memory: int


def measure_flush(count: int, singles: int = 1000) -> Speed:
    """Flush ``count`` breadcrumbs of many runs, and send ``singles`` of them one a request."""
    crumbs = [_make(number) for number in range(count)]
    with _serve() as endpoint, tempfile.TemporaryDirectory() as home:
        _fill(endpoint, home, crumbs)
        start = time.perf_counter()
        ended = subprocess.run(
            [sys.executable, "-c", _FLUSH],
            env=_make_environ(endpoint, home),
            stdout=subprocess.PIPE,
            check=True,
        )
        flushed = time.perf_counter() - start
        single = _send(endpoint, crumbs[:singles], 1) / singles
        full = _send(endpoint, crumbs[:singles], _FULL) / singles
    return Speed(single * count / flushed, single / full, int(ended.stdout))


def _send(endpoint: str, crumbs: list[Breadcrumb], number: int) -> float:
    """Send ``number`` breadcrumbs a request, and return the seconds that all of them took."""
    parts = [crumbs[index : index + number] for index in range(0, len(crumbs), number)]
    bodies = [graphql.encode_breadcrumbs(part) for part in parts]
    transport = Transport(endpoint)
    start = time.perf_counter()
    for body in bodies:
        assert transport.send(body, 30.0).outcome is Outcome.DELIVERED
    return time.perf_counter() - start


def measure_start(count: int, rounds: int) -> float:
    """Return what a start with ``count`` waiting takes of CPU, of what one with none takes."""
    endpoint = "http://127.0.0.1:9/graphql"
    with tempfile.TemporaryDirectory() as full, tempfile.TemporaryDirectory() as empty:
        _fill(endpoint, full, [_make(0)] * count)
        spent: dict[str, list[float]] = {full: [], empty: []}
        for _ in range(rounds + 1):
            for home, times in spent.items():
                directory = directory_for(endpoint, home)
                os.makedirs(directory, mode=0o700, exist_ok=True)
                Backoff(directory).fail(3 * 3600.0)
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                environ = _make_environ(endpoint, home)
                subprocess.run([sys.executable, "-c", _LINE], env=environ, check=True)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        ratios = [a / b for a, b in zip(spent[full][1:], spent[empty][1:], strict=True)]
    return sorted(ratios)[len(ratios) // 2]


def _make(number: int) -> Breadcrumb:
    session = f"00000000-0000-4000-8000-{number:012}"
    fields = {"language_version": "3.12.4", "platform": "linux", "session_id": session}
    return breadcrumb.sanitize("owner/repo", "1.2.3", fields, {}).breadcrumb


def _fill(endpoint: str, directory: str, crumbs: list[Breadcrumb]) -> None:
    spool = Spool(directory_for(endpoint, directory), _BOUNDLESS)
    for crumb in crumbs:
        spool.put(breadcrumb.encode(crumb))


def _make_environ(endpoint: str, home: str) -> dict[str, str]:
    bounds = {"MIGAS_SPOOL_COUNT": "10000000", "MIGAS_SPOOL_BYTES": "10000000000"}
    where = {"HOME": home, "MIGAS_CACHE_DIR": home, "MIGAS_ENDPOINT": endpoint}
    return {"PATH": os.environ["PATH"], **bounds, **where}


@contextlib.contextmanager
def _serve() -> Iterator[str]:
    """Run the local server in a process of its own, and name its endpoint."""
    command = [sys.executable, "-m", "migas", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[3].rstrip(";")
        process.terminate()

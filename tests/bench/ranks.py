"""Ranks: `python -m tests.bench.ranks [--ranks N] [--disk DIRECTORY]`.

What N ranks of one run, which report the same use, do to their disk and to the server: by the
package's own functions, eight at a time, each as if in a process of its own. Beside what we do
stand every rank reporting for itself, and rank 0 reporting alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from migas._crumb import breadcrumb
from migas._delivery.ranks import Ranks
from migas._disk.entry import make_token
from migas._disk.marks import MARKS, make_mark
from migas._disk.spool import open_spool
from migas._runtime.settings import Settings
from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Callable

_CRUMB = breadcrumb.sanitize("owner/repo", "1.2.3", {}, {}, str).breadcrumb

#: How many ranks are at the disk at once.
_AT_ONCE = 8

_FLUSH = "import sys, migas; sys.exit(migas.flush(600))"


class Load(NamedTuple):
    """What the ranks of one run did."""

    uses: int
    requests: int
    marks: int
    #: Microseconds at the disk, of the median rank and of the slowest.
    median: float
    slowest: float


def measure(count: int, disk: str | None, reports: Callable[[Settings, int], bool]) -> Load:
    """Let ``count`` ranks meet at a disk, and flush what they leave. ``reports``: who does."""
    with tempfile.TemporaryDirectory(dir=disk) as cache, Server() as server:
        settings = Settings(endpoint=server.endpoint, cache_dir=cache)

        def play(rank: int) -> float:
            start = time.perf_counter()
            if reports(settings, rank):
                open_spool(settings).put(breadcrumb.encode(_CRUMB), make_token())
            return time.perf_counter() - start

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            times = sorted(pool.map(play, range(count)))
        environ = {"MIGAS_ENDPOINT": server.endpoint, "MIGAS_CACHE_DIR": cache}
        subprocess.run([sys.executable, "-c", _FLUSH], env=os.environ | environ, check=True)
        marks = Path(open_spool(settings).directory, MARKS)
        made = len(list(marks.iterdir())) if marks.exists() else 0
        seen = len(server.crumbs), server.requests
    return Load(*seen, made, times[count // 2] * 1e6, times[-1] * 1e6)


def _is_first(settings: Settings, _rank: int) -> bool:
    directory = open_spool(settings).directory
    return Ranks("run", lambda name: make_mark(directory, name)).is_reporter(_CRUMB)


#: Who reports.
POLICIES: dict[str, Callable[[Settings, int], bool]] = {
    "each rank": lambda _settings, _rank: True,
    "the first to come": _is_first,
    "rank 0 alone": lambda _settings, rank: rank == 0,
}


def main() -> None:
    """Print a table, a line for each policy."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ranks", description=__doc__)
    parser.add_argument("--ranks", type=int, default=1000)
    parser.add_argument("--disk", metavar="DIRECTORY")
    options = parser.parse_args()
    print("| who reports | uses | requests | marks | us at the disk, median | slowest |")
    print("|---|---|---|---|---|---|")
    for name, reports in POLICIES.items():
        load = measure(options.ranks, options.disk, reports)
        cells = (*load[:3], f"{load.median:.0f}", f"{load.slowest:.0f}")
        print(f"| {name} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()

"""A slow home: what a host waits for where each call on a file takes a while.

    python -m tests.bench.slow_home [--delay 0.005]

A C library that is preloaded (`slow_home.c`; it takes a C compiler, and Linux) has each call on a
file below the home take that long, as a network's disk may, and notes which thread has made it.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from .burst import serve

_SOURCE = Path(__file__).with_name("slow_home.c")

#: Two calls, of which the first one starts all, and a pause in which all is written.
_PROGRAM = """
import time
def count():
    with open(os.environ["SLOW_LOG"]) as log: return log.read().count("main")
import os
clock = time.perf_counter
moments = [clock()]; calls = [count()]
import migas
moments.append(clock()); calls.append(count())
migas.add_project("owner/repo", "1")
moments.append(clock()); calls.append(count())
migas.add_project("owner/repo", "2")
moments.append(clock()); calls.append(count())
print((moments, calls, time.monotonic()), flush=True)
"""

STAGES = ("import", "first call", "a further call", "exit")


class Stage(NamedTuple):
    """What one stage of the host's own thread took."""

    name: str
    #: Calls on files of the home by the host's own thread.
    calls: int
    milliseconds: float


class Slowness(NamedTuple):
    """What a process took with one delay."""

    stages: list[Stage]
    #: Calls on files of the home by all other threads, by name.
    others: Counter[str]
    delivered: int


def measure_slowness(delay: float, home: str, library: str) -> Slowness:
    """Run a host that reports twice and ends, in a home where each call takes ``delay`` seconds."""
    with serve(0.001) as server, tempfile.TemporaryDirectory() as directory:
        log = Path(directory, "log")
        log.touch()
        environ = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "HOME": home,
            "MIGAS_ENDPOINT": server.endpoint,
            "LD_PRELOAD": library,
            "SLOW_HOME": home,
            "SLOW_SECONDS": str(delay),
            "SLOW_LOG": str(log),
            "PYTHONNOUSERSITE": "1",  # the interpreter's own look at the home is not ours
        }
        command = [sys.executable, "-c", _PROGRAM]
        ended = subprocess.run(
            command, env=environ, cwd=directory, stdout=subprocess.PIPE, check=True
        )
        end = time.monotonic()
        calls = Counter(log.read_text().splitlines())
        delivered, _ = server.ask()
    moments, counts, last = ast.literal_eval(ended.stdout.decode())
    counts.append(sum(number for call, number in calls.items() if call.startswith("main")))
    spent = [later - earlier for earlier, later in pairwise(moments)]
    spent.append(end - last)
    own = [later - earlier for earlier, later in pairwise(counts)]
    stages = [
        Stage(name, number, 1000 * seconds)
        for name, number, seconds in zip(STAGES, own, spent, strict=True)
    ]
    others = {call.split()[1]: number for call, number in calls.items() if "other" in call}
    return Slowness(stages, Counter(others), delivered)


def main() -> None:
    """Print a table: each stage without a delay and with one."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.slow_home", description=__doc__)
    parser.add_argument("--delay", type=float, default=0.005, help="seconds a call")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        library = str(Path(directory, "slow_home.so"))
        compiler = ["cc", "-shared", "-fPIC", "-O2", "-o", library, str(_SOURCE), "-ldl"]
        subprocess.run(compiler, check=True)
        home = str(Path(directory, "home"))
        os.mkdir(home)
        print("| | " + " | ".join(f"{stage}: calls, ms" for stage in STAGES) + " | delivered |")
        print("|---" * (len(STAGES) + 2) + "|")
        for name, delay in (
            ("a quick home, for the first time", 0.0),
            ("a quick home", 0.0),
            (f"{1000 * options.delay:g} ms a call", options.delay),
        ):
            found = measure_slowness(delay, home, library)
            cells = [f"{stage.calls}, {stage.milliseconds:.1f}" for stage in found.stages]
            print(f"| {name} | {' | '.join(cells)} | {found.delivered} of 2 |", flush=True)
        told = ", ".join(f"{number} {call}" for call, number in found.others.most_common())
        print(f"\nOn other threads: {found.others.total()} calls, {told}")


if __name__ == "__main__":
    main()

"""Jobs on compute nodes: they notice nothing, and what they note arrives once."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from support import PATIENCE, SLOW, await_condition, versions

from .conftest import LIMIT
from .slurm import CONFINES, PROCESSORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support import Host

    from migas._disk.spool import Spool

    from .conftest import LimitedServer
    from .network import Network
    from .slurm import Slurm

    Program = Callable[[str], str]

#: A short task, as those of an array often are: it imports, and computes a little.
TASK = """
import argparse, csv, hashlib, json, logging, sys, time, urllib.request
if sys.argv[1] == "told":
    import migas
    migas.add_project("owner/repo", sys.argv[2])
until = time.process_time() + 0.1
while time.process_time() < until:
    hashlib.sha256(b"migas" * 1000).hexdigest()
"""

#: Runs a program, and prints for how many seconds it did.
TIMED = """
import subprocess, sys, time
start = time.perf_counter()
status = subprocess.call(sys.argv[1:])
print(sys.argv[-2], time.perf_counter() - start)
sys.exit(status)
"""

#: What the 200 tasks of an array may take longer than as many others beside them, as a share.
SHARE = 0.5

#: Seconds from a look at the shared back-off to the end of an attempt that it allows, on a machine
#: with a dozen other processes.
ATTEMPT = 8.0


def test_an_array_offline_and_one_flush(
    *,
    slurm: Slurm,
    program: Program,
    spool: Callable[..., Spool],
    server: LimitedServer,
    deliver: Callable[[], None],
    figures: dict[str, object],
) -> None:
    """Each of 200 tasks without internet leaves its breadcrumb, and a share of time at most."""
    script = f"""
        test $((SLURM_ARRAY_TASK_ID % 2)) = 0 && how=told || how=silent
        exec {program(TIMED)} {program(TASK)} $how $SLURM_ARRAY_TASK_ID
    """
    with watching(spool().directory) as seen:
        job = slurm.submit(script, "--array=1-400")
        slurm.await_end(job)
    assert spool().count() == 200
    assert not [change for changes in seen.values() for change in find_forbidden(changes)]

    took = {"told": 0.0, "silent": 0.0}
    for how, seconds in (line.split() for line in slurm.output(job).splitlines()):
        took[how] += float(seconds)
    assert took["told"] <= (1 + SHARE) * took["silent"]

    deliver()
    assert versions(server) == sorted(str(number) for number in range(2, 401, 2))
    assert server.requests <= 30
    figures["array: tasks, as many beside them without us"] = 200
    figures["array: time of the tasks, of those without us"] = took["told"] / took["silent"]
    figures["array: attempts on each node"] = sorted(changes[-1][2] for changes in seen.values())
    figures["array: requests of the flush"] = server.requests


#: Notes something, and lives on, as an interactive session does.
LASTING = """
import logging, sys
import migas
migas.add_project("owner/repo", sys.argv[1])
sys.stdin.read()
"""


def test_a_handful_of_processes_sends_all_by_the_way(
    spool: Callable[..., Spool], server: LimitedServer, host: Host, figures: dict[str, object]
) -> None:
    """What an array left goes with the requests of ordinary processes that live for a while."""
    leave_on_disk(host, 200)
    assert spool().count() == 200
    start = time.monotonic()
    processes = [
        host.start("", arguments=("-c", LASTING, f"by.{number}"), stdin=-1) for number in range(5)
    ]
    server.await_crumbs(205, timeout=2 * PATIENCE)
    took = time.monotonic() - start
    for process in processes:
        assert process.communicate(timeout=PATIENCE) == ("", "")
    expected = [*(f"by.{number}" for number in range(5)), *(f"left.{n}" for n in range(200))]
    assert versions(server) == sorted(expected)
    assert server.requests <= 30
    figures["by the way: requests of five processes"] = server.requests
    figures["by the way: seconds"] = took


#: Notes a run that lasts until it is told to end, or until it is killed.
RUN = """
import os, sys, time
import migas
count = os.environ.get("SLURM_RESTART_COUNT", "0")
migas.track("owner/repo", sys.argv[1] + count)
if count != "0":
    sys.exit()
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
hoard = []
while True:
    hoard.append(b"x" * 10_000_000)
"""


def test_jobs_that_are_killed(
    *,
    slurm: Slurm,
    program: Program,
    spool: Callable[..., Spool],
    server: LimitedServer,
    deliver: Callable[[], None],
    home: Path,
) -> None:
    """Cancelled, out of time, out of memory, requeued: what was noted arrives, and a last word."""
    full, never = home / "full", home / "never"
    run = program(RUN)
    jobs = {
        "late": slurm.submit(f"exec {run} late. {never}", "--time=1"),
        "cancelled": slurm.submit(f"exec {run} cancelled. {never}"),
        "requeued": slurm.submit(f"exec {run} requeued. {never}", "--requeue"),
    }
    if CONFINES:
        jobs["memory"] = slurm.submit(f"exec {run} memory. {full}")
    await_condition(lambda: spool().count() == len(jobs))
    slurm.cancel(jobs["cancelled"])
    slurm.requeue(jobs["requeued"])
    full.touch()
    slurm.await_end(*jobs.values())
    ends = {
        "late": "TIMEOUT",
        "cancelled": "CANCELLED",
        "requeued": "COMPLETED",
        "memory": "OUT_OF_MEMORY",
    }
    assert {name: slurm.state(job) for name, job in jobs.items()} == {n: ends[n] for n in jobs}
    deliver()
    words = {
        "late": ["0 R", "0 S"],
        "cancelled": ["0 R", "0 S"],
        "requeued": ["0 R", "0 S", "1 C", "1 R"],
        "memory": ["0 R"],
    }
    told = sorted(f"{crumb['version']} {crumb['status']}" for crumb in server.crumbs)
    assert told == sorted(f"{name}.{word}" for name in jobs for word in words[name])


#: Notes something now and then until it is told to end, and prints how often it did.
STEPS = """
import logging, os, sys, time
import migas
number = 0
while not os.path.exists(sys.argv[2]):
    migas.add_breadcrumb("owner/repo", f"{sys.argv[1]}.{number}")
    number += 1
    time.sleep(0.2)
print(sys.argv[1], number)
"""


def test_nodes_go_online_and_offline_in_the_middle(
    *,
    slurm: Slurm,
    network: Network,
    program: Program,
    spool: Callable[..., Spool],
    server: LimitedServer,
    deliver: Callable[[], None],
    home: Path,
) -> None:
    """Jobs send while they can, keep what they cannot, and tell nothing twice."""
    end = home / "end"
    job = slurm.submit(f"exec {program(STEPS)} $SLURM_ARRAY_TASK_ID {end}", "--array=1-6")
    for _ in range(3):
        arrived = len(server.crumbs)
        for node in network.nodes:
            node.go_online()
        server.await_crumbs(arrived + 30, timeout=PATIENCE)
        for node in network.nodes:
            node.go_offline()
        await_condition(lambda: spool().count() >= 30)
    end.touch()
    slurm.await_end(job)
    noted = [line.split() for line in slurm.output(job).splitlines()]
    assert len(noted) == 6
    deliver()
    expected = [f"{task}.{number}" for task, count in noted for number in range(int(count))]
    assert versions(server) == sorted(expected)


#: The least of a task.
BRIEF = """
import logging, sys
import migas
migas.add_project("owner/repo", sys.argv[1])
"""


def test_two_thousand_tasks_behind_one_address(
    *,
    slurm: Slurm,
    network: Network,
    program: Program,
    server: LimitedServer,
    deliver: Callable[[], None],
    figures: dict[str, object],
) -> None:
    """A server that has had enough of that address is left alone, and has all in the end."""
    for node in network.nodes:
        node.go_online()
    server.note_others(LIMIT)
    script = f"""
        for number in $(seq 100); do
            {program(BRIEF)} $SLURM_ARRAY_TASK_ID.$number
        done
    """
    start = time.monotonic()
    # With a second only the busiest of machines gives requests up that the server has taken.
    job = slurm.submit(script, "--array=1-20", environ={**os.environ, **SLOW})
    slurm.await_end(job)
    took = time.monotonic() - start
    assert slurm.output(job) == ""
    by_themselves, refusals = server.requests, server.refusals
    # Those that were about to send when the first was refused, and later as the pace allows.
    assert 0 < refusals <= 2 * PROCESSORS * len(network.nodes)
    assert by_themselves <= 100
    # On a fast machine the tasks end within the minute, and the flush would be refused as well.
    server.let_period_pass()
    deliver()
    expected = [f"{job}.{number}" for job in range(1, 21) for number in range(1, 101)]
    assert versions(server) == sorted(expected)
    figures["limit: seconds of 2,000 tasks"] = took
    figures["limit: their requests, and of these refused"] = (by_themselves, refusals)
    figures["limit: requests of the flush"] = server.requests - by_themselves


def leave_on_disk(host: Host, count: int) -> None:
    """Have a process note something that it does not send."""
    code = f"""
import migas
for number in range({count}):
    migas.add_breadcrumb("owner/repo", f"left.{{number}}")
"""
    assert host.run(code, {"MIGAS_TIMEOUT": "0", **SLOW}).calmly


@contextlib.contextmanager
def watching(directory: str) -> Iterator[dict[str, list[tuple[float, float, int]]]]:
    """See what becomes of each node's back-off: when it changed, the moment it names, how often."""
    seen: dict[str, list[tuple[float, float, int]]] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            with contextlib.suppress(FileNotFoundError):
                for entry in os.scandir(directory):
                    if entry.name.startswith("backoff-"):
                        status = entry.stat()
                        changes = seen.setdefault(entry.name, [])
                        if not changes or changes[-1][1:] != (status.st_mtime, status.st_size):
                            changes.append((time.time(), status.st_mtime, status.st_size))

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    over.set()
    thread.join()


def find_forbidden(changes: list[tuple[float, float, int]]) -> list[Any]:
    """List the attempts that failed while an earlier failure, known for long, forbade them."""
    return [
        (before, after)
        for before, after in pairwise(changes)
        if after[2] > before[2] and before[0] + ATTEMPT < after[0] < before[1]
    ]

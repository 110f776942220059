"""A host that lives on after its breadcrumb has gone: nothing of ours is left in it, nor stirs."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING

import pytest
from support import BRIEFLY_IDLE, PATIENCE

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self/task"), reason="looks up threads and descriptors in /proc"
)

#: Tells what it holds before and after, and then waits for a line of its input.
LIVES = f"""
import logging, os, requests, signal, sys, time
def look():
    paths = []
    for number in os.listdir("/proc/self/fd"):
        try: paths.append(os.readlink(f"/proc/self/fd/{{number}}"))
        except OSError: pass  # the listing's own
    threads = len(os.listdir("/proc/self/task"))
    timers = [signal.getitimer(which) for which in (signal.ITIMER_REAL, signal.ITIMER_PROF)]
    return sorted(paths), threads, timers, signal.pthread_sigmask(signal.SIG_BLOCK, ())
before = look()
import migas
{BRIEFLY_IDLE}
for version in "1", "2":
    migas.add_project("owner/repo", version)
    while len(os.listdir("/proc/self/task")) > 1: time.sleep(0.01)
print(repr((before, look())), flush=True)
sys.stdin.readline()
"""


def count_switches(pid: int) -> dict[str, str]:
    """Return how often each thread of a process has begun to wait, by the thread's number."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{number}/status", encoding="ascii") as status:
            [found[number]] = [line for line in status if line.startswith("voluntary_ctxt")]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("opted_out", [False, True], ids=["delivers", "opted out"])
def test_after_a_delivery_a_host_holds_and_does_nothing_of_ours(
    host: Host, server: Server, opted_out: bool
) -> None:
    """No thread, no descriptor, no timer; and nothing wakes it while another program runs."""
    environ = {"MIGAS_OPTOUT": "1"} if opted_out else {}
    living = host.start(LIVES, environ, measured=False, stdin=-1)
    assert living.stdin is not None
    assert living.stdout is not None
    before, after = ast.literal_eval(living.stdout.readline())
    assert after == before
    assert after[1] == 1
    assert len(server.crumbs) == (0 if opted_out else 2)
    # Other programs take their time, of which a busy machine takes none away: the first one, until
    # this one waits for its line, and the second one while it is watched.
    assert host.run("pass", measured=False).calmly
    switches = count_switches(living.pid)
    assert host.run("import requests", measured=False).calmly
    assert count_switches(living.pid) == switches
    living.communicate("\n", timeout=PATIENCE)
    assert living.returncode == 0

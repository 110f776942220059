"""Sixty-four threads at once: nothing is lost, doubled or left behind, with or without a GIL."""

from __future__ import annotations

import collections
import sys
from typing import TYPE_CHECKING

import pytest
from support import SLOW

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

#: What the host's threads do, all at the same moment, and what it prints at the end. The interval
#: has threads of an interpreter with a GIL take turns as often as they can.
MANY = """
import logging, os, sys, threading
import migas
THREADS, STEPS = 64, 4
sys.setswitchinterval(1e-6)
begins = threading.Barrier(THREADS)
succeeded, called, ended = [], [], []
def work(number):
    begins.wait()
    with migas.track(f'owner/{number}', 'run'):
        for step in range(STEPS):
            receipt = migas.add_project('owner/repo', f'{number}.{step}')
            receipt.add_done_callback(lambda receipt: called.append(receipt.result(0)['success']))
            migas.add_breadcrumb('owner/repo', 'same')
    succeeded.append(receipt.result(60)['success'])
    if number % 8 == 0:
        migas.flush(60)
    ended.append(number)
is_enabled = getattr(sys, '_is_gil_enabled', lambda: True)
had_gil = is_enabled()
threads = [threading.Thread(target=work, args=[number]) for number in range(THREADS)]
for thread in threads: thread.start()
for thread in threads: thread.join()
migas.flush(60)
uses = os.environ['MIGAS_TOLD'].split(';')
print(len(ended), sum(succeeded), sum(called), len(uses), len(set(uses)), threading.stack_size())
print(had_gil, is_enabled())
"""


@pytest.mark.slow
def test_sixty_four_threads(host: Host, server: Server) -> None:
    """Distinct and equal uses, runs, receipts, callbacks and flushes: each counts exactly once.

    Free-threaded interpreters run them at the same time, and nothing of ours turns their GIL on.
    """
    ended = host.run(MANY, SLOW, measured=False)
    assert ended.calmly, ended
    counts, gil = ended.out.splitlines()
    # Threads that have ended; receipts; callbacks; uses for workers, at most 50; the stack's size.
    assert counts == "64 64 256 50 50 0"
    had_gil = str(getattr(sys, "_is_gil_enabled", lambda: True)())
    assert gil == f"{had_gil} {had_gil}"
    found = collections.Counter(
        (str(crumb["project"]), str(crumb["version"]), str(crumb["status"]))
        for crumb in server.crumbs
    )
    steps = {
        ("owner/repo", f"{number}.{step}", "R"): 1 for number in range(64) for step in range(4)
    }
    runs = {(f"owner/{number}", "run", status): 1 for number in range(64) for status in "RC"}
    assert found == {**steps, **runs, ("owner/repo", "same", "R"): 256}

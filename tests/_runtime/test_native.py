"""Locks of the system's own, whatever a host has put in their place."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from support import FORKS, PATIENCE

from migas._runtime.native import Monitor

if TYPE_CHECKING:
    from support import Host

HELD = """
import os, threading
from migas._runtime.native import ProcessLock
lock, held, goes_on = ProcessLock(), threading.Event(), threading.Event()
def hold():
    with lock:
        held.set()
        goes_on.wait(60)
thread = threading.Thread(target=hold)
thread.start()
held.wait(60)
child = os.fork()
with (lock if child == 0 else threading.Lock()):
    if child == 0:
        os._exit(7)
goes_on.set()
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_wait_for_a_lock_of_its_parents(host: Host) -> None:
    """The thread that held it at that moment does not exist there."""
    ended = host.run(HELD, FORKS, measured=False)
    assert (ended.out, ended.calmly) == ("7\n", True), ended


def test_a_monitor_wakes_all_that_wait_and_no_longer_than_they_wait() -> None:
    """A notification ends each wait, and so does the time."""
    monitor, woken = Monitor(), []
    waiting = threading.Semaphore(0)

    def wait() -> None:
        with monitor:
            waiting.release()
            monitor.wait(PATIENCE)
            woken.append(1)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
        assert waiting.acquire(timeout=PATIENCE)
    with monitor:
        monitor.notify_all()
    for thread in threads:
        thread.join(PATIENCE)
    assert woken == [1, 1, 1]
    with monitor:
        monitor.wait(0.001)
    assert not monitor._waiting

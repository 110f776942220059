"""Forks wait at the gate while `logging` is imported, and find its lock as its hooks expect it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support import PATIENCE

from migas._runtime.forks import ForkGate

if TYPE_CHECKING:
    from support import Host

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

#: A thread forks, and stands just before the gate, or just behind it, while `logging` is imported.
#: `{place}` is where it waits for that; a process that hangs is ended by its alarm.
FORK = """
import os, signal, sys, threading, warnings
warnings.simplefilter('ignore')
signal.alarm(20)
from migas._runtime.forks import ForkGate
gate, begun, goes_on = ForkGate(), threading.Event(), threading.Event()

def wait():
    begun.set()
    goes_on.wait(10)

def fork():
    if not (child := os.fork()):
        signal.alarm(10)
        import logging
        logging.getLogger('host').addHandler(logging.NullHandler())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

{first}
os.register_at_fork(before=gate.enter, after_in_parent=gate.leave, after_in_child=gate.leave)
{second}
assert 'logging' not in sys.modules
forking = threading.Thread(target=fork)
{steps}
forking.join()
import logging
print(gate.close(), repr(logging._lock).startswith('<unlocked'))
"""

#: Hooks before a fork run in the reverse order: what is registered later runs earlier.
WAIT = "os.register_at_fork(before=wait)"
BEGIN = "os.register_at_fork(before=begun.set)"

BEFORE = """
forking.start()
begun.wait(10)
assert gate.close()
import logging
gate.open()
goes_on.set()
"""

BEHIND = """
forking.start()
begun.wait(10)
assert not gate.close()
goes_on.set()
"""

#: `logging` is loaded half when the fork begins, whose hook has taken its lock then.
WITHIN = """
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'logging' and not begun.is_set():
            register = os.register_at_fork
            def register_and_fork(**hooks):
                register(**hooks)
                os.register_at_fork = register
                forking.start()
                begun.wait(10)
            os.register_at_fork = register_and_fork
sys.meta_path.insert(0, Finder())
assert gate.close()
import logging
gate.open()
"""


@pytest.mark.parametrize(
    ("first", "second", "steps"),
    [("", WAIT, BEFORE), (WAIT, "", BEHIND), ("", BEGIN, WITHIN)],
    ids=["before it", "behind it", "within it"],
)
def test_a_fork_beside_the_first_import_of_logging(
    host: Host, first: str, second: str, steps: str
) -> None:
    """Nothing hangs, nothing is printed, and the lock of `logging` is free in the end."""
    code = FORK.format(first=first, second=second, steps=steps)
    ended = host.run(code, {"GUARD_REPORTS": ""}, measured=False)
    assert (ended.out, ended.calmly) == ("True True\n", True), ended


def test_a_fork_in_a_fork_passes_the_gate() -> None:
    """A signal's handler may fork while its thread does."""
    gate = ForkGate()
    for _ in range(2):
        gate.enter()
    for _ in range(2):
        gate.leave()
    assert gate.close()
    gate.open()


def test_two_forks_that_began_before_and_after_the_import_do_not_wait_for_each_other() -> None:
    """The first one's hooks have not taken the lock of `logging`, and the second one's have."""
    gate, logging_lock = ForkGate(), threading.RLock()
    asked, ended = threading.Event(), []

    class Watched:
        """Tells that the fork which began first asks for the lock."""

        def acquire(self) -> None:
            asked.set()
            logging_lock.acquire()

        def __getattr__(self, name: str) -> Any:
            return getattr(logging_lock, name)

    def fork_before() -> None:
        gate.enter()
        gate.leave()
        logging_lock.release()  # the hook that was registered meanwhile
        ended.append("before")

    def fork_after() -> None:
        with logging_lock:
            threads[0].start()
            asked.wait(PATIENCE)
            gate.enter()
            gate.leave()
        ended.append("after")

    gate._logging_lock = Watched()
    threads = [threading.Thread(target=each, daemon=True) for each in (fork_before, fork_after)]
    threads[1].start()
    for thread in reversed(threads):
        thread.join(PATIENCE)
    assert sorted(ended) == ["after", "before"]

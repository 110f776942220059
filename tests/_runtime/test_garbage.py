"""What a host leaves in cycles is not finalized on a thread of ours while its exit waits."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

import pytest

from migas._runtime.garbage import CollectionPause

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython",
    reason="another collector, which runs finalizers elsewhere",
)

#: A store that only its own thread may close, as one of sqlite3's or a window of tkinter's.
CODE = """
import atexit, gc, sys, threading
frozen = gc.get_freeze_count()
print('frozen', frozen > 0)
atexit.register(lambda: print('collects', gc.isenabled(), gc.get_freeze_count() == frozen))
import migas
class Store:
    def __init__(self): self.me, self.thread = self, threading.get_ident()
    def __del__(self): print('closed', threading.get_ident() == self.thread)
def leave():  # right before our hook: earlier it would be a matter of chance
    sys.setswitchinterval(60)  # no thread of ours runs, and makes objects, before our hook waits
    gc.collect()
    Store()
atexit.register(leave)
migas.add_project('owner/repo', '1')
"""


def test_the_hosts_garbage_is_finalized_on_its_own_thread(host: Host, server: Server) -> None:
    """Else tkinter aborts the process, and sqlite3 has an error printed.

    And it is finalized when the interpreter ends, after all exit hooks, as it would be without us,
    but on Python 3.12, which starts with frozen objects of its own.
    """
    ended = host.run(CODE, measured=False)
    assert ended.calmly, ended
    frozen, *said = ended.out.splitlines()
    expected = ["collects True True", "closed True"]
    assert said == expected or (frozen == "frozen True" and said == expected[::-1]), ended
    assert len(server.crumbs) == 1


def test_a_host_that_collects_nothing_is_left_so() -> None:
    """Nor does anything else of the collector's differ afterwards, frozen objects included."""
    try:
        for enabled in True, False:
            (gc.enable if enabled else gc.disable)()
            before = gc.isenabled(), gc.get_threshold(), gc.callbacks.copy()
            pause = CollectionPause()
            with pause:
                assert not gc.isenabled()
                pause.lift()  # for a function of the host's
                assert gc.isenabled() is enabled
                pause.resume()
                assert not gc.isenabled()
            pause.resume()  # of a function that the exit has not waited for
            assert (gc.isenabled(), gc.get_threshold(), gc.callbacks) == before
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_is_forked_meanwhile_collects_its_garbage(host: Host) -> None:
    """The pause is its parent's, whose exit ends it there."""
    ended = host.run(
        "import gc, os, migas\n"
        "from migas._runtime.garbage import pause\n"
        "with pause:\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        os._exit(not gc.isenabled())\n"
        "    print(os.waitpid(pid, 0)[1], gc.isenabled())",
        {"PYTHONWARNINGS": "ignore"},
        measured=False,
    )
    assert ended.out == "0 False\n", ended


def test_what_a_host_has_frozen_stays_frozen(host: Host) -> None:
    """A server freezes what its workers share: to unfreeze it would copy its memory.

    In a process of its own: nobody can freeze again just what Python 3.12 had frozen.
    """
    ended = host.run(
        "import gc\n"
        "from migas._runtime.garbage import CollectionPause\n"
        "gc.freeze()\n"
        "before = gc.get_freeze_count()\n"
        "with CollectionPause():\n"
        "    pass\n"
        "print(before > 0, gc.get_freeze_count() > 0.99 * before)",
        measured=False,
    )
    assert ended.out == "True True\n", ended

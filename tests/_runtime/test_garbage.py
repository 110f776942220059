"""What a host leaves in cycles is not finalized on a thread of ours while its exit waits."""

from __future__ import annotations

import gc
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
import atexit, gc, threading
frozen = gc.get_freeze_count()
atexit.register(lambda: print('collects', gc.isenabled(), gc.get_freeze_count() == frozen))
import migas
class Store:
    def __init__(self): self.me, self.thread = self, threading.get_ident()
    def __del__(self): print('closed', threading.get_ident() == self.thread)
def leave():  # right before our hook: earlier it would be a matter of chance
    gc.collect()
    Store()
atexit.register(leave)
migas.add_project('owner/repo', '1')
"""


def test_the_hosts_garbage_is_finalized_on_its_own_thread(host: Host, server: Server) -> None:
    """Else tkinter aborts the process, and sqlite3 has an error printed.

    And it is finalized when the interpreter ends, after all exit hooks, as it would be without us,
    but on Python 3.12, which has frozen objects of its own.
    """
    ended = host.run(CODE, measured=False)
    assert ended.calmly, ended
    said = ["collects True True", "closed True"]
    assert ended.out.splitlines() in ([said, said[::-1]] if gc.get_freeze_count() else [said])
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


def test_what_a_host_has_frozen_stays_frozen() -> None:
    """A server freezes what its workers share: to unfreeze it would copy its memory."""
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with CollectionPause():
            pass
        assert gc.get_freeze_count() == pytest.approx(frozen, rel=0.01)
    finally:
        gc.unfreeze()

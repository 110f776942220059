"""The garbage: keeps what the host leaves in cycles from being finalized on a thread of ours.

CPython collects garbage on whichever thread makes the next object, and calls finalizers there. One
of tkinter's aborts the process on another thread than its own, and one of sqlite3's is printed as
an error. A program without threads knows neither. So while our threads work during its exit,
nothing is collected.

What may go wrong: the host's garbage is collected on a thread of ours while the program runs, as on
any thread that it has. Nothing but the collector's switch could prevent that, and that is the
host's; at its exit only other hooks and daemon threads of the host's could see it.
"""

from __future__ import annotations

import gc
import sys

from .native import ProcessLock


class CollectionPause:
    """A block in which no garbage is collected, on any thread, unless the host asks for it.

    What was counted up to its end starts no collection either, if that can be had: the interpreter
    collects all garbage when it ends, as it would have without us. A function of the host's finds
    the collector as the host has left it, see `lift`.
    """

    def __init__(self) -> None:
        # Guards all below, since the exit may end while a function of the host's still runs.
        self._guard = ProcessLock()
        self._is_on = False
        # How many functions of the host's run meanwhile.
        self._lifts = 0
        self._is_held = False
        self._was_enabled = False

    def __enter__(self) -> None:
        self._change(is_on=True)

    def __exit__(self, *_: object) -> None:
        self._change(is_on=False)

    def lift(self) -> None:
        """Have no pause until `resume`: a function of the host's is called, which could see it."""
        self._change(lifts=1)

    def resume(self) -> None:
        """Have the pause go on, if there is one still."""
        self._change(lifts=-1)

    def forget(self) -> None:
        """End the pause in a forked child: it is its parent's that exits."""
        self._lifts = 0
        self._change(is_on=False)

    def _change(self, *, is_on: bool | None = None, lifts: int = 0) -> None:
        with self._guard:
            self._is_on = self._is_on if is_on is None else is_on
            self._lifts += lifts
            if (self._is_on and not self._lifts) is self._is_held:
                return
            self._is_held = not self._is_held
            if self._is_held:
                self._was_enabled = gc.isenabled()
                gc.disable()
            elif self._was_enabled:
                _reset_count()
                gc.enable()


def _reset_count() -> None:
    """Have no collection start at the next object, for all those that were made in the pause.

    To freeze all objects resets the count; to unfreeze them changes nothing else, unless some
    were frozen: by the host, or by Python 3.12, which does so at its start. Then the next object
    starts a collection, on the host's thread. Without a GIL each step would go through all objects,
    and PyPy has none.
    """
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)
    if hasattr(gc, "freeze") and has_gil() and not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()


#: The pause of this process's exit.
pause = CollectionPause()

"""The greenlet: imports the agent's modules where a host's threads are gevent's or eventlet's.

There `logging` has a lock of theirs, which two threads of the system's must not share: a greenlet
that waits for it may never be woken by another thread (seen with gevent 26.9, in a fork, and with
eventlet 0.41, always). A module that makes a logger takes that lock, so no thread of ours may
import one. A greenlet of the host's may, as the host's own code does. This module is loaded in such
hosts only.

What may go wrong: the host never lets other greenlets run; then its exit imports. Or an import
takes long: it holds up all greenlets, as an import of the host's own would.
"""

from __future__ import annotations

import _thread
import time

from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two looks at what is wanted, in which the host's other greenlets run.
_PAUSE = 0.02

#: How many looks in vain end the greenlet: the sender wants its modules half a second after the
#: first breadcrumb, and none at all where the server cannot be reached. The next call of the host's
#: starts another greenlet.
_LOOKS = 250


class Importer:
    """Imports, on a greenlet of its caller's thread, what the agent's threads want.

    Parameters:
        load: imports a module.
        is_done: returns True once nothing more will be wanted.
    """

    def __init__(self, load: Callable[[str], None], is_done: Callable[[], bool]) -> None:
        self._load = load
        self._is_done = is_done
        # Shared with the threads that want something. A name that two add at once is imported once
        # more, which does nothing.
        self._wanted: list[str] = []
        self._errors: dict[str, Exception] = {}
        self._is_running = False

    def want(self, name: str) -> None:
        """Have a module imported soon.

        Raises:
            Exception: whatever its import has raised since the last call. The next one has it tried
                again: a host may have had no memory or no descriptor left at that moment.
        """
        if error := self._errors.pop(name, None):
            raise error
        if name not in self._wanted:
            self._wanted.append(name)

    def start(self) -> None:
        """Start the greenlet, if it does not run. To be called on a thread of the host's."""
        if self._is_running or self._is_done():
            return
        self._is_running = True
        try:
            _thread.start_new_thread(self._run, ())  # the patched one, which makes a greenlet
        except Exception as error:  # the next call tries again
            self._is_running = False
            reraise_from_handler(error)

    def serve(self) -> None:
        """Import on this thread what is wanted: at the exit the greenlet runs no more."""
        while self._import_next():
            pass

    def close(self) -> None:
        """Import nothing more."""
        self._is_running = False

    def _run(self) -> None:
        left = _LOOKS
        while self._is_running and left and not self._is_done():
            left -= 1
            if self._import_next():
                left = _LOOKS
            time.sleep(_PAUSE)  # the patched one, too
        self._is_running = False

    def _import_next(self) -> bool:
        """Import the module that is wanted first. Returns False if none is."""
        try:
            name = self._wanted.pop(0)
        except IndexError:  # the exit, on another thread, may have taken the last one
            return False
        try:
            self._load(name)
        except Exception as error:  # a broken installation
            self._errors[name] = error
        return True

"""Loading: imports modules on a background thread without harm to the host's imports and forks.

In CPython an import on a background thread can break its host in two ways:

- The host imports a submodule of the same package at that moment. It can be handed a module that is
  only half executed, and gets an ImportError (python/cpython issue 83065; 80 of 240 runs).
- The host forks at that moment. The child inherits import locks whose holder does not exist in it,
  and hangs at its next import (25 of 128 children).

So an import of ours is *exclusive*. It starts only if no other thread is importing, which
`importlib`'s locks of modules show; and it holds the import lock, which every other import needs to
start, and the lock of `logging`, which together with the import lock every fork needs. So other
imports and forks wait until it is done. This module owns that rule, and the CPython internals it
needs. No frame of another thread is looked at: other interpreters in the process, and threads
without a GIL, change theirs at any moment.

Under gevent and eventlet, whose locks no two threads can share, a greenlet of the host's imports
instead: see `greenlet`.

What may go wrong: the host imports without a pause, or `importlib` has no such locks. Then nothing
is loaded in the background, and `Loader.attempt` keeps returning False. The exit hook, or a caller
who waits for an answer, loads on its own thread instead, like any import of the host's. And imports
and forks of the host wait while one module of ours is loaded: 0.24 s was the longest wait measured,
and a second beside a thread of the host's that computes in Python. Such a thread lets ours in every
5 ms, and each of a module's dozen calls of the system hands the turn back.
"""

from __future__ import annotations

import _imp
import sys

from . import log
from .imports import (
    find_logging_lock,
    is_announced,
    is_another_thread_importing,
    is_loaded,
    is_ready,
    make_whole,
)
from .native import allocate_lock
from .signals import reraise_from_handler

TYPE_CHECKING = False  # the usual constant lives in `typing`, whose import costs 16 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .greenlet import Importer

#: What each stage needs, in pieces: the host's imports and forks wait for one piece at most.
WRITER_MODULES = ("json", "platformdirs", "migas._delivery.writer")
SENDER_MODULES = ("migas._delivery.sender",)
TRANSPORT_MODULES = (
    "ssl",
    "http.client",
    "migas._delivery.uploader",
    "urllib3",
    "requests",
    "migas._delivery.transport",
)

_ALL_MODULES = (*WRITER_MODULES, *SENDER_MODULES, *TRANSPORT_MODULES)

#: How long to wait for the lock of `logging`, in seconds. Its holders need microseconds.
_LOGGING_LOCK_TIMEOUT = 1.0

#: Seconds, half of the pause after the first attempt to import that could not be made.
_FIRST_PAUSE = 0.005

#: Forks pass it, and wait while `logging` is imported first. None where no import can be lazy.
fork_gate = None
if hasattr(sys, "lazy_modules"):  # from Python 3.15 on
    from .forks import ForkGate

    fork_gate = ForkGate()


class StandInError(ImportError):
    """The transport cannot be imported for as long as a test's tool stands in for the network."""


class Loader:
    """Imports modules exclusively, one after the other, until it is closed.

    Example:
        >>> loader = Loader()
        >>> loader.attempt(["string", "textwrap"]), is_loaded("textwrap")
        (True, True)
        >>> loader.close()
        >>> loader.attempt(["string"])
        False
    """

    def __init__(self) -> None:
        # Held as long as any of the interpreter's locks may be, so that `close` can wait for that.
        # The order: this one, the lock of `logging`, the import lock. A forked child may inherit it
        # held, and never takes it: it has an agent, and a loader, of its own.
        self._gate = allocate_lock()
        self._closed = False
        # Imports instead of this loader where threads are greenlets; made on first use.
        self._importer: Importer | None = None

    def lend_greenlet(self) -> None:
        """Let modules be imported on a greenlet of the caller's, if there are greenlets."""
        if self._closed or not _is_lock_of_greenlets():
            return
        from .greenlet import Importer

        if self._importer is None:
            self._importer = Importer(load, lambda: all(map(is_loaded, _ALL_MODULES)))
        self._importer.start()

    def serve(self) -> bool:
        """Import on this thread what a greenlet was to import. Returns False if there is none."""
        if self._importer is None:
            return False
        self._importer.serve()
        return True

    def attempt(self, names: Iterable[str], *, loads_logging: bool = False) -> bool:
        """Import those of ``names`` that are not loaded yet, if no harm can come of it now.

        Parameters:
            names: modules, in the order to import them. Each is imported by itself, so that the
                host waits for one at a time.
            loads_logging: True if one of them imports `logging`. This method is the first to import
                that only if the host has said that it wants it, by a lazy import, since the code of
                `logging` takes its own lock, with the import lock held, and a fork takes the two in
                the other order: see `forks`. Else this returns False until the host has loaded it.

        Returns:
            True if all are loaded. False if an import could do harm now: the caller tries again a
            moment later. That takes no longer than one second, and mostly some microseconds. False
            for good after `close`.

        Raises:
            Exception: whatever an import raises.
        """
        if _is_lock_of_greenlets():
            return self._want(names)
        for name in names:
            with self._gate:
                if self._closed or not (
                    is_ready(name) or self._import_exclusively(name, loads_logging)
                ):
                    return False
        return True

    def close(self) -> None:
        """Import nothing more, and return when this loader holds none of the interpreter's locks.

        The interpreter's exit stops daemon threads wherever they are, and their locks stay held.
        The host's exit imports, and removes logging handlers: it would wait for one of these locks,
        with no end.
        """
        self._closed = True
        if self._importer is not None:
            self._importer.close()
        with self._gate:
            pass

    def _want(self, names: Iterable[str]) -> bool:
        """Return True if all are loaded, and have the greenlet import those that are not."""
        missing = [name for name in names if not is_ready(name)]
        if self._importer is not None:
            for name in missing:
                self._importer.want(name)
        return not missing and not self._closed

    def _import_exclusively(self, name: str, loads_logging: bool) -> bool:
        """Import a module with both locks held, or return False: see `attempt`."""
        if is_another_thread_importing():
            return False
        # The order of os.fork(): the fork hook of `logging` takes its lock, and then os.fork()
        # itself takes the import lock. An import takes the second one only.
        logging_lock = find_logging_lock()
        if logging_lock is None:
            if "logging" in sys.modules:  # half
                return False
            if loads_logging:
                return self._import_logging() and self._import_exclusively(name, loads_logging)
            return self._import_if_still_alone(name, logging_loaded=False)
        if not logging_lock.acquire(timeout=_LOGGING_LOCK_TIMEOUT):
            return False
        try:
            return self._import_if_still_alone(name, logging_loaded=True)
        finally:
            logging_lock.release()

    def _import_logging(self) -> bool:
        """Import `logging` before the host does, if that has said by a lazy import that it will."""
        if fork_gate is None or not is_announced("logging") or not fork_gate.close():
            return False
        try:
            return self._import_if_still_alone("logging", logging_loaded=False)
        finally:
            fork_gate.open()

    def _import_if_still_alone(self, name: str, *, logging_loaded: bool) -> bool:
        """Take the import lock, and import unless another thread was faster."""
        _imp.acquire_lock()
        try:
            # Between the first look and this lock another thread may have started an import, or
            # loaded `logging`, whose lock we would not hold. From here on neither can happen.
            if is_another_thread_importing() or ("logging" in sys.modules) is not logging_loaded:
                return False
            load(name)
            return True
        finally:
            _imp.release_lock()


class Import:
    """Modules that one thread needs, imported exclusively, and tried again until that can be."""

    def __init__(self, loader: Loader, names: Iterable[str], longest: float) -> None:
        self._loader = loader
        self._names = tuple(names)
        # Seconds from one attempt to the next, at most. Each pause is twice the one before.
        self._longest = longest
        self._pause = _FIRST_PAUSE
        # Why a caller could not import them. Of two threads that set it at once one is heard.
        self._failure = ""

    def attempt(self, *, loads_logging: bool = False) -> float:
        """Import what is missing, and return 0.0, or the seconds until the next attempt.

        For ``loads_logging`` see `Loader.attempt`. Raises whatever the import raises.
        """
        if self._loader.attempt(self._names, loads_logging=loads_logging):
            self._pause = _FIRST_PAUSE
            return 0.0
        self._pause = min(self._pause * 2, self._longest)
        return self._pause

    def load(self) -> None:
        """Import the last module on this thread, at once. Raises whatever the import raises.

        Not the others, which it may not need: after a Ctrl-C each import may cost the host its
        status.
        """
        load(self._names[-1])

    def take_failure(self) -> str:
        """Return why a caller could not import them since the last call, or `""`."""
        failure, self._failure = self._failure, ""
        return failure

    def load_for_caller(self) -> None:
        """Import all on this thread, whose caller waits for what the modules do.

        The agent's threads import none while the host is inside an import, which may last as long
        as the process, and may be the one that this call is made in.
        """
        try:
            for name in self._names:
                load(name)
        except StandInError:
            return  # it may be over in a moment, so the sender looks itself
        except Exception as error:  # whatever a broken installation raises; the receipt says it
            reraise_from_handler(error)
            self._failure = str(error) or repr(error)
            log.say(log.DEBUG, "cannot load the agent's modules: %r", error)


def load(name: str) -> None:
    """Import a module, and drop what it warns of, and the warning filters that it adds.

    `requests` and `urllib3` add filters for their own warnings, which a host that has not imported
    them does not expect.

    Raises:
        StandInError: a test's tool has replaced classes that the transport is made of.
        ImportError: a module of the host's hides one that is needed.
        Exception: whatever the import raises.
    """
    sends = name not in (*WRITER_MODULES, *SENDER_MODULES)
    if sends:
        from .stand_in import explain_stand_in, find_replaced_class

        if tool := find_replaced_class():
            raise StandInError(explain_stand_in(tool))
    if name not in sys.modules:
        from .shadow import find_shadow

        if path := find_shadow(sends=sends):
            raise ImportError(f"{path} has the name of a module that is needed")
    from .quiet import quiet

    with quiet:
        __import__(name)
        make_whole(name)


def is_transport_loaded() -> bool:
    """Return True if the host has paid for `requests` already, nearly all that sending costs."""
    return is_loaded("requests")


def _is_lock_of_greenlets() -> bool:
    """Return True if gevent or eventlet has replaced the lock of `logging`.

    Both leave a reentrant lock of `threading`'s in Python there, around one of their own.
    """
    lock = find_logging_lock()
    return lock is not None and type(lock).__module__ != "_thread"

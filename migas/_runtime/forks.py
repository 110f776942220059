"""The gate for forks: forks wait at it while a thread of ours imports `logging` for the first time.

`logging` registers fork hooks, which take its lock before a fork and release it after. If it is
imported while another thread forks, that fork has the hook that releases and not the hook that
takes: the interpreter prints an error. Or it has both, and waits for the import lock with the lock
of `logging` in its hands, for which the import waits. So each fork passes this gate, which a thread
of ours closes for that one import. Hosts need it that import `logging` lazily (Python 3.15): other
hosts import it before we do, or leave it to the exit.

What may go wrong: a program in C forks without Python's hooks. Then the gate does not hold it.
"""

from __future__ import annotations

from .imports import find_logging_lock
from .native import make_rlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ForkGate:
    """A lock that each fork holds from beginning to end. Its methods `enter` and `leave` are hooks.

    The order of locks: that of `logging`, the gate, the import lock. The gate is to be registered
    before `logging` is imported: hooks before a fork run in the reverse order.

    Example:
        >>> gate = ForkGate()
        >>> gate.close(), gate.open()
        (True, None)
    """

    def __init__(self) -> None:
        # Reentrant, for a signal handler that forks while its thread does. In a child its holder is
        # the thread that forked, so that `leave` is right there, too.
        self._lock = make_rlock()
        # Set while this gate is closed.
        self._is_closed = False
        # The lock for which `logging` has registered hooks, once that was imported behind the gate.
        # Not looked for at each fork, since gevent may replace it.
        self._logging_lock: Any = None

    def close(self) -> bool:
        """Keep forks from beginning. Returns False if one is under way."""
        self._is_closed = bool(self._lock.acquire(blocking=False))
        return self._is_closed

    def open(self) -> None:
        """Let forks begin again. To be called by the thread that has closed the gate."""
        self._logging_lock = find_logging_lock()
        self._is_closed = False
        self._lock.release()

    def enter(self) -> None:
        """Begin a fork, once the gate is open: a hook before it."""
        if not self._lock.acquire(blocking=False):
            lock: Any = find_logging_lock() if self._is_closed else None
            if lock is not None and lock._is_owned():  # noqa: SLF001  # as `threading.Condition` asks
                lock.release()  # a hook of this fork has taken it, and the import needs it
            self._lock.acquire()
        # The hook of `logging` was registered after this one, and runs before it. If it has not
        # run, this fork began earlier; but what it releases at the end is asked for then.
        if self._logging_lock is not None and not self._logging_lock._is_owned():  # noqa: SLF001
            # In the order of locks: another fork may have that one, and wait at the gate.
            self._lock.release()
            self._logging_lock.acquire()
            self._lock.acquire()

    def leave(self) -> None:
        """End a fork, in the parent and in the child: a hook after it."""
        self._lock.release()

"""The native locks: those of the system's, and the clocks, whatever a host has put in their place.

gevent and eventlet replace what `_thread` and `threading` hold by greenlets, which share one thread
of the system's. The agent's threads must not be greenlets: their disk would hold up the whole
host, and what belongs to a thread, as its signal mask, would be that of all greenlets. So this
module keeps a copy of `_thread` of its own, in which nobody replaces anything.

What may go wrong: a greenlet that waits for a lock of the system's holds up all others of its
thread. So such locks are held for moments, and a longer wait goes through `await_lock`.
"""

from __future__ import annotations

import _thread
import os
import time as hosts_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

#: Seconds between two looks at a lock, the first and the longest, where threads are greenlets.
_FIRST_LOOK, _LONGEST_LOOK = 0.001, 0.02


def _copy(module: ModuleType, *names: str) -> Any:
    """Return a copy of a module as CPython built it, or the module itself if there can be none.

    The copy has at least ``names``.

    CPython 3.11 to 3.15 make another module each time (PEP 489), in less than 0.1 ms. eventlet's
    `patcher.original` gets at the real `_thread` in this way, too. The copy has lock types of its
    own, which eventlet does not take for locks to be replaced.
    """
    try:
        spec: Any = module.__spec__
        copy = spec.loader.create_module(spec)
        spec.loader.exec_module(copy)
        for name in names:
            getattr(copy, name)
    except Exception:  # an interpreter with other internals: what is patched there stays so
        return module
    return copy


_native = _copy(
    _thread, "start_new_thread", "allocate_lock", "RLock", "get_ident", "stack_size", "_local"
)

#: A lock that belongs to nobody, one that its holder may take again, and the number of a thread.
allocate_lock: Callable[[], Any] = _native.allocate_lock
make_rlock: Callable[[], Any] = _native.RLock
get_ident: Callable[[], int] = _native.get_ident
#: What each thread of the system's has of its own.
Local: Callable[[], Any] = _native._local  # noqa: SLF001  # `threading.local`, before any patch
#: Starts a thread, and sets the size of the stacks of those to come: see `daemon`.
start_new_thread: Callable[..., int] = _native.start_new_thread
stack_size: Callable[..., int] = _native.stack_size
TIMEOUT_MAX: float = _native.TIMEOUT_MAX

#: The clocks, which no double of a host's tests stops.
time = _copy(hosts_time, "monotonic", "process_time", "thread_time")


class ProcessLock:
    """A reentrant lock of this process's: a forked child has another one.

    The one that it was forked with may have been held by a thread that the child does not have, and
    a fork may run no hooks (uWSGI).

    Example:
        >>> lock = ProcessLock()
        >>> with lock, lock:
        ...     pass
    """

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        # By process id. `setdefault` is atomic: threads that race for the first use get one lock.
        self._locks: dict[int, Any] = {}

    def __enter__(self) -> None:
        pid = os.getpid()
        (self._locks.get(pid) or self._locks.setdefault(pid, make_rlock())).acquire()

    def __exit__(self, *_: object) -> None:
        # A signal handler of the host's may have forked in between: its child holds nothing.
        lock = self._locks.get(os.getpid())
        if lock is not None:
            lock.release()


class Monitor:
    """A reentrant lock, and a wait for what other threads do while they hold it.

    It is `threading.Condition` of the system's locks. That class would make its locks by whatever
    `threading` holds at each wait.
    """

    # eventlet looks for locks to replace in every `__dict__`.
    __slots__ = ("_lock", "_waiting")

    def __init__(self) -> None:
        self._lock = make_rlock()
        # A locked lock for each thread that waits. Whoever takes one out of the list unlocks it.
        self._waiting: list[Any] = []

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, timeout: float) -> None:
        """Let the lock go until another thread notifies this one, and take it again.

        Parameters:
            timeout: seconds to wait at most, > 0.
        """
        latch = allocate_lock()
        latch.acquire()
        self._waiting.append(latch)
        state = self._lock._release_save()  # noqa: SLF001  # as `threading.Condition` does
        try:
            latch.acquire(timeout=min(timeout, TIMEOUT_MAX))
        finally:
            self._lock._acquire_restore(state)  # noqa: SLF001
            if latch in self._waiting:
                self._waiting.remove(latch)

    def notify_all(self) -> None:
        """Have all threads go on that wait. The caller holds the lock."""
        while True:
            try:
                latch = self._waiting.pop()
            except IndexError:  # none is left; a signal handler on this thread may take some, too
                return
            latch.release()


def name_thread(name: str) -> None:
    """Tell the system what to call this thread: in `ps -L`, say. Before Python 3.14 do nothing."""
    try:
        _native.set_name(name)
    except (AttributeError, OSError):  # an older Python, or a system that names no threads
        return


def are_threads_replaced() -> bool:
    """Return True if a host's threads are not the system's now: greenlets, or a test's double."""
    return type(_thread.start_new_thread) is not type(start_new_thread)


def duplicate_socket(sock: Any) -> Any:
    """Return a socket of the system's that is connected as ``sock`` is, for the caller to close."""
    import _socket  # loaded already, by the caller's socket

    number = _socket.dup(sock.fileno())
    return _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, number)


def await_lock(lock: Any, timeout: float) -> bool:
    """Take a lock, and let a host's other greenlets go on meanwhile. Returns False if it is held.

    Parameters:
        lock: made by `allocate_lock`.
        timeout: seconds, up to `TIMEOUT_MAX`; -1: no limit.
    """
    if not are_threads_replaced():
        return bool(lock.acquire(timeout=timeout))
    deadline = time.monotonic() + (TIMEOUT_MAX if timeout < 0 else timeout)
    pause = _FIRST_LOOK
    while not lock.acquire(blocking=False):
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        hosts_time.sleep(min(pause, remaining))  # the host's own, which runs other greenlets
        pause = min(2 * pause, _LONGEST_LOOK)
    return True

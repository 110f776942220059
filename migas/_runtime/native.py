"""The native threads: locks and threads of the system's, whatever a host has put in their place.

gevent and eventlet replace what `_thread` and `threading` hold by greenlets, which share one thread
of the system's. The agent's threads must not be greenlets: their disk would hold up the whole
host, and what belongs to a thread, as its signal mask, would be that of all greenlets. So this
module keeps a copy of `_thread` of its own, in which nobody replaces anything.

What may go wrong: a greenlet that waits for a lock of the system's holds up all others of its
thread. So such locks are held for moments, and a longer wait goes through `await_lock`.
"""

from __future__ import annotations

# What `signal` is made of: that module itself would cost an import of `enum`.
import _signal  # type: ignore[import-not-found]  # typeshed leaves it out
import _thread
import os
import sys
import threading
import time as hosts_time

from .place import is_main_interpreter

try:
    # What `functools` has it from: that module would be five more files to load.
    from _functools import partial  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # PyPy 8 has none
    from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

#: Bytes of stack that a thread of ours has at least, as musl's linker is told for CPython. TLS and
#: the resolver take more than the 32 KiB to which a host may set `threading.stack_size`.
STACK = 1 << 20

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


_native = _copy(_thread, "start_new_thread", "allocate_lock", "RLock", "get_ident", "stack_size")

#: A lock that belongs to nobody, one that its holder may take again, and the number of a thread.
allocate_lock: Callable[[], Any] = _native.allocate_lock
make_rlock: Callable[[], Any] = _native.RLock
get_ident: Callable[[], int] = _native.get_ident
TIMEOUT_MAX: float = _native.TIMEOUT_MAX

#: The clocks, which no double of a host's tests stops.
time = _copy(hosts_time, "monotonic", "process_time", "thread_time")

# The agent's threads that run now, by their numbers: `threading.current_thread()` knows others only
# where the host has replaced threads. Each thread sets and removes its own number only.
_running: dict[int, Thread] = {}

#: Calls a `partial` without a step of Python's own.
_call: Callable[[Any], object] = partial.__call__


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


def are_threads_replaced() -> bool:
    """Return True if a host's threads are not the system's now: greenlets, or a test's double."""
    return type(_thread.start_new_thread) is not type(_native.start_new_thread)


#: Held while new threads have stacks of our size.
_sizing = ProcessLock()


def start_thread(function: Callable[[], object]) -> None:
    """Run a function on a new thread of the system's, which has `STACK` bytes of stack.

    The size of new threads' stacks is a setting of the whole process. It can only be read by
    setting it, and between two instructions another thread of the host's may start one. So all
    three steps are one call of C code, which holds the GIL from beginning to end. (An audit hook of
    the host's lets it go in the middle, and a free-threaded interpreter has none. A thread that
    starts just then has a larger stack than its starter asked for, which harms nobody. A host that
    sets the size in these microseconds finds it as it was before.)

    Raises:
        Exception: the system allows no more threads, or the host's audit hook does not.
    """
    run_with_stack(partial(_native.start_new_thread, function, ()))


def is_stack_small() -> bool:
    """Return True if the host has set a size for its threads' stacks that is too small for ours."""
    try:
        return 0 < run_with_stack(partial(int)) < STACK
    except Exception:  # this system has no such setting
        return False


def run_with_stack(call: partial[object]) -> int:
    """Call a C function while new threads have stacks of `STACK` bytes. Returns the host's size.

    One thread at a time: without a GIL another would take our size for the host's.
    """
    with _sizing:
        return _run_with_stack(call)


def _run_with_stack(call: partial[object]) -> int:
    before: list[int] = []
    steps: tuple[partial[Any], ...] = (
        partial(before.extend, map(_native.stack_size, (STACK,))),
        call,
        partial([].extend, map(_native.stack_size, before)),
    )
    try:
        list(map(_call, steps))
    except BaseException:
        for size in before:
            _native.stack_size(size)
        raise
    return before[0]


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


class Thread(threading.Thread):
    """A daemon thread of the agent, which no signal interrupts. It is never a greenlet."""

    def __init__(self, target: Callable[[], object], name: str) -> None:
        super().__init__(name=f"migas-{name}", daemon=True, **_make_context())
        self._function = target
        # The system's number of the thread: once it runs, and while it does.
        self._number: int | None = None
        #: The signal mask of the host's thread that began it all; None on Windows.
        self.host_mask: set[int] | None = None

    def start(self) -> None:
        """Start the thread, with all signals blocked but those of its own faults.

        Otherwise the kernel may give it a signal while the main thread, which alone runs Python's
        handlers, sleeps on: a Ctrl-C was lost so. A thread inherits the mask of its starter. No
        greenlet of the host's runs until that has its own mask back.

        Raises:
            Exception: the system or the host's audit hook allows no more threads, the interpreter
                is ending, uWSGI is about to fork, or this is a subinterpreter, whose end would
                abort the process.
        """
        if not is_main_interpreter():
            raise RuntimeError("no daemon threads in a subinterpreter")
        if _is_about_to_fork():
            raise RuntimeError("no threads before uWSGI's workers")
        if not hasattr(_signal, "pthread_sigmask"):  # Windows
            self._start()
            return
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - _FAULTS)
        starter = find_own_thread()
        self.host_mask = before if starter is None else starter.host_mask
        try:
            self._start()
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)

    def run(self) -> None:
        """Run the target."""
        self._number = get_ident()
        _running[self._number] = self
        try:
            self._function()
        except Exception:  # memory, say; the host's `threading.excepthook` would print it
            return
        finally:
            del _running[self._number]
            self._number = None

    def is_current(self) -> bool:
        """Return True if the caller runs on this thread."""
        return self._number == get_ident()

    def await_end(self, seconds: float) -> None:
        """Wait until the thread has ended, if the interpreter knows it: see `_start`."""
        if self.ident is not None and not are_threads_replaced():
            self.join(seconds)

    def _start(self) -> None:
        if are_threads_replaced() or is_stack_small():
            start_thread(self.run)
            return
        super().start()
        if self.ident is None:
            raise RuntimeError("the host's double of Thread.start has started nothing")

    def _delete(self) -> None:
        # If gevent has patched `threading` since the start, this would fail and print a traceback.
        try:
            super()._delete()  # type: ignore[misc]  # typeshed leaves it out
        except KeyError:
            return


def _make_context() -> dict[str, Any]:
    """Return the argument by which a thread begins with an empty context, as before Python 3.14.

    Otherwise it may begin with a copy of its starter's: by `-X thread_inherit_context=1`, and by
    default in a free-threaded interpreter. `before_send` would see what the host has set there, and
    all of that would live as long as the thread.
    """
    if sys.version_info >= (3, 14):
        import _contextvars  # loaded already, by `threading`

        return {"context": _contextvars.Context()}
    return {}


def find_own_thread() -> Thread | None:
    """Return the agent's thread on which the caller runs, or None on one of the host's."""
    return _running.get(get_ident())


def _is_about_to_fork() -> bool:
    """Return True if this process is, or becomes, uWSGI's master.

    The master forks without Python's knowledge. If any thread runs at that moment, the
    interpreter's own lock is never released in the workers, and they hang (seen with uWSGI 2.0).
    """
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is not None and getattr(uwsgi, "worker_id", lambda: 1)() == 0


_FAULTS = {
    getattr(_signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")
    if hasattr(_signal, name)
}

"""The daemon: a thread of the agent's, which is the system's own, and what it begins with.

`threading` does not know it: a host that joins, counts or traces all threads meets none of ours. It
has an empty context, since only `threading` hands one down.

A new thread inherits the signal mask of its starter and the process's size of stacks. The agent's
threads have their own of both, and the host's next thread has what it would have without us. What
may go wrong: no thread may start here, see `Thread.start`; then the caller does the work.
"""

from __future__ import annotations

# What `signal` is made of: that module itself would cost an import of `enum`.
import _signal  # type: ignore[import-not-found]  # typeshed leaves it out
import os
import sys

from .native import (
    TIMEOUT_MAX,
    Local,
    ProcessLock,
    allocate_lock,
    await_lock,
    name_thread,
    stack_size,
    start_new_thread,
)
from .place import is_main_interpreter
from .signals import reraise_from_handler

try:
    # What `functools` has it from: that module would be five more files to load.
    from _functools import partial  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # PyPy 8 has none
    from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

#: Bytes of stack that a thread of ours has at least, as musl's linker is told for CPython. TLS and
#: the resolver take more than the 32 KiB to which a host may set `threading.stack_size`.
STACK = 1 << 20

#: On a thread of the agent's: that thread. A number would not do: in a forked child the host's next
#: thread has that of one which its parent had.
_own = Local()

#: Calls a `partial` without a step of Python's own.
_call: Callable[[Any], object] = partial.__call__

#: Held while new threads have stacks of our size.
_sizing = ProcessLock()


def start_thread(function: Callable[[], object]) -> None:
    """Run a function on a new thread of the system's, which has at least `STACK` bytes of stack.

    Raises:
        Exception: the system allows no more threads, or the host's audit hook does not.
    """
    if is_stack_small():
        run_with_stack(partial(start_new_thread, function, ()))
    else:
        start_new_thread(function, ())


def is_stack_small() -> bool:
    """Return True if the host has set a size for its threads' stacks that is too small for ours."""
    try:
        return 0 < run_with_stack(partial(int)) < STACK
    except Exception as error:  # this system has no such setting
        reraise_from_handler(error)
        return False


def run_with_stack(call: partial[object]) -> int:
    """Call a C function while new threads have stacks of `STACK` bytes. Returns the host's size.

    The size of new threads' stacks is a setting of the whole process. It can only be read by
    setting it, and between two instructions another thread of the host's may start one. So all
    three steps are one call of C code, which holds the GIL from beginning to end. (An audit hook of
    the host's lets it go in the middle, and a free-threaded interpreter has none. A thread that
    starts just then has a larger stack than its starter asked for, which harms nobody. A host that
    sets the size in these microseconds finds it as it was before.)

    One thread at a time: without a GIL another would take our size for the host's.
    """
    with _sizing:
        return _run_with_stack(call)


def _run_with_stack(call: partial[object]) -> int:
    before: list[int] = []
    steps: tuple[partial[Any], ...] = (
        partial(before.extend, map(stack_size, (STACK,))),
        call,
        partial([].extend, map(stack_size, before)),
    )
    try:
        list(map(_call, steps))
    except BaseException:
        for size in before:
            stack_size(size)
        raise
    return before[0]


class Thread:
    """A daemon thread of the agent, which no signal interrupts. It is never a greenlet.

    Parameters:
        target: what it runs.
        name: what the system calls it, after `migas-`, where Python can say so.
    """

    def __init__(self, target: Callable[[], object], name: str) -> None:
        self._target = target
        #: As the system calls it.
        self.name = f"migas-{name}"
        #: The process that it runs in.
        self.pid = 0
        # Held until the thread's last lines.
        self._ended = allocate_lock()
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
        self._ended.acquire(blocking=False)
        if not hasattr(_signal, "pthread_sigmask"):  # Windows
            start_thread(self._run)
            return
        # By itself, since a call that changes the mask may raise what a handler of the host's does
        # just then, and the mask is changed nevertheless.
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        starter = find_own_thread()
        self.host_mask = before if starter is None else starter.host_mask
        try:
            _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - _FAULTS)
            start_thread(self._run)
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)

    def is_current(self) -> bool:
        """Return True if the caller runs on this thread."""
        return find_own_thread() is self

    def await_end(self, seconds: float) -> None:
        """Wait until the thread, which has been started, has ended."""
        if self._ended.acquire(timeout=seconds):
            self._ended.release()

    def _run(self) -> None:
        self.pid = os.getpid()
        _own.thread = self
        try:
            try:
                name_thread(self.name)
                self._target()
            finally:
                be_forgotten()
        except BaseException:  # memory, say, or a Ctrl-C that eventlet brings to this thread
            return  # the host's `sys.unraisablehook` would print it
        finally:
            self._ended.release()


def find_own_thread() -> Thread | None:
    """Return the agent's thread on which the caller runs, or None on one of the host's.

    What a function of the host's forks, called on a thread of ours, is the host's.
    """
    thread: Thread | None = getattr(_own, "thread", None)
    return thread if thread is not None and thread.pid == os.getpid() else None


def is_known() -> bool:
    """Return True if `threading` knows the thread that the caller runs on."""
    known, number = _find_known()
    return number in known


def be_forgotten() -> None:
    """Have `threading` forget the thread of ours that the caller runs on.

    Where it is asked for the current thread, as for each record of `logging`, it adds one to its
    list that nobody can join, and before Python 3.13 leaves it there. A finalizer or an audit
    function may ask on any thread.
    """
    if find_own_thread() is not None:
        known, number = _find_known()
        known.pop(number, None)


def _find_known() -> tuple[dict[int, object], int]:
    """Return the threads that `threading` knows, by their numbers, and the caller's number."""
    threading = sys.modules.get("threading")
    if threading is None:
        return {}, 0
    # By the public name, since gevent gives its threads other numbers.
    return getattr(threading, "_active", {}), threading.get_ident()


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


def run_within(timeout: float, call: Callable[[], T]) -> T | None:
    """Return the result of ``call``, or None if it takes longer than ``timeout`` seconds.

    The call runs on a daemon thread that is left behind then, since neither a name look-up nor a
    disk that has stopped answering can be interrupted. If no thread can start, the caller's own
    does it, without a limit. An exception of ``call`` is raised here.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            done.release()

    try:
        Thread(run, "call").start()
    except Exception as error:  # no thread can start
        reraise_from_handler(error)
        run()
    else:
        await_lock(done, min(timeout, TIMEOUT_MAX))
    if errors:
        raise errors[0]
    return results[0] if results else None

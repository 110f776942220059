"""The daemon: a thread of the agent's, which is the system's own, and what it begins with.

A new thread inherits the signal mask of its starter, the process's size of stacks, and in some
interpreters its starter's context. The agent's threads have their own of each, and the host's next
thread has what it would have without us. What may go wrong: no thread may start here, see
`Thread.start`; then the caller does the work.
"""

from __future__ import annotations

# What `signal` is made of: that module itself would cost an import of `enum`.
import _signal  # type: ignore[import-not-found]  # typeshed leaves it out
import sys
import threading

from .native import ProcessLock, are_threads_replaced, get_ident, stack_size, start_new_thread
from .place import is_main_interpreter

try:
    # What `functools` has it from: that module would be five more files to load.
    from _functools import partial  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # PyPy 8 has none
    from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Bytes of stack that a thread of ours has at least, as musl's linker is told for CPython. TLS and
#: the resolver take more than the 32 KiB to which a host may set `threading.stack_size`.
STACK = 1 << 20

# The agent's threads that run now, by their numbers: `threading.current_thread()` knows others only
# where the host has replaced threads. Each thread sets and removes its own number only.
_running: dict[int, Thread] = {}

#: Calls a `partial` without a step of Python's own.
_call: Callable[[Any], object] = partial.__call__

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
    run_with_stack(partial(start_new_thread, function, ()))


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
        # By itself, since a call that changes the mask may raise what a handler of the host's does
        # just then, and the mask is changed nevertheless.
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        starter = find_own_thread()
        self.host_mask = before if starter is None else starter.host_mask
        try:
            _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - _FAULTS)
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

"""The worker: a queue, and a daemon thread that hands what is in it to a callable."""

from __future__ import annotations

# What `signal` is made of: that module itself would cost an import of `enum`.
import _signal  # type: ignore[import-not-found]  # typeshed leaves it out
import _thread
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")
    #: Called with what came since the last call, and whether no more will come. Returns the
    #: seconds after which it wants to be called even if nothing comes; `NEVER`: it has no more
    #: to do.
    Handler: TypeAlias = Callable[[list[Any], bool], float]

#: The pause of a handler that has no more to do. `math` is a file to load, for this alone.
NEVER = float("inf")

#: Seconds after which a thread ends that has no more to do; the next item starts another.
IDLE = 5.0


class Thread(threading.Thread):
    """A daemon thread of the agent's, which no signal interrupts."""

    def __init__(self, target: Callable[[], object], name: str) -> None:
        super().__init__(target=target, name=f"migas-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises `RuntimeError` where none can be, or had better not be: at a limit of the system's,
        while the interpreter ends, in a subinterpreter, whose end would abort the process if one
        were left, and where uWSGI loads what it will fork.

        The kernel gives a signal to any thread that does not block it, and Python's main thread,
        the only one to run handlers, may then sleep on: a Ctrl-C was lost so. A thread inherits the
        mask of its starter. What a fault raises is not blocked: it befalls the thread that it
        belongs to.
        """
        if not getattr(_thread, "_is_main_interpreter", lambda: True)():  # from Python 3.12 on
            raise RuntimeError("no daemon threads in a subinterpreter")
        if _is_about_to_fork():
            raise RuntimeError("no threads before uWSGI's workers")
        if not hasattr(_signal, "pthread_sigmask"):  # Windows
            super().start()
            return
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - _FAULTS)
        try:
            super().start()
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)

    def _delete(self) -> None:
        # Where gevent has patched `threading` since the start, a thread no longer finds itself, and
        # its end would be commented on stderr.
        try:
            super()._delete()  # type: ignore[misc]  # typeshed leaves it out
        except KeyError:
            return


class Worker:
    """Runs ``handle`` on a thread of its own, which begins with the first item."""

    def __init__(
        self,
        handle: Handler,
        name: str,
        idle: float | None = None,
        stays: Callable[[], bool] = lambda: False,
        initializer: Callable[[], None] = lambda: None,
    ) -> None:
        self._handle = handle
        self._name = name
        self._idle = IDLE if idle is None else idle
        # Says whether the thread is to be there when it has nothing to do. Asked under the lock.
        self._stays = stays
        # Called on the thread at its start, while whoever starts it may still be waiting for that.
        self._initializer = initializer
        # Guards all below; not held while `handle` runs. Reentrant, so that a signal handler or a
        # finalizer that submits while its own thread submits does not wait for itself.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._items: list[Any] = []
        self._thread: Thread | None = None
        self._woken = False
        self._closing = False

    def submit(self, item: object) -> bool:
        """Queue ``item`` and return at once; False says that no thread will take it."""
        with self._lock:
            self.start()
            if self._thread is None or self._closing:
                return False
            self._items.append(item)
            if not self._woken:  # the thread takes all that is there
                self._woken = True
                self._changed.notify_all()
            return True

    def count(self) -> int:
        """Count what is queued, and not yet handed on."""
        return len(self._items)

    def start(self) -> None:
        """Have the thread ready. At the interpreter's exit it is too late to start one."""
        # One that is just about to end may be taken for ready: the next item starts another, or,
        # at the exit, stays where it is, on disk.
        if self._thread is None:
            self._start()

    def wake(self) -> None:
        """Have ``handle`` called now, whatever it waits for."""
        with self._changed:
            self._woken = True
            self.start()
            self._changed.notify_all()

    def take(self) -> list[Any]:
        """Take what is queued from the thread."""
        with self._changed:
            left, self._items = self._items, []
            return left

    def is_running(self) -> bool:
        """Say whether the thread is there."""
        return self._thread is not None

    def close(self, timeout: float, done: threading.Event | None = None) -> list[Any]:
        """Let ``handle`` finish, for at most ``timeout`` seconds, or until it has set ``done``.

        Returns the items that it was never given: the thread could not start, or is still busy.
        """
        with self._changed:
            self._closing = self._woken = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            (thread.join if done is None else done.wait)(timeout)
        return self.take()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None or self._closing:
                return
            try:
                # Before the start, since the thread itself forgets it when it ends.
                self._thread = Thread(self._run, self._name)
                self._thread.start()
            except RuntimeError:
                self._thread = None

    def _run(self) -> None:
        self._initializer()
        pause, idle = NEVER, self._idle
        while True:
            with self._changed:
                if not self._await_work(pause, idle):
                    if self._stays():
                        idle *= 2  # a process that lives for days is not woken for nothing
                        continue
                    self._thread = None
                    return
                idle = self._idle
                items, self._items = self._items, []
                self._woken = False
                closing = self._closing
            try:
                pause = self._handle(items, closing)
            except Exception:  # the last line of defence: nothing of ours reaches the host
                pause = NEVER
            with self._changed:
                if closing and pause == NEVER and not self._items:
                    self._thread = None
                    return

    def _await_work(self, pause: float, idle: float) -> bool:
        """Wait until `handle` is to be called; False: nothing came for ``idle`` seconds."""
        due = time.monotonic() + (idle if pause == NEVER else pause)
        while not (self._items or self._woken):
            remaining = due - time.monotonic()
            if remaining <= 0:
                return pause != NEVER
            self._changed.wait(min(remaining, threading.TIMEOUT_MAX))
        return True


def _is_about_to_fork() -> bool:
    """Say whether this is uWSGI's master, or what becomes it.

    It forks without Python's knowledge: a thread that runs at that moment keeps the interpreter's
    own lock in each worker for ever, and that hangs (seen with uWSGI 2.0, whoever's thread it is).
    """
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is not None and getattr(uwsgi, "worker_id", lambda: 1)() == 0


_FAULTS = {
    getattr(_signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")
    if hasattr(_signal, name)
}


def run_within(timeout: float, call: Callable[[], T]) -> T | None:
    """Return what ``call`` returns, or None when it takes longer than ``timeout`` seconds.

    It runs on a daemon thread that is left behind then, since a name look-up cannot be stopped.
    Raises what ``call`` raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    try:
        thread = Thread(run, "call")
        thread.start()
    except RuntimeError:  # the caller's own has to do
        run()
    else:
        thread.join(timeout)
    if errors:
        raise errors[0]
    return results[0] if results else None


def find_outermost_frame() -> FrameType:
    """Return the frame in which this thread began to run Python code.

    For a program's main thread that is its module `__main__`, or what runs it: runpy for
    `python -m`, the script for `coverage run`. `inspect` has a public way to this frame, but takes
    10 ms to import.
    """
    frame = sys._getframe()  # noqa: SLF001  # documented, though its name has an underscore
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


def is_worker_process() -> bool:
    """Return True if this is a worker process of `multiprocessing`, or of what builds on it.

    That includes one that is still importing its parent's main module: `parent_process()` does not
    know it yet, and only a private attribute does (`_inheriting`, in CPython 3.10 to 3.15).
    """
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return False
    current = process.current_process()
    return process.parent_process() is not None or getattr(current, "_inheriting", False)

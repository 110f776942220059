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
    #: Takes items out of the list, does one piece of work and returns the seconds after which it
    #: wants to be called even if nothing comes: 0.0 if there is more to do at once, `NEVER` if
    #: nothing. The second argument is False if it is called in the thread's place, by a caller
    #: that cannot call again.
    Handler: TypeAlias = Callable[[list[Any], bool], float]

#: The pause of a handler that has no more to do. `math` is a file to load, for this alone.
NEVER = float("inf")

#: The signals that end a program as a matter of course: a Ctrl-C, and a polite kill.
SIGINT, SIGTERM = _signal.SIGINT, _signal.SIGTERM

#: Seconds after which a thread with nothing to do ends; the next item starts another.
IDLE = 5.0

#: How long one wait for another thread is, in seconds, and after how many of them in which it has
#: done nothing that thread counts as hanging. Waits are counted, not seconds: on a busy machine
#: each takes longer, for the one thread as for the other.
TURN, TURNS = 0.002, 50

#: Seconds for which the exit waits at most for a thread that goes on working: other threads of the
#: host's may be what works.
LONGEST_GRACE = 10.0

#: Seconds of CPU, more than those by which two looks at two clocks differ.
_NOTICEABLE = 0.0001


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
    """A queue, and a daemon thread on which a handler works it off."""

    def __init__(
        self,
        name: str,
        handle: Handler,
        *,
        keep_alive: Callable[[], bool] = lambda: False,
        initializer: Callable[[], None] = lambda: None,
        idle: float = IDLE,
    ) -> None:
        self._name = name
        self._handle = handle
        # Returns True if the thread must stay though it has nothing to do. Called under `_changed`.
        self._keep_alive = keep_alive
        # Called on the thread when it starts, while its starter may still be waiting for that.
        self._initializer = initializer
        self._idle = idle
        # Held while the handler runs, by the thread or by a caller in its place (`run_here`). Items
        # are taken out only under it, so nothing is in hand when it is free. Reentrant: a signal
        # handler may run on the thread that holds it.
        self._turn = threading.RLock()
        # Guards all below, and is notified of each change. Reentrant for the same reason. Whoever
        # holds it asks for `_turn` without waiting; the reverse order may wait.
        self._changed = threading.Condition(threading.RLock())
        self._items: list[Any] = []
        self._thread: Thread | None = None
        self._woken = False
        self._closing = False

    def submit(self, item: object) -> bool:
        """Queue an item and return at once.

        Returns False if no thread will take it: none can start, or the worker is closed.
        """
        with self._changed:
            self.start()
            if self._thread is None or self._closing:
                return False
            self._items.append(item)
            if not self._woken:  # the thread takes all that is there
                self._wake()
            return True

    def count(self) -> int:
        """Count the items in the queue."""
        return len(self._items)

    def is_running(self) -> bool:
        """Return True if the thread is there."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread if it is not there. During the interpreter's exit none can start."""
        # A thread that is just about to end may be taken for a running one: the next item starts
        # another, or, during the exit, stays on disk.
        if self._thread is None:
            self._start()

    def wake(self) -> None:
        """Have the handler called now, whatever it waits for."""
        with self._changed:
            self.start()
            self._wake()

    def run_here(self, *items: object) -> None:
        """Queue items, and work the queue off on the calling thread.

        Returns with the queue as it is if the worker's thread hangs in the handler.
        """
        self._items.extend(items)
        if not self._await(lambda: self._turn.acquire(blocking=False), time.monotonic(), TURNS):
            return
        try:
            while self._items and self._handle(self._items, False) == 0.0:
                pass
        finally:
            self._turn.release()

    def await_idle(self, deadline: float) -> bool:
        """Wait until nothing is queued or in hand.

        Parameters:
            deadline: by `time.monotonic`. Once it has passed, the wait goes on only while the
                thread makes progress.

        Returns:
            False if something is left.
        """
        return self._await(self._is_idle, deadline, TURNS)

    def close(self, deadline: float, *, patient: bool = False) -> bool:
        """End the thread when the handler has no more to do, and wait for that until ``deadline``.

        Parameters:
            deadline: by `time.monotonic`.
            patient: go on waiting after that while the thread makes progress.

        Returns:
            False if the thread is still there.
        """
        with self._changed:
            self._closing = True
            thread = self._thread
            self._wake()
        if thread is threading.current_thread():
            return False
        ended = self._await(lambda: self._thread is None, deadline, TURNS if patient else 0)
        if ended and thread is not None:
            thread.join(TURN * TURNS)  # it only has to come to its last line
        return ended

    def _start(self) -> None:
        with self._changed:
            if self._thread is not None or self._closing:
                return
            try:
                # Before the start, since the thread itself forgets it when it ends.
                self._thread = Thread(self._run, self._name)
                self._thread.start()
            except RuntimeError:
                self._thread = None

    def _wake(self) -> None:
        self._woken = True
        self._changed.notify_all()

    def _run(self) -> None:
        self._initializer()
        pause, idle = NEVER, self._idle
        while True:
            with self._changed:
                if not self._await_work(pause, idle):
                    if self._keep_alive():
                        idle *= 2  # a process that lives for days is not woken for nothing
                        continue
                    self._thread = None
                    return
                idle = self._idle
                self._woken = False
            pause = self._take_turn()
            with self._changed:
                if pause != NEVER:
                    continue
                self._changed.notify_all()
                if self._closing and not self._items:
                    self._thread = None
                    return

    def _take_turn(self) -> float:
        with self._turn:
            try:
                return self._handle(self._items, True)
            except Exception:  # the last line of defence: nothing of ours reaches the host
                return NEVER

    def _await_work(self, pause: float, idle: float) -> bool:
        """Wait until the handler is due. Returns False if nothing came for ``idle`` seconds."""
        due = time.monotonic() + (idle if pause == NEVER else pause)
        while not self._woken:
            remaining = due - time.monotonic()
            if remaining <= 0:
                return pause != NEVER
            self._changed.wait(min(remaining, threading.TIMEOUT_MAX))
        return True

    def _is_idle(self) -> bool:
        if not self._turn.acquire(blocking=False):
            return False
        try:
            return not self._items
        finally:
            self._turn.release()

    def _await(self, is_done: Callable[[], bool], deadline: float, turns: int) -> bool:
        """Wait until ``is_done`` or ``deadline``, and on for ``turns`` waits without progress."""
        left, seen = turns, _measure_work()
        with self._changed:
            while not is_done():
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    left, work = left - 1, _measure_work()
                    if turns and work - seen > _NOTICEABLE and -remaining < LONGEST_GRACE:
                        left, seen = turns, work
                    if left < 0:
                        return False
                self._changed.wait(min(max(remaining, TURN), threading.TIMEOUT_MAX))
        return True


def _measure_work() -> float:
    """Return the seconds of CPU that all threads but this one have used.

    One that waits for a disk uses none, one that a busy machine keeps waiting some.
    """
    return time.process_time() - time.thread_time()


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

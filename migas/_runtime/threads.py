"""The threads: runs a handler on a daemon thread, with a queue of items.

It owns the agent's only kind of thread, and every wait for one. What may go wrong: none can start,
then a caller's thread does the work; or one hangs, then waits end after `TURNS` without progress.
"""

from __future__ import annotations

# What `signal` is made of: that module itself would cost an import of `enum`.
import _signal  # type: ignore[import-not-found]  # typeshed leaves it out

from .daemon import Thread, be_forgotten, find_own_thread
from .native import Monitor, make_rlock, time
from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    #: Takes items out of the list, does one piece of work, and returns the seconds until the next
    #: call, 0.0 for at once, or `NEVER` for only when an item comes. The second argument is False
    #: if the caller cannot call again later.
    Handler: TypeAlias = Callable[[list[Any], bool], float]

#: The pause of a handler that has nothing to do. (`math` would be one more file to load.)
NEVER = float("inf")

#: The signals that end a program in the usual ways: Ctrl-C, and `kill`.
SIGINT, SIGTERM = _signal.SIGINT, _signal.SIGTERM

#: Seconds after which a thread with nothing to do ends, and after which one does that is replaced.
#: The next item starts another.
IDLE, BRIEF = 5.0, 0.05

#: The length of one wait for another thread, in seconds, and after how many waits without progress
#: that thread counts as hanging. Waits are counted, not seconds: a busy machine makes each longer.
#: With 50 of them, beside eight busy processes and as many exits on two cores, an exit gave up a
#: writer that was still being loaded: 3 runs of 7 lost a process's breadcrumbs. With 250 none did.
TURN, TURNS = 0.002, 250

#: The longest such wait with progress, in seconds.
LONGEST_GRACE = 10.0

#: Seconds of CPU that count as progress: more than two readings of two clocks differ by.
_NOTICEABLE = 0.0001


class Worker:
    """A queue, and a daemon thread on which a handler does its items.

    Parameters:
        keep_alive: returns True if an idle thread must stay. It is called with the lock held.
        idle: seconds after which a thread with nothing to do ends.
    """

    def __init__(
        self,
        name: str,
        handle: Handler,
        *,
        keep_alive: Callable[[], bool] = lambda: False,
        idle: float = IDLE,
    ) -> None:
        self._name = name
        self._handle = handle
        self._keep_alive = keep_alive
        self._idle = idle
        # Held while the handler runs, here or in `run_here`. Items are taken out only under it, so
        # none is being handled when it is free. Reentrant, for signal handlers.
        self._turn = make_rlock()
        # Guards all below, and is notified of each change. Reentrant, too. A thread that holds it
        # must not wait for `_turn`; the reverse order may wait.
        self._changed = Monitor()
        self._items: list[Any] = []
        self._thread: Thread | None = None
        self._woken = False
        self._closing = False
        # The handler's last answer. Set under `_turn`.
        self._pause = NEVER

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

    def is_current(self) -> bool:
        """Return True if the caller runs on its thread."""
        thread = self._thread
        return thread is not None and thread.is_current()

    def start(self) -> None:
        """Start the thread, if it is not there and can start."""
        # There is a race with a thread that is about to end: the next item starts another, or,
        # during the exit, stays on disk.
        if self._thread is None:
            self._start()

    def wake(self) -> None:
        """Have the handler called now, even if its pause is not over."""
        with self._changed:
            self.start()
            self._wake()

    def run_here(self, *items: object) -> None:
        """Queue items, and handle them on this thread, unless the worker's thread hangs."""
        self._items.extend(items)
        if not self._await(lambda: self._turn.acquire(blocking=False), time.monotonic(), TURNS):
            return
        try:
            while self._items and self._handle(self._items, False) == 0.0:
                pass
        finally:
            self._turn.release()

    def await_done(self, is_done: Callable[[], bool], deadline: float) -> bool:
        """Wait until the thread has done something that was queued.

        Parameters:
            is_done: returns True once it has. Called often.
            deadline: by `time.monotonic`. Once it has passed, the wait goes on only while the
                thread makes progress.

        Returns:
            False if it has not done so.
        """
        return self._await(is_done, deadline, TURNS)

    def is_idle(self) -> bool:
        """Return True if nothing is queued, in hand, or due later. Never waits."""
        if not self._turn.acquire(blocking=False):
            return False
        try:
            return not self._items and self._pause == NEVER
        finally:
            self._turn.release()

    def retire(self) -> None:
        """End the thread as soon as it has nothing to do, and not a while later."""
        with self._changed:
            self._idle = BRIEF
            self._wake()

    def close(self, deadline: float, *, patience: Callable[[], bool] | None = None) -> bool:
        """End the thread once it has nothing to do. Returns False if it is still there.

        Parameters:
            deadline: until when to wait for that, by `time.monotonic`.
            patience: returns True if it is worth while to wait on after that, as long as the thread
                makes progress. None: it is not.
        """
        with self._changed:
            self._closing = True
            thread = self._thread
            self._wake()
        if self.is_current():
            return False
        turns = TURNS if patience else 0
        ended = self._await(lambda: self._thread is None, deadline, turns, patience)
        if ended and thread is not None:
            thread.await_end(TURN * TURNS)  # only its last lines are left
        return ended

    def _start(self) -> None:
        with self._changed:
            if self._thread is not None or self._closing:
                return
            try:
                # Set before the start, since the thread itself sets it back when it ends.
                self._thread = Thread(self._run, self._name)
                self._thread.start()
            except Exception as error:  # beside a limit's: an audit hook's, a MemoryError
                self._thread = None
                reraise_from_handler(error)

    def _wake(self) -> None:
        self._woken = True
        self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException:  # memory, say: the next item starts another thread
            if find_own_thread() is None:  # a forked child, whose locks are nobody's to let go
                return
            with self._changed:
                self._thread = None
                self._changed.notify_all()

    def _work(self) -> None:
        """Call the handler whenever it is due, until the thread is to end."""
        idle = self._idle
        while True:
            with self._changed:
                if not self._await_work(self._pause, idle):
                    if self._keep_alive():
                        idle *= 2  # or it would wake up a process that lives for days
                        continue
                    self._thread = None
                    return
                idle = self._idle
                self._woken = False
            self._take_turn()
            with self._changed:
                if self._pause != NEVER:
                    continue
                self._changed.notify_all()
                if self._closing and not self._items:
                    self._thread = None
                    return

    def _take_turn(self) -> None:
        with self._turn:
            self._pause = NEVER
            try:
                self._pause = self._handle(self._items, True)
            except Exception:  # the last defence: no exception of ours reaches the host
                return

    def _await_work(self, pause: float, idle: float) -> bool:
        """Wait until the handler is due. Returns False if nothing came for ``idle`` seconds."""
        be_forgotten()
        due = time.monotonic() + (idle if pause == NEVER else pause)
        while not self._woken:
            remaining = due - time.monotonic()
            if remaining <= 0:
                return pause != NEVER
            self._changed.wait(remaining)
        return True

    def _await(
        self,
        is_done: Callable[[], bool],
        deadline: float,
        turns: int,
        patience: Callable[[], bool] | None = None,
    ) -> bool:
        """Wait for ``is_done`` until the deadline, then for ``turns`` waits without progress.

        Without ``patience``, either: the host's own threads may be what works.
        """
        left, seen = turns, _measure_work()
        with self._changed:
            while not is_done():
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    left, work = left - 1, _measure_work()
                    works = work - seen > _NOTICEABLE and -remaining < LONGEST_GRACE
                    if turns and works and (patience is None or patience()):
                        left, seen = turns, work
                    if left < 0:
                        return False
                self._changed.wait(max(remaining, TURN))
        return True


def _measure_work() -> float:
    """Return the seconds of CPU that all other threads have used; a wait for a disk uses none."""
    return float(time.process_time() - time.thread_time())

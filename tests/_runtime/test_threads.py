"""A queue and a thread, that know only a callable."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from support import PATIENCE

from migas._runtime import daemon
from migas._runtime.daemon import Thread, find_own_thread
from migas._runtime.threads import NEVER, TURN, TURNS, Worker


class Recorder:
    """A handler that takes all there is, notes its calls, and pauses as it is told."""

    def __init__(self, *pauses: float) -> None:
        self._pauses = list(pauses)
        self.calls: list[tuple[list[Any], bool]] = []
        self.threads: list[Thread | None] = []
        self.called = threading.Semaphore(0)

    def __call__(self, items: list[Any], can_wait: bool) -> float:
        self.calls.append((items.copy(), can_wait))
        items.clear()
        self.threads.append(find_own_thread())
        self.called.release()
        return self._pauses.pop(0) if self._pauses else NEVER

    def await_calls(self, count: int) -> None:
        for _ in range(count):
            assert self.called.acquire(timeout=PATIENCE)

    @property
    def items(self) -> list[Any]:
        return [item for items, _ in self.calls for item in items]


class Busy:
    """A handler that takes one item at a time, and is busy until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.done: list[Any] = []

    def __call__(self, items: list[Any], _can_wait: bool) -> float:
        if not items:
            return NEVER
        item = items.pop(0)
        self.begun.release()
        assert self.go.acquire(timeout=PATIENCE)
        self.done.append(item)
        return 0.0


def soon() -> float:
    return time.monotonic() + PATIENCE


def test_items_are_handled_in_order_on_one_daemon_thread() -> None:
    """Whatever their number, one thread hands them on."""
    handle = Recorder()
    worker = Worker("test", handle)
    assert all(worker.submit(n) for n in range(100))
    assert worker.close(soon())
    assert handle.items == list(range(100))
    [thread] = set(handle.threads)
    assert thread
    assert thread.name == "migas-test"
    assert not worker.is_running()


def test_no_thread_is_started_before_it_is_needed() -> None:
    """A process that notes nothing has no thread of ours."""
    before = _thread._count()
    worker = Worker("test", Recorder())
    assert _thread._count() == before
    assert worker.await_done(worker.is_idle, soon())
    assert worker.close(soon())


def test_the_handler_is_called_again_after_the_pause_that_it_asked_for() -> None:
    """With nothing new, and without being woken."""
    handle = Recorder(0.001)
    worker = Worker("test", handle)
    worker.submit(1)
    handle.await_calls(2)
    assert handle.calls == [([1], True), ([], True)]
    worker.close(soon())


def test_waking_ends_a_pause() -> None:
    """Whoever waits need not wait for the pause."""
    handle = Recorder(PATIENCE * 10)
    worker = Worker("test", handle, idle=PATIENCE * 20)
    worker.submit(1)
    handle.await_calls(1)
    worker.wake()
    handle.await_calls(1)
    worker.close(soon())


def test_closing_wakes_the_sleeper_and_lets_it_finish() -> None:
    """Pauses shorter than the budget are kept (pain 7)."""
    handle = Recorder(PATIENCE * 10, 0.001)
    worker = Worker("test", handle, idle=PATIENCE * 20)
    worker.submit(1)
    handle.await_calls(1)
    assert worker.close(soon())
    assert [items for items, _ in handle.calls] == [[1], [], []]


def test_a_handler_that_hangs_costs_the_budget_and_little_more() -> None:
    """Waiting ends after some waits without progress, and what is queued stays queued."""
    handle = Busy()
    worker = Worker("test", handle)
    worker.submit("taken")
    assert handle.begun.acquire(timeout=PATIENCE)
    worker.submit("left")
    assert not worker.await_done(worker.is_idle, time.monotonic())
    worker.run_here("more")
    assert not worker.close(time.monotonic(), patience=lambda: True)
    assert handle.done == []
    assert worker.count() == 2
    handle.go.release(3)
    assert worker.close(soon())
    assert handle.done == ["taken", "left", "more"]


def test_a_handler_that_makes_progress_is_waited_for_beyond_the_budget() -> None:
    """Each step begins the waits again, so a busy machine loses nothing (pain 41)."""
    steps = TURNS * 3

    def handle(items: list[Any], _can_wait: bool) -> float:
        time.sleep(TURN)
        items.pop(0)
        return 0.0 if items else NEVER

    worker = Worker("test", handle)
    for number in range(steps):
        worker.submit(number)
    assert worker.await_done(worker.is_idle, time.monotonic())
    assert worker.count() == 0
    worker.close(soon())


def test_a_caller_in_the_threads_place_waits_for_what_is_in_hand() -> None:
    """One at a time, in order, and the caller's own last (pain 41)."""
    handle = Busy()
    worker = Worker("test", handle)
    worker.submit(1)
    assert handle.begun.acquire(timeout=PATIENCE)
    caller = threading.Thread(target=worker.run_here, args=(2,))
    caller.start()
    assert not handle.begun.acquire(timeout=TURN)
    handle.go.release(2)
    caller.join(PATIENCE)
    assert worker.await_done(worker.is_idle, soon())
    assert handle.done == [1, 2]
    worker.close(soon())


def test_after_closing_nothing_is_taken() -> None:
    """The caller learns that it has to do it itself."""
    worker = Worker("test", Recorder())
    worker.close(soon())
    assert worker.submit(1) is False


def test_where_no_thread_can_start_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is told to see to it: at the exit, or at a limit of the system's (pain 9)."""

    def refuse(*_args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(daemon, "start_new_thread", refuse)
    handle = Recorder()
    worker = Worker("test", handle)
    assert not worker.submit(1)
    worker.run_here(1)
    assert handle.calls == [([1], False)]
    assert worker.close(soon())


def test_a_handler_that_raises_ends_nothing() -> None:
    """The last line of defence: the next item is handled all the same."""
    handle = Recorder()
    first = True

    def fail_once(items: list[Any], can_wait: bool) -> float:
        nonlocal first
        handle(items, can_wait)
        if first:
            first = False
            raise RuntimeError
        return NEVER

    worker = Worker("test", fail_once)
    worker.submit(1)
    handle.await_calls(1)
    worker.submit(2)
    handle.await_calls(1)
    assert handle.items == [1, 2]
    worker.close(soon())


def test_an_idle_thread_goes_and_the_next_item_brings_another() -> None:
    """A host that has nothing more to report has no thread of ours."""
    handle = Recorder()
    worker = Worker("test", handle, idle=0.001)
    for number in (1, 2):
        worker.submit(number)
        handle.await_calls(1)
        thread = handle.threads[-1]
        assert thread
        thread.await_end(PATIENCE)
        assert not worker.is_running()
    assert handle.items == [1, 2]


def test_a_thread_that_is_kept_alive_is_woken_less_and_less() -> None:
    """A laptop notices nothing of a process that lives for days."""
    looks: list[float] = []

    def keep_alive() -> bool:
        looks.append(time.monotonic())
        return len(looks) < 5

    handle = Recorder()
    worker = Worker("test", handle, idle=0.01, keep_alive=keep_alive)
    worker.submit(1)
    handle.await_calls(1)
    thread = handle.threads[0]
    assert thread
    thread.await_end(PATIENCE)
    waits = [later - sooner for sooner, later in pairwise(looks)]
    assert all(wait >= 0.01 * 2 ** (number + 1) for number, wait in enumerate(waits))
    assert len(waits) == 4


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="POSIX signals")
def test_no_signal_of_the_hosts_reaches_the_thread() -> None:
    """Delivered there, a Ctrl-C would not wake the main thread; a fault's signals stay."""
    masks: list[set[Any]] = []

    def handle(items: list[Any], _can_wait: bool) -> float:
        items.clear()
        masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        return NEVER

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    worker = Worker("test", handle)
    worker.submit(1)
    worker.close(soon())
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM} <= masks[0]
    assert signal.SIGSEGV not in masks[0]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_submitting_while_submitting_does_not_wait_for_itself() -> None:
    """A signal handler runs on the thread that it interrupts."""
    handle = Recorder()
    worker = Worker("test", handle)
    with worker._changed:
        worker.submit(1)
    worker.close(soon())
    assert handle.items == [1]

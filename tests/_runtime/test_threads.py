"""A queue and a thread, that know only a callable."""

from __future__ import annotations

import math
import signal
import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from support import PATIENCE

from migas._runtime.threads import Worker, run_within


class Recorder:
    """A handler that notes its calls, and pauses as it is told."""

    def __init__(self, *pauses: float) -> None:
        self._pauses = list(pauses)
        self.calls: list[tuple[list[Any], bool]] = []
        self.threads: list[threading.Thread] = []
        self.called = threading.Semaphore(0)

    def __call__(self, items: list[Any], closing: bool) -> float:
        self.calls.append((items, closing))
        self.threads.append(threading.current_thread())
        self.called.release()
        return self._pauses.pop(0) if self._pauses else math.inf

    def await_calls(self, count: int) -> None:
        for _ in range(count):
            assert self.called.acquire(timeout=PATIENCE)

    @property
    def items(self) -> list[Any]:
        return [item for items, _ in self.calls for item in items]


def test_items_are_handled_in_order_on_one_daemon_thread() -> None:
    """Whatever their number, one thread hands them on."""
    handle = Recorder()
    worker = Worker(handle, "test")
    assert all(worker.submit(n) for n in range(100))
    worker.close(PATIENCE)
    assert handle.items == list(range(100))
    [thread] = set(handle.threads)
    assert thread.daemon
    assert thread.name == "migas-test"


def test_the_initializer_is_called_on_the_thread_before_all_else() -> None:
    """So it may start what the handler hands on to."""
    handle, order = Recorder(), []

    def initialize() -> None:
        order.append(threading.current_thread())
        assert not handle.calls

    worker = Worker(handle, "test", initializer=initialize)
    worker.submit(1)
    worker.close(PATIENCE)
    assert order == [handle.threads[0]]


def test_no_thread_is_started_before_it_is_needed() -> None:
    """A process that notes nothing has no thread of ours."""
    before = threading.active_count()
    worker = Worker(Recorder(), "test")
    assert threading.active_count() == before
    assert worker.close(PATIENCE) == []


def test_the_handler_is_called_again_after_the_pause_that_it_asked_for() -> None:
    """With nothing new, and without being woken."""
    handle = Recorder(0.001)
    worker = Worker(handle, "test")
    worker.submit(1)
    handle.await_calls(2)
    assert handle.calls == [([1], False), ([], False)]
    worker.close(PATIENCE)


def test_waking_ends_a_pause() -> None:
    """Whoever waits need not wait for the pause."""
    handle = Recorder(PATIENCE * 10)
    worker = Worker(handle, "test", idle=PATIENCE * 20)
    worker.submit(1)
    handle.await_calls(1)
    worker.wake()
    handle.await_calls(1)
    worker.close(PATIENCE)


def test_closing_wakes_the_sleeper_and_lets_it_finish() -> None:
    """Pauses shorter than the budget are kept, and the last call knows that it is (pain 7)."""
    handle = Recorder(PATIENCE * 10, 0.001)
    worker = Worker(handle, "test", idle=PATIENCE * 20)
    worker.submit(1)
    handle.await_calls(1)
    assert worker.close(PATIENCE) == []
    assert handle.calls == [([1], False), ([], True), ([], True)]


def test_closing_gives_back_what_a_busy_thread_did_not_take() -> None:
    """A handler that hangs costs the budget, and what is queued behind it is not lost."""
    busy, go = threading.Event(), threading.Event()

    def handle(_items: list[Any], _closing: bool) -> float:
        busy.set()
        go.wait(PATIENCE)
        return math.inf

    worker = Worker(handle, "test")
    worker.submit("taken")
    busy.wait(PATIENCE)
    worker.submit("left")
    assert worker.close(0.01) == ["left"]
    go.set()


def test_after_closing_nothing_is_taken() -> None:
    """The caller learns that it has to do it itself."""
    worker = Worker(Recorder(), "test")
    worker.close(PATIENCE)
    assert worker.submit(1) is False


def test_where_no_thread_can_start_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is told to see to it: at the exit, or at a limit of the system's (pain 9)."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    worker = Worker(Recorder(), "test")
    assert not worker.submit(1)
    assert worker.close(PATIENCE) == []
    assert run_within(PATIENCE, lambda: "done here") == "done here"


def test_a_handler_that_raises_ends_nothing() -> None:
    """The last line of defence: the next item is handled all the same."""
    handle = Recorder()
    first = True

    def fail_once(items: list[Any], closing: bool) -> float:
        nonlocal first
        handle(items, closing)
        if first:
            first = False
            raise RuntimeError
        return math.inf

    worker = Worker(fail_once, "test")
    worker.submit(1)
    handle.await_calls(1)
    worker.submit(2)
    handle.await_calls(1)
    assert handle.items == [1, 2]
    worker.close(PATIENCE)


def test_an_idle_thread_goes_and_the_next_item_brings_another() -> None:
    """A host that has nothing more to tell has no thread of ours."""
    handle = Recorder()
    worker = Worker(handle, "test", idle=0.001)
    for number in (1, 2):
        worker.submit(number)
        handle.await_calls(1)
        handle.threads[-1].join(PATIENCE)
        assert not handle.threads[-1].is_alive()
    assert handle.items == [1, 2]


def test_a_thread_that_stays_is_woken_less_and_less() -> None:
    """A laptop notices nothing of a process that lives for days."""
    looks: list[float] = []

    def stay() -> bool:
        looks.append(time.monotonic())
        return len(looks) < 5

    handle = Recorder()
    worker = Worker(handle, "test", idle=0.01, stays=stay)
    worker.submit(1)
    handle.await_calls(1)
    handle.threads[0].join(PATIENCE)
    waits = [later - sooner for sooner, later in pairwise(looks)]
    assert all(wait >= 0.01 * 2 ** (number + 1) for number, wait in enumerate(waits))
    assert len(waits) == 4


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="POSIX signals")
def test_no_signal_of_the_hosts_reaches_the_thread() -> None:
    """Delivered there, a Ctrl-C would not wake the main thread; a fault's signals stay."""
    masks: list[set[Any]] = []

    def handle(_items: list[Any], _closing: bool) -> float:
        masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        return math.inf

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    worker = Worker(handle, "test")
    worker.submit(1)
    worker.close(PATIENCE)
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM} <= masks[0]
    assert signal.SIGSEGV not in masks[0]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_call_within_bounds_returns_or_raises_what_the_call_does() -> None:
    """The caller notices no thread."""
    assert run_within(PATIENCE, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        run_within(PATIENCE, lambda: 1 // 0)


def test_a_call_that_takes_too_long_is_left_behind() -> None:
    """As a name look-up that nothing can stop."""
    go = threading.Event()
    assert run_within(0.01, lambda: go.wait(PATIENCE)) is None
    go.set()


def test_submitting_while_submitting_does_not_wait_for_itself() -> None:
    """A signal handler runs on the thread that it interrupts."""
    handle = Recorder()
    worker = Worker(handle, "test")
    with worker._changed:
        worker.submit(1)
    worker.close(PATIENCE)
    assert handle.items == [1]

"""What a thread of ours begins with, and what it leaves to the host's next thread."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # see `migas._runtime.daemon`
import functools
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from support import PATIENCE, SLOW

from migas._runtime import daemon
from migas._runtime.threads import NEVER, Worker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support import Host

    from migas.testing import Server

#: Bytes, more than any Python takes for the least: 3.15 asks for 52 KiB.
SMALL = 1 << 16


def take(items: list[Any], _can_wait: bool) -> float:
    items.clear()
    return NEVER


@pytest.mark.parametrize("size", [0, SMALL, daemon.STACK, 4 * daemon.STACK])
def test_the_hosts_size_of_stacks_is_as_it_was(size: int) -> None:
    """Our threads have what they need, and the host's next thread has what the host has set."""
    before = threading.stack_size(size)
    try:
        worker = Worker("test", take)
        assert worker.submit(1)
        assert worker.close(time.monotonic() + PATIENCE)
        assert threading.stack_size(size) == size
    finally:
        threading.stack_size(before)


def test_a_start_that_fails_leaves_the_hosts_size_of_stacks() -> None:
    """The system may refuse a thread between the steps that change the size."""
    before = threading.stack_size(SMALL)
    try:
        with pytest.raises(TypeError):
            daemon.start_thread(42)  # type: ignore[arg-type]
        assert threading.stack_size(SMALL) == SMALL
    finally:
        threading.stack_size(before)


def test_two_threads_that_start_ours_at_once_leave_the_hosts_size() -> None:
    """The second one would take our size for the host's, and leave it behind."""
    begun, ended = threading.Event(), threading.Event()

    def start_another() -> None:
        other.start()
        begun.wait(0.1)  # it waits for the lock

    def stay() -> None:
        begun.set()
        ended.wait(PATIENCE)

    other = threading.Thread(target=daemon.run_with_stack, args=[functools.partial(stay)])
    assert daemon.run_with_stack(functools.partial(start_another)) == 0
    ended.set()
    other.join(PATIENCE)
    assert threading.stack_size(0) == 0


def test_a_double_of_the_hosts_threads_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours starts, whatever a host's test has put in the place of `Thread.start` (pain 39)."""
    monkeypatch.setattr(threading.Thread, "start", lambda _thread: None)
    worker = Worker("test", take)
    assert worker.submit(1)
    assert worker.await_done(worker.is_idle, time.monotonic() + PATIENCE)
    assert worker.close(time.monotonic() + PATIENCE)


def test_a_thread_that_fails_leaves_its_place_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception on the thread prints nothing, and the next item starts another thread."""
    printed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    failures = [MemoryError()]

    def fail_once() -> bool:
        if failures:
            raise failures.pop()
        return False

    worker = Worker("test", take, keep_alive=fail_once, idle=0.001)
    worker.submit(1)
    assert worker.await_done(lambda: not worker.is_running(), time.monotonic() + PATIENCE)
    worker.submit(2)
    assert worker.await_done(worker.is_idle, time.monotonic() + PATIENCE)
    assert worker.close(time.monotonic() + PATIENCE)
    assert not printed


CONTEXT = """
import contextvars, gc, logging, weakref
import migas
class Value: pass
variable = contextvars.ContextVar('variable', default='nothing')
seen, values = [], [Value()]
alive = weakref.ref(values[0])
def edit(crumb):
    seen.append(variable.get())
    return crumb
def use():
    variable.set(values.pop())
    migas.add_project('owner/repo', '1').result(40)
migas.setup(before_send=edit)
contextvars.copy_context().run(use)
gc.collect()
print(*seen, alive())
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="no thread inherits a context")
def test_our_threads_begin_with_an_empty_context(host: Host, server: Server) -> None:
    """`before_send` sees nothing of the host's, and nothing of it lives on with our threads."""
    arguments = ("-X", "thread_inherit_context=1", "-c", CONTEXT)
    ended = host.run("", SLOW, arguments=arguments)
    assert (ended.out, ended.calmly) == ("nothing None\n", True), ended
    assert len(server.crumbs) == 1


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="POSIX signals")
def test_what_a_handler_raises_at_a_start_leaves_no_signal_blocked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The call that changes the mask runs handlers, and has changed it even where it raises."""
    change = _signal.pthread_sigmask

    def raise_after(how: int, mask: Iterable[int]) -> set[int]:
        before: set[int] = change(how, mask)
        if how == signal.SIG_BLOCK and mask:
            raise TimeoutError("a handler of the host's")
        return before

    before = change(signal.SIG_BLOCK, ())
    monkeypatch.setattr(_signal, "pthread_sigmask", raise_after)
    with pytest.raises(TimeoutError):
        daemon.Thread(lambda: None, "one").start()
    assert change(signal.SIG_BLOCK, ()) == before


def test_a_call_within_bounds_returns_or_raises_what_the_call_does() -> None:
    """The caller notices no thread."""
    assert daemon.run_within(PATIENCE, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        daemon.run_within(PATIENCE, lambda: 1 // 0)


def test_a_call_that_takes_too_long_is_left_behind() -> None:
    """As a name look-up that nothing can stop."""
    go = threading.Event()
    assert daemon.run_within(0.01, lambda: go.wait(PATIENCE)) is None
    go.set()


def test_where_no_thread_can_start_the_callers_own_has_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a limit of the system's there is an answer all the same (pain 9)."""

    def refuse(*_args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(daemon, "start_new_thread", refuse)
    assert daemon.run_within(PATIENCE, lambda: "done here") == "done here"

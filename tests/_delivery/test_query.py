"""A question waits for its answer, and no longer than its caller does."""

from __future__ import annotations

import threading
import time

import pytest
from support import PATIENCE

from migas._delivery.query import Greeting, reach, run_within
from migas._runtime import daemon
from migas._runtime.settings import Settings
from migas.testing import Fault, Server


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


def test_where_no_thread_can_start_the_callers_own_has_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a limit of the system's there is an answer all the same (pain 9)."""

    def refuse(*_args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(daemon, "start_new_thread", refuse)
    assert run_within(PATIENCE, lambda: "done here") == "done here"


@pytest.mark.parametrize("geolocation", [True, False])
def test_a_server_that_is_reached_says_whether_it_derives_a_place(geolocation: bool) -> None:
    """As its answer's header does; without an answer nobody knows."""
    with Server(geolocation=geolocation) as server:
        settings = Settings(endpoint=server.endpoint, timeout=float(PATIENCE))
        assert reach(settings, time.monotonic() + PATIENCE) == Greeting("", geolocation)
        server.inject(Fault.status(503))
        told = reach(settings, time.monotonic() + PATIENCE)
        assert told == Greeting("the server answered 503", None)

"""The monitor of a program's end, which all runs of a process share."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from migas._runtime.frames import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable


class Callback:
    """A callback that does something else while it is compared: there a thread may be switched."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, act: Callable[[], None] = lambda: None) -> None:
        self._act = act

    def __call__(self, error: BaseException) -> None:
        """Do nothing with an exception."""

    def __eq__(self, other: object) -> bool:
        act, self._act = self._act, lambda: None
        act()
        return self is other


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")
@pytest.mark.parametrize("who", ["a signal handler", "another thread"])
def test_a_watch_that_begins_while_the_last_one_ends_is_not_lost(who: str) -> None:
    """Neither its callback nor the tool that calls it."""
    monitor, second, threads = Monitor(), Callback(), []

    def begin() -> None:
        if who == "a signal handler":
            monitor.watch(None, second)
            return
        thread = threading.Thread(target=monitor.watch, args=[None, second])
        thread.start()
        thread.join(0.1)  # it waits for the lock
        threads.append(thread)

    def find_tools() -> list[str | None]:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        return [monitoring.get_tool(number) for number in range(6)]

    before = find_tools()
    first = Callback(begin)
    assert monitor.watch(None, first)
    monitor.unwatch(Callback())
    for thread in threads:
        thread.join()
    monitor.unwatch(first)
    assert [watched[2] for watched in monitor._watched] == [second]
    assert find_tools() != before
    monitor.unwatch(second)
    assert find_tools() == before

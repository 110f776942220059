"""Frames are looked at where that is safe; all runs share the monitor of the program's end."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from migas._runtime import frames
from migas._runtime.frames import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable


class Watched(list[Any]):
    """Watchers. Right after somebody has seen that there are none, something else happens."""

    act: Callable[[], object] | None = None

    def __len__(self) -> int:
        length = super().__len__()
        if length == 0 and self.act is not None:
            act, self.act = self.act, None
            act()
        return length


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")
@pytest.mark.parametrize("who", ["a signal handler", "another thread"])
def test_a_watch_that_begins_while_the_last_one_ends_is_not_lost(who: str) -> None:
    """The last one takes the tool with it that would have called the new one's callback."""
    monitor, watched = Monitor(), Watched()
    threads: list[threading.Thread] = []

    def begin() -> None:
        if who == "a signal handler":
            monitor.watch(None, second)
            return
        thread = threading.Thread(target=monitor.watch, args=[None, second])
        thread.start()
        thread.join(0.1)  # it waits for the lock
        threads.append(thread)

    def first(_error: BaseException) -> None:
        """Take an exception."""

    def second(_error: BaseException) -> None:
        """Take another."""

    def find_tools() -> list[str | None]:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        return [monitoring.get_tool(number) for number in range(6)]

    before, monitor._watched = find_tools(), watched
    assert monitor.watch(None, first)
    watched.act = begin
    monitor.unwatch(first)
    for thread in threads:
        thread.join()
    assert [each[2] for each in watched] == [second]
    assert find_tools() != before
    monitor.unwatch(second)
    assert find_tools() == before


def test_no_other_threads_frames_are_looked_at_without_a_gil(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CPython's HOWTO calls that unsafe there; with a GIL the main thread's frame is found."""
    found: list[bool] = []

    def find() -> None:
        found.append(frames.find_program_frame() is None)

    for has_gil in (True, False):
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda has_gil=has_gil: has_gil, raising=False)
        thread = threading.Thread(target=find)
        thread.start()
        thread.join()
    assert found == [False, True]

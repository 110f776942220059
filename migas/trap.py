"""The trap: signals that a run hears of before the host does, whose they remain."""

from __future__ import annotations

import signal
import threading

from . import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any


class Trap:
    """Calls ``tell`` with each of ``signals`` that comes, and then does what would have been done.

    Set by the main thread alone, since Python lets no other. Left alone are a signal that is
    ignored, one that code outside of Python handles, and a Ctrl-C that raises `KeyboardInterrupt`:
    asyncio and trio look for that very handler, and the exception tells as much.
    """

    def __init__(self, signals: Iterable[int], tell: Callable[[int], None]) -> None:
        self._signals = tuple(signals)
        self._tell = tell
        self._previous: dict[int, Any] = {}

    def set(self) -> None:
        """Begin to listen."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self._signals:
            try:
                previous = signal.getsignal(number)
                if previous in (None, signal.SIG_IGN, signal.default_int_handler):
                    continue
                self._previous[number] = previous
                signal.signal(number, self._catch)
            except (OSError, ValueError):  # no signal here, or one that cannot be caught
                self._previous.pop(number, None)

    def release(self) -> None:
        """Put back what was there, unless the host has put something else there since."""
        if threading.current_thread() is not threading.main_thread():
            return  # it stays, and passes on
        for number, previous in self._previous.items():
            if signal.getsignal(number) == self._catch:
                signal.signal(number, previous)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        try:
            self._tell(number)
        except Exception as error:  # nothing of ours may reach the host, least of all here
            log.say(log.DEBUG, "a last word is lost: %r", error)
        previous = self._previous[number]
        if callable(previous):
            previous(number, frame)
            return
        # The default action, so that whoever waits for this process sees how it ended.
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        signal.signal(number, self._catch)  # it was none that ends a process


def name_signal(number: int) -> str:
    """Return a signal's name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""The endings: how the main program ends, and the signals that a run hears of before the host."""

from __future__ import annotations

import signal
import sys
import threading

from migas._runtime import log
from migas.error import find_last, is_interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any, NoReturn


class Ending:
    """Watches for the end of the program that runs on the main thread.

    The interpreter keeps an exception that nobody handled, but not the status of an exit. So
    `sys.exit` is replaced by a function that notes the status and does the same; and whether the
    exit was caught in time is told by the outermost frame, which then came to its own end.
    """

    def __init__(self) -> None:
        self._noted: BaseException | None = None
        self._has_noted = False
        self._outermost: FrameType | None = None
        self._exit = sys.exit

    def watch(self) -> None:
        """Begin to watch; on the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return
        frame: FrameType | None = sys._getframe()  # noqa: SLF001  # inspect is an import of 10 ms
        while frame is not None:
            self._outermost, frame = frame, frame.f_back
        self._exit, sys.exit = sys.exit, self._note

    def release(self) -> None:
        """Put `sys.exit` back, unless somebody has replaced it since."""
        self._outermost = None
        if sys.exit == self._note:
            sys.exit = self._exit

    def find(self) -> BaseException | None:
        """Return the exception by which the program ends, or None: it came to its end.

        Raises `LookupError` where it ends by an exit whose status nobody can know: one that was
        raised as `raise SystemExit(…)`.
        """
        error = find_last()
        traceback = None if error is None else error.__traceback__
        # Others keep exceptions there that did not end anything: an interactive shell, pytest.
        if traceback is not None and not hasattr(sys, "ps1"):
            frame = traceback.tb_frame
            if frame is self._outermost or (self._outermost is None and frame.f_back is None):
                return error
        if self._outermost is not None and _has_returned(self._outermost):
            return None
        if self._outermost is not None and not self._has_noted:
            raise LookupError("the program ended by an exit of an unknown status")
        return self._noted

    def _note(self, status: str | int | None = None, /) -> NoReturn:
        """Exit the interpreter by raising SystemExit(status)."""
        if threading.current_thread() is threading.main_thread():
            interrupted = bool(status) and is_interrupted(sys.exc_info()[1])
            # Not the exception at work itself: its traceback keeps the host's variables alive.
            self._noted = KeyboardInterrupt() if interrupted else SystemExit(status)
            self._has_noted = True
        self._exit(status)


def _has_returned(frame: FrameType) -> bool:
    """Say whether a frame came to its end by a `return`, and not by an exception."""
    import opcode

    last = frame.f_code.co_code[frame.f_lasti]
    return opcode.opname[last] in ("RETURN_VALUE", "RETURN_CONST")


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

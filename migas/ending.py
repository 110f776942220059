"""The ending: how the main program of this process ends, as far as an exit hook can know."""

from __future__ import annotations

import sys
import threading

from .error import find_last, is_interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn


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

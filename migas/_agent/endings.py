"""The endings: find out how the program ends, and which signals suspend a run before that.

This module owns what `track` installs in the host's process, and puts it back: a replacement of
`sys.exit` (`ExitWatcher`) and handlers of signals (`SignalWatcher`). Both do what was done before.

What may go wrong:

- The status of an exit is unknown: the program ended with `raise SystemExit(3)`, or it had looked
  up `sys.exit` before that was replaced, as in `sys.exit(main())`. Then no final status is
  reported, rather than a wrong one.
- The host replaces `sys.exit` or a handler after us. Then its own stays, and ours is called if the
  host's calls what it found.
- Another thread starts or stops a watcher. Python lets only the main thread set handlers, and the
  program ends on the main thread only. So elsewhere nothing is installed, and nothing put back.
"""

from __future__ import annotations

import signal
import sys
import threading

from migas._runtime import log
from migas._runtime.frames import find_outermost_frame
from migas.error import find_last_exception, is_interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any, NoReturn


class ExitWatcher:
    """Finds the exception that ends the program on the main thread.

    When the interpreter exits, it keeps an exception that nobody handled in `sys.last_value`, but
    it has forgotten a `SystemExit`. So `sys.exit` is replaced by a function that notes the status
    and then exits. Somebody may catch that exit. Whether that happened shows in the outermost
    frame: its last instruction was a `return`, or it was not.
    """

    def __init__(self) -> None:
        # The last exit through our `sys.exit`, or None. Only the main thread changes it.
        self._noted: BaseException | None = None
        # The main thread's outermost frame. None: not started, or on another thread.
        self._outermost: FrameType | None = None
        self._previous_exit = sys.exit

    def start(self) -> None:
        """Replace `sys.exit`, and remember the outermost frame. On another thread, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._outermost = find_outermost_frame()
        self._previous_exit, sys.exit = sys.exit, self._note

    def stop(self) -> None:
        """Put `sys.exit` back, unless somebody else has replaced it since."""
        self._outermost = None
        if sys.exit == self._note:
            sys.exit = self._previous_exit

    def find_exception(self) -> BaseException | None:
        """Return the exception that ends the program, or None if it ends without one.

        Called at the interpreter's exit. A Ctrl-C that became an exit is a `KeyboardInterrupt`.

        Raises:
            LookupError: the program ends by a `SystemExit` whose status nobody has noted.
        """
        error = find_last_exception()
        if error is not None and self._has_ended_program(error):
            return error
        if self._outermost is None or _has_returned(self._outermost):
            return None
        if self._noted is None:
            raise LookupError("the program ended by an exit of an unknown status")
        return self._noted

    def _has_ended_program(self, error: BaseException) -> bool:
        """Return True if the last unhandled exception left the outermost frame.

        Interactive shells and pytest keep exceptions in `sys.last_value` that ended nothing.
        """
        traceback = error.__traceback__
        if traceback is None or hasattr(sys, "ps1"):  # only interactive interpreters have a prompt
            return False
        frame = traceback.tb_frame
        return frame is self._outermost or (self._outermost is None and frame.f_back is None)

    def _note(self, status: str | int | None = None, /) -> NoReturn:
        """Exit the interpreter by raising SystemExit(status)."""
        if threading.current_thread() is threading.main_thread():
            interrupted = bool(status) and is_interrupted(sys.exc_info()[1])
            # An exception of our own: the traceback of the real one would keep alive every local
            # variable of the host's.
            self._noted = KeyboardInterrupt() if interrupted else SystemExit(status)
        self._previous_exit(status)


def _has_returned(frame: FrameType) -> bool:
    """Return True if the last instruction of a finished frame was a `return`."""
    import opcode

    last = frame.f_code.co_code[frame.f_lasti]
    return opcode.opname[last] in ("RETURN_VALUE", "RETURN_CONST")


class SignalWatcher:
    """Calls ``report`` with the number of each signal that arrives, then does what the host wants.

    That is what would have happened without us: the host's own handler is called, or the signal
    takes its default action. Three kinds of signals are not watched: one that is ignored; one whose
    handler was not set from Python; and a Ctrl-C that raises `KeyboardInterrupt`, since asyncio and
    trio look for that very handler, and the exception reports as much.

    Parameters:
        signals: the numbers of signals. Those that this system does not have, or that nobody can
            catch, are skipped.
        report: runs inside the signal's handler, between any two instructions of the main thread.
            What it raises is logged and dropped.
    """

    def __init__(self, signals: Iterable[int], report: Callable[[int], None]) -> None:
        self._signals = tuple(signals)
        self._report = report
        # The handler that each signal had before. Only the main thread changes it.
        self._previous: dict[int, Any] = {}

    def start(self) -> None:
        """Set the handlers. On another thread than the main one, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self._signals:
            try:
                previous = signal.getsignal(number)
                if previous in (None, signal.SIG_IGN, signal.default_int_handler):
                    continue
                # Before the handler is set: the signal may arrive right after.
                self._previous[number] = previous
                signal.signal(number, self._catch)
            except (OSError, ValueError):
                self._previous.pop(number, None)

    def stop(self) -> None:
        """Put the previous handlers back, unless somebody else has replaced ours since.

        On another thread than the main one, do nothing: ours stay, and call the previous ones.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number, previous in self._previous.items():
            if signal.getsignal(number) == self._catch:
                signal.signal(number, previous)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: report it, and have the previous handler or the default action."""
        try:
            self._report(number)
        except Exception as error:  # nothing of ours may reach the host, least of all here
            log.say(log.DEBUG, "a final status is lost: %r", error)
        previous = self._previous[number]
        if callable(previous):
            previous(number, frame)
            return
        # The default action ends the process, and a parent that waits for it sees which signal did.
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        # Still alive: the default action of this signal ends no process (SIGCHLD's does not).
        signal.signal(number, self._catch)


def name_signal(number: int) -> str:
    """Return a signal's name, `SIGTERM` for 15, or `signal 99` if it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

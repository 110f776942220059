"""The endings: find out how the program ends, and which signals suspend a run before that.

This module owns what `track` installs in the host's process, and puts it back: a tool of
`sys.monitoring` or, where there is none, a replacement of `sys.exit` (`ExitWatcher`), and handlers
of signals (`SignalWatcher`). All do what was done before.

What may go wrong:

- The status of an exit is unknown: Python is older than 3.12, and the program ended with
  `raise SystemExit(3)`, or had looked up `sys.exit` before that was replaced. Then no final status
  is reported, rather than a wrong one.
- The host replaces `sys.exit` or a handler after us. Then its own stays, and ours is called if the
  host's calls what it found.
- Another thread starts or stops a watcher of signals. Python lets only the main thread set
  handlers. So elsewhere none is installed, and none put back.
"""

from __future__ import annotations

import signal
import sys
import weakref

from migas._runtime import log
from migas._runtime.bytecode import PendingExit
from migas._runtime.frames import find_program_frame, has_returned, monitor, was_left_by_dying
from migas._runtime.place import is_main_thread
from migas._runtime.signals import has_native_handler, reraise_from_handler
from migas.error import find_last_exception, is_interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import FrameType
    from typing import Any, NoReturn, TypeAlias

    #: The fields of a final status, and what it says if no field does: "Failed".
    Ending: TypeAlias = tuple[Mapping[str, object], object]

#: Where asyncio and trio make the handlers by which a Ctrl-C ends their loops.
_LOOPS = ("asyncio.runners", "trio._core._ki")


class ExitWatcher:
    """Finds out how the program ends, for a run that ends with it.

    The program's frame has returned, or an exception has left it. From Python 3.12 on `monitor`
    calls with that exception, whatever a debugger or a runner makes of it later.

    Before, the interpreter keeps an exception that nobody handled in `sys.last_value`, but it has
    forgotten a `SystemExit` when our exit hook runs. So `sys.exit` is replaced by a function that
    notes the status and then exits. If the program catches that exit, the status is forgotten.

    Parameters:
        describe: returns the final status of a run that an exception ended, or None. It is called
            at once, since an exception that is kept would keep the host's variables alive.
    """

    def __init__(self, describe: Callable[[BaseException | None], Ending]) -> None:
        self._describe = describe
        self._program: FrameType | None = None
        # What the exception says that left the program. Only the main thread sets it.
        self._ending: Ending | None = None
        # Where no monitor tells: the exit that is under way since before the start.
        self._pending: PendingExit | None = None
        # The last exit through our `sys.exit`, and a reference to what dies with that exit. Only
        # the main thread sets them.
        self._noted: BaseException | None = None
        self._mark: Callable[[], object] = _Mark
        #: What `sys.exit` was before. Only the main thread changes it.
        self.previous = sys.exit
        self._exit = self._make_exit()

    def start(self) -> None:
        """Find the program's frame, and begin to watch."""
        self._program = find_program_frame()
        if not monitor.watch(self._program, self._take):
            self._pending = PendingExit(self._program)
            self.previous, sys.exit = sys.exit, self._exit

    def stop(self) -> None:
        """End the watch. Put `sys.exit` back, unless somebody else has replaced it since.

        If another watcher has, it calls from now on what ours has called.
        """
        self._program = self._pending = None
        monitor.unwatch(self._take)
        if sys.exit == self._exit:
            sys.exit = self.previous
            return
        other = getattr(sys.exit, "watcher", None)
        while isinstance(other, ExitWatcher):
            if other.previous == self._exit:
                other.previous = self.previous
                return
            other = getattr(other.previous, "watcher", None)

    def find_ending(self) -> Ending:
        """Return the final status of the run, at the interpreter's exit.

        Raises:
            LookupError: nobody knows how the program has ended.
        """
        if self._ending is not None:
            return self._ending
        if self._pending is not None:
            return self._describe(self._infer(self._pending))
        if self._program is not None and has_returned(self._program):
            return self._describe(None)
        raise LookupError("nobody knows how the program has ended")

    def _infer(self, pending: PendingExit) -> BaseException | None:
        """Return the exception that ended the program, or None, where no monitor tells.

        Raises:
            LookupError: nobody knows how the program has ended.
        """
        error = find_last_exception()
        if error is not None and self._has_left_program(error):
            return error
        if self._noted is not None and self._mark() is None:
            return self._noted
        if hasattr(sys, "ps1"):  # only prompts have one, and nobody sees how a prompt ends
            raise LookupError("the program ended at a prompt")
        if self._program is not None and has_returned(self._program):
            return None
        return SystemExit(pending.find_status())

    def _take(self, error: BaseException) -> None:
        """Take the exception by which the program ends. The first one counts."""
        if self._ending is not None:
            return
        try:
            self._ending = self._describe(error)
        except Exception as failure:  # a host's exception may raise when its attributes are read
            log.say(log.DEBUG, "a final status is lost: %r", failure)

    def _has_left_program(self, error: BaseException) -> bool:
        """Return True if the last unhandled exception left the program's frame.

        Interactive shells and pytest keep exceptions in `sys.last_value` that ended nothing.
        """
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame is not self._program:
            traceback = traceback.tb_next
        return traceback is not None

    def _make_exit(self) -> Callable[..., NoReturn]:
        """Return what stands in for `sys.exit`: by its name too, by which `pickle` finds it."""

        def exit(status: str | int | None = None, /) -> NoReturn:  # noqa: A001
            """Exit the interpreter by raising SystemExit(status)."""
            try:
                self.previous(status)
            except SystemExit as error:
                if is_main_thread():
                    self._note(error)
                raise

        exit.__module__, exit.__qualname__ = "sys", "exit"
        exit.watcher = self  # type: ignore[attr-defined]
        return exit

    def _note(self, error: SystemExit) -> None:
        # An exception of our own: the traceback of the real one would keep alive every local
        # variable of the host's.
        interrupted = bool(error.code) and is_interrupted(error)
        self._noted = KeyboardInterrupt() if interrupted else SystemExit(error.code)
        # An exception knows no weak references, but may hold what does: one for each watcher.
        mark = _Mark()
        error.__dict__.setdefault("migas", []).append(mark)
        self._mark = weakref.ref(mark, self._lose)

    def _lose(self, _mark: object) -> None:
        """Forget an exit that dies, unless it has left the program."""
        if not (is_main_thread() and was_left_by_dying(self._program, self._exit.__code__)):
            self._noted = None


class _Mark:
    """Dies with the exit that holds it."""

    __slots__ = ("__weakref__",)


class SignalWatcher:
    """Calls ``report`` with the number of each signal that arrives, then does what the host wants.

    That is what would have happened without us: the host's own handler is called, or the signal
    takes its default action. Three kinds of signals are not watched: one that is ignored; one whose
    handler was not set from Python; and a Ctrl-C that Python, asyncio or trio makes an exception
    of. The exception reports as much, and asyncio and trio look for their own handler and Python's.

    Parameters:
        signals: the numbers of signals. Those that this system does not have, or that nobody can
            catch, are skipped.
        report: runs inside the signal's handler, between any two instructions of the main thread.
            What it raises is logged and dropped.
    """

    def __init__(self, signals: Iterable[int], report: Callable[[int], None]) -> None:
        self._signals = tuple(signals)
        self._report = report
        #: The handler that each signal had before. Only the main thread changes it.
        self.previous: dict[int, Any] = {}

    def start(self) -> None:
        """Set the handlers. On another thread than the main one, do nothing."""
        if not is_main_thread():
            return
        for number in self._signals:
            try:
                previous = signal.getsignal(number)
                if previous in (None, signal.SIG_IGN) or _raises_by_itself(previous):
                    continue
                if previous == signal.SIG_DFL and has_native_handler(number):
                    continue
                # Before the handler is set: the signal may arrive right after.
                self.previous[number] = previous
                signal.signal(number, self._catch)
            except (OSError, ValueError) as error:
                reraise_from_handler(error)
                self.previous.pop(number, None)

    def stop(self) -> None:
        """Put the previous handlers back, unless somebody else has replaced ours since.

        If another watcher has, it calls ours, and from now on what ours has called. On another
        thread than the main one, do nothing: ours stay, and call the previous ones.
        """
        if not is_main_thread():
            return
        for number, previous in self.previous.items():
            current = signal.getsignal(number)
            if current == self._catch:
                signal.signal(number, previous)
                continue
            while isinstance(watcher := getattr(current, "__self__", None), SignalWatcher):
                current = watcher.previous.get(number)
                if current == self._catch:
                    watcher.previous[number] = previous
                    break

    def _catch(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: report it, and have the previous handler or the default action."""
        try:
            self._report(number)
        except Exception as error:  # nothing of ours may reach the host, least of all here
            log.say(log.DEBUG, "a final status is lost: %r", error)
        previous = self.previous[number]
        if callable(previous):
            previous(number, frame)
            return
        # The default action ends the process, and a parent that waits for it sees which signal did.
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        # Still alive: the default action of this signal ends no process (SIGCHLD's does not).
        signal.signal(number, self._catch)


def _raises_by_itself(handler: object) -> bool:
    """Return True if a signal's handler makes an exception of a Ctrl-C: Python's, or a loop's."""
    function = getattr(handler, "func", handler)  # asyncio's is a `partial`
    is_loops = getattr(function, "__module__", None) in _LOOPS
    return is_loops or handler == signal.default_int_handler

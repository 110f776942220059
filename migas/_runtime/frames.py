"""The frames: finds the frame of the program, and notices the exception that leaves it.

This module owns what only CPython's internals know of a program's end. `track` alone needs it, so
`import migas` does not load it.

What may go wrong: Python is older than 3.12, or two other tools monitor the process. Then nobody
notices the exception, and the caller has to find out by other means.
"""

from __future__ import annotations

import sys
import threading

from .native import ProcessLock
from .place import FIRST, find_outermost_frame, is_main_thread
from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, TracebackType
    from typing import Any

#: The ids that `sys.monitoring` leaves to tools of no known kind. It knows 0 (debuggers), 1
#: (coverage), 2 (profilers) and 5 (optimizers): https://docs.python.org/3/library/sys.monitoring.html
TOOL_IDS = (4, 3)


def find_program_frame() -> FrameType | None:
    """Return the frame of the program that runs on the main thread, or None if it has none.

    The program is the main module in the middle of which this is called. Under coverage, pdb,
    cProfile or runpy that is not the main module of the interpreter, but the one that these run.
    Without such a module, as with `python -c`, the program is the code that the interpreter runs.
    """
    innermost = frame = _find_main_threads_frame()
    found: FrameType | None = None
    while frame is not None:
        # `exec` may run code in the name of the module: then the module's own frame is further out.
        if is_main_module(frame) and (found is None or frame.f_globals is found.f_globals):
            found = frame
        frame = frame.f_back
    if found is None and innermost is not None:
        # A greenlet's first frame is a function's, and so is that of a C program's callback.
        outermost = find_outermost_frame(innermost)
        found = outermost if outermost.f_code.co_name in FIRST else None
    return found


def is_main_module(frame: FrameType) -> bool:
    """Return True if a frame runs the code of a file as the main module."""
    code, names = frame.f_code, frame.f_globals
    return (
        code.co_name == "<module>"
        and names.get("__name__") == "__main__"
        and names.get("__file__") == code.co_filename
    )


def was_left_by_dying(frame: FrameType | None, origin: CodeType) -> bool:
    """Return True if a frame was left by an exception that dies now, and that ``origin`` raised.

    Its traceback is still there, and holds the frame, and where it was left. It holds neither if
    the exception was caught further in. A frame that has caught it runs on, or has ended elsewhere.
    """
    import gc

    if frame is None or _is_running(frame):
        return False
    holders = [held for held in gc.get_referrers(frame) if type(held).__name__ == "traceback"]
    return any(held.tb_lasti == frame.f_lasti and _passes(held, origin) for held in holders)


def _passes(traceback: TracebackType | None, code: CodeType) -> bool:
    while traceback is not None and traceback.tb_frame.f_code is not code:
        traceback = traceback.tb_next
    return traceback is not None


def _is_running(frame: FrameType) -> bool:
    caller: FrameType | None = sys._getframe()  # noqa: SLF001
    while caller is not None and caller is not frame:
        caller = caller.f_back
    return caller is not None


def has_returned(frame: FrameType) -> bool:
    """Return True if the last instruction of a frame was a `return`: it has ended, unharmed."""
    import opcode

    last = frame.f_code.co_code[frame.f_lasti] if frame.f_lasti >= 0 else 0
    return opcode.opname[last] in ("RETURN_VALUE", "RETURN_CONST")


class Monitor:
    """Calls back with the exception by which a program ends, by `sys.monitoring`.

    One tool serves all watchers. It is registered while there is any, and costs the host about
    0.3 µs for each frame that an exception leaves; what is raised and handled in one frame costs
    nothing. (From Python 3.15 on one could watch a single frame's code.)

    Methods may be called on any thread. A callback runs on the main thread, on which the exception
    is under way: it must be short, and must not raise.
    """

    def __init__(self) -> None:
        # Program, outermost frame, and callback of each watcher. Changed in place, by one step
        # each, since the event's handler may run between any two of them.
        self._watched: list[tuple[FrameType | None, FrameType | None, Callable[..., None]]] = []
        self._tool: int | None = None
        # Held while these change: the tool is registered exactly while there is a watcher. A signal
        # handler that interrupts the holder may end a watch, too.
        self._changing = ProcessLock()

    def watch(self, program: FrameType | None, take: Callable[[BaseException], None]) -> bool:
        """Have ``take`` called with the exception by which the program ends, once.

        Returns False if this interpreter cannot do that, or if other tools leave no room.
        """
        outermost = None if program is None else find_outermost_frame(program)
        watcher = (program, outermost, take)
        with self._changing:
            self._watched.append(watcher)
            self._adjust_tool()
            if self._tool is None:
                self._watched.remove(watcher)
                return False
        return True

    def unwatch(self, take: Callable[[BaseException], None]) -> None:
        """Forget a callback. The last one takes the tool with it."""
        with self._changing:
            for watcher in tuple(self._watched):
                # A signal handler on this thread may have removed it meanwhile.
                if watcher[2] == take and watcher in self._watched:
                    self._watched.remove(watcher)
            self._adjust_tool()

    def _adjust_tool(self) -> None:
        """Register the tool if there is a watcher, or unregister it, with the lock held.

        A signal handler on this thread may begin or end a watch between any two steps.
        """
        while bool(self._watched) is (self._tool is None):
            if self._tool is not None:
                tool, self._tool = self._tool, None
                _unregister(tool)
                continue
            self._tool = _register(_make_handler(self._watched))
            if self._tool is None:  # there is no room for one
                return


def _make_handler(
    watched: list[tuple[FrameType | None, FrameType | None, Callable[..., None]]],
) -> Callable[[CodeType, int, BaseException], None]:
    """Return a handler of the event that an exception leaves a frame.

    It has to work while the interpreter ends, when the names of modules are gone already.
    """
    first, get_frame, ends_program = FIRST, sys._getframe, _ends_program  # noqa: SLF001

    def notice(code: CodeType, _offset: int, error: BaseException) -> None:
        if code.co_name not in first:  # nearly every frame
            return
        frame = get_frame(1)
        for program, outermost, take in tuple(watched):
            if frame is program or (
                frame is not outermost
                and frame.f_back is None
                and ends_program(program, frame, error)
            ):
                take(error)

    return notice


def _ends_program(program: FrameType | None, frame: FrameType, error: BaseException) -> bool:
    """Return True if ``error`` ends the process though it leaves another frame than the program's.

    That other frame is where the interpreter began to run other code: of a C program that runs
    several pieces of code, of a prompt's next line, or of the main greenlet. An exit ends them all;
    any other exception ends a main module only.
    """
    if not is_main_thread():
        return False
    if program is not None and not has_returned(program):
        return False
    return isinstance(error, SystemExit) or is_main_module(frame)


def _register(handler: Callable[[CodeType, int, BaseException], None]) -> int | None:
    """Register a tool, and return its id. Returns None if there is no room for one."""
    monitoring: Any = getattr(sys, "monitoring", None)  # from Python 3.12 on
    if monitoring is None:
        return None
    for tool in TOOL_IDS:
        try:
            monitoring.use_tool_id(tool, "migas")
        except ValueError as error:  # somebody else's
            reraise_from_handler(error)
            continue
        event = monitoring.events.PY_UNWIND
        monitoring.register_callback(tool, event, handler)
        monitoring.set_events(tool, event)
        return tool
    return None


def _unregister(tool: int) -> None:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    monitoring.set_events(tool, 0)
    monitoring.register_callback(tool, monitoring.events.PY_UNWIND, None)
    monitoring.free_tool_id(tool)


def are_frames_hidden() -> bool:
    """Return True if other threads' frames do not exist, or if it is unsafe to look at them.

    They belong to every interpreter in the process. One with a GIL of its own may be changing its
    frames at this moment, and to look at them may abort the process (seen on Python 3.12 and 3.13).
    Without a GIL every thread may: https://docs.python.org/3/howto/free-threading-python.html
    """
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)  # of Python 3.13
    if not hasattr(sys, "_current_frames") or not has_gil():
        return True
    modules = filter(None, map(sys.modules.get, ("_interpreters", "_xxsubinterpreters")))
    return any(len(module.list_all()) > 1 for module in modules)


def _find_main_threads_frame() -> FrameType | None:
    """Return the frame that the main thread runs, or None if it is unsafe to look at it.

    On the main thread that is the caller's caller. A frame that knew itself by a local variable
    would keep the host's variables alive until the garbage collector runs.
    """
    if is_main_thread():
        return sys._getframe(2)  # noqa: SLF001
    main = threading.main_thread().ident or 0
    return None if are_frames_hidden() else sys._current_frames().get(main)  # noqa: SLF001


#: The one of this interpreter.
monitor = Monitor()

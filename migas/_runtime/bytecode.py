"""The bytecode: tells with which status a console script ended, before Python 3.12.

What pip writes ends with `sys.exit(main())`. That looks `sys.exit` up before `main` can replace it,
and the interpreter forgets the status. But if `main` returns the same constant wherever it returns,
as every function does that returns nothing, that constant is the status.

What may go wrong: a script or a `main` of another form. Then the status is unknown.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType

#: Instructions that prepare a call, and differ from one Python to the next.
_FILLERS = ("CACHE", "EXTENDED_ARG", "PRECALL", "PUSH_NULL")

#: The bits of a code object's `co_flags` whose call does not run the code: of generators,
#: coroutines and asynchronous generators. https://docs.python.org/3/library/inspect.html
_SUSPENDS = 0x20 | 0x80 | 0x200


class PendingExit:
    """The `sys.exit(main())` of a program, seen while `main` runs.

    Parameters:
        program: the frame of the program; None: there is none.
    """

    def __init__(self, program: FrameType | None) -> None:
        self._program = program
        self._callee = None if program is None else _find_callee(program)
        self._called_at = -1 if program is None else program.f_lasti
        self._is_plain = type(sys.exit) is type(len)

    def find_status(self) -> object:
        """Return the status with which the program has ended.

        Raises:
            LookupError: it has not ended by this exit, or the status is no constant.
        """
        if self._program is None or self._callee is None or not self._is_plain:
            raise LookupError("no sys.exit(main()) was under way")
        if not _ends_by_call(self._program, self._called_at, self._callee):
            raise LookupError("the program has not ended by sys.exit(main())")
        return _find_constant(self._callee)


def _find_callee(frame: FrameType) -> CodeType | None:
    """Return the code that a frame is calling on this thread, or None if it is calling none."""
    callee, caller = None, sys._getframe()  # noqa: SLF001
    while caller is not frame:
        if caller.f_back is None:
            return None
        callee, caller = caller.f_code, caller.f_back
    return callee


def _ends_by_call(program: FrameType, called_at: int, callee: CodeType) -> bool:
    """Return True if a program's last instruction passed to `sys.exit` what ``callee`` returned."""
    import dis

    steps = [step for step in dis.get_instructions(program.f_code) if step.opname not in _FILLERS]
    # While a call is under way, Python 3.11 points behind its instruction.
    at = max(number for number, step in enumerate(steps) if step.offset <= called_at)
    before = [(step.opname, step.argval) for step in steps[max(0, at - 3) : at]]
    names = program.f_globals
    return (
        before[:1] == [("LOAD_NAME", "sys")]
        and before[1:2] in ([("LOAD_METHOD", "exit")], [("LOAD_ATTR", "exit")])
        and names.get("sys") is sys
        and getattr(names.get(before[-1][1]), "__code__", None) is callee
        and steps[at + 1].opname.startswith("CALL")
        and steps[at + 1].offset <= program.f_lasti < steps[at + 2].offset
    )


def _find_constant(code: CodeType) -> object:
    """Return the one constant that a function returns. Zero and None are the same status.

    Raises:
        LookupError: it returns several values, or what is no constant.
    """
    import dis

    found: dict[tuple[type, object], object] = {}
    previous = None
    for step in dis.get_instructions(code):
        if step.opname == "RETURN_VALUE":
            if previous is None or previous.opname != "LOAD_CONST" or step.is_jump_target:
                raise LookupError("a function returns what is no constant")
            value = previous.argval
            if type(value) in (int, bool) and not value:
                value = None
            found[type(value), value] = value  # by type, since True == 1.0, which would be printed
        previous = step
    if len(found) != 1 or code.co_flags & _SUSPENDS:
        raise LookupError("a function returns several values")
    return next(iter(found.values()))

"""The signals: their names, for what people read, and what the host's handlers of them have done.

What is done about a signal, `endings` knows. `import migas` loads this module.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs an import of `enum`
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType


def name_signal(number: int) -> str:
    """Return a signal's name, or `signal 99` if it has none.

    Example:
        >>> name_signal(15)
        'SIGTERM'
    """
    import signal  # which costs an import of `enum`

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def has_native_handler(number: int) -> bool:
    """Return True if a signal is caught or ignored by code in C, as by `faulthandler.register`.

    Python notes at its start only what others have set: such a signal's handler is the default one
    to `signal.getsignal` from then on. Elsewhere than on Linux nobody can know.

    Example:
        >>> has_native_handler(10)
        False
    """
    try:
        status = os.open("/proc/self/status", os.O_RDONLY)
    except OSError as error:
        reraise_from_handler(error)
        return False
    try:
        lines = os.read(status, 1 << 16).splitlines()
    finally:
        os.close(status)
    masks = [line.split()[1] for line in lines if line.startswith((b"SigCgt:", b"SigIgn:"))]
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def was_raised_by_handler(error: BaseException) -> bool:
    """Return True if a signal's handler that the host has set raised an exception: a time limit.

    That may be at any moment of the main thread's, also in code of ours, whose own failures stay
    with us. What may go wrong: a handler that is no longer set is not known.
    """
    try:
        return not _find_handlers().isdisjoint(_find_codes(error))
    except Exception:  # an audit hook of the host's. One that its handler raises just now is lost
        return False


def reraise_from_handler(error: BaseException) -> None:
    """Raise an exception again if a handler of the host's raised it, or if it is no `Exception`.

    For each `except` that keeps failures of ours from the host, on a thread of its own.
    """
    if not isinstance(error, Exception) or was_raised_by_handler(error):
        raise error


def _find_handlers() -> set[CodeType]:
    """Return the code of each signal's handler. Python's own handler is no Python code."""
    handlers = [_signal.getsignal(number) for number in _signal.valid_signals()]
    handlers += [getattr(handler, "func", None) for handler in handlers]  # a `functools.partial`
    return {handler.__code__ for handler in handlers if hasattr(handler, "__code__")}


def _find_codes(error: BaseException) -> Iterator[CodeType]:
    """Yield the code of each call in the traceback of an exception."""
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame.f_code
        traceback = traceback.tb_next

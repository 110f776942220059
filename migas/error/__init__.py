"""Errors: what the last word of a run says of the exception that ended it."""

from __future__ import annotations

import sys

from migas._runtime import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import TypeAlias

    #: Called with an exception's type, text and traceback; returns fields of a breadcrumb.
    Handler: TypeAlias = Callable[
        [type[BaseException], str, TracebackType | None], Mapping[str, object] | None
    ]
    #: Handlers by an exception's class or its name, or the name of a preset.
    Handlers: TypeAlias = Mapping[type[BaseException] | str, Handler] | str | None

__all__ = ["inspect_error", "strip_filenames"]

#: Characters of an exception's text that are looked at, far more than is sent.
MAX_TEXT = 100_000

PHRASES = {"C": "Completed", "F": "Failed", "S": "Suspended"}

#: Exceptions by which somebody stops a run: known by name, so that nothing is imported for them.
_STOPS = ("BdbQuit", "CancelledError")


def inspect_error(error_handlers: Handlers = None) -> dict[str, object]:
    """Return the fields of a last word: what the exception that is at work here says.

    That is the one that is being handled, or else the last that nobody handled.

    Parameters:
        error_handlers: functions by an exception's class or its name, each of which is called
            with type, text and traceback and returns fields; or `"nipype"`, a preset.

    Returns:
        `status` and `status_desc`, and of a failure `error_type` and `error_desc`. Nothing is
        redacted yet: that happens before a breadcrumb is written.

    Example:
        >>> try:
        ...     raise ValueError("too small")
        ... except ValueError:
        ...     inspect_error()["error_type"]
        'ValueError'
    """
    error = sys.exc_info()[1] or find_last()
    return handle(error, error_handlers) or describe(error)


def strip_filenames(text: str) -> str:
    """Return ``text`` without paths, file names, names, addresses and credentials.

    Example:
        >>> strip_filenames("cannot read /data/sub-01/bold.nii.gz")
        'cannot read <path>'
    """
    from migas._crumb.redaction import Redactor

    return Redactor.detect().redact(str(text))


def find_last() -> BaseException | None:
    """Return the last exception that nobody handled, as the interpreter keeps it."""
    last = getattr(sys, "last_value", None) or getattr(sys, "last_exc", None)  # Python 3.12's name
    return last if isinstance(last, BaseException) else None


def handle(error: BaseException | None, handlers: Handlers) -> dict[str, object] | None:
    """Return what the host's own handler for ``error`` says, or None: there is none, or it failed.

    The nearest class counts, as with `except`.
    """
    if error is None or not handlers:
        return None
    try:
        known = _find_preset(handlers) if isinstance(handlers, str) else handlers
        for kind in type(error).__mro__:
            handler = known.get(kind) or known.get(kind.__name__)
            if handler is not None:
                said = handler(type(error), tell_text(error), error.__traceback__)
                return None if said is None else dict(said)
    except Exception as failure:  # the host's own code may raise anything, and a last word is due
        log.say(log.WARNING, "a handler of %s failed with %r", type(error).__name__, failure)
    return None


def describe(error: BaseException | None) -> dict[str, object]:
    """Return the status of a run that ended with ``error``, or without one."""
    if isinstance(error, SystemExit):
        return _describe_exit(error)
    if isinstance(error, KeyboardInterrupt):
        return suspend("SIGINT")
    if error is None or isinstance(error, GeneratorExit):
        return _say("C")
    name = type(error).__name__
    if name in _STOPS:
        return suspend(name)
    return _say("F", error_type=name, error_desc=tell_text(error) or None)


def suspend(cause: str) -> dict[str, object]:
    """Return the status of a run that was stopped from outside."""
    said = _say("S")
    return {**said, "status_desc": f"{said['status_desc']} by {cause}"}


def is_interrupted(error: BaseException | None) -> bool:
    """Say whether ``error`` came of a Ctrl-C: click, say, turns that into others."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def tell_text(error: BaseException) -> str:
    """Return an exception's text; `""` where even that fails."""
    try:
        first = error.args[0] if len(error.args) == 1 else None
        return (first if isinstance(first, str) else str(error))[:MAX_TEXT]
    except Exception:  # str() of a host's own exception may raise anything
        return ""


def _describe_exit(error: SystemExit) -> dict[str, object]:
    """Read an exit's status: https://docs.python.org/3/library/sys.html#sys.exit."""
    code = error.code
    if code is None or (isinstance(code, int) and code == 0):
        return _say("C")
    if is_interrupted(error):
        return suspend("SIGINT")
    if isinstance(code, int):
        # A shell's convention for a program that a signal has ended.
        stopped = {128 + 2: "SIGINT", 128 + 15: "SIGTERM"}.get(code)
        return suspend(stopped) if stopped else _say("F", "SystemExit", f"exit status {code:d}")
    return _say("F", "SystemExit", tell_text(error))


def _say(
    status: str, error_type: str | None = None, error_desc: str | None = None
) -> dict[str, object]:
    said: dict[str, object] = {"status": status, "status_desc": PHRASES[status]}
    if error_type is not None:
        said.update(error_type=error_type, error_desc=error_desc)
    return said


def _find_preset(name: str) -> Mapping[type[BaseException] | str, Handler]:
    if name == "nipype":
        from .nipype import node_execution_error

        return {"NodeExecutionError": node_execution_error}
    log.say(log.WARNING, "there is no preset of error handlers named %r", name)
    return {}

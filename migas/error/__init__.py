"""What an exception says about a run: the fields of its final status.

A host's developers read these fields, so this module owns the translation: which exception means
`C`ompleted, `F`ailed or `S`uspended, and which handler of the host's may say more about one. It
reports nothing itself; `track` does, and any package can, with `inspect_error`.

What may go wrong: an exception class and a handler are the host's own code, and may raise anything
when they are looked at or called. A handler's failure is logged and its fields are left out.
"""

from __future__ import annotations

import sys
from types import MappingProxyType

from migas._runtime import log
from migas._runtime.callback import call_host
from migas._runtime.signals import name_signal, reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import TypeAlias

    from migas import typedefs

    Handler: TypeAlias = typedefs.ErrorHandler
    HandlerMap: TypeAlias = Mapping[type[BaseException] | str, Handler]
    Handlers: TypeAlias = typedefs.ErrorHandlers

__all__ = [
    "ERROR_PRESETS",
    "inspect_error",
    "resolve_error_handlers",
    "status_from_exception",
    "status_from_signal",
    "strip_filenames",
]

#: How many characters of an exception's text are read: far more than a breadcrumb holds.
MAX_TEXT = 100_000

#: The `status_desc` of a final status, if nobody gives another.
PHRASES = {"C": "Completed", "F": "Failed", "S": "Suspended"}

#: Exceptions with which a person or a program stops a run: of `bdb`, `asyncio`, trio and gevent.
#: They are known by name, since to import their modules would cost every host.
_STOPS = ("BdbQuit", "CancelledError", "Cancelled", "GreenletExit")

#: The class of exceptions by which click and typer exit: `ctx.exit(3)`.
_CLICK_EXIT = "Exit"


def inspect_error(error_handlers: Handlers = None) -> dict[str, object]:
    """Return the fields of a final status for the current exception.

    That is the exception that is being handled, or else the last one that nobody handled.

    Parameters:
        error_handlers: what `resolve_error_handlers` takes.

    Returns:
        What the handler returned. Without a handler: `status` and `status_desc`, and for a failure
        `error_type` and `error_desc`. Nothing is redacted yet: that is done when a breadcrumb is
        written.

    Example:
        >>> try:
        ...     raise ValueError("too small")
        ... except ValueError:
        ...     inspect_error()["error_type"]
        'ValueError'
    """
    return status_from_exception(sys.exc_info()[1] or find_last_exception(), error_handlers)


def status_from_exception(
    exc: BaseException | None, error_funcs: Handlers = None
) -> dict[str, object]:
    """Return the fields of a final status for an exception that ended a run.

    Parameters:
        exc: the exception; None: the run completed.
        error_funcs: what `resolve_error_handlers` takes.

    Returns:
        What `inspect_error` returns.

    Example:
        >>> status_from_exception(KeyboardInterrupt())
        {'status': 'S', 'status_desc': 'Suspended by SIGINT'}
    """
    return call_handler(exc, error_funcs) or describe(exc)


def status_from_signal(signum: int) -> dict[str, object]:
    """Return the fields of the final status of a run that the signal ``signum`` stopped.

    Example:
        >>> status_from_signal(15)
        {'status': 'S', 'status_desc': 'Suspended by SIGTERM'}
    """
    return describe_suspension(name_signal(signum))


def resolve_error_handlers(handlers: Handlers) -> dict[type[BaseException] | str, Handler]:
    """Return one new dict of all given handlers.

    Parameters:
        handlers: a dict from an exception class, or its name, to a function that is called with
            class, text and traceback of the exception and returns fields of a final status; or
            `"nipype"`, a preset; or a list of dicts and presets, of which later ones win; or None.
            What is none of these, or an unknown preset, is left out with a WARNING in the log.

    Example:
        >>> sorted(resolve_error_handlers(["nipype", {"OSError": lambda *_: {"status": "S"}}]))
        ['NodeExecutionError', 'OSError']
    """
    resolved: dict[type[BaseException] | str, Handler] = {}
    if isinstance(handlers, (list, tuple)):
        for item in handlers:
            resolved.update(resolve_error_handlers(item))
        return resolved
    known = ERROR_PRESETS.get(handlers) if isinstance(handlers, str) else handlers
    try:
        resolved.update(known or {})  # type: ignore[arg-type]  # or is none of all these
    except (TypeError, ValueError) as error:
        reraise_from_handler(error)
        known = None
    if known is None and handlers is not None:
        log.say(log.WARNING, "there are no error handlers %r", handlers)
    return resolved


def strip_filenames(text: str) -> str:
    """Return a text without paths, file names, logins, host names, addresses and credentials.

    Example:
        >>> strip_filenames("cannot read /data/sub-01/bold.nii.gz")
        'cannot read <path>'
    """
    from migas._crumb.redaction import Redactor

    return Redactor.detect().redact(str(text))


def find_last_exception() -> BaseException | None:
    """Return the last exception that nobody handled, or None if there is none.

    The interpreter keeps it in `sys` when it prints the traceback. Interactive shells and test
    runners put exceptions there, too, which did not end the program. A `SystemExit` is never there.
    """
    last = getattr(sys, "last_value", None) or getattr(sys, "last_exc", None)  # Python 3.12's name
    return last if isinstance(last, BaseException) else None


def call_handler(error: BaseException | None, handlers: Handlers) -> dict[str, object] | None:
    """Call the handler for the class of ``error``, and return the fields that it returns.

    The handler of the nearest base class is chosen, as `except` would.

    Returns:
        The fields, or None if there is no handler, if it returned None, or if it failed.
    """
    if error is None or not handlers:
        return None
    try:
        known = resolve_error_handlers(handlers)
        for base in type(error).__mro__:
            handler = known.get(base) or known.get(base.__name__)
            if handler is not None:
                text = read_text(error)
                fields = call_host(handler, type(error), text, error.__traceback__)
                return None if fields is None else dict(fields)
    except Exception as failure:  # whatever a handler raises, the final status is reported
        log.say(log.WARNING, "a handler of %s failed with %r", type(error).__name__, failure)
    return None


def describe(error: BaseException | None) -> dict[str, object]:
    """Return the fields of the final status of a run that ended with ``error``.

    None, and a generator that was closed, mean that the run completed. Only a failure has an
    `error_type` and an `error_desc`.
    """
    if isinstance(error, SystemExit):
        return _describe_exit(error)
    if isinstance(error, KeyboardInterrupt):
        return describe_suspension("SIGINT")
    if error is None or isinstance(error, GeneratorExit):
        return _make_fields("C")
    name = type(error).__name__
    if name == _CLICK_EXIT and isinstance(code := getattr(error, "exit_code", None), int):
        return _describe_exit(SystemExit(code))
    if name in _STOPS:
        return describe_suspension(name)
    return _make_fields("F", error_type=name, error_desc=read_text(error) or None)


def describe_suspension(cause: str) -> dict[str, object]:
    """Return the fields of the final status of a run that ``cause`` (`SIGTERM`) stopped."""
    return {"status": "S", "status_desc": f"{PHRASES['S']} by {cause}"}


def is_interrupted(error: BaseException | None) -> bool:
    """Return True if ``error`` is a Ctrl-C, or was raised because of one.

    Libraries turn a `KeyboardInterrupt` into exceptions of their own: click raises `Abort`.
    """
    seen: set[int] = set()  # the chain of causes may be a circle
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def read_text(error: BaseException) -> str:
    """Return an exception's text, or `""` if its own `__str__` fails."""
    try:
        # str(KeyError("x")) would be "'x'", with the quotation marks.
        first = error.args[0] if len(error.args) == 1 else None
        return (first if isinstance(first, str) else str(error))[:MAX_TEXT]
    except Exception:
        return ""


def _describe_exit(error: SystemExit) -> dict[str, object]:
    """Return the fields for an exit, by https://docs.python.org/3/library/sys.html#sys.exit."""
    code = error.code
    if code is None or (isinstance(code, int) and code == 0):
        return _make_fields("C")
    if is_interrupted(error):
        return describe_suspension("SIGINT")
    if isinstance(code, int):
        # Shells give a program that a signal ended 128 plus the signal's number; programs that
        # catch the signal exit with the same status.
        cause = {128 + 2: "SIGINT", 128 + 15: "SIGTERM"}.get(code)
        if cause:
            return describe_suspension(cause)
        return _make_fields("F", "SystemExit", f"exit status {code:d}")
    return _make_fields("F", "SystemExit", read_text(error))


def _make_fields(
    status: str, error_type: str | None = None, error_desc: str | None = None
) -> dict[str, object]:
    """Return a status with its phrase, and the two fields of an error if it has a type."""
    fields: dict[str, object] = {"status": status, "status_desc": PHRASES[status]}
    if error_type is not None:
        fields.update(error_type=error_type, error_desc=error_desc)
    return fields


def _explain_node(
    etype: type[BaseException], evalue: str, etb: TracebackType | None
) -> dict[str, object]:
    """Load the preset `nipype` only for an exception of nipype's, and call it."""
    from .nipype import node_execution_error

    return node_execution_error(etype, evalue, etb)


#: Handlers that many hosts share, by the name that a host gives in place of its own.
ERROR_PRESETS: Mapping[str, HandlerMap] = MappingProxyType(
    {"nipype": MappingProxyType({"NodeExecutionError": _explain_node})}
)

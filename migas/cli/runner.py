"""The runner: runs a command, and sees to it that it ends well, whatever happens to it.

It owns the exit statuses and the two output streams for the time that a command runs. A
person sees a sentence for everything that can go wrong, and a traceback for nothing but a mistake
of ours. What can go wrong with a stream: it is closed from the start, its reader goes away, its
disk is full, or its encoding lacks a character.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

from .terminal import print_error

if TYPE_CHECKING:
    from collections.abc import Callable

#: Exit statuses: all is well; something is left, or the server does not answer; it makes no sense.
WELL, LEFT, WRONG = 0, 1, 2

#: A person stopped it, or the reader of its output did, as a shell reports SIGINT and SIGPIPE.
STOPPED, CLOSED = 130, 141

#: Modules that migas itself can do without, and the extra that each comes with.
_EXTRAS = {"graphql": "server", "packaging": "server", "matplotlib": "plot"}


#: How a stream treats what its encoding lacks where nobody has said how, but with an error: the
#: second is Python's choice in the locale C (PEP 538), and writes no accent, either.
_UNPREPARED = ("strict", "surrogateescape")


class WrongError(Exception):
    """The command makes no sense here; the text tells the person what to do instead."""


def run(command: Callable[[], int]) -> int:
    """Run a command, and return its exit status.

    Parameters:
        command: returns an exit status. It may print, exit by `SystemExit`, and raise `WrongError`,
            `OSError`, `KeyboardInterrupt`, or `ModuleNotFoundError` for what an extra brings.
    """
    _mend_streams()
    try:
        status = _run(command)
    except SystemExit:  # argparse has printed what was asked for, or how a command is used
        if fault := _flush_streams():
            return _report_fault(fault)
        raise
    fault = _flush_streams()
    return _report_fault(fault) if fault and status == WELL else status


def refuse_foreign_home(command: str) -> None:
    """Raise `WrongError` if this is root in the home of another user.

    What root makes there the owner's processes cannot change, and what root switches off there is
    not switched off for them: they look in the same place, but as another user.
    """
    from migas._disk.home import name_owner

    if owner := name_owner():
        raise WrongError(
            f"this is root in the home of {owner}: run `migas {command}` as {owner}, without sudo"
        )


def explain(error: OSError) -> str:
    """Return what the system says happened, and to which file, without the error's number."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _report_fault(fault: OSError) -> int:
    """Return the exit status for an output that could not be written, and explain it."""
    if isinstance(fault, BrokenPipeError):
        return CLOSED
    print_error(explain(fault))
    return LEFT


def _run(command: Callable[[], int]) -> int:
    try:
        return command()
    except KeyboardInterrupt:
        return STOPPED
    except WrongError as error:
        print_error(str(error))
        return WRONG
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(str(error.name).partition(".")[0])
        if extra is None:
            raise
        print_error(f"this needs the extra `{extra}`: pip install 'migas[{extra}]'")
        return WRONG
    except OSError as error:
        return _report_fault(error)


def _mend_streams() -> None:
    """Give the process two streams that can be written to.

    Python sets a stream to None if its descriptor was closed at the start, and then `print` to
    stderr writes to stdout instead.
    """
    for name in "stdout", "stderr":
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # for good
        elif getattr(stream, "errors", "") in _UNPREPARED and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _flush_streams() -> OSError | None:
    """Write out what was printed; return the first fault."""
    faults = [_flush(sys.stdout), _flush(sys.stderr)]
    return next((fault for fault in faults if fault is not None), None)


def _flush(stream: TextIO) -> OSError | None:
    try:
        stream.flush()
    except OSError as error:
        # What is still in its buffer the interpreter would try to write at its end, and complain:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe.
        with contextlib.suppress(OSError, ValueError):  # it has no descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None

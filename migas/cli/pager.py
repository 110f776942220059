"""The pager: shows a long text page by page, as git does, where a person reads it on a terminal.

The program is `$PAGER`, or `less`. A pipe, a file, and a terminal that cannot move its cursor get
the text as it is.

What may go wrong: the program is not there, or ends early because the person has read enough. The
first prints the text without it; the second is no error.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from .terminal import is_pretty, print_block

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: What git has less do: end if all fits on a page (F), show colours (R), leave the text there (X).
_LESS = "FRX"


def page(render: Callable[[bool], str]) -> None:
    """Show a text, by the pager if there is one.

    Parameters:
        render: returns the text. It is passed whether escape sequences for colours may be in it.
    """
    command = find_pager(os.environ) if sys.stdout.isatty() else []
    environ = {"LESS": _LESS, "LV": "-c", **os.environ}
    if command and _show(command, environ, render(shows_colours(command, environ))):
        return
    print_block(render(is_pretty(sys.stdout)))


def find_pager(environ: Mapping[str, str]) -> list[str]:
    """Return the pager's command, or `[]` if the person wants none.

    Example:
        >>> find_pager({"TERM": "xterm"}), find_pager({"TERM": "xterm", "PAGER": "cat"})
        (['less'], [])
    """
    try:
        command = shlex.split(environ.get("PAGER", "less"))
    except ValueError:  # a quotation mark without its other half
        return []
    return [] if command in ([], ["cat"]) or environ.get("TERM", "dumb") == "dumb" else command


def shows_colours(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Return True if the pager shows colours, and a person's terminal gets them."""
    is_less = os.path.basename(command[0]) == "less"
    wants = any("R" in option for option in (environ.get("LESS", ""), *command[1:]))
    return is_less and wants and is_pretty(sys.stdout)


def _show(command: Sequence[str], environ: Mapping[str, str], text: str) -> bool:
    """Run the pager on a text, and wait for its end. Returns False if there is no such program."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        # The person's own word, as for git.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environ)  # noqa: S603
    except OSError:
        return False
    assert process.stdin is not None
    with contextlib.suppress(OSError, KeyboardInterrupt), process.stdin as stdin:
        stdin.write(f"{text}\n".encode(encoding, "backslashreplace"))
    while True:
        # A Ctrl-C is the pager's: less ends a search by it, and goes on.
        with contextlib.suppress(KeyboardInterrupt):
            process.wait()
            return True

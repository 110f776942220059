"""The terminal: how the commands print, prettier where `rich` is installed.

Everything that a person sees goes through it. Texts may come from a server, a file or another
program, so what would move a terminal's cursor, or worse, is shown as `?`; and a name that is no
text in the file system's encoding is printed all the same.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Protocol, TextIO

    import rich.progress

    class Progress(Protocol):
        """Shows a person, on stderr, how far something has come."""

        #: Seconds after which it has something new to show.
        pause: float

        def update(self, done: int) -> None:
            """Show that so many are done, if it is time."""


def print_line(text: str, end: str = "\n", file: TextIO | None = None) -> None:
    """Print one line to stdout or ``file``, at once, since a person may be waiting for it."""
    print(_make_printable(text), end=end, file=file, flush=True)


def print_error(text: str) -> None:
    """Print one line to stderr, after the program's name; a closed stream is no error."""
    with contextlib.suppress(OSError):
        print_line(f"migas: {text}", file=sys.stderr)


def print_json(value: object) -> None:
    """Print a value as JSON, in ASCII."""
    print(json.dumps(value, indent=2))


def format_count(number: int, noun: str) -> str:
    """Write a number of things whose plural ends in `s`.

    Example:
        >>> format_count(1, "breadcrumb"), format_count(2, "breadcrumb")
        ('1 breadcrumb', '2 breadcrumbs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_rows(rows: Sequence[tuple[str, ...]], header: tuple[str, ...] = ()) -> None:
    """Print a table: a pretty one on a terminal, plain columns elsewhere.

    Parameters:
        rows: cells, as many in each row.
        header: the columns' names, or nothing.
    """
    rows = [tuple(map(_make_printable, row)) for row in rows]
    if _is_pretty(sys.stdout):
        _print_prettily(rows, header)
        return
    lines = [header, *rows] if header else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)][:-1]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        print("  ".join([*cells, line[-1]]).rstrip())


def _make_printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _print_prettily(rows: Sequence[tuple[str, ...]], header: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(header))
    for index in range(len(rows[0]) if rows else 0):
        style = "" if index else "bold"
        table.add_column(header[index] if header else "", style=style, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # no cell is markup
    Console().print(table)


@contextlib.contextmanager
def show_progress(total: int, unit: str) -> Iterator[Progress]:
    """Show on stderr how many are done, for as long as the block lasts.

    Parameters:
        total: how many there are.
        unit: what they are, in the plural.
    """
    if not sys.stderr.isatty():
        yield Line(total, unit, sys.stderr, pause=60.0, end="\n")
    elif _is_pretty(sys.stderr):
        with _open_bar() as bar:
            yield _Bar(bar, total, unit)
    else:
        line = Line(total, unit, sys.stderr, pause=0.5, end="\r")
        try:
            yield line
        finally:
            line.erase()


class Line:
    """Shows progress in plain words: in a terminal's line, over and over, or in a log's lines.

    Parameters:
        total: how many there are.
        unit: what they are, in the plural.
        stream: where it is printed.
        pause: seconds from one line to the next, at least.
        end: a carriage return for a terminal, a line feed for a log.
        clock: seconds, as `time.monotonic` counts them.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        stream: TextIO,
        *,
        pause: float,
        end: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._unit = unit
        self._stream = stream
        self.pause = pause
        self._end = end
        self._clock = clock
        self._start = self._last = clock()

    def erase(self) -> None:
        """Overwrite the line on a terminal with blanks."""
        self._print("")

    def update(self, done: int) -> None:
        """Show that so many are done, if it is time."""
        now = self._clock()
        if now - self._last < self.pause:
            return
        self._last = now
        rate = done / (now - self._start)
        due = f", some {(self._total - done) / rate:.0f} s to go" if rate else ""
        self._print(f"{done} of {self._total} {self._unit}, {rate:.0f} a second{due}")

    def _print(self, text: str) -> None:
        # On a terminal a shorter line must cover a longer one.
        line = text.ljust(70) if self._end == "\r" else text
        print(line, end=self._end, file=self._stream, flush=True)


class _Bar:
    """Progress as a bar, with the rate and the time that is left."""

    pause = 0.1

    def __init__(self, bar: rich.progress.Progress, total: int, unit: str) -> None:
        self._bar = bar
        self._task = bar.add_task(unit, total=total, rate="")

    def update(self, done: int) -> None:
        """Show that so many are done."""
        speed = self._bar.tasks[0].speed
        rate = f", {speed:.0f} a second" if speed else ""
        self._bar.update(self._task, completed=done, rate=rate)


def _open_bar() -> rich.progress.Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _is_pretty(stream: TextIO) -> bool:
    """Return True if a person reads the stream, and `rich` (the extra `cli`) is installed."""
    return stream.isatty() and importlib.util.find_spec("rich") is not None

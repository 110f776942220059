"""The terminal: how the commands print, prettier where `rich` is installed.

Everything that a person sees goes through it. Texts may come from a server, a file or another
program, so what would move a terminal's cursor, or worse, is shown as `?`; a byte of a file's name
that is no text is shown by its number, and so is a character that the stream's encoding lacks.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import time
from typing import TYPE_CHECKING

from . import layout

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


#: The columns of a terminal that does not say how many it has.
_COLUMNS = 80

#: What stands for a character that an encoding lacks; any other is shown by its number.
_SUBSTITUTES = str.maketrans(
    {
        "\u2588": "#",  # a block of a bar
        "\u2026": "...",
        "\u2013": "-",  # dashes
        "\u2014": "-",
        "\u2018": "'",  # quotation marks
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2022": "*",  # a list's dot
        "\u00d7": "x",
        "\u00b5": "u",  # micro
        "\u2192": "->",
        "\u2264": "<=",
        "\u2265": ">=",
    }
)

#: Joins emoji to one. It moves no cursor, though Python calls it unprintable.
_JOINER = "\u200d"


def print_line(text: str, end: str = "\n", file: TextIO | None = None) -> None:
    """Print one line to stdout or ``file``, at once, since a person may be waiting for it."""
    stream = sys.stdout if file is None else file
    print(make_printable(text, stream), end=end, file=stream, flush=True)


def print_paragraph(text: str) -> None:
    """Print a paragraph to stdout: wrapped on a terminal, one line elsewhere."""
    for line in layout.fill(make_printable(text, sys.stdout), find_width(sys.stdout)):
        print(line, flush=True)


def print_block(text: str) -> None:
    """Print a text of several lines, which a person sees as it is, to stdout."""
    print(text, flush=True)


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
    """Print a table: one that fits on a terminal, columns of any width elsewhere.

    Parameters:
        rows: cells, as many in each row.
        header: the columns' names, or nothing.
    """
    shown = [tuple(make_printable(cell, sys.stdout) for cell in row) for row in rows]
    lines = layout.lay_out(shown, header, find_width(sys.stdout)) if rows else []
    if not is_pretty(sys.stdout):
        for line in lines:
            print(line.label + line.rest)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for line in lines:  # no cell is markup
        console.print(Text.assemble((line.label, "bold"), line.rest), soft_wrap=True)


def make_printable(text: str, stream: TextIO) -> str:
    r"""Return a text as a stream can show it: as one line that commands no terminal.

    What would command it is `?`. What the stream's encoding lacks is replaced as `make_encodable`
    does.

    Example:
        >>> import io
        >>> make_printable("naïve…\x07", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
        'na\\xefve...?'
    """
    return make_encodable("".join(map(_show_character, text)), stream)


def make_encodable(text: str, stream: TextIO) -> str:
    """Return a text with nothing in it that a stream's encoding lacks.

    That is replaced by what reads alike, or by its number.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    with contextlib.suppress(LookupError):  # Python does not know the encoding, and so uses another
        if not _can_encode(text, encoding):
            text = "".join(_substitute(letter, encoding) for letter in text)
    return text


def _show_character(letter: str) -> str:
    if letter.isprintable() or letter == _JOINER:
        return letter
    # A byte that is no text in the file system's encoding (PEP 383).
    return f"\\x{ord(letter) - 0xDC00:02x}" if "\udc80" <= letter <= "\udcff" else "?"


def _substitute(letter: str, encoding: str) -> str:
    if _can_encode(letter, encoding):
        return letter
    substitute = letter.translate(_SUBSTITUTES)
    return substitute.encode("ascii", "backslashreplace").decode("ascii")


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def find_width(stream: TextIO) -> int | None:
    """Return the columns of the terminal that a stream is, or None if it is none."""
    if not stream.isatty():
        return None
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and 0 < int(named) < 10_000:
        return int(named)
    with contextlib.suppress(OSError, ValueError):  # it has no descriptor
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    return _COLUMNS


@contextlib.contextmanager
def show_progress(total: int, unit: str) -> Iterator[Progress]:
    """Show on stderr how many are done, for as long as the block lasts.

    Parameters:
        total: how many there are.
        unit: what they are, in the plural.
    """
    if not sys.stderr.isatty():
        yield Line(total, unit, sys.stderr, pause=60.0, end="\n")
    elif is_pretty(sys.stderr):
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
        if self._end == "\r":
            # A shorter line must cover a longer one, and a carriage return leads back to the start
            # of the last line only.
            room = min(70, (find_width(self._stream) or _COLUMNS) - 1)
            text = text[:room].ljust(room)
        print(text, end=self._end, file=self._stream, flush=True)


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


def is_pretty(stream: TextIO) -> bool:
    """Return True if a person reads the stream, and `rich` (the extra `cli`) is installed."""
    return stream.isatty() and importlib.util.find_spec("rich") is not None

"""The layout: arranges text in columns of a terminal, whatever the width of its characters.

All functions are pure. A Chinese character takes two columns, a combining accent none, and an emoji
that is put together of several characters two; none of them is cut in half. Where a table does not
fit into the width, its columns become narrower, and where even that does not help, each row becomes
a paragraph.

What may go wrong: a terminal may show a new emoji narrower or wider than Unicode says. Then one
line is not aligned.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: The blanks between two columns.
_GAP = 2

#: A column need not be wider than this, the last one: longer words are cut there.
_LEAST, _LEAST_OF_LAST = 40, 24

#: The least width that text is wrapped to. On a narrower terminal the lines are cut by that.
_NARROWEST = 8

#: Joins two emoji to one, and asks for the picture of a character.
_JOINER, _PICTURE = "\u200d", "\ufe0f"


class Line(NamedTuple):
    """One line of a table. The two parts, one after the other, are its text."""

    #: The first column, with the blanks behind it, which may be printed in bold.
    label: str
    rest: str


def measure(text: str) -> int:
    """Return how many columns a text takes.

    Example:
        >>> measure("abc"), measure("表紙"), measure("e\u0301")
        (3, 4, 1)
    """
    return len(text) if text.isascii() else sum(width for _, width in split(text))


def split(text: str) -> Iterator[tuple[str, int]]:
    """Yield what a terminal shows as one character each, with the columns that it takes."""
    cluster, width = "", 0
    for character in text:
        own = _measure_character(character)
        pairs = _is_flag(character) and len(cluster) == 1 and _is_flag(cluster)
        if cluster and (own == 0 or pairs or cluster.endswith(_JOINER)):
            cluster += character
            # A flag is two letters; a picture of what else takes one column takes two.
            width = 2 if pairs or character == _PICTURE else max(width, own)
            continue
        if cluster:
            yield cluster, width
        cluster, width = character, own
    if cluster:
        yield cluster, width


def wrap(text: str, width: int, first: int | None = None) -> list[str]:
    """Return the lines of a text that is broken at blanks, none wider than ``width`` columns.

    A longer word is cut between two characters. A character wider than ``width`` has a line of its
    own. An empty text is one empty line.

    Parameters:
        text: the text, in one line.
        width: the columns of a line, 1 or more.
        first: those of the first line, or None: ``width``.
    """
    lines: list[str] = []
    line, used = "", 0
    room = width if first is None else first
    for word in text.split(" "):
        size = measure(word)
        if line and used + 1 + size <= room:
            line, used = f"{line} {word}", used + 1 + size
            continue
        if line:
            lines.append(line)
            room = width
        *full, line = _cut(word, min(room, width))
        lines += full
        used = measure(line)
        room = width if full else room
    return [*lines, line]


def shorten(text: str, width: int, placeholder: str = "…") -> str:
    """Return a text as one line of at most ``width`` columns, without its line breaks.

    Where it is longer, it is cut at a blank and ends in ``placeholder``.
    """
    text = " ".join(text.split())
    if measure(text) <= width:
        return text
    return wrap(text, width - measure(placeholder))[0] + placeholder


def fill(text: str, width: int | None, first: str = "", indent: str = "") -> list[str]:
    """Return the lines of a paragraph. ``width`` None: one line.

    Parameters:
        text: the paragraph, in one line.
        width: the columns of a line.
        first: stands before the first line.
        indent: stands before each other line.
    """
    if width is None:
        return [first + text]
    rooms = (max(_NARROWEST, width - measure(start)) for start in (indent, first))
    head, *more = wrap(text, *rooms)
    return [first + head, *(indent + line for line in more)]


def lay_out(
    rows: Sequence[Sequence[str]], header: Sequence[str] = (), width: int | None = None
) -> list[Line]:
    """Return the lines of a table.

    Parameters:
        rows: cells, as many in each row.
        header: the columns' names, or nothing.
        width: the columns of the terminal. None: the lines may be of any length, as in a file.
    """
    table = [header, *rows] if header else list(rows)
    if not table:
        return []
    widths = [max(map(measure, column)) for column in zip(*table, strict=True)]
    if width is not None:
        narrower = _fit(table, widths, width - _GAP * (len(widths) - 1))
        if narrower is None:
            return list(_stack(rows, header, max(width, _NARROWEST)))
        widths = narrower
    wraps = width is not None
    # A row whose label goes on below cannot be told from the next one without a blank line.
    parts = wraps and any(len(wrap(row[0], widths[0])) > 1 for row in rows)
    lines = list(_lay_out_row(header, widths, wraps=wraps)) if header else []
    lines = [Line(line.label + line.rest, "") for line in lines]
    for row in rows:
        if parts and lines:
            lines.append(Line("", ""))
        lines += _lay_out_row(row, widths, wraps=wraps)
    return lines


def _lay_out_row(row: Sequence[str], widths: Sequence[int], *, wraps: bool) -> Iterator[Line]:
    """Yield the lines of one row."""
    pairs = list(zip(row, widths, strict=True))
    # A number that fits keeps the blanks that align it.
    cells = [
        wrap(cell, max(width, 1)) if wraps and measure(cell) > width else [cell]
        for cell, width in pairs
    ]
    for number in range(max(map(len, cells))):
        parts = [cell[number] if number < len(cell) else "" for cell in cells]
        label, *others = [
            part + " " * (width + _GAP - measure(part))
            for part, width in zip(parts, widths, strict=True)
        ]
        rest = "".join(others).rstrip()
        yield Line(label if rest else label.rstrip(), rest)


def _fit(table: Sequence[Sequence[str]], widths: Sequence[int], room: int) -> list[int] | None:
    """Return narrower widths that take ``room`` columns at most, or None if there are none.

    The widest column is narrowed first, down to its longest word.
    """
    columns = list(zip(*table, strict=True))
    least = [_find_longest_word(column, _LEAST) for column in columns]
    least[-1] = min(least[-1], _LEAST_OF_LAST)
    found = list(widths)
    while sum(found) > room:
        slack = [n for n, width in enumerate(found) if width > least[n]]
        if not slack:
            return None
        found[max(slack, key=found.__getitem__)] -= 1
    return found


def _find_longest_word(cells: Sequence[str], most: int) -> int:
    words = (word for cell in cells for word in cell.split(" "))
    return min(most, max(map(measure, words)))


def _stack(rows: Sequence[Sequence[str]], header: Sequence[str], width: int) -> Iterator[Line]:
    """Yield each row as a paragraph: a line for each cell that is not empty.

    With a header, each line begins with the column's name; without one, the first cell is the
    heading of the others.
    """
    for number, row in enumerate(rows):
        if header and number:
            yield Line("", "")
        for place, cell in enumerate(row):
            if not cell:
                continue
            label = f"{header[place]}: " if header and header[place] else ""
            heads = not header and place == 0
            indent = "" if heads else "  "
            first, *more = fill(label + cell, width, "" if label or heads else indent, indent)
            cut = len(first) if heads else len(label) if first.startswith(label) else 0
            yield Line(first[:cut], first[cut:])
            yield from (Line(line if heads else "", "" if heads else line) for line in more)


def _cut(word: str, width: int) -> list[str]:
    """Cut a word into pieces of at most ``width`` columns."""
    if measure(word) <= width:
        return [word]
    pieces, piece, used = [], "", 0
    for cluster, size in split(word):
        if piece and used + size > width:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + cluster, used + size
    return [*pieces, piece]


def _measure_character(character: str) -> int:
    if character.isascii():
        return 1
    # Accents, signs around a character, the joiner, and variation selectors.
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or _is_modifier(character):
        return 0
    # The vowels and the final consonants of a Korean syllable are shown with its first letter.
    if "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _is_modifier(character: str) -> bool:
    """Return True for a colour of skin, which changes the emoji before it."""
    return "\U0001f3fb" <= character <= "\U0001f3ff"


def _is_flag(character: str) -> bool:
    """Return True for one of the two letters that make a flag."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"

"""Text is arranged in columns, on a terminal of any width and with characters of any width."""

from __future__ import annotations

import doctest
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import strategies

from migas.cli import layout
from migas.cli.layout import fill, lay_out, measure, shorten, split, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

E_ACUTE = "e\N{COMBINING ACUTE ACCENT}"
FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
THUMB = "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"
FLAG = "\N{REGIONAL INDICATOR SYMBOL LETTER D}\N{REGIONAL INDICATOR SYMBOL LETTER E}"
HEART = "\N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}"
SYLLABLE = "\N{HANGUL CHOSEONG KIYEOK}\N{HANGUL JUNGSEONG A}\N{HANGUL JONGSEONG KIYEOK}"

#: Characters of each kind, with the columns that each takes.
WIDTHS = {
    "a": 1,
    "表": 2,
    E_ACUTE: 1,
    FAMILY: 2,
    THUMB: 2,
    FLAG: 2,
    HEART: 2,
    SYLLABLE: 2,
    "\N{FULLWIDTH LATIN CAPITAL LETTER A}": 2,
    "\N{HALFWIDTH KATAKANA LETTER A}": 1,
}

TEXTS = strategies.lists(strategies.sampled_from([*WIDTHS, " ", "b", "-"]), max_size=40)


def show(
    rows: Sequence[tuple[str, ...]], header: tuple[str, ...] = (), width: int = 80
) -> list[str]:
    """Return the lines of a table as texts."""
    return [line.label + line.rest for line in lay_out(rows, header, width)]


@pytest.mark.parametrize(("text", "width"), WIDTHS.items(), ids=map(ascii, WIDTHS))
def test_each_character_takes_its_columns(text: str, width: int) -> None:
    """Alone and beside others, and it stays whole."""
    assert measure(text) == width
    assert measure(f"x{text}{text}y") == 2 * width + 2
    assert [cluster for cluster, _ in split(f"x{text}{text}y")] == ["x", text, text, "y"]


@pytest.mark.slow
@hypothesis.given(TEXTS, strategies.integers(2, 30))
def test_wrapped_text_fits_and_loses_nothing_but_blanks(parts: list[str], width: int) -> None:
    """No line is wider, and no character is cut in half."""
    text = "".join(parts)
    lines = wrap(text, width)
    assert all(measure(line) <= width for line in lines)
    clusters = [cluster for cluster, _ in split(text.replace(" ", ""))]
    assert [c for line in lines for c, _ in split(line) if c != " "] == clusters


@pytest.mark.slow
@hypothesis.settings(max_examples=50)
@hypothesis.given(
    strategies.lists(strategies.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=4),
    strategies.sampled_from([10, 20, 80, 200]),
    strategies.booleans(),
)
def test_a_table_fits_any_terminal(
    cells: list[tuple[list[str], ...]], width: int, named: bool
) -> None:
    """And each of its characters is there, once."""
    rows = [tuple("".join(parts) for parts in row) for row in cells]
    lines = show(rows, ("one", "two", "three") if named else (), width)
    assert all(measure(line) <= width for line in lines)
    for letter in "表", FAMILY, E_ACUTE:
        shown = sum(c == letter for line in lines for c, _ in split(line))
        assert shown == sum(c == letter for row in rows for cell in row for c, _ in split(cell))


def test_columns_are_aligned_whatever_their_characters_take() -> None:
    """The second column begins in the same place in each line."""
    rows = [("表紙", "x"), (E_ACUTE + "a", "x"), (FAMILY, "x"), ("abc", "x")]
    assert {measure(line.partition("x")[0]) for line in show(rows)} == {6}


def test_numbers_keep_the_blanks_that_align_them() -> None:
    """On a terminal as in a file."""
    rows = [("a", "    7"), ("b", "12345")]
    assert show(rows) == ["a      7", "b  12345"]


def test_a_file_gets_lines_of_any_length() -> None:
    """So that a script finds each row in one line."""
    assert [line.rest for line in lay_out([("a", "b c " * 50)])] == [("b c " * 50).rstrip()]


def test_the_widest_column_is_narrowed_first_and_words_stay_whole() -> None:
    """What goes on below begins where its column does."""
    rows = [("name", "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11", "what it is for, in some words")]
    assert show(rows, width=66) == [
        "name  3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11  what it is for, in",
        "                                            some words",
    ]


def test_a_label_that_goes_on_below_is_told_from_the_next_row() -> None:
    """By a blank line between rows."""
    rows = [("one two three four", "x " * 8 + "x"), ("five", "y")]
    assert show(rows, ("a", "b"), 24) == [
        "a            b",
        "",
        "one two      x x x x x x",
        "three four   x x x",
        "",
        "five         y",
    ]


def test_where_columns_do_not_fit_each_row_is_a_paragraph() -> None:
    """With its first cell as heading, or with the columns' names."""
    rows = [("server", "http://127.0.0.1/graphql: it answers"), ("user id", "")]
    assert show(rows, width=20) == [
        "server",
        "  http://127.0.0.1/g",
        "  raphql: it answers",
        "user id",
    ]
    sent = [("delivered", "owner/repo", "1.2.3"), ("refused", "owner/another-one", "4")]
    assert show(sent, ("outcome", "project", "version"), 20) == [
        "outcome: delivered",
        "project: owner/repo",
        "version: 1.2.3",
        "",
        "outcome: refused",
        "project:",
        "  owner/another-one",
        "version: 4",
    ]


def test_a_long_text_is_cut_at_a_blank() -> None:
    """Its line breaks are blanks."""
    assert shorten("a\n  b", 5) == "a b"
    assert shorten("one two three", 10) == "one two…"
    assert measure(shorten("表紙" * 40, 9)) <= 9


def test_a_paragraph_hangs_below_its_mark() -> None:
    """As an item of a list does; without a width it is one line."""
    assert fill("one two three", 11, "1. ", "   ") == ["1. one two", "   three"]
    assert fill("one two three", None, "1. ", "   ") == ["1. one two three"]


def test_the_examples_run() -> None:
    """Those in the docstrings."""
    assert doctest.testmod(layout).failed == 0

"""A package can paste a notice into its documentation, whatever stands in it."""

from __future__ import annotations

import doctest
import html
import io
import re

import pytest
from support import need

import migas
from migas._crumb import notice
from migas._crumb.meanings import FIELDS
from migas._crumb.notice import LONG_STYLES, write_notice

#: What a package may be named, and what markup might make of it.
VALUES = {
    "words": "the Acme laboratory",
    "an underscore": "my_pkg_",
    "emphasis": "*a* **b** `c` ``d``",
    "an item": "- x",
    "a number": "1. x",
    "a letter": "A. x",
    "a heading": "# x",
    "an underline": "=== ---",
    "a quotation": "> x",
    "a footnote": "[1]_ [x](y)",
    "a substitution": "|x|",
    "a comment": ".. x",
    "a field": ":x: y",
    "a tag": "<b> &amp; &#35;",
    "a backslash": r"a\b \* c\_",
    "a brace": "{operator} {0}",
    "an address": "https://example.org/a_b_/*c*?d=1&e=2",
    "mail": "me_too@example.org",
}


def fill(style: str, value: str) -> str:
    """Return a notice with one value in each place that a package fills in."""
    return write_notice(style, project=value, operator=value, retention=value, contact=value)


def test_without_a_style_a_notice_is_two_lines() -> None:
    """For a program's own output, as ever; a package may be named in them."""
    assert migas.notice() == (
        "Usage statistics are sent to the developers of this software, by migas.\n"
        "To switch that off set MIGAS_OPTOUT=1 or run `migas optout`; `migas show` says what is"
        " sent."
    )
    assert "the developers of hostpkg, by" in migas.notice(project="hostpkg")


@pytest.mark.parametrize("style", LONG_STYLES)
def test_a_notice_names_what_a_person_wants_to_know(style: str) -> None:
    """Each field, what the server learns by itself, how to opt out and how to look (pain 65)."""
    text = write_notice(style)
    for name, meaning in FIELDS.items():
        assert re.search(rf"^- `+{name}`+: {meaning}$", text, re.MULTILINE)
    words = " ".join(text.split())
    for word in (
        *("network address", "X-Backend-Geolocation: true", "city", "network operator"),
        *("coordinates", "MIGAS_OPTOUT", "DO_NOT_TRACK=1", "migas optout", "migas show"),
        *("migas show --sent", "migas status", "[who runs the server]"),
        *("[how many months or years]", "[whom to ask for deletion]"),
    ):
        assert word in words
    assert all(len(line) <= 79 for line in text.splitlines())
    assert "[" not in fill(style, "words")


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_restructuredtext_shows_each_value_as_it_is(value: str) -> None:
    """Without a warning of docutils, and so without one of Sphinx."""
    core = pytest.importorskip("docutils.core")
    warnings = io.StringIO()
    settings = {"report_level": 1, "warning_stream": warnings}
    document = core.publish_doctree(fill("rst", value), settings_overrides=settings)
    assert warnings.getvalue() == ""
    assert " ".join(document.astext().split()).count(value) == 4
    assert len(document) == 6


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_commonmark_shows_each_value_as_it_is(value: str) -> None:
    """By a parser of CommonMark without extensions: paragraphs and one list, nothing else."""
    need("markdown_it")
    from markdown_it import MarkdownIt

    page = MarkdownIt("commonmark").render(fill("markdown", value))
    assert set(re.findall(r"<(\w+)", page)) - {"a"} == {"p", "ul", "li", "code"}
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())
    assert text.count(value) == 4
    assert page.count("<p>") == 5


def test_plain_text_holds_each_value_as_it_is() -> None:
    """On one line's worth of blanks."""
    text = " ".join(fill("text", "the\n\n Acme \t laboratory").split())
    assert text.count("the Acme laboratory") == 4


def test_an_unknown_style_is_a_mistake_of_the_callers() -> None:
    """The error names those that there are."""
    with pytest.raises(ValueError, match="'html' is no style: short, text, markdown or rst"):
        migas.notice("html")  # type: ignore[arg-type]


def test_the_examples_run() -> None:
    """Those in the docstrings."""
    assert doctest.testmod(notice).failed == 0

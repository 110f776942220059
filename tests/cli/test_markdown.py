"""The documentation reads well on a terminal without anything installed for that."""

from __future__ import annotations

import doctest

import pytest

from migas.cli import markdown
from migas.cli.layout import measure
from migas.cli.markdown import name_topics, render

PAGE = """\
# Privacy

What is sent, and how to say *no*. See **[numbers](numbers.md#by-week)**, [above](#privacy),
[a site](https://example.org/a_b_c) and <mail@example.org>; `code *stays* _as_ it [is](x.md)`.

## How
### Exactly

| variable | effect |
|:---|---|
| `MIGAS_OPTOUT` | off: `a \\| b` |
| `NO_ET` | the same |

1. First, with words that go on
   below.
2. Second
   - nested

> quoted

```shell
# no *emphasis* here | nor there

migas optout

```

2 \\* 3, snake_case_name and 2 * 3 * 4
"""

PLAIN = """\
Privacy
=======

What is sent, and how to say no. See
numbers (migas help numbers), above, a
site (https://example.org/a_b_c) and
mail@example.org; `code *stays* _as_ it
[is](x.md)`.

How
---
Exactly

variable        effect
`MIGAS_OPTOUT`  off: `a | b`
`NO_ET`         the same

1. First, with words that go on below.
2. Second
   - nested

> quoted

    # no *emphasis* here | nor there

    migas optout

2 * 3, snake_case_name and 2 * 3 * 4"""


def test_each_part_of_a_document_is_plain_text() -> None:
    """Headings, paragraphs, links, emphasis, code, tables, lists and fences."""
    assert render(PAGE, 40) == PLAIN


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_document_fits_the_terminal(width: int) -> None:
    """Whatever is no code, which a person copies."""
    lines = [line for line in render(PAGE, width).splitlines() if not line.startswith("    ")]
    assert all(measure(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("```\nno end", "    no end"),
        ("| one | two |\n|---|---|", "one  two"),
        ("| one | two |", "one  two"),
        ("|a|b|\n|-|-|\n|c|\n|d|e|f|", "a  b\nc\nd  e"),
        ("| | |\n|---|---|\n| a | b |", "a  b"),
        ("![a badge](https://example.org/badge.svg)", "a badge (https://example.org/badge.svg)"),
        ("text\n- item", "text\n- item"),
        ("a `b` c `d` **`e`**", "a `b` c `d` `e`"),
        ("#no heading", "#no heading"),
    ],
)
def test_markdown_that_is_not_quite_right_is_shown_all_the_same(text: str, shown: str) -> None:
    """Nothing is lost, and nothing raises."""
    assert render(text, 60) == shown


def test_a_link_to_a_document_names_its_topic_in_markdown_too() -> None:
    """For rich, which shows all other links itself."""
    text = "[a](hosts.md) [b](#c) [d](https://example.org/e.md)"
    assert name_topics(text) == "a (migas help hosts) b [d](https://example.org/e.md)"


def test_the_examples_run() -> None:
    """Those in the docstrings."""
    assert doctest.testmod(markdown).failed == 0

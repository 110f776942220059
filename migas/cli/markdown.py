"""The Markdown: turns the package's own documentation into plain text for a terminal.

It knows the part of Markdown that these documents use: headings, paragraphs, lists, tables, blocks
of code between fences, links, emphasis and code. Anything else stays as it is written, which in
Markdown reads well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .layout import fill, lay_out, measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FENCE = "```"
_ITEM = re.compile(r"(\s*)([-*+]|\d+[.)])\s+(.*)")
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]*)\)")
_TOPIC = re.compile(r"([\w-]+)\.md(#.*)?")
_INSIDE = re.compile(r"#.*|[\w-]+\.md(#.*)?")
_CODE = re.compile(r"`[^`]+`")

#: Emphasis, escaped signs and addresses in brackets: what each shows is its one group.
_MARKS = (
    re.compile(r"\*\*(.+?)\*\*"),
    re.compile(r"(?<![\w*])\*(?![\s*])([^*]+)\*(?![\w*])"),
    re.compile(r"(?<!\w)_(?!\s)([^_]+)_(?!\w)"),
    re.compile(r"<((?:https?|mailto):[^>\s]+|[^>\s@]+@[^>\s]+)>"),
    re.compile(r"\\([^\w\s])"),
)


def render(text: str, width: int) -> str:
    r"""Return a document as plain text.

    Parameters:
        text: the document's Markdown.
        width: the columns of a line. Code is not wrapped.

    Example:
        >>> print(render("# One\n\nSee [the **other**](two.md).", 40))
        One
        ===
        <BLANKLINE>
        See the other (migas help two).
    """
    return "\n".join(
        line for kind, block in _split(text) for line in _render_block(kind, block, width)
    )


def name_topics(text: str) -> str:
    """Return Markdown whose links within the documentation are text, as `_show_link` has it."""
    return _LINK.sub(lambda link: _show_link(link) if _INSIDE.fullmatch(link[2]) else link[0], text)


def _split(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each block with its kind: `code`, `blank`, `heading`, `table`, `item` or `text`."""
    kind, block = "", []
    for line in text.splitlines():
        found = _classify(line)
        if kind == "code":
            block.append(line)
            if found == "code":
                yield kind, block[1:-1]
                kind, block = "", []
            continue
        continues = (found == "table" == kind) or (found == "text" and kind in ("text", "item"))
        if block and not continues:
            yield kind, block
            block = []
        kind = kind if continues else found
        block.append(line)
    if block:
        yield kind, block[1:] if kind == "code" else block


def _classify(line: str) -> str:
    stripped = line.strip()
    if not stripped:
        return "blank"
    if stripped.startswith(_FENCE):
        return "code"
    if re.match(r"#{1,6} ", stripped):
        return "heading"
    if stripped.startswith("|"):
        return "table"
    return "item" if _ITEM.fullmatch(line) else "text"


def _render_block(kind: str, block: Sequence[str], width: int) -> list[str]:
    if kind == "blank":
        return [""]
    if kind == "code":
        code = "\n".join(block).rstrip().split("\n")
        return [f"    {line}".rstrip() for line in code]
    if kind == "table":
        return _render_table(block, width)
    if kind == "heading":
        marks, _, title = block[0].strip().partition(" ")
        title = _render_inline(title)
        underline = {1: "=", 2: "-"}.get(len(marks), "")
        return [title, *([underline * measure(title)] if underline else [])]
    text = _render_inline(" ".join(" ".join(block).split()))
    if kind == "item" and (item := _ITEM.fullmatch(block[0])):
        first = f"{item[1]}{item[2]} "
        return fill(text.partition(" ")[2], width, first, " " * len(first))
    return fill(text, width)


def _render_table(block: Sequence[str], width: int) -> list[str]:
    """Return the lines of a table. Its second line only says how columns are aligned."""
    header, *rows = map(_read_cells, block)
    table = [[*row, *[""] * len(header)][: len(header)] for row in rows[1:]]
    lines = lay_out(table, header if any(header) else (), width)
    return [(line.label + line.rest).rstrip() for line in lines]


def _read_cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    return [_render_inline(cell.strip().replace(r"\|", "|")) for cell in cells]


def _render_inline(text: str) -> str:
    """Return a text without the marks of links and emphasis; code keeps its own."""
    codes: list[str] = []

    def keep(code: re.Match[str]) -> str:
        codes.append(code[0])
        return f"\0{len(codes) - 1}\0"

    text = _LINK.sub(_show_link, _CODE.sub(keep, text))
    for mark in _MARKS:
        text = mark.sub(r"\1", text)
    return re.sub(r"\0(\d+)\0", lambda number: codes[int(number[1])], text)


def _show_link(link: re.Match[str]) -> str:
    """Return a link's text, and where it leads to unless that is in the same document."""
    text, target = link[1], link[2]
    if topic := _TOPIC.fullmatch(target):
        return f"{text} (migas help {topic[1]})"
    return text if target.startswith("#") or text == target else f"{text} ({target})"

"""The topics: the documentation that is installed with the package, read by `migas help`.

Each topic is a file of `migas/docs` in Markdown. Its first line is its title, and the paragraph
below that is one sentence about which questions it answers.

What may go wrong: a package manager may have left the documents out. Then there are no topics, and
the command says so.
"""

from __future__ import annotations

import difflib
import importlib.resources
import sys
from typing import TYPE_CHECKING

from . import markdown
from .pager import page
from .runner import WELL, WrongError
from .terminal import find_width, make_encodable, make_printable, print_paragraph, print_rows

if TYPE_CHECKING:
    from collections.abc import Collection
    from importlib.resources.abc import Traversable

#: Columns of a line of prose: longer ones are hard to read.
_WIDTH = 80

_SUFFIX = ".md"


def show_topics(docs: Traversable | None = None) -> int:
    """Print the topics, each with its sentence, and return the exit status.

    Parameters:
        docs: the directory of the documents. None: that of the package, also in a zip archive.

    Raises:
        WrongError: there are no documents.
    """
    rows = [(topic, _find_sentence(read_topic(topic, docs))) for topic in list_topics(docs)]
    if not rows:
        raise WrongError("the documents are not installed here; `migas --help` lists the commands")
    print_paragraph("`migas help TOPIC` shows one of these:")
    print_paragraph("")
    print_rows(rows)
    print_paragraph("")
    print_paragraph("`migas --help` lists the commands, and `migas help COMMAND` explains one.")
    return WELL


def show_topic(topic: str, commands: Collection[str] = (), docs: Traversable | None = None) -> int:
    """Show one document, in a pager on a terminal, and return the exit status.

    Parameters:
        topic: its name; upper case and the file's ending make no difference.
        commands: other names that a person may have meant.
        docs: the directory of the documents, as for `show_topics`.

    Raises:
        WrongError: there is no such topic; the text names those that are near.
    """
    name, topics = topic.lower().removesuffix(_SUFFIX), list_topics(docs)
    if name not in topics:
        near = difflib.get_close_matches(name, [*topics, *commands], n=3, cutoff=0.5)
        meant = f"did you mean {_join(near)}?" if near else "`migas help` lists all topics"
        raise WrongError(f"there is no topic {topic!r}; {meant}")
    text = read_topic(name, docs)
    lines = [make_printable(line, sys.stdout) for line in text.splitlines()]
    source = "\n".join(lines)
    # Rich has signs of its own, such as a list's dot.
    page(lambda pretty: make_encodable(_render(source, is_pretty=pretty), sys.stdout))
    return WELL


def list_topics(docs: Traversable | None = None) -> list[str]:
    """Return the topics' names in alphabetical order."""
    try:
        names = [entry.name for entry in _locate(docs).iterdir()]
    except OSError:
        return []
    return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))


def read_topic(topic: str, docs: Traversable | None = None) -> str:
    """Return the Markdown of one topic. Raises `OSError` if there is no such file."""
    return (_locate(docs) / f"{topic}{_SUFFIX}").read_text(encoding="utf-8")


def _locate(docs: Traversable | None) -> Traversable:
    return docs or importlib.resources.files("migas") / "docs"


def _find_sentence(text: str) -> str:
    """Return the paragraph below the title as plain text in one line."""
    paragraphs = text.strip().split("\n\n")
    return markdown.render(paragraphs[1] if len(paragraphs) > 1 else "", sys.maxsize).strip()


def _render(text: str, *, is_pretty: bool) -> str:
    width = min(find_width(sys.stdout) or _WIDTH, _WIDTH)
    if not is_pretty:
        return markdown.render(text, width)
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(width=width)
    with console.capture() as captured:
        # Not every terminal shows where a link leads to.
        console.print(Markdown(markdown.name_topics(text), hyperlinks=False))
    return "\n".join(line.rstrip() for line in captured.get().rstrip().split("\n"))


def _join(names: list[str]) -> str:
    quoted = [f"`migas help {name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"

"""The notice: a text by which a package tells its users what it sends, for its documentation.

It is made of `meanings`, so that it names each field that a breadcrumb has, and nothing else. The
package's developers know what migas cannot know: who runs the server, how long records are kept and
whom to ask for deletion. Where they say nothing a blank in brackets stands in the text.

What a caller passes is one line of plain text: what Markdown or reStructuredText would take for
their own signs is written so that it reads as it was passed.
"""

from __future__ import annotations

import re
import textwrap

from .breadcrumb import PLACE_HEADER
from .meanings import FIELDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Columns of a line, at most. A longer word, such as an address, is not cut.
_WIDTH = 79

#: What stands where a value is not given.
_NO_PROJECT = "This software"
_BLANKS = {
    "operator": "[who runs the server]",
    "retention": "[how many months or years]",
    "contact": "[whom to ask for deletion]",
}

_SHORT = """\
Usage statistics are sent to the developers of {project}, by migas.
To switch that off set MIGAS_OPTOUT=1 or run `migas optout`; `migas show` says what is sent."""

_BEFORE = """\
{project} sends usage statistics to its developers, by `migas`. When it is used, it sends a record
over the network to a server that is run by {operator}. A record holds these fields and no others,
and a field may be empty:"""

_AFTER = (
    f"""\
By itself the server notes when a record arrives, and it sees the network address that the request
comes from. A server that answers with the header `{PLACE_HEADER}: true` also derives the city, the
network operator and the coordinates from that address and stores them; `migas status` says whether
the server in use does so.""",
    """\
Before the text of an error is written or sent, `migas` removes the paths, names and addresses that
it recognises. The number that stands for the user is random; where none can be kept it is a hash,
and in continuous integration and in a container that is thrown away there is none.""",
    """\
To switch this off set the environment variable `MIGAS_OPTOUT` to `1`, or run `migas optout`; then
nothing is sent. `DO_NOT_TRACK=1` switches it off as well. To look for yourself run `migas show`,
which prints what is sent from your machine, `migas show --sent`, which prints the latest records
that were sent, and `migas status`.""",
    """\
Records are kept for {retention}. To have records deleted, ask {contact}, and name the user id that
`migas status` prints.""",
)

#: The names of the styles that have a list of fields.
LONG_STYLES = ("text", "markdown", "rst")


def write_notice(
    style: str = "short",
    *,
    project: str = "",
    operator: str = "",
    retention: str = "",
    contact: str = "",
) -> str:
    """Return the notice, without a line feed at its end.

    Parameters:
        style: `short` for two lines; `text`, `markdown` (CommonMark) or `rst` (reStructuredText,
            for docutils and Sphinx) for a text with a list of all fields.
        project: the package's name; `""`: `This software`.
        operator: who runs the server. This and the next two stand in the long styles only; `""`: a
            blank.
        retention: how long records are kept.
        contact: whom to ask for deletion: a name, an address of mail or of the web.

    Raises `ValueError` for another style.

    Example:
        >>> print(write_notice("markdown", project="hostpkg").splitlines()[4])
        - `project`: the package that is used, as owner/repo
    """
    if style == "short":
        return _SHORT.format(project=_join(project) or "this software")
    if style not in LONG_STYLES:
        raise ValueError(f"{style!r} is no style: short, text, markdown or rst")
    escape = _ESCAPES[style]
    given = {"operator": operator, "retention": retention, "contact": contact}
    values = {name: escape(_join(text)) or _BLANKS[name] for name, text in given.items()}
    values["project"] = escape(_join(project)) or _NO_PROJECT
    code = "``" if style == "rst" else "`"

    def fill(text: str) -> str:
        # The marks of code first: a value's own are escaped already.
        return _wrap(text.replace("`", code).format_map(values))

    fields = [_wrap(f"- {code}{name}{code}: {text}", "  ") for name, text in FIELDS.items()]
    return "\n\n".join([fill(_BEFORE), "\n".join(fields), *map(fill, _AFTER)])


def _join(text: str) -> str:
    """Return a value as one line, since a blank line would end the paragraph."""
    return " ".join(str(text).split())


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _escape_markdown(text: str) -> str:
    """Return a text that CommonMark shows as it is; an address becomes a link.

    Any word may come to stand at the beginning of a line, where some signs begin a list, a heading
    or a quotation (https://spec.commonmark.org/0.31.2/#backslash-escapes).
    """
    return " ".join(map(_escape_markdown_word, text.split()))


def _escape_markdown_word(word: str) -> str:
    if re.fullmatch(r"(https?://[^\s<>]+|[\w.+-]+@[\w-]+(\.[\w-]+)+)", word, re.ASCII):
        return f"<{word}>"
    word = re.sub(r"([\\`*_\[\]<>&~])", r"\\\1", word)
    return re.sub(r"^([-+#=]|\d+(?=[.)]))", _escape_start, word)


def _escape_start(match: re.Match[str]) -> str:
    start = match[1]
    return f"{start}\\" if start.isdigit() else f"\\{start}"


def _escape_rst(text: str) -> str:
    """Return a text that reStructuredText shows as it is; it makes a link of an address by itself.

    https://docutils.sourceforge.io/docs/ref/rst/restructuredtext.html#escaping-mechanism
    """
    text = re.sub(r"([\\`*_|])", r"\\\1", text)
    # At a paragraph's start `A.` is an item's number, and other signs have a meaning, too.
    return re.sub(r"^(?=[^\w\\]|\w+[.)])", r"\\", text)


_ESCAPES: dict[str, Callable[[str], str]] = {
    "text": str,
    "markdown": _escape_markdown,
    "rst": _escape_rst,
}

"""The texts: the commands `notice` and `help`, with their arguments.

`notice` goes to a file or into a package's own documentation, so nothing else is printed. What each
needs is imported when it runs, as for all commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from .parser import Commands

#: The blanks of a notice, with what each is filled in with.
_BLANKS = {
    "operator": "who runs the server",
    "retention": "how long records are kept, such as 'two years'",
    "contact": "whom to ask for deletion",
}

_STYLES = {"markdown": "Markdown", "rst": "reStructuredText", "text": "plain text"}


def add_texts(commands: Commands) -> None:
    """Add the two commands.

    Parameters:
        commands: argparse's object that they are added to. `help` knows all commands that it has.
    """
    notice = commands.add_parser(
        "notice",
        help="write a notice for the users of your package",
        description="Print a text by which a package tells its users what it sends: two lines, or,"
        " for its documentation, a longer text with a list of all fields. What you do not give is"
        " left as a blank in brackets.",
    )
    style = notice.add_mutually_exclusive_group()
    for name, form in _STYLES.items():
        style.add_argument(
            f"--{name}",
            dest="style",
            action="store_const",
            const=name,
            help=f"the longer text, as {form}",
        )
    notice.add_argument("--project", metavar="NAME", default="", help="the package's name")
    for name, meaning in _BLANKS.items():
        notice.add_argument(f"--{name}", metavar="TEXT", default="", help=meaning)
    notice.set_defaults(command=lambda options: _print_notice(options, notice), style="short")
    topics = commands.add_parser(
        "help",
        help="show the documentation",
        description="List the topics of the documentation, or show one of them.",
    )
    topic = topics.add_argument(
        "topic", nargs="?", metavar="TOPIC", help="a topic, or a command; none: list the topics"
    )
    topic.completer = _complete_topic  # type: ignore[attr-defined]  # read by argcomplete
    topics.set_defaults(command=lambda options: _show_help(options.topic, commands.choices))


def _print_notice(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print the notice, and return the exit status.

    A blank that is filled in stands in the longer text only, so without a style the parser ends the
    program and says so.
    """
    from migas.config import notice

    from .runner import WELL
    from .terminal import print_line

    blanks = {name: getattr(options, name) for name in _BLANKS}
    if options.style == "short" and any(blanks.values()):
        given = next(name for name, value in blanks.items() if value)
        parser.error(f"--{given} needs one of --markdown, --rst and --text")
    for line in notice(options.style, project=options.project, **blanks).splitlines():
        print_line(line)
    return WELL


def _show_help(topic: str | None, commands: Mapping[str, argparse.ArgumentParser]) -> int:
    """Show a topic or a command's help, or list the topics, and return the exit status."""
    from . import topics
    from .runner import WELL

    if topic is None:
        return topics.show_topics()
    if topic in commands:
        commands[topic].print_help()
        return WELL
    return topics.show_topic(topic, commands)


def _complete_topic(**_: object) -> list[str]:
    """Return the topics, for a shell that asks what may follow."""
    from .topics import list_topics

    return list_topics()

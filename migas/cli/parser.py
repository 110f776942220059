# PYTHON_ARGCOMPLETE_OK
"""The parser: defines the commands and their arguments, and runs the function of each.

It owns the names, the help and the checks of all arguments. A command's modules are imported when
it runs, so that `--help` and a shell's completion are quick, and an extra that is not installed is
missed only by the commands that need it.

What may go wrong: arguments that make no sense end the program with status 2 and a usage message,
by argparse. All other failures are handled by `runner`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import re
from typing import TYPE_CHECKING

from migas._runtime.quiet import quiet
from migas._runtime.version import __version__

from . import runner
from .texts import add_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    # The class has no public name.
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status.

    Parameters:
        arguments: the arguments after the program's name. None: those of this process.

    Raises:
        SystemExit: the arguments make no sense, or are `--help` or `--version`.
    """
    # No person can mend what `requests` warns of.
    with quiet:
        return runner.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    """Parse the arguments, run the command that they name, and return its exit status."""
    parser = _make_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell wants to know what may follow
        with contextlib.suppress(ModuleNotFoundError):
            import argcomplete

            argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def _make_parser() -> argparse.ArgumentParser:
    """Return the parser. Each command stores the function that runs it as `command`."""
    parser = argparse.ArgumentParser(
        prog="migas",
        description="Look at the usage telemetry that Python packages send by migas, send what is"
        " pending, and switch it off. Without a COMMAND: `status`.",
    )
    parser.add_argument("--version", action="version", version=f"migas {__version__}")
    parser.set_defaults(command=lambda options: _run_command("status", options), json=False)
    commands = parser.add_subparsers(metavar="COMMAND")
    _add_inspection(commands)
    _add_actions(commands)
    add_texts(commands)
    _add_trials(commands)
    return parser


def _add_trials(commands: Commands) -> None:
    """Add the commands with which a developer tries migas: `demo` and `serve`."""
    serve = commands.add_parser(
        "serve",
        help="run a local migas server",
        description="Run a migas server on 127.0.0.1 until Ctrl-C. Every owner/repo is registered.",
    )
    serve.add_argument(
        "--port", type=_read_port, default=8000, help="default: 8000; 0: any free one"
    )
    serve.add_argument(
        "--database", metavar="FILE", help="SQLite file for the breadcrumbs; default: memory"
    )
    serve.set_defaults(command=_serve)
    demo = commands.add_parser(
        "demo",
        help="show how a breadcrumb travels, online and offline",
        description="Run a small package three times beside a local server, which is stopped for"
        " the second time. Everything is in a temporary directory, and nothing is left of it.",
    )
    demo.set_defaults(command=_show_demo)


def _add(commands: Commands, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    """Return a new command that can print JSON.

    Parameters:
        commands: argparse's object that the command is added to.
        name: the command's name.
        summary: one line for `migas --help`.
        description: whole sentences for the command's own `--help`.
    """
    command = commands.add_parser(name, help=summary, description=description)
    command.add_argument("--json", action="store_true", help="print JSON, for scripts")
    command.set_defaults(command=lambda options: _run_command(name, options))
    return command


def _add_inspection(commands: Commands) -> None:
    """Add the commands that show something: `status`, `show` and `usage`."""
    _add(
        commands,
        "status",
        "show whether telemetry is on, and what is pending",
        "Show whether telemetry is on and what has switched it off, whether the server answers and"
        " what it notes by itself, when it is tried next, whether this is CI, a container or one"
        " of several processes, which variables are ignored, and how many breadcrumbs are pending,"
        " were delivered, refused and dropped."
        " Exit status 1: the server does not answer.",
    )
    show = _add(
        commands,
        "show",
        "show what is sent",
        "Show the fields of a breadcrumb that is sent from here, what each field means, and what"
        " the server notes by itself.",
    )
    what = show.add_mutually_exclusive_group()
    what.add_argument(
        "--pending", "--waiting", action="store_true", help="list the pending breadcrumbs"
    )
    what.add_argument("--sent", action="store_true", help="list the latest that were sent")
    _add_usage(commands)


def _add_usage(commands: Commands) -> None:
    """Add the command that counts: `usage`."""
    usage = _add(
        commands,
        "usage",
        "count a project's breadcrumbs or sessions",
        "Ask the server how many breadcrumbs of a project arrived, by day, week or month; or, with"
        " the project's token in MIGAS_TOKEN, how many sessions there were, by version or status."
        " Exit status 1: it did not answer all, or a file could not be written.",
    )
    usage.add_argument("project", help="owner/repo")
    usage.add_argument("--since", type=_read_date, metavar="DATE", help="default: 30 days ago")
    usage.add_argument("--until", type=_read_date, metavar="DATE", help="default: today")
    usage.add_argument(
        "--by",
        choices=("day", "week", "month", "version", "status"),
        default="day",
        help="default: day; version and status count sessions, and need a token",
    )
    usage.add_argument("--unique", action="store_true", help="count users instead of breadcrumbs")
    usage.add_argument(
        "--token-file", metavar="FILE", help="holds the project's token; default: MIGAS_TOKEN"
    )
    usage.add_argument("--csv", action="store_true", help="print CSV")
    usage.add_argument(
        "--plot", metavar="FILE", help="draw a picture (PNG, SVG, PDF); -: bars in the terminal"
    )
    usage.add_argument("--badge", metavar="FILE", help="write what shields.io draws a badge from")


def _add_actions(commands: Commands) -> None:
    """Add the commands that change something: `flush`, `optout`, `optin` and `clear`."""
    flush = _add(
        commands,
        "flush",
        "send everything that is pending",
        "Send everything that is pending, also what other machines left in a home that they share."
        " You may interrupt it and run it again at any time. Exit status 1: something is still"
        " pending, or was refused.",
    )
    flush.add_argument(
        "--timeout",
        type=_read_seconds,
        metavar="SECONDS",
        help="stop after this time; default: go on until all is sent, or the server fails",
    )
    _add(
        commands,
        "optout",
        "switch telemetry off for good",
        "Switch telemetry off for this user, on every machine that shares the home. Programs that"
        " run already follow within a minute.",
    )
    _add(
        commands,
        "optin",
        "switch telemetry on again",
        "Switch telemetry on again. Exit status 1: a variable, or a file of this machine's"
        " administrator, still switches it off.",
    )
    clear = _add(
        commands,
        "clear",
        "remove what is pending, the record, or your id",
        "Remove the pending breadcrumbs of the server in use (spool), the record of those that were"
        " sent to it (record), your user id (id), or the pending breadcrumbs and the records"
        " of every server (all). It asks first. Exit status 1: something is left.",
    )
    choices = ("spool", "record", "id", "all")
    clear.add_argument(
        "what", choices=choices, metavar=f"{{{','.join(choices)}}}", help="what to remove"
    )
    clear.add_argument("--yes", action="store_true", help="do not ask")


def _run_command(name: str, options: argparse.Namespace) -> int:
    """Run a command other than `serve` and `demo`, and return its exit status.

    Parameters:
        name: the command.
        options: its parsed arguments.
    """
    from . import consent, flush, inspection, numbers, removal

    run: Callable[[argparse.Namespace], int] = {
        "status": inspection.show_status,
        "show": inspection.show_fields,
        "usage": numbers.show_usage,
        "flush": flush.flush,
        "optout": consent.opt_out,
        "optin": consent.opt_in,
        "clear": removal.clear,
    }[name]
    return run(options)


def _serve(options: argparse.Namespace) -> int:
    """Run the local server until Ctrl-C, and return the exit status."""
    from .service import serve

    return serve(options.port, options.database)


def _show_demo(_options: argparse.Namespace) -> int:
    """Show the demo, and return its exit status."""
    from .demo import run

    return run()


def _read_date(text: str) -> datetime.date:
    """Return the day of a text as `2026-01-31`.

    Raises `ArgumentTypeError`, the one error whose text argparse prints, as do the next two.
    """
    # fromisoformat() takes other forms, too.
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        with contextlib.suppress(ValueError):
            return datetime.date.fromisoformat(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no date as 2026-01-31")


def _read_seconds(text: str) -> float:
    """Return a number of seconds, >= 0, which may be infinite."""
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if seconds >= 0:  # NaN compares false
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds >= 0")


def _read_port(text: str) -> int:
    """Return the number of a TCP port, 0 to 65535; 0 means a free one."""
    if re.fullmatch(r"\d{1,5}", text, re.ASCII) and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")

# PYTHON_ARGCOMPLETE_OK
"""The command line: `migas`, or `python -m migas`."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import signal
import sys
from typing import TYPE_CHECKING

from migas._runtime.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Where a module comes from that migas itself can do without.
_EXTRAS = {"graphql": "server", "packaging": "server", "matplotlib": "plot"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell wants to know what may follow
        with contextlib.suppress(ModuleNotFoundError):
            import argcomplete

            argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(str(error.name).partition(".")[0])
        if extra is None:
            raise
        text = f"migas: this needs the extra `{extra}`: pip install 'migas[{extra}]'"
        print(text, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="migas", description="Usage telemetry that a Python package can carry."
    )
    parser.add_argument("--version", action="version", version=f"migas {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run a local migas server",
        description="Run a migas server on 127.0.0.1 until Ctrl-C. Every owner/repo is registered.",
    )
    serve.add_argument("--port", type=_port, default=8000, help="default: 8000; 0: any free one")
    serve.add_argument(
        "--database", metavar="FILE", help="SQLite file for the breadcrumbs; default: memory"
    )
    serve.set_defaults(command=_serve)
    demo = commands.add_parser(
        "demo",
        help="show a breadcrumb's way, online and offline",
        description="Run a host package three times against a local server, the second time"
        " without it. Everything lies in a temporary directory.",
    )
    demo.set_defaults(command=_demo)
    _add_questions(commands)
    _add_actions(commands)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str,
) -> argparse.ArgumentParser:
    """Add a command that can print JSON."""
    command = commands.add_parser(name, help=summary, description=description)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(command=lambda options: _run_command(name, options))
    return command


def _add_questions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands by which a person looks."""
    _add(
        commands,
        "status",
        "say whether telemetry is on, and what waits",
        "Say whether telemetry is on and why not, whether the server answers now, when it is tried"
        " next, and what waits for it. Status 1: it does not answer.",
    )
    show = _add(
        commands,
        "show",
        "say what is told",
        "Say what a breadcrumb of this machine would tell, and what each field means.",
    )
    what = show.add_mutually_exclusive_group()
    what.add_argument("--waiting", action="store_true", help="list the breadcrumbs that wait")
    what.add_argument("--sent", action="store_true", help="list the latest that have left")
    usage = _add(
        commands,
        "usage",
        "count a project's uses",
        "Ask the server how often a project was used, day by day, week by week or month by month."
        " Status 1: it did not answer.",
    )
    usage.add_argument("project", help="owner/repo")
    usage.add_argument("--since", type=_date, metavar="DATE", help="default: 30 days ago")
    usage.add_argument("--until", type=_date, metavar="DATE", help="default: today")
    usage.add_argument("--by", choices=("day", "week", "month"), default="day")
    usage.add_argument("--unique", action="store_true", help="count users instead of uses")
    usage.add_argument(
        "--plot", metavar="FILE", help="draw a picture (PNG, SVG, PDF); -: bars in the terminal"
    )


def _add_actions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands by which a person sends, refuses and removes."""
    flush = _add(
        commands,
        "flush",
        "send everything that waits",
        "Send everything that waits, also what other machines left in a home that they share."
        " It may be interrupted and run again at any time. Status 1: something is left.",
    )
    flush.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="default: as long as it takes"
    )
    _add(
        commands,
        "optout",
        "switch telemetry off for good",
        "Switch telemetry off for this user, on every machine that shares the home.",
    )
    _add(
        commands,
        "optin",
        "take that back",
        "Switch telemetry on again. Status 1: a variable still says no.",
    )
    clear = _add(
        commands,
        "clear",
        "remove what waits, the record, or your id",
        "Remove the breadcrumbs that wait for the server, the record of those that have left, or"
        " your anonymous id. It asks first.",
    )
    clear.add_argument("what", choices=("spool", "record", "id"), help="what to remove")
    clear.add_argument("--yes", action="store_true", help="do not ask")


def _run_command(name: str, options: argparse.Namespace) -> int:
    from . import commands

    run: Callable[[argparse.Namespace], int] = {
        "status": commands.show_status,
        "show": commands.show_fields,
        "flush": commands.flush,
        "usage": commands.show_usage,
        "optout": commands.opt_out,
        "optin": commands.opt_in,
        "clear": commands.clear,
    }[name]
    try:
        return run(options)
    except KeyboardInterrupt:
        return commands.STOPPED


def _date(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds >= 0:  # NaN compares false
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds >= 0")
    return seconds


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port: 0 to 65535")
    return port


def _serve(options: argparse.Namespace) -> int:
    import sqlite3

    from migas.testing import Server

    try:
        server = Server(options.port, database=options.database)
    except sqlite3.Error as error:
        print(f"migas: {options.database}: {error}", file=sys.stderr)
        return 1
    try:
        server.start()
        # Before anybody can know that it runs, and tell it to end.
        signal.signal(signal.SIGTERM, _stop)
        print(f"migas server at {server.endpoint}; Ctrl-C stops it", flush=True)
        _await_signal()
    except OSError as error:
        print(f"migas: port {options.port}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        server.close()
    return 0


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _await_signal() -> None:
    """Wait for Ctrl-C, or for the polite kill that a service manager sends, or for the input's end.

    The first two raise `KeyboardInterrupt`.
    """
    with contextlib.suppress(EOFError):
        while True:
            signal.pause() if hasattr(signal, "pause") else input()


def _demo(_options: argparse.Namespace) -> int:
    from .demo import run

    return run()

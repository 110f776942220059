"""Measure: `python -m tests.bench table` and `python -m tests.bench figures`."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from . import figures, table
from .client import OURS, PEERS, YARDSTICKS
from .host import HOSTS
from .weather import WEATHERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .client import Client
    from .host import Host
    from .weather import Weather

T = TypeVar("T", "Client", "Host", "Weather")


def main() -> int:
    """Run what the command line says, and return the exit status."""
    options = _parse()
    if options.what == "figures":
        found = figures.measure_figures(options.rounds or 31, options.figures)
        print(figures.write_markdown(found))
        if options.json:
            options.json.write_text(json.dumps([each._asdict() for each in found], indent=1))
        return 0 if all(each.holds for each in found) else 1
    clients = _choose([*OURS, *YARDSTICKS, *(PEERS if options.peers else [])], options.clients)
    hosts = _choose(HOSTS, options.hosts)
    weathers = [each for each in _choose(WEATHERS, options.weathers) if each.is_possible]
    environments = options.environments or Path(tempfile.gettempdir(), "migas-bench")
    rounds = options.rounds or 5
    rows = table.compare(clients, hosts, weathers, rounds=rounds, environments=environments)
    print(table.write_summary(rows) if options.summary else table.write_markdown(rows))
    if options.json:
        options.json.write_text(json.dumps([row._asdict() for row in rows], indent=1))
    if options.plot:
        table.plot(rows, options.plot)
    return 0


def _choose(things: Sequence[T], pattern: str) -> list[T]:
    return [thing for thing in things if re.search(pattern, thing.name)]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("what", choices=("table", "figures"))
    parser.add_argument("--rounds", type=int, help="default: 31 for figures, 5 for a table")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", metavar="FILE", help="of the table")
    parser.add_argument("--summary", action="store_true", help="one line a client, of one host")
    parser.add_argument("--peers", action="store_true", help="install and measure the peers")
    parser.add_argument("--environments", type=Path, metavar="DIR", help="where they are installed")
    for name in ("clients", "hosts", "weathers", "figures"):
        parser.add_argument(f"--{name}", default="", metavar="REGEX", help="default: all")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

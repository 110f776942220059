"""Short commands, one after the other in one home: `python -m tests.bench.commands`.

Ten exits an hour deliver, and the others leave their breadcrumb on disk: so what the first of an
hour cost, and what the others save, shows only in a row of them. Each client has a home of its own,
and the clients take turns, so that a noisy machine is fair.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .burst import serve
from .client import BARE, OURS, PEERS, YARDSTICKS, Client, install
from .host import HOSTS, Host
from .measurement import name_container

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Commands in a row.
COUNT = 40

#: Commands that the table's first columns are about: as many exits an hour deliver.
FIRST = 10

#: Where peers are installed.
ENVIRONMENTS = Path(tempfile.gettempdir(), "migas-bench")

_PROGRAM = """
import os
mark = "bench"
{before}
{imports}
{begins}
{call}
"""


class Cost(NamedTuple):
    """What one command took, in seconds."""

    wall: float
    cpu: float


class Row(NamedTuple):
    """What one client's commands took, beside those that were started without a client."""

    name: str
    online: bool
    costs: list[Cost]
    bare: list[Cost]

    def excess(self, field: str, start: int = 0, end: int | None = None) -> float:
        """Return the mean of what some of the commands took over those without a client."""
        pairs = list(zip(self.costs, self.bare, strict=True))[start:end]
        index = Cost._fields.index(field)
        return statistics.mean(own[index] - bare[index] for own, bare in pairs)

    def ratio(self, field: str) -> float:
        """Return what the mean command took, of the mean one without a client."""
        index = Cost._fields.index(field)
        own, bare = ([each[index] for each in costs] for costs in (self.costs, self.bare))
        return statistics.mean(own) / statistics.mean(bare)


def measure_commands(
    clients: Sequence[Client],
    host: Host,
    *,
    count: int = COUNT,
    environments: Path = ENVIRONMENTS,
) -> list[Row]:
    """Run ``count`` commands of each client, online and offline, and as many without a client."""
    cases = [(BARE, True), *((client, online) for client in clients for online in (True, False))]
    costs: dict[tuple[str, bool], list[Cost]] = {(one.name, online): [] for one, online in cases}
    pythons = {client.name: install(client, environments) for client in (BARE, *clients)}
    with ExitStack() as stack:
        url = stack.enter_context(serve(0.001)).endpoint.removesuffix("/graphql")
        homes = {key: stack.enter_context(tempfile.TemporaryDirectory()) for key in costs}
        nowhere = _find_nowhere(stack)
        for number in range(-1, count):  # the one before the first fills the system's caches
            for client, online in random.sample(cases, len(cases)):
                key = client.name, online
                with tempfile.TemporaryDirectory() as other:
                    home = homes[key] if number >= 0 else other
                    environ = _make_environ(home, url if online else nowhere, client)
                    cost = _run(pythons[client.name], client, host, environ)
                if number >= 0:
                    costs[key].append(cost)
    bare = costs[BARE.name, True]
    return [Row(name, online, costs[name, online], bare) for name, online in costs]


def measure_hours(hours: int, clients: Sequence[Client], host: Host) -> list[Row]:
    """Measure several such rows of commands, each in homes of its own, and return them as one."""
    found = [measure_commands(clients, host) for _ in range(hours)]
    return [
        Row(
            rows[0].name,
            rows[0].online,
            [cost for row in rows for cost in row.costs],
            [cost for row in rows for cost in row.bare],
        )
        for rows in zip(*found, strict=True)
    ]


def _find_nowhere(stack: ExitStack) -> str:
    """Return an address at which nobody listens, and nobody will."""
    taken = stack.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{taken.getsockname()[1]}"


def _make_environ(home: str, url: str, client: Client) -> dict[str, str]:
    names = ("PATH", "PYTHONPATH")
    return {
        **{name: os.environ[name] for name in names if name in os.environ},
        **name_container(home),
        "HOME": home,
        "BENCH_URL": url,
        "MIGAS_ENDPOINT": f"{url}/graphql",
        "HF_ENDPOINT": url,
        **client.environ,
    }


def _run(python: str, client: Client, host: Host, environ: Mapping[str, str]) -> Cost:
    fields = {"imports": client.imports, "begins": client.begins, "call": client.call}
    code = _PROGRAM.format(before=host.before, **fields)
    start = time.monotonic()
    process = subprocess.Popen(
        [python, "-c", code],
        env=environ,
        cwd=environ["HOME"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(time.monotonic() - start, usage.ru_utime + usage.ru_stime)


def write_markdown(rows: Sequence[Row]) -> str:
    """Write a line a client: milliseconds over a command without one, of the first and of all."""
    head = "| client | | wall: first | first ten | others | mean | CPU: first ten | others | mean |"
    lines = [head, "|---" * 9 + "|"]
    for row in rows:
        if row.name == BARE.name:
            continue
        spans = [("wall", 0, 1), ("wall", 0, FIRST), ("wall", FIRST, COUNT), ("wall", 0, COUNT)]
        spans += [("cpu", 0, FIRST), ("cpu", FIRST, COUNT), ("cpu", 0, COUNT)]
        cells = [f"{1000 * row.excess(*span):.0f}" for span in spans]
        place = "online" if row.online else "offline"
        lines.append(f"| {row.name} | {place} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(rows: Sequence[Row], path: str) -> None:
    """Draw how long each command of a row took: online and offline, and those without a client."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    names = list(dict.fromkeys(row.name for row in rows))
    for axes, online in zip(figure.subplots(1, 2, sharey=True), (True, False), strict=True):
        for row in rows:
            if row.name != BARE.name and row.online is not online:
                continue
            walls = [1000 * cost.wall for cost in row.costs]
            style = {"color": f"C{names.index(row.name)}", "label": row.name}
            width = 3 if row.name == OURS[0].name else 1
            axes.plot(range(1, len(walls) + 1), walls, linewidth=width, **style)
        axes.set_title("online" if online else "offline")
        axes.set_xlabel("command of the hour")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(axis="y", which="both", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("from its start to its end, ms")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print a table, and draw a picture if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.commands", description=__doc__)
    parser.add_argument("--host", choices=[host.name for host in HOSTS[:3]], default="bare")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--peers", action="store_true", help="install and measure the peers")
    parser.add_argument("--plot", metavar="FILE")
    options = parser.parse_args()
    if options.count <= FIRST:
        parser.error(f"--count: {FIRST + 1} at least")
    [host] = [host for host in HOSTS if host.name == options.host]
    clients = [OURS[0], YARDSTICKS[0], *(PEERS if options.peers else [])]
    rows = measure_commands(clients, host, count=options.count)
    print(write_markdown(rows))
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()

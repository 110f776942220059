"""The table: what each client costs in each weather, in bare interpreters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .client import BARE, install
from .host import CHUNKS, HOSTS
from .rounds import Case, run_rounds
from .weather import WEATHERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .client import Client
    from .host import Host
    from .rounds import Results
    from .weather import Weather

#: Further calls of a burst.
_BURST = 200

#: What everything is a share of.
_UNIT = Case(BARE, HOSTS[0])


class Row(NamedTuple):
    """Medians of one client in one host and weather."""

    client: str
    host: str
    weather: str
    #: Shares of what a bare interpreter takes from its start to its end, in the same rounds.
    imported: float
    first: float
    cpu: float
    exit: float
    wall: float
    #: What the host's own work takes longer, of what it takes without a client.
    slower: float
    #: Microseconds of a further call of a burst, in a bare host and the best weather.
    call: float
    call_p99: float
    #: Megabytes over the same host without a client.
    memory: float
    #: Per process; what follows is of all processes.
    requests: float
    told: int
    delivered: int
    lost: int
    twice: int
    #: Bytes on stdout and stderr.
    noise: float


def compare(
    clients: Sequence[Client],
    hosts: Sequence[Host],
    weathers: Sequence[Weather],
    *,
    rounds: int,
    environments: Path,
) -> list[Row]:
    """Run every client in every host and weather."""
    pythons = {client.name: install(client, environments) for client in clients}
    calls = _measure_calls(clients, pythons, rounds)
    shown = [Case(client, host) for client in (BARE, *clients) for host in hosts]
    rows: list[Row] = []
    for weather in weathers:
        results = run_rounds([*shown, _UNIT], weather, rounds, pythons=pythons, chunks=CHUNKS)
        unit = results.median(*_UNIT, "wall")
        rows += [
            _summarise(case, weather, results, unit, calls[case.client.name]) for case in shown
        ]
    return rows


def _measure_calls(
    clients: Sequence[Client], pythons: Mapping[str, str], rounds: int
) -> dict[str, tuple[float, float]]:
    """Return the median and the 99th percentile of a further call of each client's."""
    cases = [Case(client, HOSTS[0]) for client in (BARE, *clients)]
    results = run_rounds(cases, WEATHERS[0], rounds, pythons=pythons, calls=_BURST + 1)
    found = {}
    for case in cases:
        spent = sorted(time for sample in results.of(*case) for time in sample.spent)
        found[case.client.name] = spent[len(spent) // 2], spent[len(spent) * 99 // 100]
    return found


def _summarise(
    case: Case, weather: Weather, results: Results, unit: float, call: tuple[float, float]
) -> Row:
    samples = results.of(*case)
    shares = {
        name: results.median(*case, name) / unit
        for name in ("imported", "first", "cpu", "exit", "wall")
    }
    return Row(
        client=case.client.name,
        host=case.host.name,
        weather=weather.name,
        **shares,
        slower=_find_slowness(case, results),
        call=1e6 * call[0],
        call_p99=1e6 * call[1],
        memory=results.excess(case.client, BARE, case.host, "memory") / 1024,
        requests=sum(sample.requests for sample in samples) / len(samples),
        told=len(samples) if case.client.tells else 0,
        delivered=sum(sample.delivered for sample in samples),
        lost=sum(sample.lost for sample in samples),
        twice=sum(sample.twice for sample in samples),
        noise=sum(sample.noise for sample in samples) / len(samples),
    )


def _find_slowness(case: Case, results: Results) -> float:
    alone = results.median(BARE, case.host, "worked")
    return results.excess(case.client, BARE, case.host, "worked") / alone if alone else 0.0


def write_markdown(rows: Sequence[Row]) -> str:
    """Write rows as a table of Markdown."""
    lines = [f"| {' | '.join(Row._fields)} |", "|---" * len(Row._fields) + "|"]
    for row in rows:
        cells = [f"{value:.2f}" if isinstance(value, float) else f"{value}" for value in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_summary(rows: Sequence[Row]) -> str:
    """Write a line for each client: its costs in the first weather, and its wall time in each."""
    weathers = list(dict.fromkeys(row.weather for row in rows))
    head = [
        "client",
        "import",
        "first call",
        "call",
        "p99",
        "CPU",
        "MB",
        *weathers,
    ]
    lines = [f"| {' | '.join([*head, 'lost'])} |", "|---" * (len(head) + 1) + "|"]
    for client in dict.fromkeys(row.client for row in rows):
        own = [row for row in rows if row.client == client]
        costs = [f"{getattr(own[0], name):.2f}" for name in ("imported", "first")]
        costs += [f"{own[0].call:.0f}", f"{own[0].call_p99:.0f}"]
        costs.append(f"{own[0].cpu:.1f}")
        walls = [f"{row.wall:.1f}" for row in own]
        lost = f"{sum(row.lost for row in own)} of {sum(row.told for row in own)}"
        cells = [client, *costs, f"{own[0].memory:.1f}", *walls, lost]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(rows: Sequence[Row], path: str) -> None:
    """Draw what each client costs of CPU and has its user wait at exit, in each weather."""
    from matplotlib.figure import Figure

    clients = list(dict.fromkeys(row.client for row in rows))
    weathers = list(dict.fromkeys(row.weather for row in rows))
    figure = Figure(figsize=(11, 1.2 + 0.32 * len(clients) * 2), layout="constrained")
    for axes, name in zip(figure.subplots(2, 1), ("cpu", "exit"), strict=True):
        for number, weather in enumerate(weathers):
            own = {row.client: getattr(row, name) for row in rows if row.weather == weather}
            height = 0.8 / len(weathers)
            places = [index + number * height for index in range(len(clients))]
            axes.barh(places, [own.get(each, 0.0) for each in clients], height, label=weather)
        axes.set_yticks([index + 0.4 for index in range(len(clients))], clients)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlabel(f"{name}, in bare interpreters")
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1)}
    figure.axes[0].legend(ncols=len(weathers), fontsize="small", **place)
    figure.savefig(path, dpi=150)

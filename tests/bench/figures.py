"""The figures that migas promises, each as a ratio in one run where it can be, beside its limit."""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING, NamedTuple

from . import backlog
from .burst import COUNT, measure_burst
from .client import BARE, BUNDLE, EQUIPPED, FLOOR, LOADED, OURS, THREADS, YARDSTICKS
from .commands import measure_commands
from .host import CHUNKS, HOSTS
from .rounds import Case, run_rounds
from .weather import WEATHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .client import Client
    from .host import Host

ONLINE, *QUIET = OURS
REQUESTS = YARDSTICKS[0]
PLAIN, NIBABEL, _, BUSY = HOSTS
WEATHER = {weather.name: weather for weather in WEATHERS}

#: Milliseconds that a bare interpreter is taken to need. Times marked by * are scaled by what it
#: did need in the same rounds: the same machine may be twice as slow a minute later.
_BARE_MS = 22.0

#: Calls of a burst, after the first.
_BURST = 1000


class Figure(NamedTuple):
    """What was measured, and what is promised."""

    name: str
    value: float
    #: None: it is no promise, but shows how far one could be kept at all.
    limit: float | None = None
    #: The limit is the least that it may be.
    is_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is kept."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.is_least else self.value <= self.limit


def measure_figures(rounds: int, pattern: str) -> list[Figure]:
    """Measure every figure of the groups whose name matches a pattern."""
    found: list[Figure] = []
    for group in _GROUPS:
        if re.search(pattern, group.__name__):
            found += group(rounds)
    return found


def start(rounds: int) -> Iterator[Figure]:
    """What the one line costs where it stands."""
    cases = [Case(client, host) for client in (BARE, ONLINE) for host in (PLAIN, NIBABEL)]
    cases += [Case(BUNDLE, NIBABEL), Case(THREADS, PLAIN)]
    results = run_rounds(cases, WEATHER["fast"], rounds)
    bare = [sample.wall for sample in results.of(BARE, PLAIN)]

    def find_ratio(client: Client, host: Host, name: str) -> float:
        values = [float(getattr(sample, name)) for sample in results.of(client, host)]
        return _find_ratio(values, bare)

    ratio = find_ratio(ONLINE, PLAIN, "imported")
    yield Figure("`import migas`, of a bare interpreter", ratio, 0.5)
    for name, client, host, part, limit in (
        ("`import migas` beside nibabel", ONLINE, NIBABEL, "imported", 2.0),
        (f"{BUNDLE.name} there", BUNDLE, NIBABEL, "imported", None),
        ("first `add_project`", ONLINE, PLAIN, "first", 1.0),
        (f"{THREADS.name}, started", THREADS, PLAIN, "first", None),
    ):
        yield Figure(f"{name}, ms*", _BARE_MS * find_ratio(client, host, part), limit)


def calls(rounds: int) -> Iterator[Figure]:
    """What each further call costs, in a burst."""
    cases = [Case(client, PLAIN) for client in (BARE, ONLINE)]
    results = run_rounds(cases, WEATHER["fast"], rounds, calls=_BURST + 1)
    bare = [sample.wall for sample in results.of(BARE, PLAIN)]
    bursts = [sorted(sample.spent) for sample in results.of(ONLINE, PLAIN)]
    for name, share, limit in ("median", 0.5, 5.0), ("p99", 0.99, 50.0):
        spent = [burst[int(share * _BURST)] for burst in bursts]
        value = 1000 * _BARE_MS * _find_ratio(spent, bare)
        yield Figure(f"a further call, {name}, us*", value, limit)


def _find_ratio(values: list[float], others: list[float]) -> float:
    """Return the median ratio of what was measured in the same rounds."""
    return statistics.median(a / b for a, b in zip(values, others, strict=True))


def cpu(rounds: int) -> Iterator[Figure]:
    """What a process costs, with a delivery and without one."""
    cases = [Case(client, PLAIN) for client in (BARE, REQUESTS, EQUIPPED, ONLINE)]
    results = run_rounds(cases, WEATHER["fast"], rounds)
    # 1.08 was aimed at. In instructions (cachegrind, Python 3.11) a delivery takes 1.135, and the
    # row below 1.105: 62 modules are loaded besides `requests`, and 0.35 million of its 472 million
    # instructions go into each before a line of it runs. What would bring it to 0.9 is a transport
    # that needs `urllib3` alone, since `requests` is 110 million beside it. In time, 1.17 to 1.21.
    ratio = results.ratio(ONLINE, REQUESTS, PLAIN, "cpu")
    yield Figure("CPU of a delivery, of `requests` in a thread", ratio, 1.2)
    ratio = results.ratio(EQUIPPED, REQUESTS, PLAIN, "cpu")
    yield Figure(f"CPU of {EQUIPPED.name}, of that", ratio)
    megabytes = results.excess(ONLINE, EQUIPPED, PLAIN, "memory") / 1024
    yield Figure("memory of a delivery over that, MB", megabytes, 1.0)
    clients = (BARE, FLOOR, LOADED, *QUIET)
    cases = [Case(client, host) for client in clients for host in (PLAIN, NIBABEL)]
    results = run_rounds(cases, WEATHER["silent"], rounds)
    for client in FLOOR, LOADED:
        for host in PLAIN, NIBABEL:
            ratio = results.ratio(client, BARE, host, "cpu")
            yield Figure(f"CPU of {client.name}, of a {host.name} host", ratio)
    for client in QUIET:
        # Counted in instructions it is 4.9 bare hosts when it is backed off; `platformdirs` is 1.2
        # of that, and two thirds of what is left load modules, as the rows above show.
        for host, limit in (PLAIN, 5.0), (NIBABEL, 1.1):
            ratio = results.ratio(client, BARE, host, "cpu")
            yield Figure(f"CPU of {client.name}, of a {host.name} host", ratio, limit)
        megabytes = results.excess(client, BARE, NIBABEL, "memory") / 1024
        yield Figure(f"memory of {client.name} over a nibabel host, MB", megabytes, 1.5)


def leave(rounds: int) -> Iterator[Figure]:
    """What the exit takes."""
    clients = (BARE, FLOOR, LOADED, *OURS)
    cases = [Case(client, host) for client in clients for host in (PLAIN, BUSY)]
    results = run_rounds(cases, WEATHER["silent"], rounds, chunks=CHUNKS)
    seconds = results.excess(ONLINE, BARE, PLAIN, "exit")
    yield Figure("exit with a silent server, s (the budget is 1)", seconds, 1.05)
    bare = results.median(BARE, PLAIN, "wall")
    for client in QUIET[1:]:  # the first one sends, since it lives on
        # The interpreter takes the longer to end the more modules there are, whosever they are.
        share = results.excess(client, FLOOR, BUSY, "exit") / bare
        yield Figure(
            f"exit of {client.name}, when all is written, of a bare interpreter", share, 0.1
        )
    share = results.excess(LOADED, FLOOR, BUSY, "exit") / bare
    yield Figure(f"exit of a process with {LOADED.name}, of a bare interpreter", share)


def work(rounds: int) -> Iterator[Figure]:
    """What a busy host loses."""
    cases = [Case(client, host) for client in (BARE, ONLINE) for host in (PLAIN, BUSY)]
    results = run_rounds(cases, WEATHER["fast"], rounds, chunks=CHUNKS)
    slower = results.excess(ONLINE, BARE, BUSY, "worked")
    # Of a host that does nothing: a busy one's own CPU varies by more than ours.
    spent = results.excess(ONLINE, BARE, PLAIN, "cpu")
    yield Figure("what a busy host's work takes longer, of our CPU", slower / spent, 1.0)
    early = results.ratio(ONLINE, BARE, BUSY, "early")
    yield Figure("its first half second, of a host's without us", early, 0.97, is_least=True)


def waiting(rounds: int) -> Iterator[Figure]:
    """What a backlog costs, and how fast it goes."""
    share = backlog.measure_start(100_000, rounds)
    yield Figure("CPU of a start with 100,000 waiting, of one with none", share, 1.1)
    speed, less = backlog.measure_flush(10_000), backlog.measure_flush(1_000, singles=1)
    yield Figure("`flush` of 10,000, times one a request", speed.ratio, 5.0, is_least=True)
    yield Figure("requests as full, made beforehand, times one a request", speed.possible)
    yield Figure("its memory, of that of 1,000", speed.memory / less.memory, 1.1)


def bursts(rounds: int) -> Iterator[Figure]:
    """How much of a burst an exit delivers."""
    found = [measure_burst() for _ in range(max(3, rounds // 4))]
    delivered = statistics.median(burst.delivered for burst in found)
    name = f"of {COUNT:,} breadcrumbs in a burst, delivered within the exit's budget of 1 s"
    yield Figure(name, delivered, 600, is_least=True)
    yield Figure("of them, lost", sum(burst.lost for burst in found), 0)


def hourly(_rounds: int) -> Iterator[Figure]:
    """What forty short commands in a row cost, of which ten deliver."""
    for host in PLAIN, NIBABEL:
        rows = {(row.name, row.online): row for row in measure_commands([ONLINE, REQUESTS], host)}
        theirs = rows[REQUESTS.name, True].excess("cpu")
        for online in True, False:
            place = f"{'online' if online else 'offline'}, {host.name} host"
            row = rows[ONLINE.name, online]
            name = f"CPU of forty commands in a row, {place}"
            yield Figure(f"{name}, of `requests` in a thread", row.excess("cpu") / theirs, 0.75)
            yield Figure(f"{name}, of a host without us", row.ratio("cpu"))


_GROUPS: tuple[Callable[[int], Iterator[Figure]], ...] = (
    *(start, calls, cpu, leave, work, waiting),
    *(bursts, hourly),
)


def write_markdown(found: list[Figure]) -> str:
    """Write figures as a table of Markdown."""
    lines = ["| figure | measured | limit | |", "|---|---|---|---|"]
    for each in found:
        sign = "at least" if each.is_least else "at most"
        limit = "" if each.limit is None else f"{sign} {each.limit:g}"
        verdict = "" if each.limit is None else "holds" if each.holds else "does not hold"
        lines.append(f"| {each.name} | {each.value:.3g} | {limit} | {verdict} |")
    lines.append(f"\n\\* where a bare interpreter takes {_BARE_MS:g} ms from its start to its end")
    return "\n".join(lines)

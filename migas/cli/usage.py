"""The usage of a project, day by day: what to ask the server, and how a person sees the answers."""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING, NamedTuple

from migas._delivery.throttle import Rate
from migas.operations import get_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

DAY = datetime.timedelta(days=1)

#: Columns of the longest bar in a terminal.
_WIDTH = 50


class Period(NamedTuple):
    """A span of days, both included."""

    first: datetime.date
    last: datetime.date


class Hits(NamedTuple):
    """How often a project was used in a period."""

    period: Period
    hits: int


class NoAnswerError(Exception):
    """The server did not say how often; the text says why."""


def split(since: datetime.date, until: datetime.date, by: str) -> list[Period]:
    """Cut a span of days at each `day`, Monday (`week`) or first of a `month`.

    Example:
        >>> march = datetime.date(2026, 3, 30), datetime.date(2026, 4, 7)
        >>> [f"{period.first:%d.%m.}-{period.last:%d.%m.}" for period in split(*march, "week")]
        ['30.03.-05.04.', '06.04.-07.04.']
    """
    periods: list[Period] = []
    first = since
    while first <= until:
        last = min(_find_end(first, by), until)
        periods.append(Period(first, last))
        first = last + DAY
    return periods


def count(
    project: str,
    periods: Iterable[Period],
    *,
    unique: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Hits]:
    """Ask the server for one period after the other, no faster than its limit allows.

    Raises `NoAnswerError`.
    """
    rate = Rate()
    for period in periods:
        sleep(rate.delay())
        rate.count()
        # Days are the server's, in UTC; both ends of what it counts are included.
        answer = get_usage(project, f"{period.first}", f"{period.last}T23:59:59Z", unique)
        if not answer.get("success"):
            raise NoAnswerError(
                str(answer.get("message") or "the server does not know the project")
            )
        yield Hits(period, int(str(answer["hits"])))


def draw(counted: Sequence[Hits]) -> list[str]:
    """Return a bar for each period, for a terminal."""
    most = max((hits for _, hits in counted), default=0)
    return ["█" * (-(-hits * _WIDTH // most) if most else 0) for _, hits in counted]


def plot(counted: Sequence[Hits], path: str, title: str, label: str) -> None:
    """Draw a picture: PNG, SVG or PDF, as the end of ``path`` says. It takes matplotlib.

    Raises `ValueError` for another end, and `OSError` where it cannot be written.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    starts = [datetime.datetime.combine(period.first, datetime.time()) for period, _ in counted]
    # A little less than its days, so that neighbours are told apart.
    widths = [0.9 * ((period.last - period.first).days + 1) for period, _ in counted]
    axes.bar(starts, [hits for _, hits in counted], widths, align="edge", color="#35688f")
    locator = AutoDateLocator(minticks=3, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.savefig(path, dpi=150)


def _find_end(first: datetime.date, by: str) -> datetime.date:
    if by == "week":
        return first + DAY * (6 - first.weekday())
    if by == "month":
        return (first.replace(day=1) + 31 * DAY).replace(day=1) - DAY
    return first

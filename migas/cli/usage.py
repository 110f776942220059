"""The usage of a project: which periods to ask the server for, and how a person sees the answers.

Days are the server's, in UTC. What may go wrong: the server does not answer, does not know the
project, or answers with what is no number; and matplotlib, an extra, may not be installed.
"""

from __future__ import annotations

import calendar
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
    """The server did not answer how often; the text says why."""


def split(since: datetime.date, until: datetime.date, by: str) -> list[Period]:
    """Cut a span of days at each day, Monday or first of a month.

    Parameters:
        since: the first day.
        until: the last day, not before the first.
        by: `day`, `week` or `month`.

    Returns:
        The periods in their order; the first and the last may be shorter than the others.

    Example:
        >>> march = datetime.date(2026, 3, 30), datetime.date(2026, 4, 7)
        >>> [f"{period.first:%d.%m.}-{period.last:%d.%m.}" for period in split(*march, "week")]
        ['30.03.-05.04.', '06.04.-07.04.']
    """
    periods: list[Period] = []
    # By number, since there is no day after 9999-12-31.
    first, end = since.toordinal(), until.toordinal()
    while first <= end:
        day = datetime.date.fromordinal(first)
        last = min(first + _count_days_left(day, by), end)
        periods.append(Period(day, datetime.date.fromordinal(last)))
        first = last + 1
    return periods


def count(
    project: str,
    periods: Iterable[Period],
    *,
    unique: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Hits]:
    """Ask the server for one period after the other, no faster than its limit allows.

    Parameters:
        project: `owner/repo`.
        periods: the spans of days to ask for.
        unique: count users instead of breadcrumbs.
        sleep: waits for so many seconds.
        clock: the seconds since any moment, which no step of the wall clock changes.

    Yields each answer when it is there. Raises `NoAnswerError` at the first that is none.
    """
    rate = Rate(clock=clock)
    for period in periods:
        sleep(rate.delay())
        rate.count()
        # The server includes both ends of the span.
        answer = get_usage(project, f"{period.first}", f"{period.last}T23:59:59Z", unique)
        if not answer.get("success"):
            raise NoAnswerError(
                str(answer.get("message") or "the server does not know the project")
            )
        hits = answer.get("hits")
        if not isinstance(hits, int):
            raise NoAnswerError("the server's answer names no number of hits")
        yield Hits(period, hits)


def draw(counted: Sequence[Hits]) -> list[str]:
    """Return a bar for each period, as text for a terminal; the longest is 50 columns long."""
    most = max((hits for _, hits in counted), default=0)
    return ["█" * (-(-hits * _WIDTH // most) if most else 0) for _, hits in counted]


def plot(counted: Sequence[Hits], path: str, title: str, label: str) -> None:
    """Draw a picture with matplotlib.

    Parameters:
        counted: what to draw, in its order.
        path: where to write it; its end says as what: PNG, SVG or PDF.
        title: what stands above.
        label: what the height of a bar means.

    Raises `ValueError` for another end, and `OSError` where it cannot be written.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    starts = [datetime.datetime.combine(period.first, datetime.time()) for period, _ in counted]
    # A little less than its days, so that a gap stands between neighbours.
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


def _count_days_left(day: datetime.date, by: str) -> int:
    """Return how many days of the same period come after ``day``."""
    if by == "week":
        return 6 - day.weekday()
    if by == "month":
        return calendar.monthrange(day.year, day.month)[1] - day.day
    return 0

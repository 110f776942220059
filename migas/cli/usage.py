"""The usage of a project: which periods to ask the server for, and what it answers for each.

Days are the server's, in UTC. A number that the server has not given is None, never 0. What may go
wrong: the server does not answer, does not know the project, or answers with what is no number.
"""

from __future__ import annotations

import calendar
import datetime
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from migas._agent.question import ask_all
from migas._agent.sessions import NoAnswerError
from migas._delivery.rest import MOST
from migas._delivery.throttle import Rate
from migas._delivery.usage import MAX_QUESTIONS, encode_usages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DAY = datetime.timedelta(days=1)

#: An answer that gives no reason. The hosted server always gives one.
_UNKNOWN = "the server does not know the project"


class Period(NamedTuple):
    """A span of days, both included."""

    first: datetime.date
    last: datetime.date


class Hits(NamedTuple):
    """How often a project was used in a period."""

    period: Period
    #: None: the server has not answered.
    hits: int | None


class Answer(NamedTuple):
    """What the server has answered for all periods."""

    #: What was counted: `breadcrumbs` or `users`.
    what: str
    #: The length of a period: `day`, `week` or `month`.
    by: str
    #: The present day. The period that holds it is not over.
    today: datetime.date
    #: One for each period that was to be asked for, at least one.
    entries: Sequence[Hits]
    #: The number in all periods that were answered, or None. Of users it is a number of its own:
    #: a user of two periods would be counted twice.
    total: int | None
    #: Why not all were answered, or `""`.
    reason: str = ""

    @property
    def answered(self) -> int:
        """Return how many periods were answered."""
        return sum(entry.hits is not None for entry in self.entries)


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
    periods: Sequence[Period],
    *,
    unique: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Hits]:
    """Ask the server for each period, ten a request, no faster than its limit allows.

    Parameters:
        project: `owner/repo`.
        periods: the spans of days to ask for.
        unique: count users instead of breadcrumbs.
        sleep: waits for so many seconds.
        clock: the seconds since any moment, which no step of the wall clock changes.

    Yields each answer when it is there. After a request that is not answered for each of its
    periods there is no other one: this raises `NoAnswerError`.
    """
    rate = Rate(clock=clock)
    for start in range(0, len(periods), MAX_QUESTIONS):
        asked = periods[start : start + MAX_QUESTIONS]
        sleep(rate.delay())
        rate.count()
        # The server includes both ends of a span.
        spans = [(f"{period.first}", f"{period.last}T23:59:59Z") for period in asked]
        encode = partial(encode_usages, project, spans, unique)
        answers = ask_all(encode, [f"a{index}" for index in range(len(asked))], {})
        reasons: list[str] = []
        for period, answer in zip(asked, answers, strict=True):
            hits, reason = _read(answer)
            yield Hits(period, hits)
            reasons += [reason] * (hits is None)
        if reasons:
            raise NoAnswerError(reasons[0])


def describe_missing(entries: Sequence[Hits], unit: str) -> str:
    """Return of how many periods there is an answer, or `""` if there is one of each.

    Example:
        >>> day = Period(datetime.date(2026, 1, 1), datetime.date(2026, 1, 1))
        >>> describe_missing([Hits(day, 7), Hits(day, None)], "day")
        'partial: 1 of 2 days answered'
    """
    answered = sum(entry.hits is not None for entry in entries)
    if answered == len(entries):
        return ""
    return f"partial: {answered} of {len(entries)} {unit}s answered"


def add_up(entries: Sequence[Hits]) -> int | None:
    """Return the sum of all answers, or None if there is none."""
    answered = [hits for _, hits in entries if hits is not None]
    return sum(answered) if answered else None


def _read(answer: dict[str, object]) -> tuple[int | None, str]:
    """Return the number that an answer gives, or None and the reason why it gives none."""
    if not answer.get("success"):
        return None, str(answer.get("message") or _UNKNOWN)
    hits = answer.get("hits")
    if type(hits) is not int or not 0 <= hits <= MOST:  # True is an int, too
        return None, "the server's answer names no number of hits"
    return hits, ""


def _count_days_left(day: datetime.date, by: str) -> int:
    """Return how many days of the same period come after ``day``."""
    if by == "week":
        return 6 - day.weekday()
    if by == "month":
        return calendar.monthrange(day.year, day.month)[1] - day.day
    return 0

"""The scalars of the GraphQL schema: versions, dates and texts, read as the hosted server does.

A parser's exception is quoted in the answer. So each one is worded here as it was recorded: the
words of Python and of `packaging` change between releases.
"""

from __future__ import annotations

import calendar
import datetime
import re
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The forms of ISO 8601 that Python's `date.fromisoformat()` reads.
_DATE = re.compile(r"(\d{4})(-?)(?:(\d\d)\2(\d\d)|W(\d\d)(?:\2(\d))?)", re.ASCII)


def parse_version(value: Any) -> str:
    """Return a version in PEP 440's normal form.

    Raises `ValueError` for a text that is no version by PEP 440, and `TypeError` for anything else.
    """
    if not isinstance(value, str):
        raise TypeError(f"'{type(value).__name__}' object is not iterable")
    try:
        return str(Version(value))
    except InvalidVersion:
        raise ValueError(f"Invalid version: {value!r}") from None


def parse_moment(value: Any) -> datetime.datetime:
    """Return a date's beginning, or a moment, in UTC.

    Example:
        >>> parse_moment("2020-W01-1").isoformat(), parse_moment("2020-01-31T12:00:00Z").isoformat()
        ('2019-12-30T00:00:00+00:00', '2020-01-31T12:00:00+00:00')

    Raises `ValueError` for a text of another form, or for a date that no calendar has, and
    `TypeError` for what is no text.
    """
    if not isinstance(value, str):
        raise TypeError(f"strptime() argument 1 must be str, not {type(value).__name__}")
    try:
        moment = datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 (below)
    except ValueError:
        moment = datetime.datetime.combine(_parse_date(value), datetime.time())
    return moment.replace(tzinfo=datetime.UTC)


def parse_text(value: Any) -> str:
    """Return a text as it is, and anything else as Python writes it."""
    return value if isinstance(value, str) else str(value)


def parse_json(value: Any) -> object:
    """Return any JSON as it is."""
    return value


#: The parsers by the names of the schema's scalars.
PARSERS: Mapping[str, Callable[[Any], object]] = {
    "Version": parse_version,
    "DateTime": parse_moment,
    "SafeStr": parse_text,
    "JSON": parse_json,
}


def _parse_date(text: str) -> datetime.date:
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"Invalid isoformat string: {text!r}")
    year, month, day, week, weekday = (int(part or 1) for part in found.group(1, 3, 4, 5, 6))
    if found[5] is not None:
        try:
            return datetime.date.fromisocalendar(year, week, weekday)
        except ValueError:
            raise ValueError(f"Invalid isoformat string: {text!r}") from None
    if year < datetime.MINYEAR:
        raise ValueError(f"year {year} is out of range")
    if not 1 <= month <= 12:
        raise ValueError("month must be in 1..12")
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        raise ValueError("day is out of range for month")
    return datetime.date(year, month, day)

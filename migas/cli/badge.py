"""The badge: a file that shields.io draws a badge from.

It has the form that https://shields.io/badges/endpoint-badge prescribes. A web server hands it out,
and shields.io fetches it there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .terminal import format_count
from .usage import DAY

if TYPE_CHECKING:
    import datetime


def make(
    what: str, count: int, since: datetime.date, until: datetime.date, today: datetime.date
) -> bytes:
    """Return the badge's JSON.

    Parameters:
        what: what is counted, in the plural; the badge's label.
        count: how many.
        since: the first day that is counted.
        until: the last one.
        today: the present day. Up to it a span is so many days; any other one has two dates.
    """
    span = f"{since} to {until}"
    if until == today:
        span = f"in {format_count((until - since) // DAY + 1, 'day')}"
    badge = {
        "schemaVersion": 1,
        "label": what,
        "message": f"{shorten(count)} {span}",
        "color": "blue",
    }
    return json.dumps(badge, indent=2).encode() + b"\n"


def shorten(number: int) -> str:
    """Return a number in three digits or so.

    Example:
        >>> shorten(999), shorten(1234), shorten(99_960), shorten(123_456), shorten(2_000_000)
        ('999', '1.2k', '100k', '123k', '2M')
    """
    text = f"{number}"
    for power, name in ((1, "k"), (2, "M"), (3, "G")):
        if len(text.partition(".")[0].rstrip("kM")) < 4:
            break
        scaled = number / 1000**power
        text = (f"{scaled:.1f}" if scaled < 99.95 else f"{scaled:.0f}").removesuffix(".0") + name
    return text

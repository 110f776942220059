"""The tables of `usage`: rows and bars for a terminal.

Where the server has not answered stands "no answer", and a sum says which part of it is missing.
Bars end where the terminal's line does.
"""

from __future__ import annotations

import itertools
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from .groups import unite_groups
from .usage import describe_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .groups import Group
    from .usage import Answer, Hits

#: Columns of the longest bar, at least.
_LEAST_BAR = 10

NO_ANSWER = "no answer"

#: The mark of the period that is not over.
_SO_FAR = "so far"


def list_periods(answer: Answer, *, bars: bool) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return a row for each period and one for their sum, and the columns' names.

    Parameters:
        answer: what was counted.
        bars: draw a bar in each row.
    """
    width = max(len(NO_ANSWER), len(answer.what))
    drawn = [""] * len(answer.entries)
    if bars:
        # One blank parts a bar and its mark, where two part columns.
        room = _find_room(10, width, len(_SO_FAR) - 1)
        drawn = draw([entry.hits for entry in answer.entries], room)
    rows: list[tuple[str, ...]] = []
    lines = zip(answer.entries, drawn, strict=True)
    for is_gap, run in itertools.groupby(lines, key=lambda line: line[0].hits is None):
        pairs = list(run)
        (first, _), (last, _) = pairs[0], pairs[-1]
        if is_gap:  # one row, however many periods: thousands may be left
            rows.append((f"{first.period.first}", NO_ANSWER.rjust(width), _name_end(first, last)))
            continue
        for ((begin, end), hits), bar in pairs:
            mark = _SO_FAR if begin <= answer.today <= end else ""
            rows.append((f"{begin}", f"{hits}".rjust(width), f"{bar} {mark}".strip()))
    if answer.total is not None:
        note = describe_missing(answer.entries, answer.by)
        rows.append(("all", f"{answer.total}".rjust(width), note))
    return rows, ("from", answer.what.rjust(width), "")


def list_groups(
    groups: Sequence[Group], by: str, *, bars: bool
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return a row for each version or status and one for all, and the columns' names.

    Parameters:
        groups: the sessions, the most first; at least one.
        by: `version` or `status`.
        bars: draw a bar in each row.
    """
    total = unite_groups(groups)
    has_failures = by == "version"  # by status they have a row of their own
    names = max(len(by), *(len(one.name) for one in groups))
    drawn = [""] * len(groups)
    if bars:
        room = _find_room(names, len("sessions"), 5, *[6] * has_failures)
        drawn = draw([one.sessions for one in groups], room)
    rows: list[tuple[str, ...]] = []
    for one, bar in zip([*groups, total], [*drawn, ""], strict=True):
        share = one.sessions / total.sessions if total.sessions else None
        cells = [one.name, f"{one.sessions:>8}", f"{show_share(share):>5}"]
        cells += [f"{show_share(one.failed_share):>6}"] * has_failures
        rows.append((*cells, bar))
    header = (by, "sessions", "share".rjust(5), *["failed"] * has_failures, "")
    return rows, header


def explain_groups(groups: Sequence[Group], by: str) -> list[str]:
    """Return what a reader of that table has to know, a sentence a line."""
    share = unite_groups(groups).failed_share
    if share is None:
        return ["No session has reported its end yet."]
    if by == "status":
        return [f"Of the sessions that reported their end, {show_share(share)} failed."]
    return [
        '"failed" is a share of the sessions that reported their end.',
        "The server leaves out versions with `rc` or `+`.",
    ]


def show_share(share: float | None) -> str:
    """Return a share of 1 in per cent, or `-` for one of nothing.

    Example:
        >>> show_share(0.5), show_share(0.004), show_share(0.0), show_share(None)
        ('50 %', '0.4 %', '0 %', '-')
    """
    if share is None:
        return "-"
    percent = 100 * share
    return f"{percent:.1f} %" if 0 < percent < 10 else f"{percent:.0f} %"


def draw(counts: Sequence[int | None], room: int) -> list[str]:
    """Return a bar for each number, as text for a terminal; the longest has ``room`` columns."""
    most = max((count or 0 for count in counts), default=0)
    return ["█" * (-(-(count or 0) * room // most) if most else 0) for count in counts]


def _name_end(first: Hits, last: Hits) -> str:
    return "" if first == last else f"to {last.period.last}"


def _find_room(*widths: int) -> int:
    """Return the columns that are left beside others; two stand between neighbours."""
    columns = get_terminal_size().columns
    return max(_LEAST_BAR, columns - sum(width + 2 for width in widths))

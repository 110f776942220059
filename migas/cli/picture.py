"""The picture: bars over time, drawn by matplotlib, which is an extra.

It owns colours, hatches and axes. The same data give the same bytes: no date and no random number
is in a picture. What may go wrong: matplotlib is not installed.
"""

from __future__ import annotations

import datetime
import io
import os
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from .groups import OTHERS
from .runner import WrongError
from .usage import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .usage import Period

#: What a picture's name may end in, and what keeps a date out of the picture.
_KINDS: dict[str, dict[str, object]] = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}

#: Okabe and Ito's colours, which people with any kind of colour blindness can tell apart
#: (https://jfly.uni-koeln.de/color/), in an order in which neighbours differ in brightness, too.
_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
_STATUS_COLORS = {
    "completed": "#009e73",
    "failed": "#d55e00",
    "suspended": "#f0e442",
    "running": "#56b4e9",
}
_GREY = "#bbbbbb"

#: Text in an SVG stays text, and its ids are no random numbers.
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "migas", "hatch.linewidth": 0.6}

#: Letters of a title's line, and days that the axis has at least.
_LETTERS, _LEAST_DAYS = 80, 7


class Picture(NamedTuple):
    """What a picture shows."""

    #: What is counted, of which project.
    title: str
    #: From when to when, and what else has to be known.
    notes: Sequence[str]
    #: What the height of a bar means.
    label: str
    #: The periods, in order and without a gap; at least one.
    periods: Sequence[Period]
    #: By name: a number for each period. None: there was no answer.
    stacks: Mapping[str, Sequence[int | None]]
    #: The present day. The period that holds it is not over.
    today: datetime.date


def find_kind(path: str) -> str:
    """Return the kind of picture that a file's name ends in: `png`, `svg` or `pdf`.

    Raises `WrongError` for any other end: matplotlib would add one to a name without.
    """
    kind = os.path.splitext(path)[1].removeprefix(".").lower()
    if kind not in _KINDS:
        raise WrongError(f"{path}: a picture's name ends in .png, .svg or .pdf")
    return kind


def render(picture: Picture, kind: str) -> bytes:
    """Return a picture as the bytes of a file.

    Parameters:
        picture: what it shows.
        kind: `png`, `svg` or `pdf`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8, 4), layout="constrained")
        axes = figure.subplots()
        _draw_bars(axes, picture)
        _set_axes(axes, picture)
        _draw_legend(axes, picture)
        file = io.BytesIO()
        figure.savefig(file, format=kind, dpi=150, metadata=_KINDS[kind])
    return file.getvalue()


def _draw_bars(axes: Any, picture: Picture) -> None:
    """Draw the stacks upon each other, and a grey field where there is no answer."""
    starts = [_at_midnight(period.first) for period in picture.periods]
    # A little less than its days, so that a gap stands between neighbours.
    widths = [0.9 * ((period.last - period.first).days + 1) for period in picture.periods]
    bottoms = [0] * len(starts)
    for color, counts in zip(_choose_colors(picture), picture.stacks.values(), strict=True):
        heights = [count or 0 for count in counts]
        bars = axes.bar(starts, heights, widths, bottoms, align="edge", color=color)
        for period, bar in zip(picture.periods, bars, strict=True):
            if period.first <= picture.today <= period.last:
                bar.set(hatch="////", edgecolor="white", linewidth=0)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    for first, last in _find_gaps(picture):
        end = _at_midnight(last) + DAY
        axes.axvspan(_at_midnight(first), end, color=_GREY, alpha=0.4, linewidth=0)


def _set_axes(axes: Any, picture: Picture) -> None:
    """Set the axes' bounds, ticks and texts, which hold for no bar and for one as well."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    first, last = picture.periods[0].first, picture.periods[-1].last
    days = (last - first).days + 1
    pad = max(days * 0.02, (_LEAST_DAYS - days) / 2)
    begin = _at_midnight(first) - min(pad, first.toordinal() - 1) * DAY
    end = _at_midnight(last) + min(1 + pad, datetime.date.max.toordinal() - last.toordinal()) * DAY
    axes.set_xlim(begin, end)
    # Of seven days or more: no tick stands for an hour.
    locator = AutoDateLocator(minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    highest = max(sum(count or 0 for count in counts) for counts in _turn(picture))
    axes.set_ylim(0, max(1, highest * 1.05))
    axes.set_ylabel(picture.label)
    lines = [line for text in (picture.title, *picture.notes) for line in _wrap(text)]
    # `$` is no formula's here: a version may be any text.
    axes.set_title("\n".join(lines), fontsize="medium", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    if not highest and not _find_gaps(picture):
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=_GREY)


def _draw_legend(axes: Any, picture: Picture) -> None:
    """Name the stacks, if there are several, and what else a bar or a field means."""
    from matplotlib.patches import Patch

    handles = []
    if len(picture.stacks) > 1:
        colors = _choose_colors(picture)
        # Before 3.10 matplotlib leaves out a name that begins with "_".
        handles = [
            Patch(color=color, label=f"\N{ZERO WIDTH SPACE}{name}" if name[:1] == "_" else name)
            for color, name in zip(colors, map(_make_harmless, picture.stacks), strict=True)
        ][::-1]
    gaps = _find_gaps(picture)
    answered = [period for period in picture.periods if period not in gaps]
    if any(first <= picture.today <= last for first, last in answered):
        handles.append(Patch(hatch="////", facecolor="#cccccc", edgecolor="white", label="so far"))
    if gaps:
        handles.append(Patch(color=_GREY, alpha=0.4, linewidth=0, label="no answer"))
    if handles:
        legend = axes.legend(
            handles=handles,
            loc="center left",
            bbox_to_anchor=(1, 0.5),
            frameon=False,
            fontsize="small",
        )
        for text in legend.get_texts():
            text.set_parse_math(False)


def _choose_colors(picture: Picture) -> list[str]:
    """Return a colour for each stack."""
    names = list(picture.stacks)
    if set(names) & set(_STATUS_COLORS):
        return [_STATUS_COLORS.get(name, _GREY) for name in names]
    # The last one, which is the newest version, has the first colour.
    colors = [_COLORS[index % len(_COLORS)] for index in range(len(names))][::-1]
    return [_GREY if name == OTHERS else color for name, color in zip(names, colors, strict=True)]


def _find_gaps(picture: Picture) -> list[Period]:
    """Return the periods without an answer."""
    return [
        period
        for period, counts in zip(picture.periods, _turn(picture), strict=True)
        if None in counts
    ]


def _turn(picture: Picture) -> list[tuple[int | None, ...]]:
    """Return the numbers of each period."""
    if not picture.stacks:
        return [()] * len(picture.periods)
    return list(zip(*picture.stacks.values(), strict=True))


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(_make_harmless(text), _LETTERS)


def _make_harmless(text: str) -> str:
    """Return a text without what XML, and so an SVG, may not hold."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _at_midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time())

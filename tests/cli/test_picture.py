"""A picture shows what was counted, what was not, and what is not over; and nothing else."""

from __future__ import annotations

import datetime
import itertools
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from migas.cli import picture, usage
from migas.cli.groups import OTHERS, STATUSES
from migas.cli.runner import WrongError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TODAY = datetime.date(2026, 11, 26)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fonts")]


def make(
    counts: Mapping[str, Sequence[int | None]],
    last: datetime.date = TODAY,
    by: str = "day",
    title: str = "owner/repo: breadcrumbs a day",
) -> picture.Picture:
    """Return a picture of as many days as there are counts."""
    days = max(map(len, counts.values())) if counts else 30
    periods = usage.split(last - (days - 1) * usage.DAY, last, by)
    return picture.Picture(title, ["from when to when"], "breadcrumbs", periods, counts, TODAY)


def read(drawn: picture.Picture) -> tuple[str, list[str]]:
    """Return an SVG and the texts in it."""
    svg = picture.render(drawn, "svg").decode()
    root = ElementTree.fromstring(svg)
    return svg, [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]


SERIES: dict[str, dict[str, Sequence[int | None]]] = {
    "none at all": {},
    "zeros": {"breadcrumbs": [0] * 30},
    "one": {"breadcrumbs": [7]},
    "thirty": {"breadcrumbs": [(7 * n) % 23 for n in range(30)]},
    "four hundred": {"breadcrumbs": [(7 * n) % 23 for n in range(400)]},
    "partial": {"breadcrumbs": [5, None, None, 3, None]},
    "versions": {name: [1, 0, 2] for name in (OTHERS, "1.0", "1.1", "_x", "$x_2$")},
    "statuses": {name: [1, 0, 2] for name in (*STATUSES, "X")},
    "millions": {"breadcrumbs": [1_000_000, 2_500_000]},
}


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_same_data_are_the_same_bytes(kind: str) -> None:
    """So a picture in a repository changes with its numbers alone."""
    drawn = make(SERIES["partial"])
    first, second = (picture.render(drawn, kind) for _ in range(2))
    assert first == second
    assert not re.search(rb"CreationDate|<dc:date>|[0-9]{2}:[0-9]{2}:[0-9]{2}", first)
    head = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[kind]
    assert first.startswith(head)


@pytest.mark.parametrize("name", SERIES)
def test_the_axes_suit_anything(name: str) -> None:
    """The numbers are whole, days are the shortest periods, and no label covers another."""
    from matplotlib.figure import Figure

    svg, texts = read(make(SERIES[name]))
    assert "owner/repo: breadcrumbs a day" in texts
    assert "from when to when" in texts
    if name != "versions":
        assert not [text for text in texts if re.fullmatch(r"\d+\.\d+|1e\d|\d\d:\d\d", text)]
    assert ("so far" in texts) is (name != "partial")  # today is not answered there
    assert ("no answer" in texts) is (name == "partial")
    assert ("none" in texts) is (name in ("none at all", "zeros"))
    assert "<image" not in svg
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    picture._set_axes(axes, make(SERIES[name]))
    figure.draw_without_rendering()
    for axis in (axes.xaxis, axes.yaxis):
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert boxes
        assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def test_what_is_not_over_is_hatched() -> None:
    """And only that: the same days a year ago are whole."""
    past = datetime.date(2025, 11, 26)
    for last, is_hatched in ((TODAY, True), (past, False)):
        svg, texts = read(make(SERIES["thirty"], last))
        assert ("<pattern" in svg) is is_hatched
        assert ("so far" in texts) is is_hatched


def test_each_stack_is_named_as_it_is() -> None:
    """A version may be any text: no formula, and nothing that matplotlib would hide."""
    _, texts = read(make(SERIES["versions"]))
    named = [text.lstrip("\N{ZERO WIDTH SPACE}") for text in texts[-6:]]
    assert named == ["$x_2$", "_x", "1.1", "1.0", OTHERS, "so far"]
    _, texts = read(make(SERIES["statuses"], title="$a_b$: \N{SNOWMAN}"))
    assert texts[-6:-1] == ["X", *reversed(STATUSES)]
    assert "$a_b$: \N{SNOWMAN}" in texts


def test_a_long_title_stays_in_the_picture() -> None:
    """As names at GitHub may be."""
    name = f"{'o' * 39}/{'r' * 100}"
    _, texts = read(make(SERIES["one"], title=f"{name}: breadcrumbs a day"))
    assert "".join(texts).count("r" * 20) >= 4
    assert max(map(len, texts)) <= 80


def test_a_versions_control_characters_break_no_picture() -> None:
    """XML holds none."""
    drawn = make({"a\x1b[2J\x01": [1], "b": [2]})._replace(title="\x07")
    svg = picture.render(drawn, "svg")
    assert ElementTree.fromstring(svg) is not None
    assert b"a?[2J?" in svg


def test_each_stack_has_a_colour_of_its_own() -> None:
    """The newest version always the same."""
    newest = picture._choose_colors(make({str(n): [1] for n in range(7)}))
    assert newest[-1] == picture._COLORS[0]
    assert len(set(newest)) == 7
    others = picture._choose_colors(make({OTHERS: [1], "1": [1]}))
    assert others == [picture._GREY, picture._COLORS[0]]
    assert len(set(picture._STATUS_COLORS.values())) == len(STATUSES)


@pytest.mark.parametrize("last", [datetime.date.max, datetime.date(1, 1, 1)])
def test_the_ends_of_the_calendar_are_no_trouble(last: datetime.date) -> None:
    """There is no day beside them."""
    drawn = make({"breadcrumbs": [3]}, last)
    assert read(drawn)[1]


@pytest.mark.parametrize("path", ["uses", "uses.jpg", "uses.svg.gz", ".png", "png", "a.png/"])
def test_a_name_without_a_known_end_is_refused(path: str) -> None:
    """matplotlib would write `uses.png`."""
    with pytest.raises(WrongError, match="ends in"):
        picture.find_kind(path)
    assert picture.find_kind("a/uses.SVG") == "svg"

"""Of the processes of one run the first to report a use does, and the others leave it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migas._crumb import breadcrumb
from migas._delivery import ranks
from migas._delivery.ranks import Ranks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migas._crumb.breadcrumb import Breadcrumb


class Marks:
    """The disk that two processes share."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def make(self, name: str) -> bool:
        is_first = name not in self.names
        self.names.append(name)
        return is_first

    def has(self, name: str) -> bool:
        return name in self.names

    def join(self, rank: str, program: str) -> Ranks:
        """Return what a process has: a program of a rank, below its shell if they differ."""
        return Ranks("run", self.make, self.has, lambda: (rank, program))


def make(version: str = "1", **fields: object) -> Breadcrumb:
    return breadcrumb.sanitize("owner/repo", version, fields, {}, str).breadcrumb


@pytest.fixture
def marks() -> Marks:
    return Marks()


def test_a_process_that_is_alone_asks_no_disk(marks: Marks) -> None:
    """Each of its calls counts."""
    alone = Ranks("", marks.make)
    assert alone.is_reporter(make())
    assert alone.is_reporter(make())
    assert marks.names == []


def test_the_first_reports_and_each_of_its_calls_counts(marks: Marks) -> None:
    """The disk is asked once for a use, by each process."""
    first, second = Ranks("run", marks.make), Ranks("run", marks.make)
    assert [first.is_reporter(make()) for _ in range(3)] == [True] * 3
    assert [second.is_reporter(make()) for _ in range(3)] == [False] * 3
    assert len(marks.names) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"version": "2"},
        {"session_id": "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"},
        {"status": "C"},
        {"status_desc": "reading"},
        {"error_type": "ValueError"},
        {"error_desc": "too small"},
    ],
)
def test_another_word_is_another_use(marks: Marks, other: Mapping[str, str]) -> None:
    """Whoever says it first reports that."""
    first, second = Ranks("run", marks.make), Ranks("run", marks.make)
    assert first.is_reporter(make())
    assert second.is_reporter(make(**other))
    assert not first.is_reporter(make(**other))


def test_another_run_is_another_use(marks: Marks) -> None:
    """And a mark's name says nothing of what it is made of."""
    assert Ranks("one", marks.make).is_reporter(make())
    assert Ranks("two", marks.make).is_reporter(make())
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in marks.names)
    assert not any("owner" in name for name in marks.names)


def test_how_long_each_rank_took_is_no_word(marks: Marks) -> None:
    """Each measures that for itself, see `run`."""
    first, second = Ranks("run", marks.make), Ranks("run", marks.make)
    assert first.is_reporter(make(status="C", status_desc="Completed after 0:00:07"))
    assert not second.is_reporter(make(status="C", status_desc="Completed after 11:59:08"))
    assert second.is_reporter(make(status="C", status_desc="Completed after lunch"))


def test_each_program_of_the_first_rank_reports(marks: Marks) -> None:
    """The other ranks, which run the same ones, leave that to it. A program has several workers."""
    assert marks.join("shell", "one").is_reporter(make())
    assert not marks.join("shell", "one").is_reporter(make())
    assert not marks.join("another", "1").is_reporter(make())
    two, three = marks.join("shell", "two"), marks.join("shell", "three")
    assert [two.is_reporter(make()) for _ in range(2)] == [True, True]
    assert not marks.join("shell", "two").is_reporter(make())
    assert not marks.join("another", "2").is_reporter(make())
    assert three.is_reporter(make())


def test_a_shell_that_becomes_its_last_program_is_a_rank(marks: Marks) -> None:
    """`sh -c 'one; two'`: some shells execute the last one in their own place."""
    assert marks.join("shell", "one").is_reporter(make())
    assert marks.join("shell", "shell").is_reporter(make())
    assert not marks.join("another", "another").is_reporter(make())


def test_a_rank_that_is_its_own_program_makes_one_mark(marks: Marks) -> None:
    """As nearly all are: a thousand ranks make one, too."""
    assert marks.join("1", "1").is_reporter(make())
    assert not any(marks.join(f"{rank}", f"{rank}").is_reporter(make()) for rank in range(2, 9))
    assert len({*marks.names}) == 1


def test_where_no_mark_can_be_made_everybody_reports() -> None:
    """The disk is asked once."""
    asked = []

    def fail(name: str) -> bool:
        asked.append(name)
        raise OSError

    broken = Ranks("run", fail)
    assert broken.is_reporter(make())
    assert broken.is_reporter(make())
    assert len(asked) == 1


def test_ever_new_uses_fill_no_disk(marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes beyond the limit is reported by everybody."""
    monkeypatch.setattr(ranks, "_MOST", 5)
    first, second = Ranks("run", marks.make), Ranks("run", marks.make)
    uses = [make(f"{number}") for number in range(9)]
    assert all(first.is_reporter(use) for use in uses)
    assert [second.is_reporter(use) for use in uses] == [False] * 5 + [True] * 4
    assert len(marks.names) == 10

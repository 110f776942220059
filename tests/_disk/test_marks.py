"""A mark is made by one process only; it goes when it is old, or when a person clears the spool."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import ROOMY

from migas._disk import upkeep
from migas._disk.cleaner import clean
from migas._disk.marks import MARKS, has_mark, is_mark, make_mark
from migas._disk.ownership import NoDiskError
from migas._disk.spool import Bounds, Spool

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = 1_800_000_000.0

DAY = 86400.0

posix = pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")


@pytest.fixture
def directory(home: Path) -> str:
    return str(home / "spool")


def list_marks(directory: str) -> list[str]:
    return sorted(os.listdir(os.path.join(directory, MARKS)))


def name(number: int) -> str:
    return f"{number:032x}"


def age(directory: str, marks: Iterable[str], moment: float) -> None:
    for each in marks:
        os.utime(os.path.join(directory, MARKS, each), (moment, moment))


def test_the_first_makes_a_mark_and_the_second_finds_it(directory: str) -> None:
    """It is an empty file for its owner alone, and each name is another one."""
    assert make_mark(directory, name(1))
    assert not make_mark(directory, name(1))
    assert make_mark(directory, name(2))
    assert list_marks(directory) == [name(1), name(2)]
    status = os.stat(os.path.join(directory, MARKS, name(1)))
    assert status.st_size == 0
    assert sys.platform == "win32" or status.st_mode & 0o777 == 0o600


def test_a_mark_that_is_there_is_found(directory: str) -> None:
    """To look makes none."""
    make_mark(directory, name(1))
    assert has_mark(directory, name(1))
    assert not has_mark(directory, name(2))
    assert list_marks(directory) == [name(1)]


def test_one_of_many_makes_it(directory: str) -> None:
    """All of them at once, in a spool that is there."""
    make_mark(directory, name(99))
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            made = list(pool.map(lambda _: make_mark(directory, name(number)), range(8)))  # noqa: B023
            assert made.count(True) == 1


def test_where_there_is_no_disk_no_mark_is_made(home: Path) -> None:
    """The caller has to know that it asked in vain."""
    with pytest.raises(NoDiskError):
        make_mark("", name(1))
    with pytest.raises(NoDiskError):
        has_mark("", name(1))
    (home / "file").write_text("theirs")
    with pytest.raises(OSError, match="file"):
        make_mark(str(home / "file" / "spool"), name(1))


@posix
def test_no_link_is_followed(directory: str, tmp_path: Path) -> None:
    """In place of the box nothing is made behind it; in place of a mark it stands for one."""
    outside = tmp_path / "outside"
    outside.mkdir()
    make_mark(directory, name(1))
    Path(directory, MARKS, name(2)).symlink_to(outside / "made")
    assert not make_mark(directory, name(2))
    Path(directory, MARKS, name(2)).unlink()
    Path(directory, MARKS, name(1)).unlink()
    Path(directory, MARKS).rmdir()
    Path(directory, MARKS).symlink_to(outside)
    with pytest.raises(NoDiskError):
        make_mark(directory, name(3))
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("by", ["a sender", "a writer"])
def test_old_marks_are_swept(directory: str, by: str) -> None:
    """With the spool's own age; those of now, and files of others, stay."""
    for number in range(4):
        make_mark(directory, name(number))
    Path(directory, MARKS, "notes").write_text("theirs")
    age(directory, [name(0), name(1), "notes"], NOW - 31 * DAY)
    age(directory, [name(2), name(3)], NOW - 29 * DAY)
    spool = Spool(directory, Bounds(1000, 10**9, 30 * DAY), lambda: NOW, lambda _: 0)
    if by == "a sender":
        spool.put(b"{}").discard()
        spool.recover(1)
    else:
        spool.put(b"{}")
    assert list_marks(directory) == [name(2), name(3), "notes"]


def test_there_are_no_more_marks_than_there_may_be_entries(directory: str) -> None:
    """The oldest go."""
    for number in range(120):
        make_mark(directory, name(number))
        age(directory, [name(number)], NOW - 1000 + number)
    Spool(directory, Bounds(100, 10**9, DAY), lambda: NOW, lambda _: 0).put(b"{}")
    assert list_marks(directory) == [name(number) for number in range(20, 120)]


def test_a_sweep_looks_at_some_marks_only(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a random one on, so that the next one sweeps others."""
    monkeypatch.setattr(upkeep, "_SWEPT", 3)
    for number in range(10):
        make_mark(directory, name(number))
    age(directory, list_marks(directory), NOW - 2 * DAY)
    Spool(directory, Bounds(100, 10**9, DAY), lambda: NOW, lambda below: 8 % below).put(b"{}")
    assert list_marks(directory) == [
        name(number) for number in range(10) if number not in (8, 9, 0)
    ]


def test_clearing_the_spool_removes_them(directory: str) -> None:
    """By name, and the box with them; a name that we do not make stays, and is told."""
    make_mark(directory, name(1))
    Spool(directory, ROOMY).put(b"{}")
    assert clean(directory).left == ()
    assert not os.path.exists(directory)
    make_mark(directory, name(1))
    theirs = Path(directory, MARKS, "notes")
    theirs.write_text("theirs")
    assert [left.path for left in clean(directory).left] == [str(theirs)]
    assert list_marks(directory) == ["notes"]


@pytest.mark.parametrize("other", ["", "A" * 32, "0" * 31, "0" * 33, "g" * 32, "0" * 31 + "\n"])
def test_no_other_name_is_a_marks(other: str) -> None:
    """A file of somebody's is not swept."""
    assert is_mark(name(1))
    assert not is_mark(other)

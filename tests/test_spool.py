"""Files that wait, are claimed by one process, and are never lost between two directories."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from migas import userdirs
from migas.spool import LEASE, Spool, directory_for

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(home: Path, clock: Clock) -> Spool:
    return Spool(str(home / "spool"), clock)


def names(spool: Spool, box: str) -> list[str]:
    return sorted(os.listdir(os.path.join(spool.directory, box)))


def test_nothing_is_made_before_it_is_needed(spool: Spool) -> None:
    """Looking, claiming and recovering leave no trace (pain 19)."""
    assert spool.claim(5) == []
    spool.recover(5)
    assert list(spool.waiting()) == []
    assert not os.path.exists(spool.directory)


def test_an_entry_waits_is_claimed_and_is_gone(spool: Spool) -> None:
    """The way of every breadcrumb."""
    spool.put(b"one")
    [waiting] = spool.waiting()
    [claimed] = spool.claim(5)
    assert claimed.read() == b"one"
    assert (waiting.box, claimed.box) == ("new", "cur")
    assert spool.claim(5) == []
    claimed.discard()
    assert list(spool.waiting()) == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_what_is_written_is_for_its_owner_alone(spool: Spool) -> None:
    """0700 and 0600, whatever the umask says."""
    before = os.umask(0)
    try:
        entry = spool.put(b"x")
    finally:
        os.umask(before)
    assert os.stat(entry.path).st_mode & 0o777 == 0o600
    for directory in (spool.directory, os.path.dirname(entry.path)):
        assert os.stat(directory).st_mode & 0o777 == 0o700


def test_one_process_of_many_gets_an_entry(spool: Spool, clock: Clock) -> None:
    """A rename has one winner (pain 22)."""
    entries = [spool.put(b"x") for _ in range(20)]
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda entry: entry.claim(clock.now), entries * 8))
    assert len([claim for claim in claims if claim]) == 20
    assert len(names(spool, "cur")) == 20


def test_a_claim_looks_at_no_more_than_it_was_told(spool: Spool) -> None:
    """A spool of any size costs a host the same."""
    for _ in range(30):
        spool.put(b"x")
    assert len(spool.claim(7)) == 7


def test_a_released_entry_waits_again_and_counts_its_attempts(spool: Spool) -> None:
    """An attempt that may have arrived is counted in the name."""
    spool.put(b"x")
    for attempts in (0, 1, 2):
        [claimed] = spool.claim(5)
        assert claimed.attempts == attempts
        claimed.release(attempted=True)
    [claimed] = spool.claim(5)
    claimed.release()
    assert [entry.attempts for entry in spool.waiting()] == [3]


def test_an_entry_of_a_dead_process_is_taken_back_after_its_lease(
    spool: Spool, clock: Clock
) -> None:
    """Killed in the middle of a request, it may have been sent: that is an attempt."""
    spool.put(b"x")
    assert len(spool.claim(5)) == 1
    clock.now += LEASE - 1
    spool.recover(5)
    assert spool.claim(5) == []
    clock.now += 2
    spool.recover(5)
    assert [entry.attempts for entry in spool.claim(5)] == [1]


@pytest.mark.parametrize("error", [-10 * 365 * 86400, 10 * 365 * 86400], ids=["back", "ahead"])
def test_a_clock_that_was_wrong_blocks_no_entry(spool: Spool, clock: Clock, error: float) -> None:
    """A lease that was set years ahead or long ago is over at once."""
    spool.put(b"x")
    clock.now += error
    spool.claim(5)
    clock.now -= error
    spool.recover(5)
    assert len(spool.claim(5)) == 1


def test_what_is_set_aside_is_claimed_no_more(spool: Spool) -> None:
    """Unreadable files are kept for a person, never looped over."""
    spool.put(b"x")
    [claimed] = spool.claim(5)
    claimed.set_aside()
    assert list(spool.waiting()) == []
    assert len(names(spool, "aside")) == 1


def births(spool: Spool) -> list[int]:
    """The age of what waits, in whole hours since the clock's start."""
    return sorted(round(entry.birth / 1000 - Clock().now) // 3600 for entry in spool.waiting())


@pytest.mark.parametrize(
    ("bound", "left"),
    [
        ({"max_count": 3}, [7, 8, 9]),
        ({"max_bytes": 250}, [8, 9]),
        ({"max_age": 4.5 * 3600}, [6, 7, 8, 9]),
        ({}, list(range(10))),
    ],
    ids=str,
)
def test_a_purge_drops_the_oldest_and_counts_them(
    spool: Spool, clock: Clock, bound: dict[str, float], left: list[int]
) -> None:
    """Bounded in count, in bytes and in age (pain 16)."""
    for _ in range(10):
        spool.put(b"x" * 100)
        clock.now += 3600
    spool.purge(**bound)  # type: ignore[arg-type]
    assert births(spool) == left
    assert spool.dropped == 10 - len(left)
    assert Spool(spool.directory).dropped == spool.dropped


def test_now_and_then_a_put_looks_at_the_whole(home: Path, clock: Clock) -> None:
    """And for the most part it does not."""
    thrown = iter([1, 1, 0])
    spool = Spool(str(home / "spool"), clock, lambda _sides: next(thrown))
    for expected in ([0], [0, 500], [500, 1000]):
        spool.put(b"x")
        assert births(spool) == expected
        clock.now += 500 * 3600


def test_foreign_files_are_left_alone(spool: Spool) -> None:
    """What does not bear an entry's name is none."""
    entry = spool.put(b"x")
    for name in (".nfs0001", "readme", "1-2-3.json", "x" * 200):
        with open(os.path.join(os.path.dirname(entry.path), name), "w"):
            pass
    assert [claimed.token for claimed in spool.claim(10)] == [entry.token]
    assert len(names(spool, "new")) == 4


def test_a_draft_that_nobody_finished_is_swept_up(spool: Spool, clock: Clock) -> None:
    """A process that was killed while it wrote leaves no litter for ever."""
    spool.put(b"x")
    draft = os.path.join(spool.directory, "tmp", "draft")
    with open(draft, "w"):
        pass
    os.utime(draft, (clock.now, clock.now))
    spool.recover(5)
    assert os.path.exists(draft)
    clock.now += 3601
    spool.recover(5)
    assert not os.path.exists(draft)


def test_another_process_may_be_faster_at_anything(spool: Spool, clock: Clock) -> None:
    """Each step of an entry that is gone does nothing."""
    entry = spool.put(b"x")
    entry.discard()
    entry.discard()
    assert entry.claim(clock.now) is None
    assert entry.release() is None
    entry.set_aside()
    with pytest.raises(OSError, match=r"."):
        entry.read()


def test_a_put_that_fails_leaves_nothing(home: Path) -> None:
    """A full disk is reported, and no half file is left."""
    code = """
import resource, sys
from migas.spool import Spool
spool = Spool(sys.argv[1])
spool.put(b"x")
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    spool.put(b"x" * 100)
except OSError:
    sys.exit(7)
"""
    directory = home / "full"
    command = [sys.executable, "-c", code, str(directory)]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    assert subprocess.run(command, env=environ, check=False).returncode == 7
    assert [
        path for path in directory.rglob("*") if path.is_file() and path.parent.name != "new"
    ] == []
    assert len(list(Spool(str(directory)).waiting())) == 1


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_directory_that_others_may_write_is_not_used(home: Path, mode: int) -> None:
    """Nobody else's files are read or sent (pain 20)."""
    directory = home / "shared"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(PermissionError):
        Spool(str(directory)).put(b"x")
    assert list(directory.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_directory_of_another_user_is_not_used(home: Path) -> None:
    """The first user of a shared place does not own the others' breadcrumbs (pain 20)."""
    directory = home / "theirs"
    directory.mkdir(mode=0o700)
    os.chown(directory, 65534, 65534)
    with pytest.raises(PermissionError):
        Spool(str(directory)).put(b"x")


def test_each_server_has_a_spool_of_its_own() -> None:
    """A breadcrumb meant for one server is never sent to another."""
    endpoints = ["http://a/graphql", "https://a/graphql", "http://a:1/graphql", "http://b/graphql"]
    directories = {directory_for(endpoint, "/x") for endpoint in endpoints}
    assert len(directories) == len(endpoints)
    assert directory_for("http://u:p@[::1]:8/../graphql", "/x").count("/") == 2
    assert directory_for("http://a/graphql", None).startswith(userdirs.cache())


def test_a_home_that_is_not_there_is_not_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home gets none by being counted."""
    monkeypatch.setenv("HOME", str(home / "nobody"))
    with pytest.raises(FileNotFoundError):
        userdirs.create(str(home / "nobody" / ".cache" / "migas"))
    assert not (home / "nobody").exists()

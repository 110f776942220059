"""Files that wait, are claimed by one process, and are never lost between two directories."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support import ROOMY

import migas._disk.spool
from migas._disk.directory import TAG, find_cache
from migas._disk.entry import LEASE, NEW, MemoryEntry, make_token
from migas._disk.files import Directory
from migas._disk.spool import Bounds, Spool, directory_for, open_spool
from migas._runtime.settings import Settings

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
    return Spool(str(home / "spool"), ROOMY, clock)


def names(spool: Spool, box: str) -> list[str]:
    return sorted(os.listdir(os.path.join(spool.directory, box)))


def test_nothing_is_made_before_it_is_needed(spool: Spool) -> None:
    """Looking, claiming and recovering leave no trace (pain 19)."""
    assert spool.claim(5) == []
    spool.recover(5)
    assert spool.list_pending() == []
    assert (spool.count(), spool.has_pending()) == (0, False)
    assert (spool.dropped, spool.refused, spool.unanswered) == (0, 0, 0)
    assert not os.path.exists(spool.directory)


def test_an_entry_waits_is_claimed_and_is_gone(spool: Spool) -> None:
    """The way of every breadcrumb."""
    spool.put(b"one")
    [waiting] = spool.list_pending()
    [claimed] = spool.claim(5)
    assert claimed.read() == b"one"
    assert (waiting.box, claimed.box) == ("new", "cur")
    assert spool.claim(5) == []
    claimed.discard()
    assert spool.list_pending() == []


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


def test_an_entry_bears_the_token_that_its_writer_has_given_it(spool: Spool) -> None:
    """So that the writer knows it before anybody can claim it."""
    token = make_token()
    assert spool.put(b"x", token).token == token
    [claimed] = spool.claim(5)
    assert claimed.token == token


def test_a_claim_is_not_stopped_by_what_others_are_faster_at(
    spool: Spool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second takes what comes next, and looks at a bounded number."""
    for _ in range(40):
        spool.put(b"x")
    slow = [entry for entry in spool.list_pending() if entry.box == "new"]
    monkeypatch.setattr(
        migas._disk.spool, "read_box", lambda _spool, box: slow if box == NEW else []
    )
    for entry in slow[:5]:
        entry.claim(clock.now)
    assert len(spool.claim(10)) == 10
    for entry in slow[15:]:
        entry.claim(clock.now)
    assert spool.claim(2) == []


def test_a_released_entry_waits_again_and_counts_its_attempts(spool: Spool) -> None:
    """An attempt that may have arrived is counted in the name."""
    spool.put(b"x")
    for attempts in (0, 1, 2):
        [claimed] = spool.claim(5)
        assert claimed.attempts == attempts
        claimed.release(attempts + 1)
    [claimed] = spool.claim(5)
    claimed.release(claimed.attempts)
    assert [entry.attempts for entry in spool.list_pending()] == [3]


@pytest.mark.parametrize("sent", [False, True])
def test_an_entry_of_a_dead_process_is_taken_back_after_its_lease(
    spool: Spool, clock: Clock, sent: bool
) -> None:
    """Killed before its request began to leave, it has not been sent, and no attempt is lost."""
    spool.put(b"x")
    [claimed] = spool.claim(5)
    if sent:
        claimed.attempt(clock.now, 1)
    clock.now += LEASE - 1
    spool.recover(5)
    assert spool.claim(5) == []
    clock.now += 2
    spool.recover(5)
    assert [entry.attempts for entry in spool.claim(5)] == [int(sent)]


@pytest.mark.parametrize(("ahead", "is_held"), [(3 * 3600.0, True), (40 * 3600.0, False)])
def test_a_claim_by_a_clock_that_is_ahead_is_waited_for(
    spool: Spool, clock: Clock, ahead: float, is_held: bool
) -> None:
    """Another node may be sending it, with a time zone too many; a day's error says nothing."""
    spool.put(b"x")
    clock.now += ahead
    assert len(spool.claim(5)) == 1
    clock.now -= ahead
    spool.recover(5)
    assert (spool.claim(5) == []) is is_held


def test_no_two_claims_bear_one_name(spool: Spool, clock: Clock) -> None:
    """A rename to the name that another node has just given the file would be taken for done."""
    spool.put(b"x")
    names = set()
    for _ in range(3):
        [claimed] = spool.claim(5)
        sent = claimed.attempt(clock.now, claimed.attempts)
        names |= {claimed.path, sent.path}
        sent.release(0)
    assert len(names) == 6


def test_an_attempt_renews_the_claim(spool: Spool, clock: Clock) -> None:
    """And fails where the claim is lost: the request must not leave then."""
    spool.put(b"x")
    [claimed] = spool.claim(5)
    clock.now += LEASE - 1
    claimed = claimed.attempt(clock.now, 1)
    clock.now += LEASE - 1
    spool.recover(5)
    assert spool.claim(5) == []
    clock.now += 2
    spool.recover(5)
    assert len(spool.claim(5)) == 1
    with pytest.raises(FileNotFoundError):
        claimed._replace(attempts=0).attempt(clock.now, 1)


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
    assert spool.list_pending() == []
    assert len(names(spool, "aside")) == 1


def births(spool: Spool) -> list[int]:
    """The age of what waits, in whole hours since the clock's start."""
    return sorted(round(entry.birth / 1000 - Clock().now) // 3600 for entry in spool.list_pending())


def segments(spool: Spool) -> int:
    path = os.path.join(spool.directory, "old")
    return len(os.listdir(path)) if os.path.exists(path) else 0


#: What is looked at once in so many puts is looked at each time.
def always(_sides: int) -> int:
    return 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bounds", "kept"),
    [
        (ROOMY._replace(number=400), 320),
        (ROOMY._replace(size=40_000), 320),
        (ROOMY._replace(age=100.5 * 3600), 101),
        (ROOMY, 500),
    ],
    ids=["number", "size", "age", "none"],
)
def test_the_oldest_are_dropped_and_counted(
    home: Path, clock: Clock, bounds: Bounds, kept: int
) -> None:
    """Bounded in number, in bytes and in age (pain 16)."""
    spool = Spool(str(home / "spool"), bounds, clock, always)
    for _ in range(500):
        spool.put(b"x" * 100)
        clock.now += 3600
    left = births(spool)
    # A share that is being filled, and by age one that waits for its youngest entry.
    assert kept - 10 <= len(left) <= kept + 10
    assert left == list(range(500 - len(left), 500))
    assert spool.dropped == 500 - len(left)
    assert Spool(spool.directory, ROOMY).dropped == spool.dropped


@pytest.mark.slow
@pytest.mark.parametrize("size", [200, 2000])
def test_the_bounds_hold_whatever_the_dice_say(home: Path, size: int) -> None:
    """In number and in bytes, with looks as rare as they are."""
    bounds = Bounds(1000, 1_000_000, ROOMY.age)
    spool = Spool(str(home / "spool"), bounds, randrange=random.Random(size).randrange)
    for number in range(2500):
        spool.put(b"x" * size)
        if number % 100 == 0:
            assert spool.count() <= bounds.number
            assert sum(os.stat(e.path).st_size for e in spool.list_pending()) <= bounds.size
    assert spool.count() * max(size, 1000) > 500_000
    assert spool.count() + spool.dropped == 2500


@pytest.mark.parametrize("number", [100, 121, 159])
def test_three_quarters_of_the_bound_are_kept(home: Path, number: int) -> None:
    """As the documentation says, whatever the number is divided into."""
    spool = Spool(str(home / "spool"), Bounds(number, 20_000_000, ROOMY.age), randrange=always)
    for put in range(2 * number):
        spool.put(b"x")
        if put >= number and put % 3 == 0:
            assert 0.75 * number <= spool.count() <= number


def test_the_bounds_are_the_environments(home: Path) -> None:
    """A person, or an administrator, can choose them."""
    environ = {
        "MIGAS_CACHE_DIR": str(home),
        "MIGAS_SPOOL_COUNT": "100",
        "MIGAS_SPOOL_BYTES": "1000000",
        "MIGAS_SPOOL_DAYS": "1.5",
    }
    spool = open_spool(Settings.from_env(environ))
    assert spool._bounds == Bounds(100, 1_000_000, 1.5 * 86400)
    for _ in range(300):
        spool.put(b"x")
    assert 50 <= spool.count() <= 100
    assert open_spool(Settings())._bounds == ROOMY


def test_what_is_too_old_is_never_sent(spool: Spool, clock: Clock) -> None:
    """Nobody wants to be told of it, and the server would give it today's date."""
    spool.put(b"x")
    clock.now += ROOMY.age + 1
    spool.put(b"y")
    assert [entry.read() for entry in spool.claim(5)] == [b"y"]
    assert (spool.count(), spool.dropped) == (1, 1)


@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_that_is_wrong_by_years_drops_nothing(
    spool: Spool, clock: Clock, years: int
) -> None:
    """No entry is that old, and none was written in the future."""
    spool.put(b"x")
    clock.now += years * 365 * 86400
    assert len(spool.claim(5)) == 1


def test_a_put_looks_at_one_share_now_and_then(home: Path) -> None:
    """However much waits, a host's own path costs the same."""
    thrown: list[int] = []

    def dice(sides: int) -> int:
        thrown.append(sides)
        return int(len(thrown) % 50 != 0)

    spool = Spool(str(home / "spool"), ROOMY._replace(number=2000), randrange=dice)
    for _ in range(200):
        spool.put(b"x")
    assert set(thrown) == {12}
    assert segments(spool) == 4
    assert spool.count() == 200


@pytest.mark.slow
def test_a_backlog_is_not_listed_on_a_hosts_path(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To write, to claim and to recover takes the segments' names, and those of one of them."""
    bounds = ROOMY._replace(number=4000)
    spool = Spool(str(home / "spool"), bounds, randrange=random.Random(1).randrange)
    for _ in range(2000):
        spool.put(b"x")
    read: list[str] = []
    names = Directory.names

    def count_names(directory: Directory) -> list[str]:
        found = names(directory)
        read.extend(found)
        return found

    monkeypatch.setattr(Directory, "names", count_names)
    host = Spool(spool.directory, bounds, randrange=lambda _sides: 1)
    host.recover(16)
    host.put(b"x")
    assert len(host.claim(16)) == 16
    looked_at = len(read)
    assert host.has_pending()
    # A share is 100, and may be a quarter larger; the spool itself holds a dozen names.
    assert looked_at <= 2 * segments(spool) + 125 + 12
    assert len(read) - looked_at <= segments(spool) + 125


def test_the_oldest_segment_is_claimed_first_and_vanishes(home: Path, clock: Clock) -> None:
    """What waits longest goes first, and no empty directory is left."""
    spool = Spool(str(home / "spool"), ROOMY._replace(number=200), clock, always)
    for _ in range(33):
        spool.put(b"x")
        clock.now += 3600
    seen = []
    while claimed := spool.claim(4):
        seen += [round(entry.birth / 1000 - Clock().now) // 3600 // 5 for entry in claimed]
        for entry in claimed:
            entry.discard()
    assert seen == sorted(seen)
    assert len(seen) == 33
    spool.claim(1)
    assert (segments(spool), spool.count(), spool.has_pending()) == (0, 0, False)


def test_an_entry_is_found_after_a_rotation(home: Path) -> None:
    """Whoever wrote it need not know that its directory was renamed meanwhile."""
    spool = Spool(str(home / "spool"), ROOMY._replace(number=40), randrange=always)
    entry = spool.put(b"first")
    spool.put(b"second")
    assert not os.path.exists(entry.path)
    [taken] = spool.take([entry])
    assert taken is not None
    assert taken.read() == b"first"
    assert spool.take([entry]) == [None]


@pytest.mark.parametrize("step", ["put", "release"])
def test_nothing_is_lost_while_somebody_rotates(spool: Spool, step: str) -> None:
    """`new/` is gone for a moment, and whoever needs it makes it."""
    entry = spool.put(b"x")
    [claimed] = spool.take([entry])
    assert claimed is not None
    os.rmdir(os.path.join(spool.directory, "new"))
    if step == "put":
        spool.put(b"y")
    claimed.release(0)
    assert spool.count() == 1 + (step == "put")


def test_a_rename_that_is_said_to_have_failed_was_carried_out(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a network's disk may say while somebody rotates: nothing is to be written anew then."""
    spool.put(b"earlier")
    rename = os.replace

    def rename_and_deny(old: str, new: str, **directories: int) -> None:
        rename(old, new, **directories)
        raise FileNotFoundError(new)

    with monkeypatch.context() as patches:
        patches.setattr("os.replace", rename_and_deny)
        entry = spool.put(b"x")
    [taken] = spool.take([entry])
    assert taken is not None
    assert taken.read() == b"x"
    assert spool.count() == 2


def test_a_draft_that_cannot_be_moved_is_removed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So whoever is told so may write it anew."""

    def deny(*paths: str, **_directories: int) -> None:
        raise PermissionError(paths)

    spool.put(b"x")
    with monkeypatch.context() as patches:
        patches.setattr("os.replace", deny)
        with pytest.raises(PermissionError):
            spool.put(b"y")
    assert names(spool, "tmp") == []
    assert spool.count() == 1


def test_foreign_files_are_left_where_they_are(spool: Spool) -> None:
    """What does not bear an entry's name is nobody's business here (pain 44)."""
    entry = spool.put(b"x")
    box = os.path.dirname(entry.path)
    foreign = ["readme", "1-2-3.json", "x" * 200, ".nfs0001", "directory"]
    for name in foreign[:-1]:
        with open(os.path.join(box, name), "w"):
            pass
    os.mkdir(os.path.join(box, foreign[-1]))
    assert spool.count() == 1
    assert [claimed.token for claimed in spool.claim(10)] == [entry.token]
    assert spool.claim(10) == []
    spool.recover(10)
    assert names(spool, "new") == sorted(foreign)
    assert not os.path.exists(os.path.join(spool.directory, "aside"))


def test_what_is_empty_is_given_a_moment(spool: Spool, clock: Clock) -> None:
    """A network's disk may show so what another node has just written."""
    empty = spool.put(b"")
    other = spool.put(b"x")
    assert [claimed.token for claimed in spool.claim(10)] == [other.token]
    clock.now += 1
    assert [claimed.token for claimed in spool.claim(10)] == [empty.token]
    empty = spool.put(b"")
    clock.now -= 3600  # a clock that was ahead
    assert [claimed.token for claimed in spool.claim(10)] == [empty.token]


def test_what_was_refused_and_what_was_given_up_is_counted(spool: Spool) -> None:
    """Wherever it was."""
    spool.refuse(spool.put(b"x"))
    spool.refuse(MemoryEntry(make_token()))
    assert (spool.count(), spool.refused, spool.unanswered) == (0, 2, 0)
    spool.give_up(spool.put(b"x"))
    spool.give_up(MemoryEntry(make_token()))
    assert (spool.count(), spool.refused, spool.unanswered) == (0, 2, 2)


def test_what_lies_aside_for_long_is_removed(spool: Spool, clock: Clock) -> None:
    """As what waits would be."""
    spool.put(b"x")
    [claimed] = spool.claim(5)
    claimed.set_aside()
    [name] = names(spool, "aside")
    os.utime(os.path.join(spool.directory, "aside", name), (clock.now, clock.now))
    clock.now += ROOMY.age
    spool.recover(5)
    assert names(spool, "aside") == [name]
    clock.now += 1
    spool.recover(5)
    assert names(spool, "aside") == []


def test_a_draft_that_nobody_finished_is_swept_up(spool: Spool, clock: Clock) -> None:
    """A process that was killed while it wrote leaves no litter for ever."""
    name = os.path.basename(spool.put(b"x").path)
    draft = os.path.join(spool.directory, "tmp", name)
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
    assert entry.discard()
    assert not entry.discard()
    assert spool.take([entry]) == [None]
    assert entry.claim(clock.now) is None
    assert entry.release(0) is None
    entry.set_aside()
    with pytest.raises(OSError, match=r"."):
        entry.read()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows: no limit makes a disk seem full")
def test_a_put_that_fails_leaves_nothing(home: Path) -> None:
    """A full disk is reported, and no half file is left, nor a name of one."""
    code = """
import resource, sys
from migas._disk.spool import Bounds, Spool
spool = Spool(sys.argv[1], Bounds(100, 1_000_000, 1e6))
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
    ] == [directory / TAG]
    assert Spool(str(directory), ROOMY).count() == 1


def test_each_server_has_a_spool_of_its_own() -> None:
    """A breadcrumb meant for one server is never sent to another."""
    endpoints = ["http://a/graphql", "https://a/graphql", "http://a:1/graphql", "http://b/graphql"]
    directories = {directory_for(endpoint, "/x") for endpoint in endpoints}
    assert len(directories) == len(endpoints)
    assert os.path.dirname(directory_for("http://u:p@[::1]:8/../graphql", "/x")) == "/x"
    assert directory_for("http://a/graphql", None).startswith(find_cache())

"""A disk that fails at any call: only an `OSError` comes of it, nothing is lost, nothing loops."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from planting import crumb
from support import ROOMY, SLOW

from migas._crumb import breadcrumb
from migas._delivery.parcel import Outcome, Verdict
from migas._delivery.sent_log import FULL, Record
from migas._delivery.throttle import Backoff, Pace
from migas._delivery.writer import Writer
from migas._disk import directory, user_id
from migas._disk.entry import LEASE, Entry
from migas._disk.spool import Spool
from migas._disk.stamp import Stamp
from migas._runtime.exit import Exit
from migas._runtime.listeners import Listeners
from migas._runtime.receipt import Receipt
from migas._runtime.settings import Settings
from migas._runtime.threads import NEVER, Worker

from .broken import ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support import Host

    from migas.testing import Server

    from .broken import BrokenOS

NOW = 1_700_000_000.0


class Case:
    """A spool with pending, claimed and released entries, and an id."""

    def __init__(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)
        directory._known.clear()
        self.now = NOW
        self.path = path
        self.config = str(path / "config")
        self.spool = self.open()
        self.entries = [self.spool.put(crumb(str(number))) for number in range(4)]
        self.segment = os.path.join(self.spool.directory, "old", "1700000000900-00000000")
        os.makedirs(self.segment)
        os.rename(self.entries[0].path, os.path.join(self.segment, self.entries[0].name))
        self.tokens = {entry.token for entry in self.entries}
        [taken] = self.spool.take([self.entries[1]])
        assert taken is not None
        self.claimed: Entry = taken
        user_id.obtain(self.config)
        Backoff(self.spool.directory, lambda: self.now).fail(5.0)
        self.record = Record(self.spool.directory)
        made = breadcrumb.sanitize("owner/repo", "1", {"error_desc": "x" * 500}, {}).breadcrumb
        self.sent = [(made, Verdict(Outcome.DELIVERED))] * 10
        self.record.add(self.sent)
        #: What an operation has returned or put on disk.
        self.put: list[Entry] = []

    def open(self) -> Spool:
        bounds = ROOMY._replace(number=4000)
        return Spool(str(self.path / "spool"), bounds, lambda: self.now, lambda _sides: 0)

    def find(self) -> set[str]:
        """The tokens of what is on disk, wherever."""
        found = {entry.token for entry in self.open().list_pending()}
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.path / "spool" / "aside"):
                found.add(name.split("-")[1])
        return found


def put(case: Case) -> None:
    case.put.append(case.spool.put(crumb("put")))


def put_first(case: Case) -> None:
    """As the first process of a user does."""
    directory._known.clear()
    case.spool = Spool(str(case.path / "deep" / "er" / "spool"), ROOMY, lambda: case.now)
    with contextlib.suppress(OSError):
        case.spool.put(crumb("put"))
    case.spool = case.open()


def rotate(case: Case) -> None:
    spool = Spool(case.spool.directory, ROOMY._replace(number=40), lambda: case.now, lambda _: 0)
    case.put.append(spool.put(crumb("put")))


def recover(case: Case) -> None:
    case.now += LEASE + 1
    case.spool.recover(16)


def look(case: Case) -> None:
    spool = case.spool
    assert 0 <= spool.count() <= 5
    assert spool.has_pending() in (True, False)
    assert spool.dropped >= 0
    assert isinstance(spool.problem(), str)


def stamp(case: Case) -> None:
    backoff = Backoff(case.spool.directory, lambda: case.now)
    backoff.fail(5.0)
    # A moment that was kept on disk, which then cannot be read, costs one request more.
    assert backoff.remaining() >= 0
    assert Backoff(case.spool.directory, lambda: case.now).remaining() >= 0
    backoff.succeed()
    Pace(case.spool.directory, lambda: case.now).take()
    mark = Stamp(case.spool.directory, "dropped", "all")
    mark.set(case.now, 3)
    assert mark.times >= 0


def record(case: Case) -> None:
    case.record.add(case.sent * (FULL // 7000))  # which fills the file
    assert all(line["project"] == "owner/repo" for line in case.record.read())
    with contextlib.suppress(OSError):
        case.record.clear()


def identify(case: Case) -> None:
    user_id.read(case.config)
    assert user_id.obtain(case.config)
    assert user_id.clear(case.config) in (True, False)
    assert user_id.obtain(case.config)


#: What a process does, and whether it may tell of a failure.
OPERATIONS: dict[str, tuple[Callable[[Case], object], bool]] = {
    "put": (put, True),
    "put, first": (put_first, False),
    "put, rotate": (rotate, True),
    "claim": (lambda case: case.spool.claim(3), False),
    "take": (lambda case: case.spool.take(case.entries[:1]), False),
    "attempt": (lambda case: case.claimed.attempt(case.now, 1), True),
    "release": (lambda case: case.claimed.release(1), False),
    "set aside": (lambda case: case.claimed.set_aside(), False),
    "read": (lambda case: case.entries[2].read(), True),
    "recover": (recover, False),
    "look": (look, False),
    "stamp": (stamp, False),
    "record": (record, False),
    "id": (identify, False),
}


@pytest.mark.slow
@pytest.mark.parametrize("once", [True, False], ids=["once", "from then on"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_whichever_call_fails_nothing_is_lost(
    tmp_path: Path, broken: BrokenOS, operation: str, once: bool
) -> None:
    """Each error at each call; only what says so raises, and only an `OSError`."""
    act, may_raise = OPERATIONS[operation]
    for index, first in enumerate(count_calls(tmp_path, broken, act)):
        # All errors at some calls, and some at each.
        for number in ERRORS[index % 3 :: 1 if index < 3 else 3]:
            case = Case(tmp_path / "case")
            broken.fail(number, first, once=once)
            try:
                act(case)
            except OSError:
                assert may_raise
            finally:
                broken.fail(0, None, once=False)
            assert case.find() >= case.tokens | {entry.token for entry in case.put}
            assert case.find() <= case.tokens | {entry.token for entry in case.put}, first


def count_calls(tmp_path: Path, broken: BrokenOS, act: Callable[[Case], object]) -> Iterator[int]:
    """Yield the calls that it makes where all is well."""
    case = Case(tmp_path / "case")
    broken.fail(0, None, once=False)
    act(case)
    calls = len(broken.calls)
    assert calls > 1
    yield from range(calls)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_a_writer_whose_disk_is_broken_goes_on_in_memory(
    home: Path, broken: BrokenOS, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """From whichever call on; and once it works again, it is used again."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    for first in range(40):
        sending = Worker("sender", lambda _items, _can_wait: NEVER)
        made = Writer(Settings(cache_dir=str(home / "cache")), sending, Listeners(), Exit(1.0))
        broken.fail(number, first, once=False)
        parcel = made.write("owner/repo", "1", {}, Receipt(0.0, lambda: None))
        broken.fail(0, None, once=False)
        assert parcel is not None
        after = made.write("owner/repo", "2", {}, Receipt(0.0, lambda: None))
        assert after is not None
        assert isinstance(after.entry, Entry)
        assert os.path.exists(after.entry.path)


@pytest.mark.parametrize("box", ["tmp", "new", "cur", "old", "aside"])
def test_a_box_that_a_cleaner_has_removed_is_made_again(home: Path, box: str) -> None:
    """As tmpfiles' cleaner removes what is empty (pain 49)."""
    spool = Spool(str(home / "spool"), ROOMY, lambda: NOW, lambda _sides: 0)
    spool.put(crumb("1"))
    spool.put(crumb("2"))
    held = spool.claim(2) if box == "new" else []
    shutil.rmtree(home / "spool" / box, ignore_errors=True)
    for entry in held:
        entry.release(0)
    spool.put(crumb("3"))
    claimed = spool.claim(5)
    assert sorted(breadcrumb.decode(entry.read()).project_version for entry in claimed) == [
        *("1", "2", "3")
    ]
    claimed[0].set_aside()
    claimed[1].release(0)
    assert spool.count() == 2


@pytest.mark.slow
@pytest.mark.parametrize("boxes", [["cur"], ["tmp"], ["aside", "old"], ["tmp", "cur"]])
def test_a_flush_delivers_from_a_spool_that_was_cleaned(
    host: Host, server: Server, spool: Callable[..., Spool], boxes: list[str]
) -> None:
    """And so does the next exit (pain 49)."""
    for number in range(3):
        spool().put(crumb(str(number)))
    for box in boxes:
        shutil.rmtree(os.path.join(spool().directory, box), ignore_errors=True)
    ended = host.run("", measured=False, arguments=["-m", "migas", "flush"])
    assert (ended.status, ended.err) == (0, ""), ended
    for box in boxes:
        shutil.rmtree(os.path.join(spool().directory, box), ignore_errors=True)
    assert host.run("import migas; migas.add_project('owner/repo', 'x')", SLOW).calmly
    assert sorted(str(crumb["version"]) for crumb in server.crumbs) == ["0", "1", "2", "x"]


def test_stamps_whose_moment_is_long_past_are_swept(home: Path) -> None:
    """Thirty containers that share a home leave none a day later (pain 50)."""
    now = [NOW]
    path = str(home / "spool")
    spool = Spool(path, ROOMY, lambda: now[0], lambda _sides: 1)
    for number in range(30):
        spool.put(crumb(str(number)))
        for name in ("backoff", "retry-after", "pace"):
            Stamp(path, name, f"container-{number}").set(now[0] + 3600.0)
    Stamp(path, "dropped", "all").set(now[0])
    Stamp(path, "old-server", "all").set(now[0])
    spool.recover(16)
    assert len(os.listdir(path)) == 90 + 2 + 4
    now[0] += 86400.0
    Spool(path, ROOMY, lambda: now[0], lambda _sides: 1).recover(16)
    assert sorted(os.listdir(path)) == sorted(
        [directory.TAG, "cur", "new", "tmp", "dropped-all", "old-server-all"]
    )


def test_stamps_are_swept_where_nothing_is_ever_sent(home: Path) -> None:
    """Some of them, by some of those who write; so they do not pile up, and no start is dear."""
    path = str(home / "spool")
    now = [NOW]
    spool = Spool(path, ROOMY, lambda: now[0], lambda sides: sides // 2)
    spool.put(crumb("1"))
    for number in range(300):
        Stamp(path, "backoff", f"container-{number}").set(now[0])
    now[0] += 86400.0
    for _ in range(3):
        Spool(path, ROOMY, lambda: now[0], lambda sides: 0 if sides < 100 else 9).put(crumb("2"))
    assert len([name for name in os.listdir(path) if name.startswith("backoff")]) == 0

"""Writing ahead, where a disk says no for a moment, or for good."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migas._delivery.writer import PAUSES, Writer
from migas._disk.entry import Entry
from migas._disk.files import Directory
from migas._disk.marks import MARKS
from migas._disk.spool import Spool
from migas._runtime.exit import Exit
from migas._runtime.listeners import Listeners
from migas._runtime.receipt import Receipt
from migas._runtime.settings import Settings
from migas._runtime.threads import NEVER, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from migas._delivery.parcel import Parcel


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the writer waits for, which takes no time."""
    waited: list[float] = []
    monkeypatch.setattr("migas._runtime.native.time.sleep", waited.append)
    return waited


@pytest.fixture
def make_writer(home: Path) -> Callable[[], Writer]:
    def make() -> Writer:
        sending = Worker("sender", lambda _items, _can_wait: NEVER)
        return Writer(Settings(cache_dir=str(home / "spool")), sending, Listeners(), Exit(1.0))

    return make


@pytest.fixture
def writer(make_writer: Callable[[], Writer]) -> Writer:
    return make_writer()


def fail(number: int) -> Entry:
    raise OSError(number, os.strerror(number))


def write(writer: Writer) -> Parcel:
    parcel = writer.write("owner/repo", "1", {}, Receipt(0.0, lambda: None))
    assert parcel is not None
    return parcel


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EEXIST, errno.ESTALE])
def test_a_disk_that_says_no_for_a_moment_is_asked_again(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, pauses: list[float], number: int
) -> None:
    """As a network's does where two nodes make the same directories."""
    put, answers = Spool.put, iter([number] * len(PAUSES))

    def put_or_not(spool: Spool, data: bytes, token: str) -> Entry:
        for answer in answers:
            raise OSError(answer, os.strerror(answer))
        return put(spool, data, token)

    monkeypatch.setattr(Spool, "put", put_or_not)
    assert write(writer).entry.is_on_disk
    assert sum(pauses) == pytest.approx(sum(PAUSES))
    answers = iter([number])  # it has passed, and so it may come again
    assert write(writer).entry.is_on_disk
    assert sum(pauses) == pytest.approx(sum(PAUSES) + PAUSES[0])


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EEXIST, errno.ESTALE])
def test_a_broken_disk_is_waited_for_once_a_process(
    make_writer: Callable[[], Writer],
    monkeypatch: pytest.MonkeyPatch,
    pauses: list[float],
    number: int,
) -> None:
    """By whichever writer, as `setup()` makes a new one; and it is used once it works (pain 47)."""
    put = Spool.put
    monkeypatch.setattr(Spool, "put", lambda *_: fail(number))
    for writer in (make_writer(), make_writer()):
        assert not any(write(writer).entry.is_on_disk for _ in range(20))
    assert sum(pauses) == pytest.approx(sum(PAUSES))
    monkeypatch.setattr(Spool, "put", put)
    assert write(writer).entry.is_on_disk


def test_a_broken_disk_is_never_waited_for_at_the_exit(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause that has begun ends, and no other begins (pain 47)."""
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        writer._exit.begin(1.0, sends=True)

    monkeypatch.setattr("migas._runtime.native.time.sleep", sleep)
    monkeypatch.setattr(Spool, "put", lambda *_: fail(errno.ESTALE))
    assert not any(write(writer).entry.is_on_disk for _ in range(20))
    assert waited == [PAUSES[0]]


def test_a_disk_that_says_no_for_a_moment_of_the_exit_is_asked_again_at_once(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """A program may end while another node makes the same directories: nothing is lost then."""
    put, answers = Spool.put, iter([errno.ENOENT, errno.ESTALE])

    def put_or_not(spool: Spool, data: bytes, token: str) -> Entry:
        for answer in answers:
            raise OSError(answer, os.strerror(answer))
        return put(spool, data, token)

    monkeypatch.setattr(Spool, "put", put_or_not)
    writer._exit.begin(1.0, sends=True)
    assert write(writer).entry.is_on_disk
    assert pauses == []


def test_a_disk_that_says_no_for_good_is_not_waited_for(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, pauses: list[float], home: Path
) -> None:
    """What is noted lives in memory."""
    monkeypatch.setattr(Spool, "put", lambda *_, **__: os.open(home, os.O_WRONLY))  # EISDIR
    assert not write(writer).entry.is_on_disk
    assert pauses == []


@pytest.mark.usefixtures("pauses")
def test_a_spool_that_was_removed_meanwhile_is_made_again(writer: Writer, home: Path) -> None:
    """Its person may delete any of it, at any time."""
    write(writer)
    shutil.rmtree(home / "spool")
    entry = write(writer).entry
    assert isinstance(entry, Entry)
    assert Path(entry.path).exists()


@pytest.mark.parametrize(("number", "is_ours"), [(errno.ENOENT, False), (errno.ESTALE, True)])
@pytest.mark.usefixtures("pauses")
def test_a_mark_that_is_there_after_a_failure_may_be_ones_own(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, number: int, is_ours: bool
) -> None:
    """Unless the failure says that none was made: then another process has been faster."""
    create, failures = Directory.create, [number]

    def fail_once(box: Directory, name: str, data: bytes) -> None:
        create(box, name, data)
        if failures and box.path.endswith(MARKS):
            fail(failures.pop())

    monkeypatch.setattr(Directory, "create", fail_once)
    assert writer._make_mark(32 * "a") == is_ours
    assert failures == []


@pytest.mark.usefixtures("pauses")
def test_a_disk_that_says_no_for_a_moment_is_asked_again_for_a_mark(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a rank would report what another one has reported."""
    assert writer._make_mark(32 * "a")
    examine, failures = Directory.examine, [errno.ESTALE]

    def fail_once(box: Directory, name: str, limit: int, links: int = 1) -> os.stat_result:
        if failures and name == 32 * "a":
            fail(failures.pop())
        return examine(box, name, limit, links)

    monkeypatch.setattr(Directory, "examine", fail_once)
    assert writer._has_mark(32 * "a")
    assert failures == []


def test_a_receipt_is_listened_for_before_its_entry_can_be_claimed(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender's thread may claim it at once."""
    put, listened = Spool.put, []

    def look(spool: Spool, data: bytes, token: str) -> Entry:
        listened.append(token in writer._listeners._receipts)
        return put(spool, data, token)

    monkeypatch.setattr(Spool, "put", look)
    write(writer)
    assert listened == [True]

"""Writing ahead, where a disk says no for a moment, or for good."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migas._delivery.writer import PAUSES, Writer
from migas._disk.spool import Spool
from migas._runtime.settings import Settings

if TYPE_CHECKING:
    from migas._delivery.parcel import Parcel
    from migas._disk.entry import Entry


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the writer waits for, which takes no time."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


def write(made: Writer) -> Parcel:
    parcel = made.write("owner/repo", "1", {}, lambda _verdict: None, asks=False)
    assert parcel is not None
    return parcel


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EEXIST, errno.ESTALE])
def test_a_disk_that_says_no_for_a_moment_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], number: int
) -> None:
    """As a network's does where two nodes make the same directories."""
    put, answers = Spool.put, iter([number] * len(PAUSES))

    def put_or_not(spool: Spool, data: bytes, *, reserves: bool) -> Entry:
        for answer in answers:
            raise OSError(answer, os.strerror(answer))
        return put(spool, data, reserves=reserves)

    monkeypatch.setattr(Spool, "put", put_or_not)
    assert write(Writer(Settings())).entry is not None
    assert pauses == list(PAUSES)


def test_a_disk_that_says_no_for_good_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], home: Path
) -> None:
    """What is noted lives in memory."""
    monkeypatch.setenv("HOME", str(home / "absent"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "absent" / "cache"))
    assert write(Writer(Settings())).entry is None
    monkeypatch.setattr(Spool, "put", lambda *_, **__: os.open(home, os.O_WRONLY))  # EISDIR
    assert write(Writer(Settings())).entry is None
    assert pauses == []


@pytest.mark.usefixtures("pauses")
def test_a_spool_that_was_removed_meanwhile_is_made_anew(home: Path) -> None:
    """Its person may delete any of it, at any time."""
    made = Writer(Settings(cache_dir=str(home / "spool")))
    write(made)
    shutil.rmtree(home / "spool")
    entry = write(made).entry
    assert entry is not None
    assert Path(entry.path).exists()

"""Several entries that are written in one go."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from support import ROOMY

from migas._disk import files
from migas._disk.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def spool(home: Path) -> Spool:
    """A spool that is never tidied up meanwhile."""
    return Spool(str(home / "spool"), ROOMY, randrange=lambda number: number - 1)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The directories that were opened."""
    enter, paths = files._enter, []

    def count(path: str, at: str, holder: int | None) -> files.Directory:
        paths.append(path)
        return enter(path, at, holder)

    monkeypatch.setattr(files, "_enter", count)
    return paths


def read_all(spool: Spool) -> list[bytes]:
    return [entry.read() for entry in spool.claim(100)]


def test_a_batch_opens_each_directory_once(spool: Spool, opened: list[str]) -> None:
    """However many entries are in it."""
    spool.put(b"first")
    opened.clear()
    with spool.batch():
        for number in range(20):
            spool.put(b"%d" % number)
        assert len(opened) == 3, opened
        assert spool.has_waiting()  # others see each at once
    assert read_all(spool) == [b"first", *(b"%d" % number for number in range(20))]


def test_nothing_stays_open_after_a_batch(spool: Spool) -> None:
    """A host may close all descriptors, and open its own under their numbers."""
    spool.put(b"x")
    probe = os.dup(0)
    os.close(probe)
    with spool.batch():
        for _ in range(3):
            spool.put(b"x")
    again = os.dup(0)
    os.close(again)
    assert again == probe


def test_a_signal_handler_may_write_within_a_batch(spool: Spool) -> None:
    """Its end does not close what the interrupted one has open."""
    with spool.batch():
        spool.put(b"1")
        with spool.batch():
            spool.put(b"2")
        spool.put(b"3")
    assert read_all(spool) == [b"1", b"2", b"3"]


@pytest.mark.skipif(os.name != "posix", reason="nothing is kept open on Windows")
@pytest.mark.parametrize("event", ["closed", "replaced", "removed"])
def test_a_batch_loses_nothing_when_its_directory_goes(spool: Spool, event: str) -> None:
    """Whether the host has closed its descriptor, or a person has cleared the spool."""
    with spool.batch():
        spool.put(b"1")
        kept = spool._intake._kept
        assert kept is not None
        number = kept._descriptor
        assert number is not None
        other = os.open(os.devnull, os.O_RDONLY)
        if event == "removed":
            shutil.rmtree(spool.directory)
        else:
            for box in kept._boxes.values():
                box.close()
            os.close(number)
            if event == "replaced":
                os.dup2(other, number)
        spool.put(b"2")
        spool.put(b"3")
        os.close(other)
    assert read_all(spool)[-2:] == [b"2", b"3"]

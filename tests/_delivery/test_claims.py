"""What a request's entries cost at the disk, and whose they are meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support import ROOMY

from migas._crumb import breadcrumb
from migas._delivery.claims import Claims
from migas._delivery.parcel import Outcome, Parcel, Verdict
from migas._disk import files
from migas._disk.entry import MemoryEntry, make_token
from migas._disk.spool import Bounds, Spool
from migas._runtime.listeners import Listeners
from migas._runtime.receipt import Receipt

if TYPE_CHECKING:
    from pathlib import Path

_CRUMB = breadcrumb.sanitize("owner/repo", "1", {}, {}, str).breadcrumb
_DATA = breadcrumb.encode(_CRUMB)


@pytest.fixture
def spool(home: Path) -> Spool:
    """A spool that is never tidied up meanwhile."""
    return Spool(str(home / "spool"), ROOMY, randrange=lambda number: number - 1)


def make_claims(spool: Spool) -> tuple[Claims, Listeners]:
    listeners = Listeners()
    return Claims(spool, listeners, time.time), listeners


def put(spool: Spool, count: int) -> list[Parcel]:
    return [Parcel(_CRUMB, spool.put(_DATA, make_token())) for _ in range(count)]


def listen(listeners: Listeners, parcel: Parcel) -> Receipt:
    receipt = parcel.receipt = Receipt(0.0, lambda: None)
    listeners.add(parcel.entry.token, receipt)
    return receipt


def test_a_request_opens_the_spool_once_for_each_step(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once for each breadcrumb, which took more than all else that a burst does on disk."""
    parcels, opened = put(spool, 16), []
    enter = files._enter

    def count(path: str, at: str, holder: int | None, *, mends: bool) -> files.Directory:
        opened.append(path)
        return enter(path, at, holder, mends=mends)

    monkeypatch.setattr(files, "_enter", count)
    claims, _ = make_claims(spool)
    assert claims.take(parcels) == parcels
    claims.count_attempt(parcels, [0] * 16)
    delivered = Verdict(Outcome.DELIVERED)
    assert claims.end([(parcel, delivered, 0) for parcel in parcels]) == []
    # The spool for each of the three, `new` and `cur` to claim, `cur` twice more.
    assert len(opened) == 7, opened
    assert spool.count() == 0


def test_entries_are_found_in_whichever_segment_they_are(home: Path) -> None:
    """A burst fills several while it is being written."""
    bounds = Bounds(400, 1_000_000, 3600.0)  # ten entries a segment
    spool = Spool(str(home / "spool"), bounds, randrange=lambda _number: 0)
    parcels = put(spool, 60)
    claims, _ = make_claims(spool)
    taken = claims.take([*parcels[::-1][:30], *parcels[:30]])
    assert len(taken) == 60
    assert all(parcel.entry.is_on_disk for parcel in taken)


def test_what_somebody_else_has_claimed_is_left_to_it(spool: Spool) -> None:
    """And its receipt says so."""
    parcels = put(spool, 3)
    claims, listeners = make_claims(spool)
    receipt = listen(listeners, parcels[1])
    assert spool.take([parcels[1].entry]) != [None]  # type: ignore[list-item]
    assert claims.take(parcels) == [parcels[0], parcels[2]]
    assert receipt.done()
    assert "another process" in str(receipt["message"])


def test_a_receipt_goes_back_with_the_entry_that_a_request_has_no_room_for(spool: Spool) -> None:
    """One of two agents in a process had claimed the other's, and nobody ever settled it."""
    parcels = put(spool, 1)
    claims, listeners = make_claims(spool)
    receipt = listen(listeners, parcels[0])
    [fetched] = claims.fetch(1)
    claims.release([fetched])
    assert not receipt.done()
    [again] = claims.fetch(1)
    again.settle(Verdict(Outcome.DELIVERED))
    assert receipt["success"] is True


def test_a_receipt_whose_parcel_was_given_up_meanwhile_is_settled_by_the_release(
    spool: Spool,
) -> None:
    """Nobody else in this process may ever look for the entry, which stays pending."""
    parcels = put(spool, 1)
    claims, listeners = make_claims(spool)
    receipt = listen(listeners, parcels[0])
    [fetched] = claims.fetch(1)
    assert claims.take(parcels) == []
    assert not receipt.done()
    claims.release([fetched])
    assert receipt.done()
    assert "pending" in str(receipt["message"])
    assert spool.count() == 1


@pytest.mark.parametrize("content", [b"{", b""], ids=["truncated", "empty"])
def test_a_receipt_whose_file_cannot_be_sent_is_settled(home: Path, content: bytes) -> None:
    """Or its caller would wait for an answer that never comes."""
    now = time.time()
    spool = Spool(str(home / "spool"), ROOMY, lambda: now)
    entry = spool.put(content, make_token())
    now += 1  # an empty one is given a moment
    claims, listeners = make_claims(spool)
    receipt = listen(listeners, Parcel(_CRUMB, entry))
    assert list(claims.fetch(1)) == []
    assert receipt["message"] == "its file cannot be sent"


def test_entries_in_memory_go_with_those_on_disk(spool: Spool) -> None:
    """As after a disk that was full for a while."""
    parcels = put(spool, 2)
    parcels.insert(1, Parcel(_CRUMB, MemoryEntry(make_token())))
    claims, _ = make_claims(spool)
    assert claims.take(parcels) == parcels
    claims.count_attempt(parcels, [0] * 3)
    unsent = Verdict(Outcome.UNSENT)
    assert claims.end([(parcel, unsent, 0) for parcel in parcels]) == [parcels[1]]
    assert [entry.attempts for entry in spool.list_pending()] == [0, 0]


def test_without_a_disk_nothing_is_claimed_and_nothing_raises() -> None:
    """Each entry is in memory there."""
    spool = Spool("", ROOMY)
    parcel = Parcel(_CRUMB, MemoryEntry(make_token()))
    claims, _ = make_claims(spool)
    assert claims.take([parcel]) == [parcel]
    assert list(claims.fetch(5)) == []
    claims.release([parcel])
    assert claims.end([(parcel, Verdict(Outcome.DELIVERED), 0)]) == []


def test_what_the_server_has_is_removed_though_the_batch_cannot(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that closes our descriptor at that moment would have it sent again."""
    [parcel] = put(spool, 1)
    claims, _ = make_claims(spool)
    claims.take([parcel])
    remove, calls = files.Directory.remove, []

    def fail_once(self: files.Directory, name: str, limit: int, links: int = 1) -> None:
        calls.append(name)
        if len(calls) == 1:
            raise OSError(9, "Bad file descriptor")
        remove(self, name, limit, links)

    monkeypatch.setattr(files.Directory, "remove", fail_once)
    claims.end([(parcel, Verdict(Outcome.DELIVERED), 0)])
    assert spool.count() == 0


def test_what_the_server_has_is_removed_as_soon_as_the_disk_lets_it_go(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host without a descriptor at that moment would have it sent again two minutes later."""
    parcels = put(spool, 2)
    claims, _ = make_claims(spool)
    claims.take(parcels)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(files.Directory, "remove", refuse)
        claims.end([(parcel, Verdict(Outcome.DELIVERED), 0) for parcel in parcels])
        claims.discard_delivered()
    assert spool.count() == 2
    claims.discard_delivered()
    assert spool.count() == 0
    claims.discard_delivered()

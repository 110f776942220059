"""The record of what has left is bounded, and nobody minds what becomes of it."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from migas._crumb import breadcrumb
from migas._delivery.parcel import Outcome, Verdict
from migas._delivery.sent_log import FILES, FULL, Record

if TYPE_CHECKING:
    from pathlib import Path

    from migas._crumb.breadcrumb import Breadcrumb

DELIVERED = Verdict(Outcome.DELIVERED)


def make(version: object = "1", **fields: object) -> Breadcrumb:
    return breadcrumb.sanitize("owner/repo", version, fields, {}).breadcrumb


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The directory of a spool."""
    directory = tmp_path / "spool"
    directory.mkdir(mode=0o700)
    return directory


def test_what_has_left_is_read_as_it_was(spool: Path) -> None:
    """The earliest first, with the moment and what became of it."""
    record = Record(str(spool), lambda: 0.0)
    crumbs = [make("1", error_desc="naïve\n"), make("2")]
    record.add(zip(crumbs, [DELIVERED, Verdict(Outcome.REFUSED, "no")], strict=True))
    outcomes = [("delivered", ""), ("refused", "no")]
    assert list(record.read()) == [
        {"sent_at": "1970-01-01T00:00:00Z", "outcome": outcome, "reason": reason, **crumb._asdict()}
        for crumb, (outcome, reason) in zip(crumbs, outcomes, strict=True)
    ]
    if os.name == "posix":
        assert (spool / FILES[1]).stat().st_mode & 0o777 == 0o600


def test_a_request_that_could_not_be_sent_has_one_line_with_the_reason(spool: Path) -> None:
    """Whoever wonders why nothing arrives finds it there; a breadcrumb goes once more unnoted."""
    record = Record(str(spool))
    refused = Verdict(Outcome.UNSENT, "the server refused the connection")
    record.add([(make("1"), Verdict(Outcome.RESEND)), (make("2"), refused), (make("3"), refused)])
    found = [(line["project_version"], line["outcome"], line["reason"]) for line in record.read()]
    assert found == [("2", "unsent", "the server refused the connection")]


def test_the_record_keeps_the_latest_within_its_bounds(spool: Path) -> None:
    """However long it goes on, and however much a server has to say."""
    record = Record(str(spool))
    talkative = Verdict(Outcome.REFUSED, "x" * 100_000)
    for number in range(1000):
        record.add([(make(number), talkative)])
    sizes = [(spool / name).stat().st_size for name in FILES]
    assert all(size < FULL + 2000 for size in sizes)
    assert sizes[0] >= FULL
    kept = [str(line["project_version"]) for line in record.read()]
    assert kept == [str(number) for number in range(1000 - len(kept), 1000)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows: O_APPEND is a seek and a write")
def test_many_may_write_at_once(spool: Path) -> None:
    """As processes do that share a home: each line stays whole."""
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        for count in range(10):
            Record(str(spool)).add([(make(f"{number}.{count}"), DELIVERED)] * 2)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = [line["project_version"] for line in Record(str(spool)).read()]
    expected = [f"{number}.{count}" for number in range(8) for count in range(10)]
    assert sorted(versions, key=str) == sorted(expected * 2)


def test_what_is_no_record_is_passed_over(spool: Path) -> None:
    """A file may hold anything."""
    record = Record(str(spool))
    record.add([(make("1"), DELIVERED)])
    with (spool / FILES[1]).open("ab") as file:
        file.write(b'half a li\n[]\n{"sent_at": 1}\n\xff\n' + b"[" * 100_000 + b"\n")
    record.add([(make("2"), DELIVERED)])
    assert [line["project_version"] for line in record.read()] == ["1", "2"]


def test_where_nothing_can_be_written_nobody_minds(spool: Path) -> None:
    """A directory that is not there is not made."""
    record = Record(str(spool / "absent"))
    record.add([(make(), DELIVERED)])
    assert list(record.read()) == []
    record.clear()
    (spool / FILES[1]).mkdir()
    Record(str(spool)).add([(make(), DELIVERED)])
    assert list(Record(str(spool)).read()) == []

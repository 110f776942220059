"""The delivery policy, row by row, against a real disk."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migas import breadcrumb, graphql
from migas.backoff import FIRST, LONGEST, Backoff
from migas.outcome import Outcome, Reply, Verdict
from migas.parcel import MAX_IN_MEMORY, Parcel
from migas.spool import Spool
from migas.testing import Server
from migas.uploader import MAX_ATTEMPTS, Uploader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNSENT = Reply(Outcome.UNSENT, "offline")
UNKNOWN = Reply(Outcome.UNKNOWN, "silent")
LOOK_UP_FAILED = {"data": None, "errors": [{"message": "no GitHub", "path": ["a0"]}]}


class Bench:
    """An uploader on a disk, with a server whose network can be told to fail."""

    def __init__(self, directory: Path, server: Server) -> None:
        self.now = 1_800_000_000.0
        self.server = server
        self.spool = Spool(str(directory))
        #: What the network does with the next requests, before it works again.
        self.weather: list[Reply] = []
        self.requests: list[str] = []
        self.settled: dict[str, Verdict] = {}
        self.backoff = Backoff(str(directory), lambda: self.now, lambda _low, high: high)
        self.uploader = Uploader(self.spool, self.send, self.backoff)

    def send(self, body: bytes) -> Reply:
        assert len(body) <= graphql.MAX_BODY
        request = json.loads(body)
        self.requests.append(request["query"])
        if self.weather:
            return self.weather.pop(0)
        answer = self.server.answer(request["query"], request["variables"])
        return Reply(Outcome.DELIVERED, answer=answer.body)

    def parcel(self, version: str, *, project: str = "owner/repo", kept: bool = True) -> Parcel:
        """Write a breadcrumb ahead, as the writer does."""
        crumb = breadcrumb.make(project, version, {}, {"language_version": "3.11"}).breadcrumb
        entry = self.spool.put(breadcrumb.encode(crumb)) if kept else None

        def settle(verdict: Verdict) -> None:
            self.settled.setdefault(version, verdict)

        return Parcel(crumb, entry, asks=True, settle=settle)

    @property
    def waiting(self) -> list[int]:
        """The attempts of each entry on disk."""
        return sorted(entry.attempts for entry in self.spool.waiting())

    @property
    def stored(self) -> list[str]:
        return sorted(str(crumb["version"]) for crumb in self.server.crumbs)

    def outcome(self, version: str) -> Outcome:
        return self.settled[version].outcome


@pytest.fixture
def bench(home: Path) -> Iterator[Bench]:
    with Server(projects=["owner/repo"]) as server:
        yield Bench(home / "spool", server)


def test_delivered_is_discarded(bench: Bench) -> None:
    """The server has it, and nobody else."""
    assert bench.uploader.upload([bench.parcel("1")]) == []
    assert (bench.stored, bench.waiting) == (["1"], [])
    assert bench.outcome("1") is Outcome.DELIVERED
    assert bench.settled["1"].news["latest_version"] == "unknown"
    assert not bench.uploader.failed


def test_refused_is_discarded_with_one_line(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """An unregistered project's breadcrumb never comes back (pains 14, 21)."""
    caplog.set_level("INFO", "migas")
    bench.uploader.upload([bench.parcel("1", project="owner/other")])
    assert (bench.stored, bench.waiting) == ([], [])
    assert bench.outcome("1") is Outcome.REFUSED
    assert [record.getMessage() for record in caplog.records] == [
        "owner/other is refused: The project is not registered."
    ]
    assert not bench.uploader.failed


def test_too_large_alone_is_refused(bench: Bench) -> None:
    """One that no request can carry is not tried for ever."""
    bench.weather = [Reply(Outcome.REFUSED, "too large", too_large=True)]
    bench.uploader.upload([bench.parcel("1")])
    assert (bench.outcome("1"), bench.waiting) == (Outcome.REFUSED, [])


def test_unsent_waits_and_backs_off(bench: Bench) -> None:
    """The next try is later each time, and never more than an hour away (pains 2, 17)."""
    for _ in range(14):
        bench.weather = [UNSENT]
        bench.uploader.upload([bench.parcel("1")])
        bench.now += bench.backoff.remaining()
    assert bench.waiting == [0] * 14
    assert bench.uploader.failed
    waited = bench.now - 1_800_000_000.0
    assert round(waited) == sum(min(FIRST * 2**n, LONGEST) for n in range(14))


def test_the_first_delivery_ends_the_backing_off(bench: Bench) -> None:
    """A server that is back is used at once."""
    bench.weather = [UNSENT]
    bench.uploader.upload([bench.parcel("1")])
    assert bench.backoff.remaining() > 0
    bench.uploader.upload([])
    assert (bench.backoff.remaining(), bench.uploader.failed) == (0.0, False)
    assert bench.stored == ["1"]


def test_what_a_server_demands_is_passed_on(bench: Bench) -> None:
    """To every process, until it is over or a delivery succeeds."""
    bench.weather = [Reply(Outcome.UNSENT, "busy", demand=60.0)]
    bench.uploader.upload([bench.parcel("1")])
    assert bench.backoff.remaining(asked=True) >= 60.0
    bench.uploader.upload([])
    assert bench.backoff.remaining() == 0.0


def test_what_another_process_has_delivered_since_is_no_failure(bench: Bench) -> None:
    """A flush that finds nothing left says so, whatever went wrong before."""
    bench.weather = [UNSENT]
    bench.uploader.upload([bench.parcel("1")])
    for entry in bench.spool.waiting():
        entry.discard()
    bench.uploader.upload([], drain=True)
    assert not bench.uploader.failed


def test_one_failure_ends_an_upload(bench: Bench) -> None:
    """No storm on a server that is ill: one request, whatever waits."""
    bench.weather = [UNSENT]
    parcels = [bench.parcel(str(n)) for n in range(50)]
    bench.uploader.upload(parcels, drain=True)
    assert len(bench.requests) == 1
    assert len(bench.waiting) == 50
    assert {bench.outcome(str(n)) for n in range(50)} == {Outcome.UNSENT}


def test_unknown_is_sent_three_times_at_most(bench: Bench) -> None:
    """A server that always stores and never answers sees a breadcrumb three times."""
    bench.weather = [UNKNOWN] * 10
    bench.uploader.upload([bench.parcel("1")])
    attempts = [bench.waiting]
    for _ in range(4):
        bench.uploader.upload([])
        attempts.append(bench.waiting)
    assert attempts == [[1], [2], [], [], []]
    assert len(bench.requests) == MAX_ATTEMPTS


def test_an_entry_whose_senders_died_three_times_counts_as_sent(bench: Bench) -> None:
    """Its attempts are in its name, whoever made them."""
    entry = bench.parcel("1").entry
    assert entry is not None
    for _ in range(MAX_ATTEMPTS):
        claimed = entry.claim(0)
        assert claimed is not None
        entry = claimed.release(attempted=True)
        assert entry is not None
    bench.uploader.upload([])
    assert (bench.requests, bench.waiting) == ([], [])


def test_a_failed_look_up_goes_once_more_at_once_and_plain(bench: Bench) -> None:
    """The server could not learn the version, and would take the breadcrumb (trap 3)."""
    bench.weather = [Reply(Outcome.DELIVERED, answer=LOOK_UP_FAILED)]
    bench.uploader.upload([bench.parcel("1")])
    assert [re.findall(r"a0:(\w+)", query) for query in bench.requests] == [
        ["add_project"],
        ["add_breadcrumb"],
    ]
    assert (bench.outcome("1"), bench.stored) == (Outcome.DELIVERED, ["1"])


def test_a_second_form_is_not_tried_when_nothing_may_start(bench: Bench) -> None:
    """The exit's budget covers every attempt (pain 7)."""
    bench.weather = [Reply(Outcome.DELIVERED, answer=LOOK_UP_FAILED)]
    answers = iter([True, False])
    bench.uploader.upload([bench.parcel("1")], may_start=lambda: next(answers))
    assert len(bench.requests) == 1
    assert (bench.outcome("1"), bench.waiting) == (Outcome.UNSENT, [0])


def test_what_the_schema_refuses_goes_once_more_alone(bench: Bench) -> None:
    """One breadcrumb's fault is not its neighbours' (trap 5)."""
    refusal = Reply(Outcome.DELIVERED, answer={"data": None, "errors": [{"message": "bad"}]})
    bench.weather = [refusal, refusal]
    bench.uploader.upload([bench.parcel(str(n)) for n in range(3)])
    # The second refusal hits the first of the three that go alone.
    assert [bench.outcome(str(n)) for n in range(3)] == [
        Outcome.REFUSED,
        Outcome.DELIVERED,
        Outcome.DELIVERED,
    ]
    assert bench.stored == ["1", "2"]


def test_what_is_too_large_together_is_split(bench: Bench) -> None:
    """A server with a smaller limit gets smaller requests."""
    bench.weather = [Reply(Outcome.REFUSED, "too large", too_large=True)]
    bench.uploader.upload([bench.parcel(str(n)) for n in range(4)])
    assert len(bench.requests) == 3
    assert bench.stored == ["0", "1", "2", "3"]


def test_the_first_failure_among_parts_ends_them_all(bench: Bench) -> None:
    """Neither the other half nor the other singles knock at a server that has gone."""
    refusal = Reply(Outcome.DELIVERED, answer={"data": None, "errors": [{"message": "bad"}]})
    for first in (refusal, Reply(Outcome.REFUSED, "too large", too_large=True)):
        bench.requests.clear()
        bench.weather = [first, UNSENT]
        bench.uploader.upload([bench.parcel(f"{first.too_large}{n}") for n in range(4)])
        assert len(bench.requests) == 2
    assert len(bench.waiting) == 8


def test_an_old_server_is_recognised_and_spoken_to_as_such(bench: Bench) -> None:
    """It knows no add_breadcrumb: what waits goes as add_project, at once and from then on."""
    message = "Cannot query field 'add_breadcrumb' on type 'Mutation'."
    old = Reply(Outcome.DELIVERED, answer={"data": None, "errors": [{"message": message}]})
    bench.parcel("1.0")
    bench.weather = [old]
    bench.uploader.upload([])
    bench.parcel("2.0")
    bench.uploader.upload([])
    assert bench.stored == ["1.0", "2.0"]
    assert ["add_breadcrumb" in query for query in bench.requests] == [True, False, False]


def test_in_memory_too_a_breadcrumb_is_sent_three_times_at_most(bench: Bench) -> None:
    """A server that never answers is no reason to keep it for ever."""
    bench.weather = [UNKNOWN] * 10
    held = [bench.parcel("1", kept=False)]
    for _ in range(5):
        held = bench.uploader.upload(held)
    assert held == []
    assert len(bench.requests) == MAX_ATTEMPTS


def test_a_request_is_filled_up_with_what_waits(bench: Bench) -> None:
    """A backlog goes as fast as new breadcrumbs come, without a request of its own."""
    for n in range(5):
        bench.parcel(f"old{n}")
    bench.uploader.upload([bench.parcel("1.0")])
    assert len(bench.requests) == 1
    assert len(bench.stored) == 6
    asked = bench.requests[0].count("add_project(")
    assert asked == 1, "only the new one asks for version news"


def test_a_drain_goes_on_until_nothing_waits(bench: Bench) -> None:
    """As `flush()` asks for it, in full requests."""
    for n in range(100):
        bench.parcel(str(n))
    bench.uploader.upload([], drain=True)
    assert len(bench.stored) == 100
    assert bench.waiting == []
    assert len(bench.requests) <= 100 / 10


def test_without_a_drain_one_request_is_made(bench: Bench) -> None:
    """A host's exit does not clear a cluster's backlog."""
    for n in range(100):
        bench.parcel(str(n))
    bench.uploader.upload([bench.parcel("new")])
    assert len(bench.requests) == 1


def test_nothing_starts_when_it_may_not(bench: Bench) -> None:
    """In the second half of an exit's budget everything stays on disk."""
    bench.uploader.upload([bench.parcel("1")], may_start=lambda: False)
    assert (bench.requests, bench.waiting) == ([], [0])
    assert bench.settled["1"] == Verdict(Outcome.UNSENT, "the process ends")


def test_what_another_process_took_is_not_sent_twice(bench: Bench) -> None:
    """A claim has one winner."""
    parcel = bench.parcel("1")
    assert len(bench.spool.claim(1)) == 1
    bench.uploader.upload([parcel])
    assert bench.requests == []
    assert bench.settled["1"].reason == "another process is sending it"


def test_without_a_disk_the_breadcrumbs_stay_in_memory(bench: Bench) -> None:
    """What cannot be kept is given back, and goes with the next upload."""
    bench.weather = [UNSENT]
    held = bench.uploader.upload([bench.parcel(str(n), kept=False) for n in range(3)])
    assert len(held) == 3
    assert bench.uploader.upload(held) == []
    assert bench.stored == ["0", "1", "2"]


def test_memory_is_bounded(bench: Bench) -> None:
    """The oldest are dropped first."""
    bench.weather = [UNSENT]
    count = MAX_IN_MEMORY + 5
    held = bench.uploader.upload([bench.parcel(str(n), kept=False) for n in range(count)])
    assert len(held) == MAX_IN_MEMORY
    versions = [parcel.breadcrumb.project_version for parcel in held]
    assert versions == [str(n) for n in range(5, count)]


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 99}', b"\x00" * 50])
def test_a_file_that_cannot_be_read_is_set_aside(bench: Bench, content: bytes) -> None:
    """Corrupt, truncated and newer-format files are neither sent nor looped over."""
    bench.spool.put(content)
    bench.parcel("good")
    bench.uploader.upload([], drain=True)
    assert bench.stored == ["good"]
    assert bench.waiting == []


@given(st.lists(st.sampled_from([UNSENT, UNKNOWN, None]), max_size=12))
def test_whatever_the_weather_nothing_is_lost_and_little_is_sent_twice(
    tmp_path_factory: pytest.TempPathFactory, weather: list[Reply | None]
) -> None:
    """Every breadcrumb is stored once, unless an unanswered request may have stored it."""
    with Server() as server:
        bench = Bench(tmp_path_factory.mktemp("spool"), server)
        unanswered = 0
        for number, reply in enumerate(weather):
            bench.weather = [] if reply is None else [reply]
            unanswered += reply is UNKNOWN
            bench.uploader.upload([bench.parcel(str(number))])
        bench.weather = []
        bench.uploader.upload([], drain=True)
        assert len(bench.stored) == len(set(bench.stored))
        if unanswered < MAX_ATTEMPTS:
            assert len(bench.stored) == len(weather)
        assert bench.waiting == []

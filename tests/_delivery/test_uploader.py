"""The delivery policy, row by row, against a real disk."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOMY

from migas._crumb import breadcrumb
from migas._delivery import graphql
from migas._delivery.parcel import Outcome, Parcel, Reply, Verdict
from migas._delivery.policy import MAX_ATTEMPTS
from migas._delivery.throttle import FIRST, LONGEST, Backoff
from migas._delivery.uploader import Upload, Uploader
from migas._disk.entry import LEASE, Entry, MemoryEntry, make_token
from migas._disk.spool import Spool
from migas._runtime.exit import Exit
from migas._runtime.listeners import Listeners
from migas._runtime.receipt import Receipt
from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

UNSENT = Reply(Outcome.UNSENT, "offline")
UNKNOWN = Reply(Outcome.UNKNOWN, "silent")


def refuse(**error: object) -> Reply:
    """A signed answer for the whole request."""
    answer = {"data": None, "errors": [{"message": "bad", **error}]}
    return Reply(Outcome.DELIVERED, answer=answer, signed=True)


#: By the schema; by one operation; and the server's own trouble (trap 16).
REFUSED = refuse(locations=[{"line": 1, "column": 1}])
LOOK_UP_FAILED = refuse(locations=[{"line": 1, "column": 1}], path=["a0"])
OUTAGE = refuse()


class Bench:
    """An uploader on a disk, with a server whose network can be told to fail."""

    def __init__(self, directory: Path, server: Server, *, signs: bool = True) -> None:
        self.now = 1_800_000_000.0
        self.server = server
        self.signs = signs
        self.spool = Spool(str(directory), ROOMY, lambda: self.now)
        #: What the network does with the next requests, before it works again.
        self.weather: list[Reply] = []
        #: Called before the first byte of a request leaves.
        self.before: Callable[[], None] = lambda: None
        self.exit = Exit(1.0, lambda: self.now)
        self.listeners = Listeners()
        self.requests: list[str] = []
        self.receipts: dict[str, Receipt] = {}
        self.backoff = Backoff(str(directory), lambda: self.now, lambda _low, high: high)
        self.uploader = self.new_uploader()

    def new_uploader(self) -> Uploader:
        """Another process's."""
        return Uploader(
            self.spool,
            self.send,
            self.backoff,
            self.listeners,
            self.exit,
            clock=lambda: self.now,
        )

    def send(self, body: bytes, on_write: Callable[[], None]) -> Reply:
        """As a transport does that is connected."""
        assert len(body) <= graphql.MAX_BODY
        request = json.loads(body)
        self.before()
        if self.weather and self.weather[0] is UNSENT:
            self.requests.append(request["query"])
            return self.weather.pop(0)
        try:
            on_write()
        except OSError as error:
            return Reply(Outcome.UNSENT, str(error))
        self.requests.append(request["query"])
        if self.weather:
            return self.weather.pop(0)
        answer = self.server.answer(request["query"], request["variables"])
        return Reply(Outcome.DELIVERED, answer=answer.body, signed=self.signs)

    def upload(self, *parcels: Parcel) -> Upload:
        """Send one request."""
        return self.uploader.upload(list(parcels))

    def drain(self, *parcels: Parcel) -> Upload:
        """Send requests until nothing waits, or one fails."""
        left = list(parcels)
        while True:
            upload = self.uploader.upload(left)
            left = upload.left
            if upload.failure or not (upload.sent or left):
                return upload

    def parcel(
        self,
        version: str,
        *,
        project: str = "owner/repo",
        on_disk: bool = True,
        looks: bool = False,
        user_type: str = "general",
    ) -> Parcel:
        """Write a breadcrumb ahead, as the writer does; somebody ``looks`` for its news."""
        fields = {"language_version": "3.11", "user_type": user_type}
        crumb = breadcrumb.sanitize(project, version, {}, fields).breadcrumb
        receipt = Receipt(0.0, lambda: None, ask_news=lambda _seconds: {})
        receipt.is_awaited = looks
        self.receipts.setdefault(version, receipt)
        token = make_token()
        self.listeners.add(token, receipt)
        data = breadcrumb.encode(crumb)
        entry = self.spool.put(data, token) if on_disk else MemoryEntry(token)
        return Parcel(crumb, entry, receipt)

    @property
    def waiting(self) -> list[int]:
        """The attempts of each entry on disk."""
        return sorted(entry.attempts for entry in self.spool.list_pending())

    @property
    def stored(self) -> list[str]:
        return sorted(str(crumb["version"]) for crumb in self.server.crumbs)

    def success(self, version: str) -> object:
        """What the receipt says, once it is settled."""
        receipt = self.receipts[version]
        assert receipt.done()
        return receipt["success"]

    @property
    def forms(self) -> list[str]:
        """The first operation of each request."""
        return [re.findall(r"a0:(\w+)", query)[0] for query in self.requests]


@pytest.fixture
def bench(home: Path) -> Iterator[Bench]:
    with Server(projects=["owner/repo"]) as server:
        yield Bench(home / "spool", server)


def test_delivered_is_discarded(bench: Bench) -> None:
    """The server has it, and nobody else."""
    assert bench.upload(bench.parcel("1")) == Upload(1, [])
    assert (bench.stored, bench.waiting) == (["1"], [])
    assert bench.success("1") is True
    assert bench.forms == ["add_breadcrumb"]


def test_who_looks_already_has_the_news_with_the_answer(bench: Bench) -> None:
    """In a request of its own, since the look-up may take seconds and may fail (trap 3)."""
    upload = bench.upload(bench.parcel("1", looks=True), bench.parcel("2"))
    assert bench.stored == ["1"]
    assert bench.forms == ["add_project"]
    assert upload.asked_news
    assert bench.receipts["1"]["latest_version"] == "unknown"


def test_an_exit_asks_for_no_news(bench: Bench) -> None:
    """It waits for the answer to a plain breadcrumb alone."""
    bench.exit.begin(1.0, sends=True)
    bench.upload(bench.parcel("1", looks=True), bench.parcel("2"))
    assert bench.forms == ["add_breadcrumb"]
    assert bench.stored == ["1", "2"]


def test_a_user_of_another_type_goes_as_add_project(bench: Bench) -> None:
    """The server keeps it of that operation alone (trap 13); unanswered once, it goes plain."""
    bench.upload(bench.parcel("1", user_type="dev"))
    bench.weather = [UNKNOWN]
    bench.upload(bench.parcel("2", user_type="dev"), bench.parcel("3"))
    bench.upload()
    bench.upload()
    assert bench.forms == ["add_project", "add_project", "add_breadcrumb"]
    assert bench.stored == ["1", "2", "3"]


def test_refused_is_discarded_with_one_line(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """An unregistered project's breadcrumb never comes back (pains 14, 21)."""
    caplog.set_level("INFO", "migas")
    assert bench.upload(bench.parcel("1", project="owner/other")) == Upload(1, [])
    assert (bench.stored, bench.waiting) == ([], [])
    assert bench.success("1") is False
    assert [record.getMessage() for record in caplog.records] == [
        "owner/other is refused: Project is not yet registered."
    ]
    assert bench.spool.refused == 1


def test_too_large_alone_is_refused(bench: Bench) -> None:
    """One that no request can carry is not tried for ever."""
    bench.weather = [Reply(Outcome.REFUSED, "too large", too_large=True)]
    bench.upload(bench.parcel("1"))
    assert (bench.success("1"), bench.waiting) == (False, [])


def test_unsent_waits_and_backs_off(bench: Bench) -> None:
    """The next try is later each time, and never more than an hour away (pains 2, 17)."""
    for _ in range(14):
        bench.weather = [UNSENT]
        assert bench.upload(bench.parcel("1")).failure == Verdict(Outcome.UNSENT, "offline")
        bench.now += bench.backoff.remaining()
    assert bench.waiting == [0] * 14
    waited = bench.now - 1_800_000_000.0
    assert round(waited) == sum(min(FIRST * 2**n, LONGEST) for n in range(14))


def test_the_first_delivery_ends_the_backing_off(bench: Bench) -> None:
    """A server that is back is used at once."""
    bench.weather = [UNSENT]
    bench.upload(bench.parcel("1"))
    assert bench.backoff.remaining() > 0
    assert bench.upload() == Upload(1, [])
    assert bench.backoff.remaining() == 0.0
    assert bench.stored == ["1"]


def test_what_a_server_demands_is_passed_on(bench: Bench) -> None:
    """To every process, until it is over or a delivery succeeds."""
    bench.weather = [Reply(Outcome.UNSENT, "busy", demand=60.0)]
    bench.upload(bench.parcel("1"))
    assert bench.backoff.remaining(asked=True) >= 60.0
    bench.upload()
    assert bench.backoff.remaining() == 0.0


def test_what_another_process_has_delivered_since_is_no_failure(bench: Bench) -> None:
    """Who finds nothing left says so, whatever went wrong before."""
    bench.weather = [UNSENT]
    bench.upload(bench.parcel("1"))
    for entry in bench.spool.list_pending():
        entry.discard()
    assert bench.drain() == Upload(0, [])


def test_one_failure_ends_an_upload(bench: Bench) -> None:
    """No storm on a server that is ill: one request, whatever waits."""
    bench.weather = [UNSENT]
    own = [bench.parcel(str(n)) for n in range(50)]
    upload = bench.uploader.upload(own)
    assert upload.failure is not None
    assert len(bench.requests) == 1
    assert len(bench.waiting) == 50
    assert 0 < len(upload.left) < 50, "what was not in the request is the caller's to settle"


def test_unknown_is_sent_three_times_at_most(bench: Bench) -> None:
    """A server that always stores and never answers sees a breadcrumb three times."""
    bench.weather = [UNKNOWN] * 10
    bench.upload(bench.parcel("1"))
    attempts = [bench.waiting]
    for _ in range(4):
        bench.upload()
        attempts.append(bench.waiting)
    assert attempts == [[1], [2], [], [], []]
    assert len(bench.requests) == MAX_ATTEMPTS
    assert bench.spool.unanswered == 1


class Killed(BaseException):
    """The process dies."""


@pytest.mark.parametrize("sent", [False, True], ids=["while it connects", "while it waits"])
def test_an_attempt_is_counted_when_the_request_leaves_and_not_before(
    bench: Bench, sent: bool
) -> None:
    """A process that dies while a name is looked up has sent nothing, however often that happens.

    One that dies later may have been heard, so three of these are enough.
    """

    def die() -> None:
        raise Killed

    def die_later(_body: bytes, on_write: Callable[[], None]) -> Reply:
        on_write()
        raise Killed

    bench.parcel("1")
    send = bench.send
    for _ in range(MAX_ATTEMPTS):
        if sent:
            bench.send = die_later  # type: ignore[assignment, method-assign]
        else:
            bench.before = die
        with pytest.raises(Killed):
            bench.new_uploader().upload([])
        bench.now += LEASE + 1
    bench.send, bench.before = send, lambda: None  # type: ignore[method-assign]
    bench.new_uploader().upload([])
    assert bench.stored == ([] if sent else ["1"])
    assert bench.spool.unanswered == sent
    assert bench.waiting == []


def test_what_was_answered_is_settled_before_the_next_part_goes(bench: Bench) -> None:
    """A process that dies between two parts of a request leaves nothing that comes twice."""
    sent: list[int] = []

    def die_at_the_third() -> None:
        sent.append(1)
        if len(sent) == 3:
            raise Killed

    for n in range(4):
        bench.parcel(str(n))
    bench.weather = [Reply(Outcome.REFUSED, "too large", too_large=True)]
    bench.before = die_at_the_third
    with pytest.raises(Killed):
        bench.upload()
    bench.now += LEASE + 1
    bench.new_uploader().upload([])
    assert bench.stored == ["0", "1", "2", "3"]


def test_a_request_is_stopped_whose_claim_another_process_has_taken_over(bench: Bench) -> None:
    """A laptop sleeps while a name is looked up, and no breadcrumb is in two live requests."""
    other = bench.new_uploader()

    def oversleep() -> None:
        bench.before = lambda: None
        bench.now += LEASE + 1
        assert other.upload([]) == Upload(2, [])

    bench.before = oversleep
    failure = bench.upload(bench.parcel("1"), bench.parcel("2")).failure
    assert failure is not None
    assert failure.outcome is Outcome.UNSENT
    assert len(bench.requests) == 1
    assert (bench.stored, bench.waiting) == (["1", "2"], [])


def test_on_a_stale_connection_it_is_tried_once_more_at_once(bench: Bench) -> None:
    """That the server had hung up says nothing of it; but the first may have been heard."""
    stale = Reply(Outcome.UNKNOWN, "hung up", stale=True)
    bench.weather = [stale]
    assert bench.upload(bench.parcel("1")) == Upload(1, [])
    assert (bench.stored, len(bench.requests)) == (["1"], 2)
    bench.weather = [stale, UNKNOWN]
    bench.upload(bench.parcel("2"))
    assert (bench.waiting, len(bench.requests)) == ([2], 4)


def test_a_stale_connection_is_an_attempt_like_another(bench: Bench) -> None:
    """Three in all, whatever they fail of."""
    stale = Reply(Outcome.UNKNOWN, "hung up", stale=True)
    bench.parcel("1")
    bench.weather = [stale] * 10
    for _ in range(4):
        bench.upload()
    assert len(bench.requests) == MAX_ATTEMPTS
    assert bench.waiting == []


def test_a_failed_look_up_goes_once_more_at_once_and_plain(bench: Bench) -> None:
    """The server could not learn the version, and would take the breadcrumb (trap 3)."""
    bench.weather = [LOOK_UP_FAILED]
    bench.upload(bench.parcel("1", looks=True))
    assert bench.forms == ["add_project", "add_breadcrumb"]
    assert (bench.success("1"), bench.stored) == (True, ["1"])


def test_a_version_that_is_none_by_pep_440_goes_once_more_plain(bench: Bench) -> None:
    """`add_project` refuses it, `add_breadcrumb` takes any text (trap 4)."""
    bench.upload(bench.parcel("1.2.3.dirty", looks=True))
    assert bench.forms == ["add_project", "add_breadcrumb"]
    assert bench.stored == ["1.2.3.dirty"]


def test_a_second_form_is_not_tried_when_nothing_may_start(bench: Bench) -> None:
    """The exit's budget covers every attempt (pain 7)."""
    bench.weather = [LOOK_UP_FAILED]
    bench.before = lambda: bench.exit.begin(0.0, sends=True)
    bench.upload(bench.parcel("1", looks=True))
    assert len(bench.requests) == 1
    assert (bench.success("1"), bench.waiting) == (False, [0])


def test_what_the_schema_refuses_goes_once_more_alone(bench: Bench) -> None:
    """One breadcrumb's fault is not its neighbours' (trap 5)."""
    bench.weather = [REFUSED, REFUSED]
    bench.upload(*[bench.parcel(str(n)) for n in range(3)])
    # The second refusal hits the first of the three that go alone.
    assert [bench.success(str(n)) for n in range(3)] == [False, True, True]
    assert bench.stored == ["1", "2"]


@pytest.mark.parametrize("count", [1, 3])
def test_the_servers_own_trouble_is_no_refusal(bench: Bench, count: int) -> None:
    """Its Redis is down: nothing is discarded, and no second request goes (pain 54)."""
    bench.weather = [OUTAGE]
    bench.upload(*[bench.parcel(str(n), looks=count == 1) for n in range(count)])
    assert bench.waiting == [0] * count
    assert len(bench.requests) == 1
    assert bench.backoff.remaining() > 0


def test_a_refusal_that_nobody_has_signed_discards_nothing(bench: Bench) -> None:
    """It is somebody else's: a gateway's with an answer in JSON (pain 57)."""
    bench.weather = [REFUSED._replace(signed=False)]
    bench.upload(bench.parcel("1"))
    bench.signs = False
    bench.upload(bench.parcel("2", project="owner/other"))
    assert (bench.stored, bench.waiting) == (["1"], [0])


def test_what_is_too_large_together_is_split(bench: Bench) -> None:
    """A server with a smaller limit gets smaller requests."""
    bench.weather = [Reply(Outcome.REFUSED, "too large", too_large=True)]
    bench.upload(*[bench.parcel(str(n)) for n in range(4)])
    assert len(bench.requests) == 3
    assert bench.stored == ["0", "1", "2", "3"]


def test_the_first_failure_among_parts_ends_them_all(bench: Bench) -> None:
    """Neither the other half nor the other singles knock at a server that has gone."""
    for first in (REFUSED, Reply(Outcome.REFUSED, "too large", too_large=True)):
        bench.requests.clear()
        bench.weather = [first, UNSENT]
        bench.upload(*[bench.parcel(f"{first.too_large}{n}") for n in range(4)])
        assert len(bench.requests) == 2
    assert len(bench.waiting) == 8


@pytest.fixture
def old(home: Path) -> Iterator[Bench]:
    """An uploader that speaks to a server 0.3."""
    with Server(old=True) as server:
        yield Bench(home / "spool", server, signs=False)


def test_an_old_server_is_recognised_and_spoken_to_as_such(old: Bench) -> None:
    """It knows no add_breadcrumb: what waits goes as add_project, at once and from then on."""
    old.parcel("1.0")
    old.upload()
    old.parcel("2.0")
    old.upload()
    assert old.stored == ["1.0", "2.0"]
    assert ["add_breadcrumb" in query for query in old.requests] == [True, False, False]


def test_an_old_server_is_remembered_for_a_day(old: Bench) -> None:
    """By each process of the user's; it may be a new one tomorrow."""
    for day, refused in ((0, 1), (0.5, 1), (1.5, 2)):
        old.now = 1_800_000_000.0 + day * 86400
        old.parcel(f"{day}")
        old.new_uploader().upload([])
        assert sum("add_breadcrumb" in query for query in old.requests) == refused
    assert len(old.stored) == 3


def test_an_old_server_is_spoken_to_as_such_where_nothing_can_remember_it(
    old: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stamp of another year that cannot be changed had each request asked again, without end."""
    monkeypatch.setattr(old.uploader._old_server, "read", lambda: None)
    old.drain(old.parcel("1.0"), old.parcel("2.0"))
    assert old.stored == ["1.0", "2.0"]
    assert len(old.requests) == 3


@pytest.mark.parametrize(
    ("project", "version"), [("noslash", "3.0"), ("owner/repo", "1.2.3.dirty")]
)
def test_what_an_old_server_will_never_take_costs_it_alone(
    old: Bench, project: str, version: str
) -> None:
    """There is no other form to try, so it is refused, once, and the others arrive."""
    old.drain(old.parcel("1.0"), old.parcel(version, project=project), old.parcel("2.0"))
    assert [old.success(version) for version in ("1.0", "2.0")] == [True] * 2
    assert (old.waiting, old.spool.refused) == ([], 1)
    assert old.stored == ["1.0", "2.0"]
    assert len(old.requests) <= 5


def test_an_old_server_that_cannot_look_a_version_up_is_tried_later(old: Bench) -> None:
    """Neither refused, nor asked again and again."""
    old.weather = [LOOK_UP_FAILED._replace(signed=False)] * 9
    old.uploader._old_server.set(old.now)
    assert old.upload(old.parcel("1.0")).failure is not None
    assert (len(old.requests), old.waiting) == (1, [0])


def test_a_server_that_was_updated_is_no_old_one_any_more(bench: Bench) -> None:
    """Its signed answer says so; a version that `add_project` refuses goes once more, plain."""
    bench.uploader._old_server.set(bench.now)
    for version in ("1.2.3.dirty", "2.0"):
        bench.upload(bench.parcel(version))
    assert bench.stored == ["1.2.3.dirty", "2.0"]
    assert bench.forms == ["add_project", "add_breadcrumb", "add_breadcrumb"]


def test_a_server_that_refuses_every_form_is_asked_for_each_once(bench: Bench) -> None:
    """Also where it has signed that it knows no `add_breadcrumb`, as no server 0.9 does."""
    lacks = refuse(locations=[{"line": 1, "column": 1}])
    lacks.answer["errors"][0]["message"] = "Cannot query field 'add_breadcrumb'"  # type: ignore[index]
    for weather in ([REFUSED] * 99, [lacks] * 99, [lacks, REFUSED] * 50):
        bench.uploader._old_server.set(bench.now)
        bench.weather = weather
        bench.requests.clear()
        assert bench.upload(bench.parcel("1")).failure is None
        assert len(bench.requests) <= 4
        assert bench.waiting == []


def test_in_memory_too_a_breadcrumb_is_sent_three_times_at_most(bench: Bench) -> None:
    """A server that never answers is no reason to keep it for ever."""
    bench.weather = [UNKNOWN] * 10
    left = [bench.parcel("1", on_disk=False)]
    for _ in range(5):
        left = bench.uploader.upload(left).left
    assert left == []
    assert len(bench.requests) == MAX_ATTEMPTS


def test_a_request_is_filled_up_with_what_waits(bench: Bench) -> None:
    """A backlog goes as fast as new breadcrumbs come, without a request of its own."""
    for n in range(5):
        bench.parcel(f"old{n}")
    bench.upload(bench.parcel("1.0"))
    assert len(bench.requests) == 1
    assert len(bench.stored) == 6


@pytest.mark.slow
def test_a_drain_goes_on_until_nothing_waits(bench: Bench) -> None:
    """As `flush()` asks for it, in full requests."""
    for n in range(100):
        bench.parcel(str(n))
    bench.drain()
    assert len(bench.stored) == 100
    assert bench.waiting == []
    assert len(bench.requests) <= 100 / 10


def test_without_a_drain_one_request_is_made(bench: Bench) -> None:
    """A host's exit does not clear a cluster's backlog."""
    for n in range(100):
        bench.parcel(str(n))
    bench.upload(bench.parcel("new"))
    assert len(bench.requests) == 1


def test_what_another_process_took_is_not_sent_twice(bench: Bench) -> None:
    """A claim has one winner."""
    parcel = bench.parcel("1")
    assert len(bench.spool.claim(1)) == 1
    bench.upload(parcel)
    assert bench.requests == []
    assert bench.receipts["1"]["message"] == "another process is sending it"


def test_what_was_answered_leaves_the_disk_before_anything_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed right after the answer must not have it sent again."""
    seen: list[tuple[list[str], list[int], bool]] = []

    def add(_judged: object) -> None:
        seen.append((bench.stored, bench.waiting, bench.receipts["1"].done()))

    monkeypatch.setattr(bench.uploader._record, "add", add)
    bench.upload(bench.parcel("1"))
    assert seen == [(["1"], [], False)]
    assert bench.success("1") is True


def test_without_a_disk_the_breadcrumbs_stay_in_memory(bench: Bench) -> None:
    """What cannot be kept is given back, in order, and goes with the next upload."""
    bench.weather = [UNSENT]
    own = [bench.parcel(str(n), on_disk=False) for n in range(3)]
    left = bench.uploader.upload(own).left
    assert left == own
    assert bench.uploader.upload(left).left == []
    assert bench.stored == ["0", "1", "2"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"format": 1e9}', b"\x00" * 50, b"[" * 60_000],
    ids=["empty", "truncated", "strange", "corrupt", "deep"],
)
def test_a_file_that_cannot_be_read_is_set_aside(bench: Bench, content: bytes) -> None:
    """Corrupt and truncated files are neither sent nor looped over."""
    bench.spool.put(content)
    bench.parcel("good")
    bench.now += 1  # an empty one is given a moment
    bench.drain()
    assert bench.stored == ["good"]
    assert bench.waiting == []


@pytest.mark.slow
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
            bench.upload(bench.parcel(str(number)))
        bench.weather = []
        bench.drain()
        assert len(bench.stored) == len(set(bench.stored))
        if unanswered < MAX_ATTEMPTS:
            assert len(bench.stored) == len(weather)
        assert bench.waiting == []


def test_a_failure_of_ours_leaves_everything_pending(bench: Bench) -> None:
    """As when memory runs out: the entries can be claimed at once, and their receipts heard."""

    def fail() -> None:
        raise MemoryError

    parcels, bench.before = [bench.parcel("1"), bench.parcel("2")], fail
    with pytest.raises(MemoryError):
        bench.upload(*parcels)
    for parcel in parcels:
        parcel.miss(bench.listeners, "cannot send")
    assert [str(receipt["message"]) for receipt in bench.receipts.values()] == ["cannot send"] * 2
    bench.before = lambda: None
    assert bench.drain().failure is None
    assert (bench.stored, bench.waiting) == (["1", "2"], [])


def test_what_is_gone_before_it_is_read_is_let_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its person has removed it, or another process sends it: there is nothing to set aside."""
    bench.spool.put(b"gone")
    claim = bench.spool.claim

    def claim_and_lose(limit: int) -> list[Entry]:
        claimed = claim(limit)
        for entry in claimed:
            entry.discard()
        return [entry._replace(content=None) for entry in claimed]

    monkeypatch.setattr(bench.spool, "claim", claim_and_lose)
    assert bench.upload() == Upload(0, [])
    assert not os.path.exists(os.path.join(bench.spool.directory, "aside"))


def test_what_cannot_be_opened_is_left_alone(bench: Bench) -> None:
    """Whatever lies there under an entry's name, the others go."""
    entry = bench.parcel("bad").entry
    assert isinstance(entry, Entry)
    entry.discard()
    os.mkdir(entry.path)
    bench.parcel("good")
    assert bench.drain() == Upload(0, [])
    assert (bench.stored, bench.waiting) == (["good"], [])
    assert os.path.isdir(entry.path)


CRUMBS = st.builds(
    lambda number, texts, own_run: (
        breadcrumb.sanitize(
            "owner/repo",
            f"{number}.dev0",
            {
                "status": "F",
                "status_desc": texts[0],
                "error_desc": texts[1],
                "session_id": uuid.UUID(int=number) if own_run else uuid.UUID(int=1),
            },
            {"language_version": "3.11.7", "user_id": str(uuid.UUID(int=2)), "container": "docker"},
        ).breadcrumb
    ),
    st.integers(0, 10**9),
    st.tuples(st.text(max_size=400), st.text(max_size=1200)) | st.just(("", "")),
    st.booleans(),
)


@pytest.mark.slow
@given(st.lists(CRUMBS, max_size=40), st.lists(st.booleans(), min_size=40, max_size=40))
def test_no_request_is_over_the_limit_and_each_breadcrumb_is_in_one(
    tmp_path_factory: pytest.TempPathFactory,
    crumbs: list[breadcrumb.Breadcrumb],
    owned: list[bool],
) -> None:
    """Whatever they say, in bytes, of whatever runs; those of one's own and those of the disk."""
    with Server() as server:
        bench = Bench(tmp_path_factory.mktemp("spool"), server)
        own = []
        for crumb, is_own in zip(crumbs, owned, strict=False):
            entry = bench.spool.put(breadcrumb.encode(crumb))
            if is_own:
                own.append(Parcel(crumb, entry))
        assert bench.drain(*own) == Upload(0, [])  # the bench itself checks the size of each
        sent = [(crumb.project_version, crumb.error_desc, crumb.session_id) for crumb in crumbs]
        stored = [(c["version"], c["error_desc"], c["session_id"]) for c in server.crumbs]
        assert sorted(stored, key=str) == sorted(sent, key=str)


class Tangle:
    """Uploaders whose requests are under way at the same time, one inside the other's."""

    def __init__(self, bench: Bench, plan: Iterator[tuple[int, float]]) -> None:
        self._bench = bench
        self._plan = plan
        #: What is in requests that have left and have not yet ended, and until when that counts:
        #: no request lasts as long as a claim, but for a process that is held up.
        self.live: list[tuple[str, float]] = []
        self.sent: Counter[str] = Counter()

    def upload(self) -> None:
        """Send one request, during which other processes do what the plan says."""
        bench = self._bench
        other = bench.new_uploader()
        other._send = self.send
        other.upload([])

    def send(self, body: bytes, on_write: Callable[[], None]) -> Reply:
        versions = list(filter(re.compile(r"\d+\.dev0").fullmatch, _texts(json.loads(body))))
        self._meddle()
        try:
            on_write()
        except OSError as error:
            return Reply(Outcome.UNSENT, str(error))
        live = {version for version, until in self.live if until > self._bench.now}
        assert not set(versions) & live, "in two live requests"
        mine = [(version, self._bench.now + LEASE) for version in versions]
        self.live += mine
        self.sent.update(versions)
        self._meddle()
        self.live = [item for item in self.live if item not in mine]
        return UNKNOWN

    def _meddle(self) -> None:
        others, seconds = next(self._plan, (0, 0.0))
        self._bench.now += seconds
        for _ in range(others):
            self.upload()


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 1.0, LEASE / 3])), max_size=12),
    st.integers(1, 30),
)
def test_no_breadcrumb_is_ever_in_two_live_requests(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[int, float]], count: int
) -> None:
    """However many processes send at a time, and however long they are held up meanwhile."""
    with Server() as server:
        bench = Bench(tmp_path_factory.mktemp("spool"), server)
        for number in range(count):
            crumb = breadcrumb.sanitize("owner/repo", f"{number}.dev0", {}, {}).breadcrumb
            bench.spool.put(breadcrumb.encode(crumb))
        tangle = Tangle(bench, iter(plan))
        for _ in range(12):
            tangle.upload()
            bench.now += LEASE + 1
        assert set(tangle.sent.values()) <= set(range(1, MAX_ATTEMPTS + 1))
        assert sum(tangle.sent.values()) >= min(count, 12)

"""When what waits is sent, and when it had better not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

from migas._crumb import breadcrumb
from migas._delivery.parcel import MAX_IN_MEMORY, Outcome, Parcel, Verdict
from migas._delivery.sender import LEISURE, LOOK_AGAIN, LOOKS, MOMENT, Sender
from migas._delivery.throttle import REQUESTS, REQUESTS_PERIOD, Backoff
from migas._disk.spool import open_spool
from migas._runtime.receipt import Flush
from migas._runtime.settings import Settings
from migas._runtime.threads import NEVER
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bench:
    """A sender whose time, modules and exit are the test's."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.now = 0.0
        self.loads = True
        self.loads_logging: list[bool] = []
        self.lasting = True
        self.may_start = True
        self.off = ""
        self.settled: list[Verdict] = []
        self.reserved: set[str] = set()
        self.spool = open_spool(Settings(endpoint=server.endpoint), self.reserved)
        self.spool.put(b"").discard()  # so that there is a directory to share a moment in
        self.backoff = Backoff(self.spool.directory)

    def sender(self, *, timeout: float = 30.0) -> Sender:
        return Sender(
            Settings(endpoint=self.server.endpoint, timeout=timeout),
            load=self.load,
            keeps_for_good=lambda: self.lasting,
            may_start=lambda: self.may_start,
            find_optout=lambda: self.off,
            reserved=self.reserved,
            clock=lambda: self.now,
        )

    def load(self, _modules: object, *, loads_logging: bool) -> bool:
        self.loads_logging.append(loads_logging)
        return self.loads

    def flush(self, timeout: float = NEVER) -> Flush:
        return Flush(self.now + timeout, lambda: None)

    def parcel(self, *, kept: bool = True, version: str = "1") -> Parcel:
        crumb = breadcrumb.sanitize("owner/repo", version, {}, {}).breadcrumb
        entry = self.spool.put(breadcrumb.encode(crumb), reserves=True) if kept else None
        return Parcel(crumb, entry, settle=self.settled.append)

    def leave(self, version: str = "1") -> None:
        """Have a breadcrumb wait, as an earlier process has left it."""
        self.spool.unreserve(self.parcel(version=version).entry)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Server() as server:
        yield Bench(server)


@pytest.fixture
def no_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a host that has not loaded `requests`."""
    monkeypatch.setattr("migas._delivery.sender.is_loaded", lambda _name: False)


def test_without_anything_to_send_there_is_nothing_to_do(bench: Bench) -> None:
    """The thread may sleep."""
    assert bench.sender().handle([], hurried=False, closing=False) == NEVER
    assert bench.sender().handle([], hurried=False, closing=True) == NEVER
    assert bench.server.requests == 0


@pytest.mark.usefixtures("no_requests")
def test_a_live_process_waits_a_moment_first(bench: Bench) -> None:
    """The host's first half second is its own."""
    sender = bench.sender()
    assert sender.handle([bench.parcel()], hurried=False, closing=False) == MOMENT
    bench.now = MOMENT - 0.1
    assert 0 < sender.handle([bench.parcel()], hurried=False, closing=False) <= 0.11
    assert bench.server.requests == 0
    bench.now = MOMENT
    assert sender.handle([], hurried=False, closing=False) == NEVER
    assert len(bench.server.crumbs) == 2
    assert bench.server.requests == 1


@pytest.mark.usefixtures("no_requests")
def test_whoever_waits_waits_no_moment(bench: Bench) -> None:
    """A receipt's result, and a flush."""
    bench.sender().handle([bench.parcel()], hurried=True, closing=False)
    assert bench.server.requests == 1
    flush = bench.flush()
    bench.sender().handle([bench.parcel(), flush], hurried=False, closing=False)
    assert bench.server.requests == 2
    assert flush["left"] == 0


def test_who_opts_out_while_it_runs_is_heard(bench: Bench) -> None:
    """Nothing more is sent, of what waits from earlier either, and who waits is told."""
    sender = bench.sender()
    bench.off = "MIGAS_OPTOUT"
    assert sender.handle([bench.parcel()], hurried=True, closing=False) == NEVER
    assert [verdict.reason for verdict in bench.settled] == ["switched off by MIGAS_OPTOUT"]
    assert sender.handle([], hurried=True, closing=True) == NEVER
    assert bench.server.requests == 0
    assert bench.spool.count() == 1


def test_where_requests_is_loaded_already_there_is_nothing_to_wait_for(bench: Bench) -> None:
    """The moment saves its import, and nothing else."""
    __import__("requests")
    bench.sender().handle([bench.parcel()], hurried=False, closing=False)
    assert bench.server.requests == 1


def test_what_cannot_be_loaded_now_is_tried_again(bench: Bench) -> None:
    """Less and less often; only the exit may load `logging`."""
    bench.loads = False
    sender = bench.sender()
    pauses = [sender.handle([bench.parcel()], hurried=True, closing=False) for _ in range(15)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] == 10.0
    sender.handle([], hurried=False, closing=True)
    assert bench.loads_logging == [True] * 15 + [False]
    assert bench.server.requests == 0


def test_a_server_that_failed_is_left_alone(bench: Bench) -> None:
    """By a process that lives until the back-off is over, by one that ends for good."""
    bench.backoff.fail(demand=60.0)
    pause = bench.sender().handle([bench.parcel()], hurried=True, closing=False)
    assert 60.0 < pause <= 120.0
    assert bench.sender().handle([bench.parcel()], hurried=True, closing=True) == NEVER
    flush = bench.flush()
    bench.sender().handle([flush], hurried=False, closing=False)
    assert flush["left"] == 2
    assert [verdict.outcome for verdict in bench.settled] == [Outcome.UNSENT] * 2
    assert bench.server.requests == 0


def test_when_the_backoff_is_over_what_waits_is_sent(bench: Bench) -> None:
    """Without anything new, in a process that lives, though another one had failed."""
    bench.backoff.fail(demand=60.0)
    sender = bench.sender()
    assert sender.handle([bench.parcel()], hurried=True, closing=False) < NEVER
    bench.backoff.succeed()
    assert sender.handle([], hurried=False, closing=False) == NEVER
    assert bench.server.requests == 1
    assert sender.handle([], hurried=False, closing=False) == NEVER
    assert bench.server.requests == 1


def test_twenty_processes_after_a_429_make_no_request(bench: Bench) -> None:
    """Knocking on would keep the door shut."""
    bench.backoff.fail(demand=60.0)
    for _ in range(20):
        bench.sender().handle([bench.parcel()], hurried=False, closing=False)
        bench.sender().handle([bench.parcel()], hurried=False, closing=True)
    assert bench.server.requests == 0
    assert len(list(bench.spool.waiting())) == 40


def test_a_person_who_flushes_does_not_wait_for_our_guess(bench: Bench) -> None:
    """The network may be back, and only a try can tell."""
    for _ in range(12):
        bench.backoff.fail()
    flush = bench.flush()
    bench.sender().handle([bench.parcel(), flush], hurried=False, closing=False)
    assert flush["left"] == 0
    assert bench.backoff.remaining() == 0.0


def test_ten_exits_deliver(bench: Bench) -> None:
    """The eleventh leaves its breadcrumb to a later process."""
    for _ in range(12):
        bench.sender().handle([bench.parcel()], hurried=False, closing=True)
    assert bench.server.requests == 10
    assert len(list(bench.spool.waiting())) == 2
    assert "enough exits" in bench.settled[-1].reason


def test_an_exit_is_counted_once(bench: Bench) -> None:
    """However often its thread comes round until everything is loaded."""
    bench.loads = False
    sender = bench.sender()
    sender.handle([bench.parcel()], hurried=False, closing=True)
    for _ in range(50):
        assert sender.handle([], hurried=False, closing=True) < NEVER
    bench.loads = True
    assert sender.handle([], hurried=False, closing=True) == NEVER
    assert bench.server.requests == 1
    for _ in range(12):
        bench.sender().handle([bench.parcel()], hurried=False, closing=True)
    assert bench.server.requests == 10


@pytest.mark.parametrize("reason", ["disk", "memory"])
def test_where_the_disk_does_not_last_every_exit_delivers(bench: Bench, reason: str) -> None:
    """In CI, in a container, and where nothing can be written."""
    bench.lasting = reason != "disk"
    for _ in range(15):
        parcel = bench.parcel(kept=reason != "memory")
        bench.sender().handle([parcel], hurried=False, closing=True)
    assert len(bench.server.crumbs) == 15


def test_somebody_who_waits_at_the_exit_is_not_held(bench: Bench) -> None:
    """A host that asks for its answer gets it."""
    for _ in range(12):
        bench.sender().handle([bench.parcel()], hurried=True, closing=True)
    assert bench.server.requests == 12


def test_the_second_half_of_an_exit_begins_nothing(bench: Bench) -> None:
    """What waits, waits on disk."""
    bench.may_start = False
    assert bench.sender().handle([bench.parcel()], hurried=True, closing=True) == NEVER
    assert bench.server.requests == 0
    assert bench.settled[0].reason == "the process ends"


def run(sender: Sender, bench: Bench, seconds: float) -> None:
    """Let a sender live for so long, on the test's clock."""
    end = bench.now + seconds
    while bench.now < end:
        bench.now = min(end, bench.now + sender.handle([], hurried=False, closing=False))


def test_one_request_goes_at_a_turn(bench: Bench) -> None:
    """So what comes meanwhile is not kept waiting by a backlog."""
    sender = bench.sender()
    items: list[Parcel | Flush] = [bench.parcel(version=str(n)) for n in range(40)]
    turns = 0
    while sender.handle(items, hurried=True, closing=False) == 0.0:
        items, turns = [], turns + 1
        assert bench.server.requests == turns
    assert turns > 1
    assert len(bench.server.crumbs) == 40


def test_an_idle_process_drains_what_waits_at_leisure(bench: Bench) -> None:
    """A full request now and then, until nothing is left, and then it sleeps."""
    for number in range(60):
        bench.leave(f"{number}")
    sender = bench.sender()
    assert sender.handle([bench.parcel()], hurried=True, closing=False) == LEISURE
    assert bench.server.requests == 1
    bench.now += LEISURE / 2
    assert sender.handle([], hurried=False, closing=False) == LEISURE / 2
    assert bench.server.requests == 1
    run(sender, bench, 10 * LEISURE)
    assert len(bench.server.crumbs) == 61
    assert bench.server.requests <= 5
    assert sender.handle([], hurried=False, closing=False) == NEVER


def test_a_failure_ends_the_leisurely_draining_until_the_back_off_is_over(bench: Bench) -> None:
    """The server is left alone, and what waits still waits (pain 17)."""
    for number in range(60):
        bench.leave(f"{number}")
    sender = bench.sender()
    sender.handle([bench.parcel()], hurried=True, closing=False)
    bench.server.inject(Fault.status(429))
    bench.now += LEISURE
    pause = sender.handle([], hurried=False, closing=False)
    assert pause > 60.0 - 1e-3
    assert bench.server.requests == 2
    bench.now += pause - 1.0
    sender.handle([], hurried=False, closing=False)
    assert bench.server.requests == 2
    bench.server.mend()
    bench.backoff.succeed()
    run(sender, bench, 10 * LEISURE)
    assert len(bench.server.crumbs) == 61


def test_a_process_that_ends_drains_nothing_but_one_request(bench: Bench) -> None:
    """A host's exit does not clear a cluster's backlog."""
    for number in range(60):
        bench.leave(f"{number}")
    assert bench.sender().handle([bench.parcel()], hurried=False, closing=True) == NEVER
    assert bench.server.requests == 1


def test_a_flush_goes_on_until_nothing_waits(bench: Bench) -> None:
    """One request after the other, without a pause."""
    for number in range(60):
        bench.leave(f"{number}")
    sender, flush = bench.sender(), bench.flush()
    items: list[Parcel | Flush] = [flush]
    while not flush.done():
        assert sender.handle(items, hurried=False, closing=False) in (0.0, NEVER)
        items = []
    assert flush["left"] == 0
    assert len(bench.server.crumbs) == 60


def test_a_flush_ends_at_its_deadline_and_says_what_is_left(bench: Bench) -> None:
    """What was not sent by then goes at leisure."""
    for number in range(60):
        bench.leave(f"{number}")
    sender, flush = bench.sender(), bench.flush(timeout=5.0)
    assert sender.handle([flush], hurried=False, closing=False) == 0.0
    bench.now += 5.0
    assert sender.handle([], hurried=False, closing=False) == pytest.approx(LEISURE - 5.0)
    assert bench.server.requests == 1
    assert flush["left"] == 60 - len(bench.server.crumbs) > 0


def test_a_flush_ends_at_the_first_failure(bench: Bench) -> None:
    """And says what is left, and why."""
    for number in range(60):
        bench.leave(f"{number}")
    bench.server.inject([None, Fault.status(503)])
    sender, flush = bench.sender(), bench.flush()
    sender.handle([flush], hurried=False, closing=False)
    sender.handle([], hurried=False, closing=False)
    assert flush["left"] == 60 - len(bench.server.crumbs)
    assert flush["message"] == "the server answered 503"
    assert bench.server.requests == 2


def test_a_flush_of_what_cannot_be_claimed_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that became read-only what waits is not asked for again and again."""
    bench.leave()
    flush = bench.flush()
    sender = bench.sender()
    monkeypatch.setattr(sender._spool, "claim", lambda _limit: [])
    assert sender.handle([flush], hurried=False, closing=False) == LOOK_AGAIN
    for _ in range(LOOKS - 1):
        assert sender.handle([], hurried=False, closing=False) == LOOK_AGAIN
    assert sender.handle([], hurried=False, closing=False) == NEVER
    assert flush["left"] == 1


def test_a_flush_goes_on_where_others_were_faster(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network's disk, whose listing still names what they have moved."""
    for number in range(60):
        bench.leave(f"{number}")
    flush = bench.flush()
    sender = bench.sender()
    claim, turns = sender._spool.claim, iter([True, False, False] * 20)
    monkeypatch.setattr(sender._spool, "claim", lambda n: claim(n) if next(turns) else [])
    sender.handle([flush], hurried=False, closing=False)
    run(sender, bench, PATIENCE)
    assert flush["left"] == 0
    assert len(bench.server.crumbs) == 60


def test_the_servers_limit_is_kept(bench: Bench) -> None:
    """A backlog of any size, flushed, is never answered with a 429."""
    sender = bench.sender()
    for _ in range(REQUESTS):
        sender._rate.count()
    bench.now += 1.0
    flush = bench.flush()
    bench.leave()
    assert sender.handle([flush], hurried=False, closing=False) == REQUESTS_PERIOD - 1.0
    assert bench.server.requests == 0
    bench.now += REQUESTS_PERIOD - 1.0
    sender.handle([], hurried=False, closing=False)
    assert (flush["left"], bench.server.requests) == (0, 1)


def test_in_memory_no_more_is_held_than_a_thousand(bench: Bench) -> None:
    """The oldest are dropped first; a flush counts those, too."""
    bench.backoff.fail(demand=600.0)
    sender, flush = bench.sender(), bench.flush()
    count = MAX_IN_MEMORY + 5
    parcels = [bench.parcel(kept=False, version=str(n)) for n in range(count)]
    sender.handle([*parcels, flush], hurried=False, closing=False)
    assert sender._parcels == parcels[5:]
    assert flush["left"] == MAX_IN_MEMORY


def test_a_request_that_is_given_up_is_a_failure_to_other_processes(bench: Bench) -> None:
    """So that the next exit does not wait in vain as well; one that is over says nothing."""
    sender = bench.sender()
    sender.abandon()
    sender.handle([bench.parcel()], hurried=True, closing=True)
    sender.abandon()
    assert bench.backoff.remaining() == 0.0
    assert sender._uploader is not None
    sender._uploader.is_sending = True
    sender.abandon()
    assert bench.backoff._guess.times == 1

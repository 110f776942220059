"""When what waits is sent, and when it had better not be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from support import PATIENCE

from migas._agent.agent import TRANSPORT_POLL
from migas._crumb import breadcrumb
from migas._delivery.parcel import Flush, Parcel
from migas._delivery.sender import (
    LEISURE,
    LOOK_AGAIN,
    LOOKS,
    MAX_IN_MEMORY,
    MOMENT,
    Sender,
)
from migas._delivery.throttle import REQUESTS, REQUESTS_PERIOD, Backoff
from migas._disk.entry import MemoryEntry, make_token
from migas._disk.spool import open_spool
from migas._runtime.exit import Exit
from migas._runtime.listeners import Listeners
from migas._runtime.loading import TRANSPORT_MODULES, Import, StandInError
from migas._runtime.receipt import Receipt
from migas._runtime.settings import Settings
from migas._runtime.threads import NEVER
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Iterator


def no_news(_seconds: float) -> dict[str, object]:
    return {}


class Bench:
    """Senders whose time, modules and exit are the test's."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.now = 0.0
        self.loads = True
        self.loads_logging: list[bool] = []
        self.receipts: list[Receipt] = []
        self.listeners = Listeners()
        self.spool = open_spool(Settings(endpoint=server.endpoint))
        self.spool.put(b"").discard()  # so that there is a directory to share a moment in
        self.backoff = Backoff(self.spool.directory)

    def sender(
        self, *, timeout: float = 30.0, ending: bool = False, dry_run: bool = False
    ) -> Sender:
        """A sender of another process, which lives or is ``ending``."""
        sender = Sender(
            Settings(endpoint=self.server.endpoint, timeout=timeout, dry_run=dry_run),
            self.listeners,
            Exit(1.0, lambda: self.now),
            Import(self, TRANSPORT_MODULES, TRANSPORT_POLL),  # type: ignore[arg-type]
            clock=lambda: self.now,
        )
        if ending:
            sender._exit.begin(1.0, sends=True)
        return sender

    def attempt(self, _modules: object, *, loads_logging: bool) -> bool:
        """As a loader's."""
        self.loads_logging.append(loads_logging)
        return self.loads

    def flush(self, timeout: float = NEVER) -> Flush:
        return Flush(self.now + timeout, lambda: None, self.spool.count)

    def parcel(
        self,
        *,
        on_disk: bool = True,
        version: str = "1",
        awaited: bool = False,
        looks: bool = False,
    ) -> Parcel:
        fields = {"language_version": "3.11"}
        crumb = breadcrumb.sanitize("owner/repo", version, fields, {}).breadcrumb
        receipt = Receipt(0.0, lambda: None, ask_news=no_news if looks else None)
        receipt.is_awaited = awaited
        self.receipts.append(receipt)
        token = make_token()
        self.listeners.add(token, receipt)
        data = breadcrumb.encode(crumb)
        entry = self.spool.put(data, token) if on_disk else MemoryEntry(token)
        return Parcel(crumb, entry, receipt)

    def leave(self, version: str = "1") -> None:
        """Have a breadcrumb pending, as an earlier process has left it."""
        self.listeners.take(self.parcel(version=version).entry.token)

    @property
    def reasons(self) -> list[object]:
        """What the receipts that were settled say."""
        return [receipt["message"] for receipt in self.receipts if receipt.done()]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    # All lasts but in CI, wherever this runs.
    monkeypatch.setattr(
        "migas._delivery.sender.is_persistent", lambda _path: "CI" not in os.environ
    )
    with Server() as server:
        yield Bench(server)


@pytest.fixture
def no_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a host that has not loaded `requests`."""
    monkeypatch.setattr("migas._delivery.sender.is_transport_loaded", lambda: False)


def test_without_anything_to_send_there_is_nothing_to_do(bench: Bench) -> None:
    """The thread may sleep."""
    assert bench.sender().handle([], True) == NEVER
    assert bench.sender(ending=True).handle([], True) == NEVER
    assert bench.server.requests == 0


def test_what_a_caller_could_not_import_is_told_at_once_and_never_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be memory for it by then."""
    bench.loads = False
    sender = bench.sender()

    def fail(name: str) -> None:
        raise ImportError(f"there is no {name}")

    monkeypatch.setattr("migas._runtime.loading.load", fail)
    sender._modules.load_for_caller()
    assert sender.handle([], True) == NEVER
    assert 0 < sender.handle([bench.parcel(awaited=True)], True) < NEVER
    assert bench.reasons == []
    sender._modules.load_for_caller()
    assert sender.handle([], True) == LEISURE
    assert bench.reasons == ["cannot send: there is no ssl"]


def test_an_import_that_fails_is_tried_once_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host may have had no memory or no descriptor left; a broken installation stays broken."""

    def fail(_names: object, *, loads_logging: bool) -> bool:
        raise OSError(24, f"Too many open files, {loads_logging}")

    sender = bench.sender()
    attempt = bench.attempt
    monkeypatch.setattr(bench, "attempt", fail)
    assert sender.handle([bench.parcel()], True) == LEISURE
    bench.now += LEISURE
    assert sender.handle([], True) == NEVER
    assert sender.handle([bench.parcel()], True) == NEVER
    monkeypatch.setattr(bench, "attempt", attempt)
    assert sender.handle([bench.flush()], True) == NEVER
    assert len(bench.server.crumbs) == 2


def test_a_tool_that_comes_while_the_transport_is_loaded_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the server, which is not to blame, is not left alone for it."""
    sender = bench.sender()

    def refuse(*_names: object, **_loads: object) -> bool:
        raise StandInError("nothing is sent: vcr stands in for the network")

    with monkeypatch.context() as patch:
        patch.setattr(bench, "attempt", refuse)
        assert sender.handle([bench.parcel(awaited=True)], True) == LEISURE
    with monkeypatch.context() as patch:
        patch.setattr("migas._delivery.sender.load", refuse)
        sender.handle([bench.parcel(awaited=True)], True)
    assert bench.reasons == ["nothing is sent: vcr stands in for the network"] * 2
    assert bench.backoff.remaining() == 0.0
    sender.handle([bench.flush()], True)
    assert len(bench.server.crumbs) == 2


def test_a_dry_run_sends_nothing_of_what_others_have_left(bench: Bench) -> None:
    """Not even for a flush, nor at the exit."""
    bench.leave()
    flush = bench.flush()
    assert bench.sender(dry_run=True).handle([flush], True) == NEVER
    assert flush.result(0) == {"pending": 1, "message": "MIGAS_DRY_RUN is set"}
    assert bench.sender(dry_run=True, ending=True).handle([bench.flush()], True) == NEVER
    assert bench.server.requests == 0


@pytest.mark.usefixtures("no_requests")
def test_a_live_process_waits_a_moment_first(bench: Bench) -> None:
    """The host's first half second is its own."""
    sender = bench.sender()
    assert sender.handle([bench.parcel()], True) == MOMENT
    bench.now = MOMENT - 0.1
    assert 0 < sender.handle([bench.parcel()], True) <= 0.11
    assert bench.server.requests == 0
    bench.now = MOMENT
    assert sender.handle([], True) == NEVER
    assert len(bench.server.crumbs) == 2
    assert bench.server.requests == 1


@pytest.mark.usefixtures("no_requests")
def test_whoever_waits_waits_no_moment(bench: Bench) -> None:
    """A receipt's result, and a flush."""
    bench.sender().handle([bench.parcel(awaited=True)], True)
    assert bench.server.requests == 1
    flush = bench.flush()
    bench.sender().handle([bench.parcel(), flush], True)
    assert bench.server.requests == 2
    assert flush["pending"] == 0


def test_who_opts_out_while_it_runs_is_heard(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is sent, of what waits from earlier either, and who waits is told."""
    sender = bench.sender()
    monkeypatch.setenv("MIGAS_OPTOUT", "1")
    assert sender.handle([bench.parcel(awaited=True)], True) == NEVER
    assert bench.reasons == ["switched off by MIGAS_OPTOUT"]
    sender._exit.begin(1.0, sends=True)
    assert sender.handle([], True) == NEVER
    assert bench.server.requests == 0
    assert bench.spool.count() == 1


def test_where_requests_is_loaded_already_there_is_nothing_to_wait_for(bench: Bench) -> None:
    """The moment saves its import, and nothing else."""
    __import__("requests")
    bench.sender().handle([bench.parcel()], True)
    assert bench.server.requests == 1


def test_what_cannot_be_loaded_now_is_tried_again(bench: Bench) -> None:
    """Less and less often; only the exit may load `logging`."""
    bench.loads = False
    sender = bench.sender()
    pauses = [sender.handle([bench.parcel(awaited=True)], True) for _ in range(15)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] == 10.0
    sender._exit.begin(1.0, sends=True)
    sender.handle([bench.parcel()], True)
    assert bench.loads_logging == [True] * 15 + [False]
    assert bench.server.requests == 0


def test_a_server_that_failed_is_left_alone(bench: Bench) -> None:
    """By a process that lives until the back-off is over, by one that ends for good."""
    bench.backoff.fail(demand=60.0)
    pause = bench.sender().handle([bench.parcel(awaited=True)], True)
    assert 60.0 < pause <= 120.0
    assert bench.sender(ending=True).handle([bench.parcel(awaited=True)], True) == NEVER
    flush = bench.flush()
    bench.sender().handle([flush], True)
    assert flush["pending"] == 2
    assert [receipt["success"] for receipt in bench.receipts if receipt.done()] == [False] * 2
    assert bench.server.requests == 0


def test_when_the_backoff_is_over_what_waits_is_sent(bench: Bench) -> None:
    """Without anything new, in a process that lives, though another one had failed."""
    bench.backoff.fail(demand=60.0)
    sender = bench.sender()
    assert sender.handle([bench.parcel(awaited=True)], True) < NEVER
    bench.backoff.succeed()
    assert sender.handle([], True) == NEVER
    assert bench.server.requests == 1
    assert sender.handle([], True) == NEVER
    assert bench.server.requests == 1


def test_twenty_processes_after_a_429_make_no_request(bench: Bench) -> None:
    """Knocking on would keep the door shut."""
    bench.backoff.fail(demand=60.0)
    for _ in range(20):
        bench.sender().handle([bench.parcel()], True)
        bench.sender(ending=True).handle([bench.parcel()], True)
    assert bench.server.requests == 0
    assert len(bench.spool.list_pending()) == 40


def test_a_person_who_flushes_does_not_wait_for_our_guess(bench: Bench) -> None:
    """The network may be back, and only a try can tell."""
    for _ in range(12):
        bench.backoff.fail()
    flush = bench.flush()
    bench.sender().handle([bench.parcel(), flush], True)
    assert flush["pending"] == 0
    assert bench.backoff.remaining() == 0.0


def test_ten_exits_deliver(bench: Bench) -> None:
    """The eleventh leaves its breadcrumb to a later process."""
    for _ in range(12):
        bench.sender(ending=True).handle([bench.parcel()], True)
    assert bench.server.requests == 10
    assert len(bench.spool.list_pending()) == 2
    assert "enough exits" in str(bench.reasons[-1])


def test_an_exit_is_counted_once(bench: Bench) -> None:
    """However often its thread comes round until everything is loaded."""
    bench.loads = False
    sender = bench.sender(ending=True)
    sender.handle([bench.parcel()], True)
    for _ in range(50):
        assert sender.handle([], True) < NEVER
    bench.loads = True
    assert sender.handle([], True) == NEVER
    assert bench.server.requests == 1
    for _ in range(12):
        bench.sender(ending=True).handle([bench.parcel()], True)
    assert bench.server.requests == 10


@pytest.mark.parametrize("reason", ["disk", "memory"])
def test_where_the_disk_does_not_last_every_exit_delivers(
    bench: Bench, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In CI, in a container, and where nothing can be written."""
    if reason == "disk":
        monkeypatch.setenv("CI", "true")
    for _ in range(15):
        parcel = bench.parcel(on_disk=reason != "memory")
        bench.sender(ending=True).handle([parcel], True)
    assert len(bench.server.crumbs) == 15


def test_somebody_who_waits_at_the_exit_is_not_held(bench: Bench) -> None:
    """A host that asks for its answer gets it."""
    for _ in range(12):
        bench.sender(ending=True).handle([bench.parcel(awaited=True)], True)
    assert bench.server.requests == 12


def test_the_second_half_of_an_exit_begins_nothing(bench: Bench) -> None:
    """Nobody knows how long the server takes: what waits, waits on disk."""
    sender = bench.sender(ending=True)
    bench.now = 0.5
    assert sender.handle([bench.parcel(awaited=True)], True) == NEVER
    assert bench.server.requests == 0
    assert bench.reasons == ["the process ends"]


def test_a_server_that_answers_quickly_is_sent_to_for_longer(bench: Bench) -> None:
    """It is known then how long an answer takes, and half of the budget is far too much for it."""
    sender = bench.sender(ending=True)
    assert sender.handle([bench.parcel(version=str(number)) for number in range(60)], True) == 0.0
    for moment in 0.6, 0.85:
        bench.now = moment
        requests = bench.server.requests
        assert sender.handle([], True) == 0.0
        assert bench.server.requests == requests + 1
    bench.now = 0.95
    assert sender.handle([], True) == NEVER
    assert bench.reasons[-1] == "the process ends"
    assert len(bench.server.crumbs) + bench.spool.count() == 60


def test_an_answer_that_takes_long_is_remembered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request starts whose answer would come too late."""
    sender = bench.sender(ending=True)
    answer = bench.server.answer

    def take_long(*args: Any, **kwargs: Any) -> Any:
        bench.now += 0.1
        return answer(*args, **kwargs)

    monkeypatch.setattr(bench.server, "answer", take_long)
    items: list[Any] = [bench.parcel(version=str(number)) for number in range(200)]
    while sender.handle(items, True) == 0.0:
        items = []
    assert bench.now <= 0.7
    assert bench.server.requests > 5
    assert bench.backoff.remaining() == 0.0


def run(sender: Sender, bench: Bench, seconds: float) -> None:
    """Let a sender live for so long, on the test's clock."""
    end = bench.now + seconds
    while bench.now < end:
        bench.now = min(end, bench.now + sender.handle([], True))


def test_one_request_goes_at_a_turn(bench: Bench) -> None:
    """So what comes meanwhile is not kept waiting by a backlog."""
    sender = bench.sender()
    items: list[Any] = [bench.parcel(version=str(n)) for n in range(40)]
    turns = 0
    while sender.handle(items, True) == 0.0:
        items, turns = [], turns + 1
        assert bench.server.requests == turns
    assert turns > 1
    assert len(bench.server.crumbs) == 40


def test_an_idle_process_drains_what_waits_at_leisure(bench: Bench) -> None:
    """A full request now and then, until nothing is left, and then it sleeps."""
    for number in range(60):
        bench.leave(f"{number}")
    sender = bench.sender()
    assert sender.handle([bench.parcel(awaited=True)], True) == LEISURE
    assert bench.server.requests == 1
    bench.now += LEISURE / 2
    assert sender.handle([], True) == LEISURE / 2
    assert bench.server.requests == 1
    run(sender, bench, 10 * LEISURE)
    assert len(bench.server.crumbs) == 61
    assert bench.server.requests <= 5
    assert sender.handle([], True) == NEVER


def test_a_failure_ends_the_leisurely_draining_until_the_back_off_is_over(bench: Bench) -> None:
    """The server is left alone, and what waits still waits (pain 17)."""
    for number in range(60):
        bench.leave(f"{number}")
    sender = bench.sender()
    sender.handle([bench.parcel(awaited=True)], True)
    bench.server.inject(Fault.status(429))
    bench.now += LEISURE
    pause = sender.handle([], True)
    assert pause > 60.0 - 1e-3
    assert bench.server.requests == 2
    bench.now += pause - 1.0
    sender.handle([], True)
    assert bench.server.requests == 2
    bench.server.mend()
    bench.backoff.succeed()
    run(sender, bench, 10 * LEISURE)
    assert len(bench.server.crumbs) == 61


def test_a_process_that_ends_drains_nothing_but_one_request(bench: Bench) -> None:
    """A host's exit does not clear a cluster's backlog."""
    for number in range(60):
        bench.leave(f"{number}")
    assert bench.sender(ending=True).handle([bench.parcel()], True) == NEVER
    assert bench.server.requests == 1


def test_a_flush_goes_on_until_nothing_waits(bench: Bench) -> None:
    """One request after the other, without a pause."""
    for number in range(60):
        bench.leave(f"{number}")
    sender, flush = bench.sender(), bench.flush()
    items: list[Any] = [flush]
    while not flush.done():
        assert sender.handle(items, True) in (0.0, NEVER)
        items = []
    assert flush["pending"] == 0
    assert len(bench.server.crumbs) == 60


def test_a_flush_ends_at_its_deadline_and_says_what_is_left(bench: Bench) -> None:
    """What was not sent by then goes at leisure."""
    for number in range(60):
        bench.leave(f"{number}")
    sender, flush = bench.sender(), bench.flush(timeout=5.0)
    assert sender.handle([flush], True) == 0.0
    bench.now += 5.0
    assert sender.handle([], True) == pytest.approx(LEISURE - 5.0)
    assert bench.server.requests == 1
    assert flush["pending"] == 60 - len(bench.server.crumbs) > 0


def test_a_flush_ends_at_the_first_failure(bench: Bench) -> None:
    """And says what is left, and why."""
    for number in range(60):
        bench.leave(f"{number}")
    bench.server.inject([None, Fault.status(503)])
    sender, flush = bench.sender(), bench.flush()
    sender.handle([flush], True)
    sender.handle([], True)
    assert flush["pending"] == 60 - len(bench.server.crumbs)
    assert flush["message"] == "the server answered 503"
    assert bench.server.requests == 2


@pytest.mark.parametrize("on_disk", [True, False])
def test_whatever_is_raised_while_sending_backs_off(bench: Bench, on_disk: bool) -> None:
    """Nobody has judged it, so the same at once would come to the same, again and again."""

    def fail() -> None:
        raise RecursionError

    sender = bench.sender()
    sender._backoff = Backoff(bench.spool.directory, jitter=lambda _low, high: high)
    sender._connect = fail  # type: ignore[assignment, method-assign]
    assert sender.handle([bench.parcel(on_disk=on_disk, awaited=True)], True) > 0.5
    assert sender._backoff.remaining() > 0.5
    assert bench.spool.count() + len(sender.parcels) == 1


def test_a_flush_of_what_cannot_be_claimed_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that became read-only what waits is not asked for again and again."""
    bench.leave()
    flush = bench.flush()
    sender = bench.sender()
    monkeypatch.setattr(sender._spool, "claim", lambda _limit: [])
    assert sender.handle([flush], True) == LOOK_AGAIN
    for _ in range(LOOKS - 1):
        assert sender.handle([], True) == LOOK_AGAIN
    assert sender.handle([], True) == NEVER
    assert flush["pending"] == 1


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
    sender.handle([flush], True)
    run(sender, bench, PATIENCE)
    assert flush["pending"] == 0
    assert len(bench.server.crumbs) == 60


def test_the_servers_limit_is_kept(bench: Bench) -> None:
    """A backlog of any size, flushed, is never answered with a 429."""
    sender = bench.sender()
    for _ in range(REQUESTS):
        sender._rate.count()
    bench.now += 1.0
    flush = bench.flush()
    bench.leave()
    assert sender.handle([flush], True) == REQUESTS_PERIOD - 1.0
    assert bench.server.requests == 0
    bench.now += REQUESTS_PERIOD - 1.0
    sender.handle([], True)
    assert (flush["pending"], bench.server.requests) == (0, 1)


def test_in_memory_no_more_is_held_than_a_thousand(bench: Bench) -> None:
    """The oldest are dropped first; a flush counts those, too."""
    bench.backoff.fail(demand=600.0)
    sender, flush = bench.sender(), bench.flush()
    count = MAX_IN_MEMORY + 5
    parcels = [bench.parcel(on_disk=False, version=str(n)) for n in range(count)]
    sender.handle([*parcels, flush], True)
    assert sender.parcels == parcels[5:]
    assert flush["pending"] == MAX_IN_MEMORY


def test_a_request_that_is_given_up_is_a_failure_to_other_processes(bench: Bench) -> None:
    """So that the next exit does not wait in vain as well; one that is over shows nothing."""
    sender = bench.sender(ending=True)
    seen: list[object] = []

    class Watched(Fault):
        """A good answer, at whose time the sender shows its request to the exit."""

    def look(good: bytes) -> list[bytes]:
        seen.append(sender._exit.request)
        return [good]

    bench.server.inject(Watched(look, "keep", stores=True))
    sender.handle([bench.parcel()], True)
    assert seen == [sender]
    assert sender._exit.request is None
    sender.abandon()
    assert bench.backoff._guess.times == 1


def test_whichever_thread_claims_an_entry_settles_its_receipt(bench: Bench) -> None:
    """A request that is filled up from the disk may be faster than the parcel."""
    parcel = bench.parcel(awaited=True)
    other = bench.sender()
    other.handle([bench.parcel(version="2", awaited=True)], True)
    assert len(bench.server.crumbs) == 2
    assert [receipt["success"] for receipt in bench.receipts] == [True, True]
    bench.sender().handle([parcel], True)
    assert bench.receipts[0]["success"] is True
    assert bench.server.requests == 1


def test_what_another_process_has_claimed_is_said_to_be_its(bench: Bench) -> None:
    """Its receipt is settled once, and forgotten."""
    parcel = bench.parcel()
    bench.spool.claim(1)
    bench.sender().handle([parcel], True)
    assert bench.reasons == ["another process is sending it"]
    assert bench.listeners._receipts == {}


def test_who_is_given_up_is_listened_for_no_more(bench: Bench) -> None:
    """A process that lives offline for days does not grow by it."""
    bench.backoff.fail(demand=60.0)
    bench.sender().handle([bench.parcel() for _ in range(5)], True)
    assert len(bench.reasons) == 5
    assert bench.listeners._receipts == {}


@pytest.mark.parametrize("ending", [False, True], ids=["lives", "ends"])
def test_what_is_pending_goes_right_after_one_who_looks_for_news(
    bench: Bench, ending: bool
) -> None:
    """That request has no room for it, and a host that looks at each receipt may end at once."""
    for number in range(60):
        bench.leave(f"{number}")
    sender = bench.sender()
    assert sender.handle([bench.parcel(awaited=True, looks=True)], True) == 0.0
    assert len(bench.server.crumbs) == 1
    if ending:
        sender._exit.begin(1.0, sends=True)
    assert sender.handle([], True) == (NEVER if ending else LEISURE)
    assert len(bench.server.crumbs) > 10
    assert bench.server.requests == 2

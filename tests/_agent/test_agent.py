"""From the caller to the disk and to the server, on two threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from support import NOWHERE, PATIENCE, SlowServer, await_condition, versions

import migas
from migas._agent import agent as agents
from migas._agent.agent import Agent
from migas._agent.jobs import Call
from migas._agent.process import current_process
from migas._crumb import breadcrumb
from migas._delivery.parcel import Flush, Parcel
from migas._delivery.sender import Sender
from migas._delivery.throttle import Backoff
from migas._runtime.daemon import find_own_thread
from migas._runtime.listeners import Listeners
from migas._runtime.settings import Settings
from migas._runtime.threads import NEVER
from migas.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migas._disk.spool import Spool
    from migas.testing import Server


@pytest.fixture
def start() -> Iterator[Callable[..., Agent]]:
    """Start agents, as the public functions do."""
    started: list[Agent] = []

    def make(endpoint: str, **settings: float | bool) -> Agent:
        agent = Agent(Settings(endpoint=endpoint, **settings), Listeners())
        started.append(agent)
        return agent

    yield make
    for agent in started:
        agent.close(PATIENCE)


def test_a_breadcrumb_is_on_disk_while_another_request_hangs(
    start: Callable[..., Agent], server: Server, spool: Callable[..., Spool]
) -> None:
    """What is noted while the server is silent survives a kill at once."""
    server.inject(Fault.hang())
    agent = start(server.endpoint, timeout=3600.0)
    agent.add("owner/repo", "1", {})
    agent._urge()
    await_condition(lambda: server.requests == 1)
    agent.add("owner/repo", "2", {})
    await_condition(lambda: spool().count() == 2)
    server.stop()


def test_a_live_process_delivers_after_a_moment(
    start: Callable[..., Agent], server: Server
) -> None:
    """Nobody has to wait or to flush."""
    receipt = start(server.endpoint).add("owner/repo", "1", {})
    assert server.await_crumbs(1, PATIENCE)
    await_condition(receipt.done)
    assert receipt["success"] is True


def test_a_receipt_tells_the_version_news(start: Callable[..., Agent], server: Server) -> None:
    """As the blocking client's answer did."""
    agent = start(server.endpoint)
    answer = agent.add("owner/repo", "1", {}, ask_news=lambda _seconds: {}).result(PATIENCE)
    assert answer["success"] is True
    assert answer["latest_version"] == "unknown"
    assert answer["bad_versions"] == []


def test_a_parcel_that_was_sent_before_it_was_handed_over_has_its_answer(
    start: Callable[..., Agent], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that is filled up from the disk may be faster than the parcel."""
    left: list[int] = []
    agent = start(server.endpoint)
    hand_over = agent._sending.submit

    def hand_over_late(item: object) -> bool:
        if isinstance(item, Parcel):
            flush = Flush(NEVER, agent._urge, lambda: 0)
            hand_over(flush)
            left.append(flush.wait(PATIENCE))
        return hand_over(item)

    monkeypatch.setattr(agent._sending, "submit", hand_over_late)
    answer = agent.add("owner/repo", "1", {}).result(PATIENCE)
    assert answer["success"] is True
    await_condition(lambda: left == [0])
    assert server.requests == 1


def test_an_agent_may_send_what_one_that_replaces_it_has_written(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package may say `setup()` when another has noted its use already."""
    left: list[int] = []
    assert migas.add_project("owner/repo", "1").result(PATIENCE)["success"] is True
    migas.setup(endpoint=server.endpoint)
    process = current_process()
    [former], agent = process._former, process.use_agent()
    assert agent is not None
    hand_over = agent._sending.submit

    def hand_over_late(item: object) -> bool:
        left.append(former.flush(PATIENCE))
        return hand_over(item)

    monkeypatch.setattr(agent._sending, "submit", hand_over_late)
    answer = migas.add_project("owner/repo", "2").result(PATIENCE)
    assert (answer["success"], answer.get("latest_version")) == (True, "unknown")
    await_condition(lambda: left == [0])
    assert len(server.crumbs) == 2


@pytest.mark.parametrize("backlog", [False, True], ids=["alone", "backlog"])
@pytest.mark.parametrize("is_there", [True, False], ids=["online", "offline"])
def test_the_threads_of_an_agent_that_is_replaced_end(
    server: Server, spool: Callable[..., Spool], *, is_there: bool, backlog: bool
) -> None:
    """A host that says `setup()` for each of a thousand jobs had two thousand threads of ours.

    They stayed as long as a run was open, the server was away, or a backlog was pending.
    """
    endpoint = server.endpoint if is_there else NOWHERE
    crumb = breadcrumb.sanitize("owner/repo", "0", {}, {}, str).breadcrumb
    for _ in range(200 if backlog else 0):
        spool(endpoint).put(breadcrumb.encode(crumb))
    agent = Agent(Settings(endpoint=endpoint), Listeners(), keep_alive=lambda: True)
    receipt = agent.add("owner/repo", "1", {})
    assert receipt.result(PATIENCE)["success"] is is_there
    agent.retire()
    await_condition(agent.is_over)
    # A call that found it a moment before is carried out as ever.
    assert agent.add("owner/repo", "2", {}).result(PATIENCE)["success"] is is_there
    await_condition(agent.is_over)
    agent.close(PATIENCE)


def test_agents_that_are_over_are_forgotten(server: Server) -> None:
    """Else each would be looked at, and waited for, at the exit."""
    process = current_process()
    for number in range(3):
        migas.setup(endpoint=server.endpoint)
        assert migas.add_project("owner/repo", str(number)).result(PATIENCE)["success"] is True
        await_condition(lambda: all(agent.is_over() for agent in process.list_agents()[:-1]))
    assert len(process.list_agents()) <= 2
    assert versions(server) == ["0", "1", "2"]


def test_an_agent_that_a_call_has_just_found_is_ended_by_the_exit(server: Server) -> None:
    """It may have nothing to do, and be replaced at that moment: what the call adds is not lost."""
    process = current_process()
    migas.setup(endpoint=server.endpoint)
    migas.add_project("owner/repo", "1").result(PATIENCE)
    found = process.use_agent()
    assert found is not None
    found.retire()
    await_condition(found.is_over)
    migas.setup(endpoint=server.endpoint)
    assert found in process.list_agents()
    migas.setup(endpoint=server.endpoint)
    assert found not in process.list_agents()


def test_what_the_sender_does_not_get_is_sent_as_what_waits(
    start: Callable[..., Agent], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread could start, and where a signal's handler has written for the exit."""
    agent = start(server.endpoint)
    with monkeypatch.context() as limit:
        limit.setattr(agent._sending, "submit", lambda _item: False)
        assert agent.add("owner/repo", "1", {}).result(PATIENCE)["success"] is False
    agent.add("owner/repo", "2", {}, now=True)
    assert agent.flush(PATIENCE) == 0
    assert versions(server) == ["1", "2"]


def test_a_receipt_tells_why_a_breadcrumb_waits(
    start: Callable[..., Agent], spool: Callable[..., Spool]
) -> None:
    """Offline is an answer, too, and comes as soon as it is known."""
    agent = start(NOWHERE)
    first = agent.add("owner/repo", "1", {}).result(PATIENCE)
    assert first["success"] is False
    assert first["message"] == "the server refused the connection"
    second = agent.add("owner/repo", "2", {}).result(PATIENCE)
    assert second["success"] is False
    assert len(spool(NOWHERE).list_pending()) == 2


def test_a_process_that_lives_tries_again_by_itself(
    start: Callable[..., Agent], server: Server
) -> None:
    """The first back-off is below a second; nobody has to note anything more."""
    server.stop()
    receipt = start(server.endpoint).add("owner/repo", "1", {})
    assert receipt.result(PATIENCE)["success"] is False
    server.start()
    assert server.await_crumbs(1, PATIENCE)


def test_a_flush_waits_for_what_was_noted_before_it(
    start: Callable[..., Agent], server: Server
) -> None:
    """And says that nothing is left."""
    agent = start(server.endpoint)
    for number in range(40):
        agent.add("owner/repo", str(number), {})
    assert agent.flush(PATIENCE) == 0
    assert len(server.crumbs) == 40
    assert agent.flush(PATIENCE) == 0


def test_a_flush_says_that_something_is_left(start: Callable[..., Agent]) -> None:
    """Offline it ends at the first failure."""
    agent = start(NOWHERE)
    agent.add("owner/repo", "1", {})
    assert agent.flush(PATIENCE) == 1


def test_a_flush_keeps_its_timeout(start: Callable[..., Agent], server: Server) -> None:
    """A silent server holds nobody longer than asked (pain 14)."""
    server.inject(Fault.hang())
    agent = start(server.endpoint, timeout=3600.0)
    agent.add("owner/repo", "1", {})
    assert agent.flush(0.2) == 1
    server.stop()


def test_a_flush_keeps_its_timeout_though_the_disk_hangs(
    start: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows how many are left then; it is not said that none is."""
    goes_on = threading.Event()

    def hang(_spool: Spool) -> int:
        assert goes_on.wait(PATIENCE)
        return 7

    monkeypatch.setattr("migas._disk.spool.Spool.count", hang)
    monkeypatch.setattr(agents, "COUNT_WAIT", 0.01)
    agent = start(NOWHERE)
    assert agent.flush(0.0) == 1
    monkeypatch.setattr(agents, "COUNT_WAIT", float(PATIENCE))
    goes_on.set()
    assert agent.flush(0.0) == 7


def test_a_callback_that_flushes_does_not_wait_for_its_own_thread(
    start: Callable[..., Agent], server: Server
) -> None:
    """It would wait without end."""
    agent, left = start(server.endpoint), list[int]()
    receipt = agent.add("owner/repo", "1.0", {})
    receipt.add_done_callback(lambda _: left.append(agent.flush(None)))
    assert receipt.result(PATIENCE)["success"]
    await_condition(lambda: left == [0])
    assert agent.add("owner/repo", "1.1", {}).result(PATIENCE)["success"]
    assert versions(server) == ["1.0", "1.1"]


class Leaving:
    """A value whose text ends the thread that asks for it."""

    def __str__(self) -> str:
        raise SystemExit("no text")


def test_a_value_that_exits_ends_no_thread_of_ours(
    start: Callable[..., Agent], server: Server
) -> None:
    """It is left out, as one that raises any other exception, and the next one is written."""
    agent = start(server.endpoint)
    agent.add("owner/repo", Leaving(), {})
    thread = agent._writing._thread
    assert agent.add("owner/repo", "1", {}).result(PATIENCE)["success"]
    assert agent._writing._thread is thread
    assert sorted(versions(server)) == ["1", "unknown"]


def test_a_callback_that_looks_at_another_receipt_does_not_wait_for_its_own_thread(
    start: Callable[..., Agent], server: Server
) -> None:
    """It would wait without end: it is told that there is no answer yet."""
    agent, seen = start(server.endpoint, timeout=3.0), list[str]()

    def look(_receipt: object) -> None:
        try:
            agent.add("owner/repo", "1.1", {}).result()
        except TimeoutError as error:
            seen.append(str(error))

    receipt = agent.add("owner/repo", "1.0", {})
    receipt.add_done_callback(look)
    assert receipt.result(PATIENCE)["success"]
    await_condition(lambda: seen == ["no answer within 3 seconds"])
    assert agent.add("owner/repo", "1.2", {}).result(PATIENCE)["success"]
    assert versions(server) == ["1.0", "1.1", "1.2"]


def test_with_a_timeout_of_zero_nothing_is_sent(
    start: Callable[..., Agent], server: Server, spool: Callable[..., Spool]
) -> None:
    """MIGAS_TIMEOUT=0 writes to the spool only."""
    agent = start(server.endpoint, timeout=0.0)
    assert "MIGAS_TIMEOUT" in str(agent.add("owner/repo", "1", {}).result(PATIENCE)["message"])
    assert agent.flush(PATIENCE) == 1
    agent.close(PATIENCE)
    assert server.requests == 0
    assert len(spool().list_pending()) == 1


def test_a_dry_run_prints_and_keeps_nothing(
    start: Callable[..., Agent], server: Server, home: object, capfd: pytest.CaptureFixture[str]
) -> None:
    """On stderr, one line a breadcrumb; the identity is not made for it."""
    agent = start(server.endpoint, dry_run=True)
    answer = agent.add("owner/repo", "1", {}).result(PATIENCE)
    assert answer == {"success": False, "message": "MIGAS_DRY_RUN is set"}
    agent.close(PATIENCE)
    assert server.requests == 0
    assert '"project":"owner/repo"' in capfd.readouterr().err
    assert list(home.iterdir()) == []  # type: ignore[attr-defined]


def test_after_closing_the_caller_writes(
    start: Callable[..., Agent], spool: Callable[..., Spool]
) -> None:
    """A late breadcrumb is on disk when the call returns, and a flush says that it is left."""
    agent = start(NOWHERE)
    agent.close(PATIENCE)
    receipt = agent.add("owner/repo", "1", {})
    assert len(spool(NOWHERE).list_pending()) == 1
    assert receipt["message"] == "nothing is sent: no thread is left that could"
    assert agent.flush(PATIENCE) == 1


def test_a_writer_that_is_behind_has_all_the_time_that_it_makes_use_of(
    start: Callable[..., Agent], spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst gets to a disk that answers, whatever the budget (pain 41)."""
    agent = start(NOWHERE)
    at_disk, go = threading.Event(), threading.Event()
    write = Call.write

    def write_late(call: Call, writer: Any) -> None:
        at_disk.set()
        go.wait(PATIENCE)
        write(call, writer)

    monkeypatch.setattr(Call, "write", write_late)
    agent.add("owner/repo", "0", {})
    assert at_disk.wait(PATIENCE)
    for number in range(1, 500):
        agent.add("owner/repo", str(number), {})
    go.set()
    agent.close(0.0)
    assert spool(NOWHERE).count() == 500


def test_a_request_that_is_given_up_is_noted_by_no_thread_of_the_hosts(
    start: Callable[..., Agent], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that has stopped answering meanwhile does not hold the exit."""
    server.inject(Fault.hang())
    agent = start(server.endpoint, timeout=3600.0)
    agent.add("owner/repo", "1", {})
    agent._urge()
    await_condition(lambda: bool(server.received))
    threads, answers = [], threading.Event()

    def hang(_sender: Sender) -> None:
        threads.append(find_own_thread())
        answers.wait(PATIENCE)

    monkeypatch.setattr(Sender, "abandon", hang)
    agent.close(1.0)
    assert not answers.is_set()
    [thread] = threads
    assert thread
    assert thread.name == "migas-writer"
    answers.set()
    server.stop()
    # The sender's thread, which comes back now, has nothing more to do.
    await_condition(lambda: not agent._sending.is_running())


def test_an_answer_that_has_arrived_when_the_budget_ends_is_read(
    start: Callable[..., Agent],
    spool: Callable[..., Spool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine no thread may have come to read it; given up, it would be sent again."""
    with SlowServer() as server:
        agent = start(server.endpoint, timeout=3600.0)
        agent.add("owner/repo", "1", {})
        agent._urge()
        await_condition(lambda: bool(server.received))
        has_answer, looks = Sender.has_answer, []

        def look(sender: Sender) -> bool:
            looks.append(has_answer(sender))
            server.goes_on.set()
            await_condition(lambda: has_answer(sender) or not spool(server.endpoint).count())
            return True

        monkeypatch.setattr(Sender, "has_answer", look)
        agent.close(0.05)
        assert looks[0] is False
        assert spool(server.endpoint).count() == 0
        assert Backoff(spool(server.endpoint).directory).remaining() == 0.0
        assert versions(server) == ["1"]


def test_modules_that_cannot_be_loaded_once_are_loaded_again(
    start: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """A host that replaces locks in the middle of an import, as gevent does, breaks it once."""
    failures = [RuntimeError("cannot release un-acquired lock")]
    make = Agent._make_writer

    def fail_once(agent: Agent) -> Any:
        if failures:
            raise failures.pop()
        return make(agent)

    monkeypatch.setattr(Agent, "_make_writer", fail_once)
    agent = start(server.endpoint)
    receipt = agent.add("owner/repo", "1", {})
    assert receipt.result(PATIENCE)["success"]
    assert versions(server) == ["1"]


def test_a_receipt_is_settled_though_no_sender_can_be_made(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its breadcrumb is pending; an answer comes in any case, and this one says why."""
    make, failures = Agent._make_sender, [ImportError("no sender")] * 2

    def fail_twice(agent: Agent) -> Any:
        if failures:
            raise failures.pop()
        return make(agent)

    monkeypatch.setattr(Agent, "_make_sender", fail_twice)
    receipt = migas.add_project("owner/repo", "1")
    assert receipt.result(PATIENCE) == {"success": False, "message": "no sender"}
    assert migas.flush(PATIENCE) == 0
    assert versions(server) == ["1"]


def test_a_call_starts_both_threads(start: Callable[..., Agent]) -> None:
    """From Python 3.12 on it would be too late at the exit."""
    agent = start(NOWHERE)
    agent.add("owner/repo", "1", {})
    assert agent._writing.is_running()
    assert agent._sending.is_running()


def test_the_writer_is_there_as_long_as_the_sender_is(
    start: Callable[..., Agent], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python 3.12 on the exit could not start it."""
    server.inject(Fault.hang())
    agent = start(server.endpoint, timeout=3600.0)
    monkeypatch.setattr(agent._writing, "_idle", 0.01)
    agent.add("owner/repo", "1", {})
    agent._urge()
    await_condition(lambda: bool(server.received))
    keep_alive, looks = agent._writing._keep_alive, []

    def look() -> bool:
        looks.append(keep_alive())
        return looks[-1]

    monkeypatch.setattr(agent._writing, "_keep_alive", look)
    await_condition(lambda: len(looks) > 1)
    assert agent._writing.is_running()
    server.stop()


def test_a_breadcrumb_that_cannot_be_made_is_told_to_its_receipt_alone(
    start: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong in the writer, the host hears nothing."""
    import migas._delivery.writer

    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("no writer")

    monkeypatch.setattr(migas._delivery.writer, "Writer", fail)
    answer = start(NOWHERE).add("owner/repo", "1", {}).result(PATIENCE)
    assert answer == {"success": False, "message": "no writer"}


def test_an_upload_that_breaks_leaves_nobody_waiting(
    start: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch, spool: Callable[..., Spool]
) -> None:
    """Every path is accounted for: a flush ends, a receipt has its answer (pain 14)."""
    from migas._delivery.uploader import Uploader

    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Uploader, "upload", fail)
    agent = start(NOWHERE)
    receipt = agent.add("owner/repo", "1", {})
    assert agent.flush(None) == 1
    assert receipt.result(PATIENCE) == {"success": False, "message": "cannot send: broken"}
    assert len(spool(NOWHERE).list_pending()) == 1


def test_closing_twice_does_nothing_more(start: Callable[..., Agent]) -> None:
    """As when a host calls what the exit calls again."""
    agent = start(NOWHERE)
    agent.close(PATIENCE)
    agent.close(PATIENCE)


@pytest.mark.parametrize("is_worker", [True, False])
def test_a_disk_that_hangs_costs_a_worker_process_one_wait_and_others_none(
    monkeypatch: pytest.MonkeyPatch, is_worker: bool
) -> None:
    """Nobody waits again before the writer has done what was waited for in vain."""
    waits: list[float] = []
    monkeypatch.setattr(Call, "await_written", lambda _, seconds: waits.append(seconds))
    monkeypatch.setattr(agents, "is_worker_process", lambda: is_worker)
    goes_on = threading.Event()

    def handle(items: list[Any], _can_wait: bool) -> float:
        assert goes_on.wait(PATIENCE)
        while items:
            items.pop(0).fail("")
        return NEVER

    agent = Agent(Settings(), Listeners())
    monkeypatch.setattr(agent._writing, "_handle", handle)
    for _ in range(3):
        agent.add("owner/repo", "1", {})
    assert waits == [agents.WORKER_WAIT] * is_worker
    goes_on.set()
    await_condition(agent._writing.is_idle)
    agent.add("owner/repo", "1", {})
    assert len(waits) == 2 * is_worker
    agent.close(PATIENCE)

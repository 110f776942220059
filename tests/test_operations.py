"""The public functions, as a host and its developers call them."""

from __future__ import annotations

import datetime
import json
import logging
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support import NOWHERE, PATIENCE, await_condition, versions

import migas
from migas._agent import process
from migas.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migas._disk.spool import Spool
    from migas.testing import Server
    from migas.typedefs import Fields

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"


def test_the_one_line_and_the_question(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a package says at import is what its developers find."""
    monkeypatch.setenv("MIGAS_USER_ID", UUID)
    receipt = migas.add_project("owner/repo", "1.2.3")
    assert receipt.result(PATIENCE)["success"] is True
    assert migas.get_usage("owner/repo", "2026-01-01") == {
        "hits": 1,
        "message": "",
        "unique": False,
        "success": True,
    }
    assert migas.get_usage("owner/repo", datetime.date(2026, 1, 1), unique=True)["hits"] == 1
    assert migas.get_usage("owner/repo", "2026-01-01", "2026-01-02")["hits"] == 0
    assert migas.get_usage("noslash", "2026-01-01")["success"] is False
    assert len(server.crumbs) == 1


@pytest.mark.parametrize("timeout", ["soon", [], object()])
def test_a_flush_for_no_number_of_seconds_is_an_error_of_its_caller(timeout: Any) -> None:
    """To return 0 would say that nothing is pending."""
    with pytest.raises((TypeError, ValueError)):
        migas.flush(timeout)


class Listener(logging.Handler):
    """What a host does with its log, while it holds a lock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.lock_of_hosts = threading.Lock()
        self.is_called = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.is_called.set()
        with self.lock_of_hosts:
            self.said = record.getMessage()


@pytest.mark.parametrize("call", ["add_project", "setup"])
def test_a_host_that_listens_to_the_log_is_called_without_a_lock_of_ours(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Another thread of its own holds the lock that it waits for, and calls us as well."""
    monkeypatch.setenv("MIGAS_TIMEOUT", "soon")
    listener, logger = Listener(), logging.getLogger("migas")
    act = {
        "add_project": lambda: migas.add_project("owner/repo", "1"),
        "setup": lambda: migas.setup(user_id=UUID),
    }[call]
    first = threading.Thread(target=act)
    logger.addHandler(listener)
    try:
        with listener.lock_of_hosts:
            first.start()
            assert listener.is_called.wait(PATIENCE)
            second = threading.Thread(target=migas.add_project, args=("owner/repo", "2"))
            second.start()
            second.join(PATIENCE)
            assert not second.is_alive()
        first.join(PATIENCE)
        assert "MIGAS_TIMEOUT" in listener.said
    finally:
        logger.removeHandler(listener)


@pytest.mark.parametrize("double", [lambda: 1e9, lambda: 0.0], ids=["ahead", "stopped"])
def test_a_double_of_the_clock_holds_nothing_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, double: Callable[[], float]
) -> None:
    """While it stands in for the clock, and when that is over (freezegun, mock)."""
    with monkeypatch.context() as patch:
        patch.setattr("time.monotonic", double)
        run = migas.track("owner/repo", "1", signals=None)
        migas.add_project("owner/other", "1")
        assert migas.flush(PATIENCE) == 0
    run.stop()
    assert migas.flush(PATIENCE) == 0
    assert len(server.crumbs) == 3


class Wordless:
    """A value that has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __bool__ = __str__


@pytest.mark.parametrize("value", ["owner/\udcff", Wordless()], ids=["surrogate", "no text"])
def test_a_question_about_what_is_no_text_has_an_answer(server: Server, value: Any) -> None:
    """As a report has: it says why, and raises nothing."""
    for answer in (
        migas.get_usage(value, "2026-01-01"),
        migas.get_usage("owner/repo", "2026-01-01", unique=value),
        migas.check_project(value, "1"),
        migas.check_project("owner/repo", value),
    ):
        assert answer["success"] is False or isinstance(value, str)
        assert answer["message"] or isinstance(value, str)
    assert migas.check_project(value, "1")["success"] is False
    assert server.crumbs == []


def test_a_version_is_checked(server: Server) -> None:
    """Its developers' word on it."""
    assert migas.check_project("owner/repo", "1.2.3") == {
        "success": True,
        "flagged": False,
        "latest": "unknown",
        "message": "",
    }
    assert server.requests == 1


def test_fields_of_the_caller_stand_in_place_of_what_is_found(server: Server) -> None:
    """A host knows better what its run is."""
    fields: Fields = {"status": "F", "error_type": "E", "error_desc": "d"}
    fields |= {"session_id": UUID, "user_id": UUID, "is_ci": True, "language": "julia"}
    migas.add_project("owner/repo", "1", **fields).result(PATIENCE)
    [crumb] = server.crumbs
    assert {name: crumb[name] for name in fields} == fields


def test_what_was_changed_is_said_once_at_debug(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """One line names the fields, without their values."""
    caplog.set_level("DEBUG", "migas")
    migas.add_project("owner/repo", "1", foo="secret", user_id="secret").result(PATIENCE)  # type: ignore[call-arg]
    lines = [record for record in caplog.records if "left out" in record.getMessage()]
    assert [(line.levelname, line.getMessage()) for line in lines] == [
        ("DEBUG", "owner/repo: foo left out: unknown field; user_id left out: no UUID")
    ]
    assert "secret" not in caplog.text
    assert len(server.crumbs) == 1


@pytest.mark.parametrize("suffix", ["", "/", "/graphql", "/graphql/"])
def test_setup_takes_an_endpoint_in_any_form(
    server: Server, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """And it goes before the environment."""
    monkeypatch.setenv("MIGAS_ENDPOINT", NOWHERE)
    migas.setup(endpoint=f"http://127.0.0.1:{server.port}{suffix}")
    assert migas.add_project("owner/repo", "1").result(PATIENCE)["success"] is True


def test_setup_says_who_and_which_run_it_is(server: Server) -> None:
    """Later calls add to it, and what was noted before it is not lost."""
    migas.add_project("owner/repo", "1")
    migas.setup(session_id=UUID)
    migas.setup(user_id=UUID)
    migas.add_project("owner/repo", "2")
    server.await_crumbs(2, PATIENCE)
    found = {crumb["version"]: (crumb["session_id"], crumb["user_id"]) for crumb in server.crumbs}
    assert found["2"] == (UUID, UUID)
    assert found["1"][0] not in (UUID, None)


def test_setup_keeps_and_reads_a_file(tmp_path: Path) -> None:
    """Written whole; what is passed goes before it."""
    file = tmp_path / "migas.json"
    migas.setup(endpoint="http://a", session_id=UUID, filename=file, save_config=True)
    assert json.loads(file.read_text()) == {
        "endpoint": "http://a/graphql",
        "user_id": None,
        "session_id": UUID,
    }
    assert sorted(os.listdir(tmp_path)) == ["home", "migas.json"]
    process._setup.clear()
    migas.setup(filename=file, endpoint="http://b")
    assert process._setup == {"endpoint": "http://b/graphql", "session_id": UUID}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"endpoint": 5}', "\udcff"])
def test_a_file_that_makes_no_sense_is_ignored(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With one warning, or none where it simply says nothing."""
    file = tmp_path / "migas.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    migas.setup(filename=file)
    assert process.current_process().use_settings().endpoint == NOWHERE
    assert len(caplog.records) == (not content.startswith('{"'))


def test_nonsense_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """One line each, however often migas is called."""
    monkeypatch.setenv("MIGAS_TIMEOUT", "abc")
    migas.setup(endpoint="no url", filename=tmp_path, save_config=True)
    for _ in range(3):
        migas.add_project("owner/repo", "1")
    messages = [record.getMessage() for record in caplog.records]
    assert [message.split()[0] for message in messages if "endpoint" in message] == ["endpoint"]
    assert len([message for message in messages if "MIGAS_TIMEOUT" in message]) == 1
    assert len([message for message in messages if str(tmp_path) in message]) == 2
    assert process.current_process().use_settings().endpoint == ""


@pytest.mark.parametrize(
    "answer", [{}, {"success": "no", "hits": 3}, {"success": True, "hits": None}, {"hits": 3}]
)
def test_an_answer_that_lacks_something_lacks_no_key(
    server: Server, answer: dict[str, object]
) -> None:
    """A host that reads what is documented gets it, whatever the server says."""
    for field, ask in (
        ("get_usage", lambda: migas.get_usage("owner/repo", "2026-01-01")),
        ("check_project", lambda: migas.check_project("owner/repo", "1")),
    ):
        server.inject([Fault.json({"data": {field: answer}}, signed=True)])
        found: Any = ask()
        assert found["success"] is False
        assert found["message"]
        assert found.get("hits", 0) == 0


def test_an_answer_that_lacks_what_can_be_done_without_is_filled_up(server: Server) -> None:
    """With what stands for nothing."""
    server.inject([Fault.json({"data": {"get_usage": {"success": True, "hits": 3}}}, signed=True)])
    assert migas.get_usage("owner/repo", "2026-01-01") == {
        "success": True,
        "hits": 3,
        "unique": False,
        "message": "",
    }


@pytest.mark.parametrize("date", ["yesterday", "2026-1-1", 2026, None])
def test_a_date_that_is_none_is_the_callers_error(date: object) -> None:
    """The message names the accepted forms."""
    with pytest.raises(ValueError, match="YYYY-MM-DDTHH:MM:SSZ"):
        migas.get_usage("owner/repo", date)  # type: ignore[arg-type]


FAILURES = {
    "a 500": Fault.status(500),
    "a login page": Fault.page(),
    "a hang-up": Fault(),
    "nobody": None,
}


@pytest.mark.parametrize("fault", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("unique", [True, False])
def test_without_an_answer_a_question_says_why(
    server: Server, fault: Fault | None, unique: bool
) -> None:
    """A dict of the usual form, never an exception."""
    server.stop() if fault is None else server.inject(fault)
    usage = migas.get_usage("owner/repo", "2026-01-01", unique=unique)
    assert list(usage) == ["success", "hits", "unique", "message"]
    assert (usage["success"], usage["hits"], usage["unique"]) == (False, 0, unique)
    assert usage["message"]
    check = migas.check_project("owner/repo", "1")
    assert (check["success"], check["flagged"], check["latest"]) == (False, False, "")


def test_a_silent_server_is_waited_for_no_longer_than_the_timeout(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is still silent when the caller has its answer."""
    server.inject(Fault.hang())
    monkeypatch.setenv("MIGAS_TIMEOUT", "0.2")
    message = migas.get_usage("owner/repo", "2026-01-01")["message"]
    assert str(message).startswith("no answer")


def test_the_name_look_up_is_within_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket timeout bounds it, and a resolver may be silent for half a minute."""
    asked, answer = threading.Event(), threading.Event()

    def look_up(*_args: object, **_kwargs: object) -> None:
        asked.set()
        answer.wait(PATIENCE)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("MIGAS_TIMEOUT", "0.3")
    monkeypatch.setenv("MIGAS_ENDPOINT", "http://migas.invalid")
    message = migas.get_usage("owner/repo", "2026-01-01")["message"]
    assert message == "no answer within 0.3 seconds"
    assert asked.is_set()
    answer.set()


@pytest.mark.parametrize(
    ("variable", "value"), [("MIGAS_TIMEOUT", "0"), ("MIGAS_DRY_RUN", "1"), ("DO_NOT_TRACK", "1")]
)
def test_a_question_is_not_sent_where_nothing_is(
    server: Server, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Whoever switched it off gets the reason."""
    monkeypatch.setenv(variable, value)
    assert variable in str(migas.get_usage("owner/repo", "2026-01-01")["message"])
    assert variable in str(migas.check_project("owner/repo", "1")["message"])
    assert server.requests == 0


def test_flush_waits_for_what_an_agent_before_the_set_up_sends(server: Server) -> None:
    """It is this process's own, and has arrived when the call returns."""
    migas.flush(PATIENCE)  # what is loaded for it is loaded now
    server.inject([Fault.late(1.0), None])
    migas.add_breadcrumb("owner/repo", "1")
    await_condition(lambda: server.requests == 1)
    migas.setup(session_id=UUID)
    migas.add_breadcrumb("owner/repo", "2")
    assert migas.flush(PATIENCE) == 0
    assert len(server.crumbs) == 2


def test_flush_sends_what_earlier_processes_left(
    server: Server, spool: Callable[..., Spool]
) -> None:
    """In a process that notes nothing itself, as a cron job does."""
    from migas._crumb import breadcrumb

    for number in range(20):
        crumb = breadcrumb.sanitize("owner/repo", number, {}, {}).breadcrumb
        spool().put(breadcrumb.encode(crumb))
    assert migas.flush(PATIENCE) == 0
    assert len(server.crumbs) == 20


def test_opted_out_a_flush_tells_what_is_left(
    spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends nothing, and does not say that nothing waits."""
    spool().put(b"x")
    monkeypatch.setenv("MIGAS_OPTOUT", "1")
    assert migas.flush(PATIENCE) == 1


def test_the_configuration_is_printed_and_nothing_is_made(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person may look before deciding."""
    migas.setup(session_id=UUID)
    migas.print_config()
    out = capsys.readouterr().out
    assert f"endpoint: {NOWHERE}\n" in out
    assert "switched off by: nothing\n" in out
    assert f"session_id: {UUID}\n" in out
    assert "user_id: None\n" in out
    assert list(home.iterdir()) == []
    monkeypatch.setenv("MIGAS_OPTOUT", "1")
    migas.print_config()
    assert "switched off by: MIGAS_OPTOUT\n" in capsys.readouterr().out


def test_a_missing_argument_is_a_programming_error() -> None:
    """The one thing that raises."""
    with pytest.raises(TypeError):
        migas.add_project("owner/repo")  # type: ignore[call-arg]


def test_a_process_whose_fork_hooks_did_not_run_begins_anew(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under uWSGI: the pid tells (pain 13)."""
    migas.add_project("owner/repo", "1").result(PATIENCE)
    parent = process.current_process()
    parents_agent = parent.use_agent()
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        migas.add_project("owner/repo", "2").result(PATIENCE)
        agent = process.current_process().use_agent()
        assert agent is not None
        agent.close(PATIENCE)
    assert agent is not parents_agent
    assert process.current_process() is parent
    await_condition(lambda: versions(server) == ["1", "2"])  # a parent's thread may send it, too


@pytest.mark.parametrize("by", ["the environment", "setup"])
def test_with_an_unusable_endpoint_nothing_is_sent_to_anybody(
    by: str, home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to the public server nor to a guess; answers and the configuration say why."""
    if by == "setup":
        migas.setup(endpoint="migas.hospital.org")
    else:
        monkeypatch.setenv("MIGAS_ENDPOINT", "migas.hospital.org")
    reason = "switched off by MIGAS_ENDPOINT, which is no http or https address"
    assert migas.add_project("owner/repo", "1")["message"] == reason
    assert migas.get_usage("owner/repo", "2026-01-01")["message"] == reason
    with migas.track("owner/repo", "1"):
        pass
    assert migas.flush(1) == 0
    assert server.requests == 0
    assert not (home / "cache").exists()

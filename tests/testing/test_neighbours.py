"""A host's tests use tools that fake the network, the clock or the disk: nobody notices us."""

from __future__ import annotations

import email.utils
import functools
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, SlowServer, need

import migas
from migas._delivery.transport import Transport
from migas._runtime import stand_in
from migas._runtime.clock import read_clock
from migas._runtime.loading import TRANSPORT_MODULES, Import, Loader, load
from migas._runtime.stand_in import find_replaced_class, find_stand_in
from migas.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas.testing import Server

pytest_plugins = ["pytester"]

REMOTE = "https://migas.nipreps.org/graphql"

#: By the tool's module: a context manager in which it stands in, and which returns what it has seen
#: of ours.
TOOLS = {
    "responses": """
with responses.RequestsMock() as mock:
    yield lambda: [call.request.url for call in mock.calls]
""",
    "requests_mock": """
with requests_mock.Mocker() as mock:
    yield lambda: [request.url for request in mock.request_history]
""",
    "vcr": """
with vcr.use_cassette('cassette.yaml') as cassette:
    yield lambda: [request.uri for request in cassette.requests]
assert not os.path.exists('cassette.yaml')
""",
    "pytest_socket": """
import warnings
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter('always')
    pytest_socket.disable_socket()
    try:
        yield lambda: [str(warning.message) for warning in seen]
    finally:
        pytest_socket.enable_socket()
""",
    "pyfakefs": """
from pyfakefs.fake_filesystem_unittest import Patcher
with Patcher():
    before = [*os.walk('/')]
    yield lambda: [item for item in os.walk('/') if item not in before]
""",
    "freezegun": """
with freezegun.freeze_time(datetime.datetime.now() + datetime.timedelta(days=45)):
    yield list
""",
    "time_machine": """
with time_machine.travel(datetime.datetime.now() + datetime.timedelta(days=45)):
    yield list
""",
}

#: Those by which nothing of ours need wait.
CLOCKS = ("freezegun", "time_machine")

HOST = """
import contextlib, datetime, os, sys
import migas, {tool}

def main(version):
    return migas.add_project('owner/repo', version)

@contextlib.contextmanager
def beside():
{body}
"""

SILENT = """
from host import *

def test_opted_out():
    with beside() as seen:
        assert main('1')['message'] == 'switched off by MIGAS_OPTOUT'
        assert not seen()

def test_fixture(migas_server):
    for number in (1, 2):
        with beside() as seen:
            assert main(str(number))['message'] == {message!r}
            assert not seen()
        assert migas.flush(60) == 0
        assert len(migas_server.crumbs) == number * {reported}
"""

REPORTING = """
from host import *

def look(version):
    with beside() as seen:
        assert main(version)['message'] == {message!r}
        assert not seen()

def deliver(version):
    assert migas.flush(60) == 0
    assert main(version).result(60)['success']

def test_first(): look('1')
def test_after(): deliver('2')
def test_again(): look('3')
def test_at_last(): deliver('4')
"""

#: Leaves one breadcrumb on disk, as a person's own programs do.
EARLIER = "import migas; migas.add_project('owner/repo', '0')['message']"


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_nothing_of_ours_shows_in_a_hosts_tests(
    tool: str, pytester: pytest.Pytester, server: Server, host: Host, home: Path
) -> None:
    """Opted out, with the fixture, and with reporting on: the tool sees nothing, all is delivered.

    Whatever waits on the person's disk is neither thrown away nor sent twice (PAINS 37, issue 19).
    """
    need(tool)
    if tool in CLOCKS:
        message = ""
    elif tool == "pyfakefs":
        message = "switched off by pyfakefs"
    else:
        message = f"nothing is sent: {tool} stands in for the network"
    body = "".join(f"    {line}\n" for line in TOOLS[tool].splitlines())
    reported = tool != "pyfakefs"
    pytester.makepyfile(
        host=HOST.format(tool=tool, body=body),
        test_silent=SILENT.format(message=message, reported=int(reported)),
        test_reporting=REPORTING.format(message=message),
    )
    assert host.run(EARLIER, {"MIGAS_TIMEOUT": "0"}).calmly
    run_suite(pytester, "test_silent.py").assert_outcomes(passed=2)
    assert server.requests == 0
    run_suite(pytester, "test_reporting.py", "-o", "migas_telemetry=1").assert_outcomes(passed=4)
    arrived = sorted(str(crumb["version"]) for crumb in server.crumbs)
    assert arrived == (["0", "1", "2", "3", "4"] if reported else ["0", "2", "4"])
    kept = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert kept <= {("cache", "migas"), ("config", "migas")}
    assert not [path for path in pytester.path.rglob("*") if path.suffix in (".json", ".yaml")]


def run_suite(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run a suite in a process of its own, with our plugin alone."""
    environ = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_XDIST_WORKER", raising=False)
        for name, value in environ.items():
            patch.setenv(name, value)
        options = ("-q", "-p", "migas.testing.plugin", "-p", "no:cacheprovider")
        result = pytester.runpytest_subprocess(*options, *arguments)
    assert "warning" not in result.stdout.str()
    assert result.stderr.str() == ""
    return result


def test_a_restricted_socket_lets_only_this_machine_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As tests do that restrict hosts; a remote server would be a warning in the host's test."""
    tool = pytest.importorskip("pytest_socket")
    monkeypatch.setattr(socket.socket, "connect", tool.socket_allow_hosts)
    assert find_stand_in(REMOTE) == "pytest_socket"
    assert find_stand_in("http://127.0.0.1:8000/graphql") == ""


def replace(*_arguments: object) -> None:
    """Stand in for any function."""


@pytest.mark.parametrize("is_test", [True, False])
def test_a_hosts_own_replacement_is_taken_for_a_tool_in_tests_alone(
    is_test: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In production such a host goes on being counted, and so is one with an honest wrapper."""
    import requests

    monkeypatch.setattr(stand_in, "_RUNNERS", ("pytest",) if is_test else ())
    assert find_stand_in(REMOTE) == ""
    monkeypatch.setattr(requests.Session, "send", replace)
    assert find_stand_in(REMOTE) == ("test_neighbours" if is_test else "")
    original: Callable[..., object] = requests.Session.request

    @functools.wraps(original)
    def wrapper(*arguments: object) -> object:
        return original(*arguments)

    monkeypatch.undo()
    monkeypatch.setattr(requests.Session, "request", wrapper)
    assert find_stand_in(REMOTE) == ""


def test_the_transport_is_not_made_of_a_tools_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep them as long as the process lives; so it is loaded when the test is over."""
    tool = pytest.importorskip("vcr.stubs")
    monkeypatch.setattr("urllib3.connection.HTTPConnection", tool.VCRHTTPConnection)
    assert find_replaced_class() == "vcr"
    with pytest.raises(ImportError, match="vcr stands in for the network"):
        load("migas._delivery.transport")
    load("migas._delivery.writer")


def test_a_question_beside_a_tool_is_told_which_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is no other than for a server that is silent."""
    tool = pytest.importorskip("vcr.stubs")
    monkeypatch.setattr("http.client.HTTPConnection", tool.VCRHTTPConnection)
    answer = migas.get_usage("owner/repo", "2026-01-01")
    assert (answer["success"], answer["hits"]) == (False, 0)
    assert answer["message"] == "nothing is sent: vcr stands in for the network"
    assert server.requests == 0


def test_a_tool_that_was_there_a_moment_ago_is_no_reason_not_to_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look at a receipt beside it could import nothing; a flush after it is not told of that."""
    tool = pytest.importorskip("vcr.stubs")
    modules = Import(Loader(), TRANSPORT_MODULES, 1.0)
    with monkeypatch.context() as patch:
        patch.setattr("http.client.HTTPConnection", tool.VCRHTTPConnection)
        modules.load_for_caller()
        assert find_stand_in(REMOTE) == "vcr"
    assert modules.take_failure() == ""
    assert find_stand_in(REMOTE) == ""


def test_a_tool_that_comes_at_the_last_moment_gets_no_request(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender looks before it loads the transport, and again just before each request."""

    def come_late(_endpoint: str) -> str:
        return "responses" if sys._getframe(1).f_code.co_name == "send" else ""

    monkeypatch.setattr("migas._delivery.sender.find_stand_in", come_late)
    receipt = migas.add_project("owner/repo", "1")
    assert receipt["message"] == "nothing is sent: responses stands in for the network"
    assert server.requests == 0
    assert migas.flush(PATIENCE) == 1
    monkeypatch.setattr("migas._delivery.sender.find_stand_in", lambda _: "")
    assert migas.flush(PATIENCE) == 0
    assert len(server.crumbs) == 1


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before the call", "before the exit"])
def test_a_frozen_clock_holds_no_exit(host: Host, where: str) -> None:
    """Nor does it lose anything: a server that does not answer is left alone in the end."""
    need("freezegun")
    call = "migas.add_project('owner/repo', '1')"
    freeze = "freezegun.freeze_time('2012-01-14').start()"
    steps = (freeze, call) if where == "before the call" else (call, freeze)
    with SlowServer() as server:
        code = "\n".join(["import freezegun, requests, migas", *steps])
        environ = {"MIGAS_ENDPOINT": server.endpoint, "MIGAS_EXIT_TIMEOUT": "0.5"}
        assert host.run(code, environ).calmly
        server.goes_on.set()


@pytest.mark.parametrize("tool", CLOCKS)
def test_the_real_time_is_read_past_a_tool(tool: str) -> None:
    """Within it, and when it has ended."""
    module = pytest.importorskip(tool)
    start = time.time()
    fake = module.freeze_time if tool == "freezegun" else module.travel
    with fake("2012-01-14"):
        assert time.time() < 1.4e9
        assert start <= read_clock() < start + 3600
    assert start <= read_clock() < start + 3600


@pytest.mark.parametrize("tool", CLOCKS)
def test_a_servers_demand_is_read_past_a_tool(server: Server, tool: str) -> None:
    """Else a date of today's would block each process of the user's for a day."""
    module = pytest.importorskip(tool)
    date = email.utils.formatdate(read_clock() + 30, usegmt=True)
    server.inject(Fault.status(503, retry_after=date))
    fake = module.freeze_time if tool == "freezegun" else module.travel
    with fake("2012-01-14"):
        reply = Transport(server.endpoint).send(b"{}", PATIENCE)
    assert reply.demand is not None
    assert reply.demand <= 31

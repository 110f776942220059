"""Every outcome of the delivery policy, provoked for real: a host, a server, and what became of it.

The table is `migas._delivery.policy`'s, with a host in front: a process that carries the one line
and ends.
"""

from __future__ import annotations

import base64
import dataclasses
import email.utils
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, await_condition, end_claims, versions

from migas._crumb import breadcrumb
from migas._delivery.policy import SILENCE
from migas._delivery.throttle import Backoff
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from support import Host

    from migas._disk.spool import Spool

LINE = "import migas; migas.add_project('owner/repo', '1.2.3')\n"

#: A host whose exit waits for whatever answer comes.
WAITS_LONG = LINE, {"MIGAS_EXIT_TIMEOUT": "30"}

#: One that gives up soon; what it takes to send is loaded, so that its request is out by then.
GIVES_UP = f"import json, logging, platformdirs, requests\n{LINE}", {"MIGAS_EXIT_TIMEOUT": "4"}

WAITS, GONE = "waits", "gone"


@dataclasses.dataclass(frozen=True)
class Row:
    """What happens to the host's requests, and what is to come of it."""

    fault: Fault | Iterable[Fault | None]
    #: Whether the breadcrumb still waits on disk when the host has ended.
    fate: str
    #: Requests that the server has seen by then.
    requests: int = 1
    #: Attempts that the breadcrumb's name counts, where it waits.
    attempts: int = 0
    #: Breadcrumbs that the server has stored by then, and when it is well again.
    stored: int = 0
    in_the_end: int = 1
    #: Seconds for which no process makes a request, at least.
    silence: float = 0.0
    #: Breadcrumbs that the server has refused.
    refused: int = 0
    #: No answer ever comes, and the exit gives the request up.
    gives_up: bool = False
    #: The host looks for news of its version; what was sent plain is asked for in the end.
    looks: bool = False


def never(fault: Fault) -> Row:
    """No answer comes."""
    return Row(fault, WAITS, attempts=1, gives_up=True)


ROWS = {
    # DELIVERED
    "answered well": Row((), GONE, stored=1),
    "answered late": Row(Fault.late(0.3), GONE, stored=1),
    "answered a byte at a time": Row(Fault.drip(0.001), GONE, stored=1),
    "moved within the server": Row([Fault.redirect("/graphql", 308)], GONE, requests=2, stored=1),
    # REFUSED
    "400 of the application": Row(Fault.status(400, signed=True), GONE, refused=1, in_the_end=0),
    "413 alone": Row(Fault.status(413, signed=True), GONE, refused=1, in_the_end=0),
    "refused by the schema": Row(
        Fault.error("Value 'X' does not exist"), GONE, refused=1, in_the_end=0
    ),
    # RESEND
    "refused by the schema as one that asks": Row(
        [Fault.error("Invalid version")], GONE, requests=3, stored=1, looks=True
    ),
    "look-up failed": Row(Fault.look_up(), GONE, requests=3, stored=1, looks=True),
    # UNSENT
    "its Redis is down": Row(Fault.outage(), WAITS),
    "its Redis is down, for one that asks": Row(Fault.outage(), WAITS, looks=True),
    "its Redis is full": Row(Fault.outage("full redis"), WAITS),
    "its Redis is read-only": Row(Fault.outage("read-only redis"), WAITS),
    "its PostgreSQL is down": Row(Fault.outage("postgresql"), WAITS),
    # Asked for news first, in a form whose look-up may be what failed, and then plainly.
    "its PostgreSQL is down, for one that asks": Row(
        Fault.outage("postgresql"), WAITS, requests=2, looks=True
    ),
    "other JSON": Row(Fault.json({"status": "ok"}), WAITS),
    "a login page": Row(Fault.page(), WAITS),
    "an endless answer": Row(Fault.endless(), WAITS, attempts=1),
    "redirected elsewhere": Row(Fault.redirect("http://127.0.0.1:9/login"), WAITS),
    "redirected to itself": Row(Fault.redirect("/graphql", 307), WAITS, requests=4),
    **{
        f"{status}": Row(Fault.status(status), WAITS)
        for status in (400, 401, 403, 404, 408, 500, 502, 503, 504)
    },
    "429": Row(Fault.status(429), WAITS, silence=SILENCE),
    "429 for two minutes": Row(Fault.status(429, retry_after=120), WAITS, silence=120.0),
    "429 until a date": Row(
        # Five hours from when the tests were collected, which may be a while ago.
        Fault.status(429, retry_after=email.utils.formatdate(time.time() + 18000, usegmt=True)),
        WAITS,
        silence=14400.0,
    ),
    "503 for two minutes": Row(Fault.status(503, retry_after=120), WAITS, silence=120.0),
    # UNKNOWN
    "hung up": Row(Fault(), WAITS, attempts=1),
    "reset": Row(Fault.reset(), WAITS, attempts=1),
    "stored and reset": Row(Fault.reset(stores=True), WAITS, attempts=1, stored=1, in_the_end=2),
    "stored and half an answer": Row(Fault.truncate(), WAITS, attempts=1, stored=1, in_the_end=2),
    "no HTTP": Row(Fault.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), WAITS, attempts=1),
    "silent unread": never(Fault.hang(reads=False)),
    "silent": never(Fault.hang()),
    # Also while its Redis hangs: what it has read it stores when Redis is back (trap 17).
    "stored and silent": dataclasses.replace(
        never(Fault.hang(stores=True)), stored=1, in_the_end=2
    ),
}


def end_all_waits(spool: Spool) -> None:
    """Let the time pass after which anybody may try again, and take over what the dead held."""
    Backoff(spool.directory).succeed()
    end_claims(spool)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_an_outcome(host: Host, server: Server, spool: Callable[..., Spool], row: Row) -> None:
    """The host notices nothing, the server sees what it should, and in the end it has it once.

    Twice where it had stored it and did not say so.
    """
    server.inject(row.fault if isinstance(row.fault, Fault) else list(row.fault))
    code, environ = GIVES_UP if row.gives_up else WAITS_LONG
    ended = host.run(f"{code.rstrip()}['success']" if row.looks else code, environ)
    assert (ended.calmly, ended.out) == (True, ""), ended
    assert server.requests == row.requests
    assert len(server.crumbs) == row.stored
    attempts = [row.attempts] if row.fate == WAITS else []
    assert [entry.attempts for entry in spool().list_pending()] == attempts
    assert spool().refused == row.refused
    backoff = Backoff(spool().directory)
    # A little of it has passed since.
    assert backoff.remaining(asked=True) >= max(0.0, row.silence - PATIENCE)
    assert (backoff.remaining(asked=True) > 0) is (row.silence > 0)
    assert (backoff._guess.times > 0) is (row.fate == WAITS)
    server.mend()
    end_all_waits(spool())
    assert host.run("import migas; assert migas.flush(30) == 0").calmly
    assert len(server.crumbs) == row.in_the_end


#: By what is in the way: the environment, and how it is put in words.
UNREACHED: dict[str, tuple[Mapping[str, str], str]] = {
    "refused": (
        {"MIGAS_ENDPOINT": "http://127.0.0.1:9/graphql"},
        "the server refused the connection",
    ),
    "no TLS": (
        {"MIGAS_ENDPOINT": "https://127.0.0.1:{port}/graphql"},
        "no secure connection could be made",
    ),
    "no proxy": ({"HTTP_PROXY": "http://127.0.0.1:9"}, "the proxy was not reached"),
    "an unknown name": (
        {"MIGAS_ENDPOINT": "http://migas.invalid/graphql"},
        "the server's name is not known",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", UNREACHED.values(), ids=UNREACHED)
def test_a_server_that_is_not_reached(
    host: Host,
    server: Server,
    spool: Callable[..., Spool],
    monkeypatch: pytest.MonkeyPatch,
    way: tuple[Mapping[str, str], str],
) -> None:
    """Nothing was sent, so no attempt is counted, the next process waits, and all say why."""
    environ, reason = way
    for name, value in environ.items():
        monkeypatch.setenv(name, value.format(port=server.port))
    look = f"print({LINE.partition('; ')[2].rstrip()}['message'])"
    ended = host.run(f"import migas; {look}", {"MIGAS_TIMEOUT": "30"})
    assert (ended.calmly, ended.out) == (True, f"{reason}\n"), ended
    assert not server.received
    assert [entry.attempts for entry in spool().list_pending()] == [0]
    # Twice if the first wait, which is of a random length, was over before the exit.
    assert Backoff(spool().directory)._guess.times in (1, 2)
    status = host.run("", {"MIGAS_TIMEOUT": "30"}, arguments=["-m", "migas", "status", "--json"])
    assert (status.status, json.loads(status.out)["problem"]) == (1, reason)


@pytest.mark.slow
def test_credentials_are_used_and_shown_nowhere(
    host: Host, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In no log, message, command's output, file or file's name; also where all goes wrong."""
    shown = server.endpoint.replace("//", "//user:hidden@")
    monkeypatch.setenv("MIGAS_ENDPOINT", shown)
    server.inject([Fault.status(401), Fault()])
    code = "import logging; logging.basicConfig(level=0)\n" + LINE
    flushes = "import migas; print(migas.flush(30)); print(migas.flush(30)); migas.print_config()"
    commands = "status", "status --json", "show --sent", "show --pending"
    ended = [
        host.run(code, {"MIGAS_LOG_LEVEL": "DEBUG", "MIGAS_EXIT_TIMEOUT": "30"}),
        host.run(flushes),
        *(host.run("", arguments=["-m", "migas", *words.split()]) for words in commands),
    ]
    authorizations = {request.headers.get("authorization") for request in server.received}
    assert authorizations == {"Basic " + base64.b64encode(b"user:hidden").decode()}
    assert len(server.crumbs) == 1
    for each in ended:
        assert "hidden" not in f"{each}"
    for path in home.rglob("*"):
        assert "hidden" not in path.name
        assert not path.is_file() or b"hidden" not in path.read_bytes()


def test_an_unregistered_project(host: Host, server: Server, spool: Callable[..., Spool]) -> None:
    """The server never takes it, and says so once."""
    ended = host.run(LINE.replace("owner/repo", "noslash"), {"MIGAS_EXIT_TIMEOUT": "30"})
    assert ended.calmly, ended
    assert (server.requests, server.crumbs) == (1, [])
    assert (spool().count(), spool().refused) == (0, 1)
    assert Backoff(spool().directory)._guess.times == 0


def test_413_with_several(host: Host, server: Server, spool: Callable[..., Spool]) -> None:
    """They go in smaller requests, at once."""
    for number in range(3):
        crumb = breadcrumb.sanitize("owner/repo", number, {}, {}).breadcrumb
        spool().put(breadcrumb.encode(crumb))
    server.inject([Fault.status(413, signed=True)])
    assert host.run(*WAITS_LONG).calmly
    assert sorted(str(crumb["version"]) for crumb in server.crumbs) == ["0", "1", "1.2.3", "2"]
    assert server.requests == 3


OUTAGES = {
    **{
        cause: Fault.outage(cause)
        for cause in ("redis", "full redis", "read-only redis", "postgresql")
    },
    "a 500": Fault.status(500, signed=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_an_outage_in_the_middle_of_a_flush(
    host: Host, server: Server, spool: Callable[..., Spool], outage: Fault
) -> None:
    """What was not taken waits, none of it refused or counted as sent, and goes when it is over."""
    for number in range(50):
        crumb = breadcrumb.sanitize("owner/repo", f"{number}", {}, {}).breadcrumb
        spool().put(breadcrumb.encode(crumb))
    server.inject(itertools.chain([None, None], itertools.repeat(outage)))
    flushed = host.run("", arguments=["-m", "migas", "flush", "--json", "--timeout", "60"])
    stored = len(server.crumbs)
    assert flushed.status == 1
    # The exit asks once more if the back-off, whose length is random, is over by then.
    assert server.requests in (3, 4)
    assert 0 < stored < 50
    numbers = json.loads(flushed.out)
    assert [numbers[name] for name in ("delivered", "refused", "pending", "dropped")] == [
        *(stored, 0, 50 - stored, 0)
    ]
    assert {entry.attempts for entry in spool().list_pending()} == {0}
    server.mend()
    assert host.run("import migas; assert migas.flush(60) == 0").calmly
    assert sorted(versions(server), key=int) == [f"{number}" for number in range(50)]


@pytest.mark.slow
def test_a_server_that_always_stores_and_never_answers_sees_it_three_times(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """Processes come and go, and their attempts are counted in the file's name."""
    server.inject(Fault.hang(stores=True))
    host.run(*GIVES_UP)
    for _ in range(4):
        end_all_waits(spool())
        assert host.run("import migas; migas.flush(30)", {"MIGAS_TIMEOUT": "1"}).calmly
    # A busy server reads the last one after its client has gone.
    await_condition(lambda: len(server.crumbs) == server.requests == 3)
    assert spool().count() == 0


@pytest.mark.slow
def test_the_exit_after_one_that_gave_up_does_not_wait(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """A silent server costs one process its budget, and not each of a loop's."""
    server.inject(Fault.hang())
    assert host.run(*GIVES_UP).calmly
    # The first back-off may be over already; what matters is that there is one.
    Backoff(spool().directory, jitter=lambda _low, high: high + PATIENCE).fail()
    assert host.run(LINE, {"MIGAS_EXIT_TIMEOUT": "3600"}).calmly
    assert (server.requests, spool().count()) == (1, 2)


@pytest.mark.slow
def test_twenty_processes_after_a_429_make_no_request(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """Neither those that end nor one that is asked to flush: knocking keeps the door shut."""
    server.inject([Fault.status(429)])
    assert host.run(*WAITS_LONG).calmly
    started = [host.start(LINE, {"MIGAS_EXIT_TIMEOUT": "30"}, measured=False) for _ in range(19)]
    started.append(host.start("import migas; assert migas.flush(30) >= 1"))
    for process in started:
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")
    assert server.requests == 1
    assert spool().count() == 20


#: A resolver that hears and never answers, in a network of its own.
SILENT_RESOLVER = """
import fcntl, socket, struct
resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(resolver, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS: up
resolver.bind(("127.0.0.1", 53))
"""


@pytest.mark.slow
@pytest.mark.parametrize("asks", [False, True], ids=["exit", "question"])
def test_a_name_look_up_that_never_ends(
    tmp_path: Path, spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch, asks: bool
) -> None:
    """No socket timeout bounds it: the host ends while the resolver is still asked (pain 8)."""
    monkeypatch.setenv("MIGAS_ENDPOINT", "http://migas.invalid/graphql")
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    mount = f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf"
    command = [shutil.which("unshare") or "", "-n", "-m", "sh", "-c", mount + ' && exec "$0" "$@"']
    if (
        not command[0]
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to make a network")
    question = "print(migas.get_usage('owner/repo', '2026-01-01')['message'])\n"
    code = f"import logging, requests\n{LINE}{question * asks}"
    done = subprocess.run(
        [*command, sys.executable, "-c", f"{SILENT_RESOLVER}{code}resolver.recv(512)"],
        env={k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
        | {"MIGAS_TIMEOUT": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "no answer within 1 seconds\n" * asks
    # Nothing left the machine, so no attempt was made; the next process does not wait again.
    assert [entry.attempts for entry in spool().list_pending()] == [0]
    assert Backoff(spool().directory)._guess.times == 1


def test_each_fault_of_the_local_server_is_provoked() -> None:
    """Whoever adds one finds out that it wants a row."""
    faults = {name for name, value in vars(Fault).items() if isinstance(value, classmethod)}
    source = Path(__file__).read_text()
    assert {name for name in faults - {"_answer"} if f"Fault.{name}(" not in source} == set()

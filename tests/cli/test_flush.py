"""The flush on the command line, and the four numbers that it prints."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command import put, read_json, run
from support import PATIENCE, SlowServer, await_condition, end_claims

from migas._crumb import breadcrumb
from migas._disk.entry import MemoryEntry
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from migas._disk.spool import Spool


#: Tells a terminal something other than a character.
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


#: What follows the numbers if any breadcrumb was refused or is pending.
WHY = "; `migas status` says why\n"


@pytest.mark.slow
def test_a_flush_sends_everything(
    server: Server,
) -> None:
    """For a cron job on a login node."""
    put(40)
    done = run("flush")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "delivered 40, refused 0, pending 0, dropped 0\n"
    assert len(server.crumbs) == 40
    put(2)
    assert read_json("flush") == {
        "delivered": 2,
        "refused": 0,
        "pending": 0,
        "dropped": 0,
        "switched_off_by": "",
    }


@pytest.mark.slow
def test_nothing_to_send_is_no_delivery(
    server: Server,
) -> None:
    """And nobody is asked."""
    done = run("flush")
    assert (done.returncode, done.stdout) == (0, "nothing to send\n")
    assert set(read_json("flush").values()) == {0, ""}
    assert server.requests == 0


def test_a_flush_prints_what_is_pending() -> None:
    """Nobody listens, and so nothing is lost."""
    put(2)
    done = run("flush", "--timeout", "30")
    assert (done.returncode, done.stdout) == (
        1,
        "delivered 0, refused 0, pending 2, dropped 0" + WHY,
    )


def test_a_flush_prints_what_was_refused(
    spool: Callable[..., Spool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With an exit status that a cron job's mail comes from."""
    with Server(projects={"owner/repo"}) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        put(3)
        for version in "1", "2":
            crumb = breadcrumb.sanitize("owner/unknown", version, {}, {}).breadcrumb
            spool().put(breadcrumb.encode(crumb))
        done = run("flush")
    assert done.returncode == 1
    assert done.stdout == "delivered 3, refused 2, pending 0, dropped 0" + WHY


def test_what_is_too_old_is_dropped(server: Server, spool: Callable[..., Spool]) -> None:
    """And is told from what was delivered."""
    put(3)
    for entry in spool().list_pending()[:2]:
        os.rename(entry.path, entry._replace(birth=entry.birth - 40 * 86_400_000).path)
    done = run("flush")
    assert (done.returncode, done.stdout) == (0, "delivered 1, refused 0, pending 0, dropped 2\n")
    assert len(server.crumbs) == 1


def test_what_was_sent_three_times_without_an_answer_counts_as_delivered(
    server: Server, spool: Callable[..., Spool]
) -> None:
    """As everywhere; the status counts it on its own."""
    put(1)
    (entry,) = spool().list_pending()
    os.rename(entry.path, entry._replace(attempts=2).path)
    server.inject(Fault())
    assert run("flush").stdout == "delivered 1, refused 0, pending 0, dropped 0\n"


@pytest.mark.slow
def test_what_other_processes_do_meanwhile_is_not_counted_as_ours(
    spool: Callable[..., Spool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What they deliver or have refused is theirs; what they add is pending."""
    with SlowServer() as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        put(2)
        with subprocess.Popen(
            [sys.executable, "-m", "migas", "flush", "--json"], stdout=subprocess.PIPE, text=True
        ) as process:
            await_condition(lambda: server.requests == 1)
            for _ in range(3):
                spool().refuse(MemoryEntry("any"))
            put(40)
            for entry in spool().claim(40):
                entry.discard()
            server.goes_on.set()
            out, _ = process.communicate(timeout=PATIENCE)
    found = json.loads(out)
    assert (process.returncode, found["delivered"], found["refused"]) == (0, 2, 0)
    assert run("status").returncode in (0, 1)


def test_a_flush_of_who_has_opted_out_sends_nothing(
    server: Server,
) -> None:
    """Also if it is asked to."""
    put(1)
    done = run("flush", MIGAS_OPTOUT="1")
    assert done.returncode == 1
    assert done.stdout == (
        "nothing is sent: telemetry is switched off by MIGAS_OPTOUT; pending 1\n"
    )
    assert server.requests == 0


@pytest.mark.slow
def test_a_flush_shows_a_person_how_far_it_is_and_may_be_interrupted(
    server: Server, spool: Callable[..., Spool]
) -> None:
    """On a terminal; it prints how many are pending, and the next one goes on where it was."""
    pty = pytest.importorskip("pty")
    put(40)
    server.inject(Fault.late(1.0))
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "migas", "flush"], stderr=slave, stdout=subprocess.PIPE, text=True
    ) as process:
        said = ""
        while not re.search(r"\b[1-9]\d*(/| of )40\b.* breadcrumbs", said):
            said += ESCAPE.sub("", os.read(master, 1000).decode())
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
    os.close(master)
    os.close(slave)
    assert process.stdout is not None
    numbers = r"delivered (\d+), refused 0, pending (\d+), dropped 0"
    found = re.fullmatch(rf"stopped: {numbers}; `migas flush` sends the rest\n", out)
    assert found, out
    assert min(map(int, found.groups())) > 0
    server.mend()
    end_claims(spool())  # those of the interrupted one
    await_condition(lambda: run("flush").returncode == 0)
    assert len({crumb["version"] for crumb in server.crumbs}) == 40


@pytest.mark.slow
def test_two_flushes_at_a_time_share_the_numbers(
    spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each counts what it sent itself, so that nothing is counted twice or by nobody."""
    with Server(projects={"owner/repo"}) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        # A flush ends at the first answer that is late, and four processes share the machine.
        monkeypatch.setenv("MIGAS_TIMEOUT", str(PATIENCE))
        put(120)
        for version in range(40):
            crumb = breadcrumb.sanitize("owner/unknown", version, {}, {}).breadcrumb
            spool().put(breadcrumb.encode(crumb))
        server.inject(Fault.late(0.05))
        command = [sys.executable, "-m", "migas", "flush", "--json"]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        found = [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in started]
        found.append(read_json("flush"))
    totals = {name: sum(each[name] for each in found) for name in ("delivered", "refused")}
    assert totals == {"delivered": 120, "refused": 40}
    assert found[-1]["pending"] == 0

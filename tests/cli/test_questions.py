"""The commands by which a person looks: run as a person runs them."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

import pytest
from command import put, read_json, run

from migas._crumb import breadcrumb
from migas._crumb.meanings import FIELDS, SERVER_NOTES
from migas._delivery.defaults import describe_breadcrumb
from migas._delivery.throttle import Pace
from migas._runtime.settings import Settings
from migas.cli import report
from migas.cli.report import Status
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas._disk.spool import Spool

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"

#: What scripts read in `migas status --json`.
KEYS = [
    *("telemetry", "switched_off_by", "endpoint", "problem", "next_try_seconds"),
    *("exits_that_may_deliver", "user_id", "user_id_file", "spool", "spool_problem", "pending"),
    *(
        "pending_bytes",
        "pending_since",
        "delivered",
        "delivered_since",
        "refused",
        "refused_because",
        "dropped",
    ),
    *("unanswered", "server_derives_place", "ci_by", "container", "container_by", "session_is"),
    "ignored_settings",
]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["", "status", "show", "show --pending", "show --sent"])
def test_nothing_is_created_by_looking(server: Server, home: Path, arguments: str) -> None:
    """No file, no directory, no id; and nothing is sent."""
    for more in [], ["--json"] * bool(arguments):
        done = run(*arguments.split(), *more)
        assert (done.returncode, done.stderr) == (0, ""), done
    assert list(home.iterdir()) == []
    assert server.crumbs == []


def test_without_a_command_the_status_is_shown(
    server: Server,
) -> None:
    """A person who types the name alone learns whether it is on."""
    assert f"{server.endpoint}: it answers" in run().stdout


@pytest.mark.slow
def test_the_status_shows_what_is_pending_and_where(
    server: Server,
    spool: Callable[..., Spool],
) -> None:
    """And whether the server answers now."""
    put(3)
    found = read_json("status")
    assert list(found) == list(Status._fields) == KEYS
    assert (found["telemetry"], found["switched_off_by"], found["problem"]) == ("on", "", "")
    assert (found["endpoint"], found["spool"]) == (server.endpoint, spool().directory)
    assert found["pending"] == 3
    assert found["pending_bytes"] == sum(
        os.path.getsize(entry.path) for entry in spool().list_pending()
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["pending_since"])
    text = run("status").stdout
    assert f"{server.endpoint}: it answers" in text
    size = found["pending_bytes"]
    assert f"pending       3 breadcrumbs, {size} bytes, the oldest since" in text


@pytest.mark.slow
def test_the_status_shows_why_the_server_does_not_answer(
    server: Server,
) -> None:
    """With an exit status that a script can use."""
    server.inject(Fault.status(503))
    done = run("status")
    assert (done.returncode, "the server answered 503" in done.stdout) == (1, True)
    server.stop()
    assert read_json("status")["problem"]


@pytest.mark.slow
def test_the_status_shows_the_shared_back_off(
    host: Host,
) -> None:
    """As a process that could not reach the server has left it."""
    assert host.run("import migas; migas.add_project('owner/repo', '1'); migas.flush(60)").calmly
    found = read_json("status")
    assert (found["pending"], found["next_try_seconds"] >= 0) == (1, True)
    assert found["exits_that_may_deliver"] == 10


@pytest.mark.slow
def test_the_status_counts_the_exits_that_have_sent(spool: Callable[..., Spool]) -> None:
    """Out of those that may in an hour."""
    put(1)
    assert "sent at exit  0 of 10 this hour\n" in run("status").stdout
    assert Pace(spool().directory).take()
    assert "sent at exit  1 of 10 this hour\n" in run("status").stdout


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_the_status_says_why_nothing_is_kept_on_disk(home: Path) -> None:
    """And where what is pending lies nevertheless; without a home there is no such place."""
    put(1)
    directory = read_json("status")["spool"]
    (home / "cache" / "migas").chmod(0o777)
    reason = f"everybody may write to {home / 'cache' / 'migas'}"
    found = read_json("status")
    assert (found["spool"], found["spool_problem"]) == (directory, reason)
    assert f"in {directory}\n              in memory: {reason}\n" in run("status").stdout
    nowhere = {"HOME": "/", "XDG_CACHE_HOME": ""}
    found = read_json("status", **nowhere)
    assert (found["spool"], found["spool_problem"]) == (None, "there is no home directory")
    assert "bytes\n              in memory: there is no home" in run("status", **nowhere).stdout


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs links")
@pytest.mark.parametrize("place", ["config", ".config", "site"])
def test_the_status_names_the_file_that_opts_out_and_why_it_cannot_be_read(
    server: Server, home: Path, place: str
) -> None:
    """Of a person, or of the whole site; it asks nobody then (pain 45)."""
    path = home / place / "migas" / "optout"
    path.parent.mkdir(parents=True)
    path.symlink_to(home / "nowhere")
    assert read_json("status")["switched_off_by"] == str(path)
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(path.parent)
    reason = f"{path}, which cannot be read: {os.strerror(errno.ELOOP)}"
    assert read_json("status")["switched_off_by"] == reason
    assert f"telemetry     off, by the file {reason}\n" in run("status").stdout
    assert server.requests == 0


@pytest.mark.slow
def test_the_status_says_that_an_unusable_endpoint_switches_it_off(home: Path) -> None:
    """And one warning in the log does; neither shows a password."""
    unusable = {"MIGAS_ENDPOINT": "jane:secret@migas.hospital.org", "MIGAS_LOG_LEVEL": "WARNING"}
    done = run("status", **unusable)
    reason = "MIGAS_ENDPOINT, which is no http or https address"
    assert f"telemetry     off, by {reason}\nserver        none: not asked, since" in done.stdout
    said = "'migas.hospital.org' is no http or https address; nothing is sent"
    assert f"ignored       MIGAS_ENDPOINT: {said}\n" in done.stdout
    assert done.stderr == (
        "migas: WARNING: MIGAS_ENDPOINT switches everything off:"
        " 'migas.hospital.org' is no http or https address\n"
    )
    assert run("flush", **unusable).stdout.startswith("nothing is sent: telemetry is switched off")
    assert list(home.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["MIGAS_OPTOUT", "DO_NOT_TRACK", "NO_ET"])
def test_the_status_names_what_has_switched_it_off(server: Server, variable: str) -> None:
    """And then asks nobody."""
    assert (
        f"telemetry     off, by the variable {variable}\n"
        in run("status", **{variable: "1"}).stdout
    )
    assert read_json("status", **{variable: "1"})["problem"] == "not asked"
    assert server.requests == 0


@pytest.mark.slow
def test_the_status_explains_why_there_is_no_id(home: Path) -> None:
    """The program knows; and with an id it names the file."""

    def see(**environ: str) -> str:
        (line,) = re.findall(r"^user id +(.*)$", run("status", **environ).stdout, re.MULTILINE)
        return str(line)

    assert see(CI="1") == "none: this is CI"
    known = "none yet: the first breadcrumb makes one", "none: this is a container without a volume"
    assert see() in known
    assert see(MIGAS_USER_ID=UUID) == UUID
    assert read_json("status", MIGAS_USER_ID=UUID)["user_id_file"] is None
    path = home / "config" / "migas" / "user_id"
    path.parent.mkdir(parents=True)
    path.write_text(UUID)
    lasts = describe_breadcrumb(Settings.from_env(os.environ))["user_id"]
    assert see() == (f"{UUID} in {path}" if lasts else known[1])


def test_a_container_without_a_volume_is_told_from_a_home_that_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever this test itself runs in."""
    lasts = True
    monkeypatch.setattr(report, "is_persistent", lambda _path: lasts)
    assert report.explain_missing_id() == "none yet: the first breadcrumb makes one"
    lasts = False
    assert report.explain_missing_id() == "none: this is a container without a volume"


@pytest.mark.slow
def test_a_person_who_has_opted_out_reads_that_nothing_is_sent() -> None:
    """Above the fields that would be."""
    shown = run("show", MIGAS_OPTOUT="1").stdout
    assert shown.startswith("Telemetry is off, by MIGAS_OPTOUT. If it were on, this would be sent:")


@pytest.mark.slow
def test_a_person_sees_the_fields_that_are_sent() -> None:
    """Each field, with what it means."""
    assert read_json("show", MIGAS_SESSION_ID=UUID)["session_id"] == UUID
    fields, said, *noted, _ = run("show").stdout.split("\n\n")
    assert said == "This process is a run of its own."
    assert [line.split()[0] for line in noted[1].splitlines()] == list(SERVER_NOTES)
    assert read_json("show")["server_notes"] == dict(SERVER_NOTES)
    lines = fields.splitlines()
    assert [line.split()[0] for line in lines] == list(breadcrumb.Breadcrumb._fields)
    assert all(line.endswith(meaning) for line, meaning in zip(lines, FIELDS.values(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "sign"),
    [
        ({"MIGAS_SESSION_ID": UUID}, "inherited, by MIGAS_SESSION_ID"),
        (
            {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1", "SLURM_JOB_ID": "7"},
            "a Slurm step's, by SLURM_PROCID",
        ),
    ],
)
def test_a_person_sees_which_run_this_is(variables: dict[str, str], sign: str) -> None:
    """And by which sign, as in `srun migas show`."""
    assert read_json("show", **variables)["session_is"] == sign
    assert f"\nThe run of this process is {sign}.\n" in run("show", **variables).stdout
    assert f"\nrun           {sign}\n" in run("status", **variables).stdout


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--pending", "--waiting"])
def test_a_person_sees_what_is_pending(
    spool: Callable[..., Spool],
    option: str,
) -> None:
    """Every field of every breadcrumb, and a file that is none is no trouble."""
    put(2)
    spool().put(b"garbage")
    spool().put(b"[" * 60_000)
    pending = read_json("show", option)
    assert sorted(crumb["project_version"] for crumb in pending) == ["0", "1"]
    assert {crumb["error_desc"] for crumb in pending} == {"boom"}
    done = run("show", option)
    assert done.stderr == (
        "migas: 2 pending files cannot be read: of a newer version, or no breadcrumb\n"
    )
    lines = done.stdout.splitlines()
    names = ("pending since", "project", "project version", "status", "error desc")
    assert lines[0].split() == " ".join(names).split()
    assert sorted(line.split()[2] for line in lines[1:3]) == ["0", "1"]
    assert spool().count() == 4
    for entry in spool().list_pending():
        if entry.read().startswith(b"{"):
            os.unlink(entry.path)
    assert run("show", option).stdout == "nothing readable is pending\n"


@pytest.mark.slow
def test_a_person_sees_what_was_sent(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field, when, and what the server answered; the latest last."""
    with Server(projects={"owner/repo"}) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        assert run("show", "--sent").stdout == "nothing was sent\n"
        code = "import migas; migas.add_project({!r}, '1', status='C').result(60)"
        assert host.run(code.format("owner/repo")).calmly
        assert host.run(code.format("owner/unknown")).calmly
        sent = read_json("show", "--sent")
        assert [(crumb["project"], crumb["outcome"]) for crumb in sent] == [
            ("owner/repo", "delivered"),
            ("owner/unknown", "refused"),
        ]
        assert set(sent[0]) == {"sent_at", "outcome", "reason", *breadcrumb.Breadcrumb._fields}
        assert [crumb["session_id"] for crumb in server.crumbs] == [sent[0]["session_id"]]
        lines = run("show", "--sent").stdout.splitlines()
        assert lines[0].split()[:3] == ["sent", "at", "outcome"]
        assert sent[1]["reason"] in lines[2]
        status = run("status").stdout
        assert f"delivered     1, since {sent[0]['sent_at']}\n" in status
        assert f"refused       1 by the server: {sent[1]['reason']}\n" in status


@pytest.mark.slow
def test_a_long_text_takes_a_line_of_a_list(spool: Callable[..., Spool]) -> None:
    """As a traceback is; all of it is in the JSON."""
    text = "Traceback:\n" + 30 * "  a line\n"
    crumb = breadcrumb.sanitize("owner/repo", "1", {"error_desc": text}, {}).breadcrumb
    spool().put(breadcrumb.encode(crumb))
    assert read_json("show", "--pending")[0]["error_desc"] == text
    header, line, *_ = run("show", "--pending", PYTHONUTF8="1").stdout.splitlines()
    assert line[header.index("error") :].startswith("Traceback: a line a line")
    assert line.endswith(" a line…")


@pytest.mark.slow
def test_what_was_sent_in_vain_is_among_what_was_sent(
    host: Host,
    server: Server,
) -> None:
    """It may have arrived."""
    server.inject(Fault())
    assert host.run("import migas; migas.add_project('owner/repo', '1').result(60)").calmly
    assert {crumb["outcome"] for crumb in read_json("show", "--sent")} == {"unknown"}
    assert read_json("status")["delivered"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("geolocation", [True, False])
def test_the_status_says_if_the_server_derives_a_place(
    monkeypatch: pytest.MonkeyPatch, geolocation: bool
) -> None:
    """As its answer says; `status` asks it anyway (pain 65)."""
    with Server(geolocation=geolocation) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        assert read_json("status")["server_derives_place"] is geolocation
        (line,) = re.findall(r"^server notes .*$", run("status").stdout, re.MULTILINE)
        assert ("city, network operator and coordinates" in line) == geolocation
        server.stop()
        assert read_json("status")["server_derives_place"] is None


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_the_status_says_what_it_found_here_and_by_which_sign() -> None:
    """CI, a container, and a variable whose value cannot be used."""
    here = {"GITHUB_ACTIONS": "true", "APPTAINER_NAME": "image.sif", "MIGAS_TIMEOUT": "soon"}
    found = read_json("status", **here)
    assert found["ci_by"] == "GITHUB_ACTIONS"
    assert (found["container"], found["container_by"]) == ("apptainer", "APPTAINER_NAME")
    reason = "'soon' is no number of seconds"
    ignored = {"variable": "MIGAS_TIMEOUT", "reason": reason, "used": 5.0}
    assert found["ignored_settings"] == [ignored]
    text = run("status", **here).stdout
    assert "CI            yes, by GITHUB_ACTIONS\n" in text
    assert "container     apptainer, by APPTAINER_NAME\n" in text
    assert f"ignored       MIGAS_TIMEOUT: {reason}; 5 is used\n" in text

"""A person removes what is pending, what was sent, and the id: after a question, and no more."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command import put, read_json, run
from support import PATIENCE

from migas.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migas._disk.spool import Spool
    from migas.testing import Server

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"

needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs links")


@pytest.mark.slow
def test_what_is_pending_is_removed_once_a_person_agrees(spool: Callable[..., Spool]) -> None:
    """And not before."""
    put(2)
    done = run("clear", "spool", text="n\n")
    assert (done.returncode, spool().count()) == (1, 2)
    assert done.stdout == f"Remove 2 pending breadcrumbs from {spool().directory}? [y/N] "
    nobody = run("clear", "spool")
    assert (nobody.returncode, spool().count()) == (1, 2)
    assert "--yes does not ask" in nobody.stderr
    done = run("clear", "spool", text="y\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"[y/N] removed 2 breadcrumbs from {spool().directory}\n")
    assert not os.path.exists(spool().directory)
    put(1)
    assert run("clear", "spool", "--yes").stdout == (
        f"removed 1 breadcrumb from {spool().directory}\n"
    )
    put(1)
    removed = {"cleared": True, "breadcrumbs": 1, "left": []}
    assert read_json("clear", "spool", "--yes") == removed
    assert read_json("clear", "spool", "--yes") == {**removed, "breadcrumbs": 0}


def test_a_question_does_not_stand_in_the_json() -> None:
    """It is asked on stderr."""
    put(1)
    done = run("clear", "spool", "--json", text="y\n")
    assert done.stdout.startswith('{\n  "cleared": true')
    assert done.stderr.startswith("Remove 1 pending breadcrumb from ")


def test_a_ctrl_c_at_the_question_removes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so on a line of its own."""

    def stop() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", stop)
    assert main(["clear", "spool"]) == 130
    out, error = capsys.readouterr()
    assert out.endswith("[y/N] \n")
    assert error == "migas: nothing is removed\n"


@needs_posix
def test_without_an_input_nothing_is_removed() -> None:
    """As in a program that was started with all streams closed."""
    put(1)
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m migas clear spool <&-"],
        capture_output=True,
        timeout=PATIENCE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "migas: nothing is removed; --yes does not ask\n")


@pytest.mark.slow
def test_what_is_pending_and_what_was_sent_are_removed_each_by_its_name(
    server: Server,
    spool: Callable[..., Spool],
) -> None:
    """And neither with the other."""
    put(2)
    assert run("flush").returncode == 0
    put(1)
    assert run("clear", "spool", "--yes").returncode == 0
    assert (spool().count(), len(read_json("show", "--sent"))) == (0, 2)
    put(1)
    done = run("clear", "record", text="y\n")
    question = f"Remove the record of what was sent from {spool().directory}? [y/N] "
    removed = f"removed the record of what was sent from {spool().directory}\n"
    assert (done.returncode, done.stdout) == (0, question + removed)
    assert (spool().count(), read_json("show", "--sent")) == (1, [])
    again = run("clear", "record", "--yes")
    assert (again.returncode, again.stdout) == (0, f"nothing to remove in {spool().directory}\n")
    assert len(server.crumbs) == 2


@pytest.mark.slow
def test_all_is_removed_for_every_server(
    server: Server,
    spool: Callable[..., Spool],
) -> None:
    """Pending and record; nothing else that lies in the cache."""
    other = spool("http://other.example/graphql")
    other.put(b"x")
    put(1)
    assert run("flush").returncode == 0
    put(2)
    cache = os.path.dirname(spool().directory)
    os.mkdir(os.path.join(cache, "theirs"))
    done = run("clear", "all", text="y\n")
    question = f"Remove all that is pending and the records of 2 servers from {cache}? [y/N] "
    assert sorted(done.stdout.removeprefix(question).splitlines()) == [
        f"removed 1 breadcrumb from {other.directory}",
        f"removed 2 breadcrumbs and the record of what was sent from {spool().directory}",
    ]
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(cache) == ["theirs"]
    assert read_json("clear", "all", "--yes")["cleared"]
    assert len(server.crumbs) == 1


@pytest.mark.slow
@pytest.mark.parametrize("what", ["spool", "record", "all", "id"])
def test_without_a_home_nothing_is_removed_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Though it holds names that migas makes: it is nobody's spool."""
    place = tmp_path / "place"
    (place / "new").mkdir(parents=True)
    for name in ("new/1700000000001-00000000000000aa-0.json", "sent.jsonl", "user_id", "pace-a"):
        (place / name).write_text("{}")
    before = sorted(place.rglob("*"))
    monkeypatch.chdir(place)
    nowhere = {"HOME": "/", "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
    done = run("clear", what, "--yes", **nowhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert what == "id" or done.stdout.startswith("nothing to remove: there is no home directory")
    assert read_json("clear", what, "--yes", **nowhere)["cleared"] is True
    assert sorted(place.rglob("*")) == before


@pytest.mark.slow
@needs_posix
def test_a_spool_that_is_a_link_is_left_and_so_is_what_it_leads_to(
    tmp_path: Path,
    spool: Callable[..., Spool],
) -> None:
    """`clear spool --yes` emptied a home once (pain 44)."""
    put(2)
    moved = tmp_path / "moved"
    os.rename(spool().directory, moved)
    os.symlink(moved, spool().directory)
    before = sorted(moved.rglob("*"))
    for what in "spool", "record", "all":
        done = run("clear", what, "--yes")
        assert done.returncode == 1
        assert done.stderr == f"migas: left {spool().directory}: it is a link, or no directory\n"
    assert read_json("clear", "all", "--yes") == {
        "cleared": False,
        "breadcrumbs": 0,
        "left": [{"path": spool().directory, "reason": "it is a link, or no directory"}],
    }
    assert sorted(moved.rglob("*")) == before


@pytest.mark.slow
@needs_posix
def test_what_is_left_is_named_though_it_may_be_much_and_unprintable(
    spool: Callable[..., Spool],
) -> None:
    """Twenty of them are; the rest are in the JSON."""
    put(1)
    box = os.fsencode(os.path.join(spool().directory, "new"))
    for number in range(25):
        with open(os.path.join(box, b"\xff\x1b[2J%02d" % number), "wb"):
            pass
    done = run("clear", "spool", "--yes")
    assert done.returncode == 1
    assert done.stdout == f"removed 1 breadcrumb from {spool().directory}\n"
    lines = done.stderr.splitlines()
    assert len(lines) == 21
    assert lines[0] == f"migas: left {os.fsdecode(box)}/\\xff?[2J00: migas did not make it"
    assert lines[-1] == "migas: left 5 more; --json names all"
    assert len(read_json("clear", "spool", "--yes")["left"]) == 25


@pytest.mark.slow
def test_the_id_is_removed_by_its_name(
    home: Path,
) -> None:
    """The rest stays."""
    place = home / "config" / "migas"
    place.mkdir(parents=True)
    (place / "user_id").write_text(UUID)
    assert run("clear", "id", text="\n").returncode == 1
    done = run("clear", "id", "--yes")
    assert done.stdout == f"removed your user id from {place / 'user_id'}\n"
    assert list(place.iterdir()) == []
    assert run("clear", "id", "--yes").stdout == "you have no user id\n"
    assert read_json("clear", "id", "--yes") == {"cleared": True}
    (place / "user_id").mkdir()
    done = run("clear", "id", "--yes")
    assert (done.returncode, "could not be removed" in done.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [["clear"], ["clear", "home"], ["flush", "--timeout", "-1"]])
def test_what_makes_no_sense_is_explained(arguments: list[str]) -> None:
    """On stderr, with the status that says so, and nothing is done."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: migas")

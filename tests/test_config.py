"""What sets up and shows: it makes nothing by looking, and no value or file breaks the host."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from support import SLOW, versions

import migas
from migas._agent import process
from migas._delivery.defaults import describe_breadcrumb
from migas._runtime.optout import find_optout
from migas._runtime.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from support import Host

    from migas.testing import Server

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"

needs_posix = pytest.mark.skipif(os.name != "posix", reason="POSIX homes and links")
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root alone gives a home away"
)


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has no entry in the password database, and no variable that names a place."""
    pwd = pytest.importorskip("pwd")

    def find(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", find)
    for name in "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME":
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_home")
def test_without_a_home_the_configuration_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every field; and there is no id to remove (pain 48)."""
    monkeypatch.chdir(tmp_path)
    migas.setup(session_id=UUID)
    migas.print_config()
    lines = capsys.readouterr().out.splitlines()
    assert f"session_id: {UUID}" in lines
    assert "user_id: None" in lines
    assert migas.clear_user_id() is True
    assert os.listdir(tmp_path) == ["home"]


@needs_posix
def test_the_fields_are_the_same_with_a_home_and_without(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """But for the id, which needs a place."""
    settings = Settings.from_env({"MIGAS_SESSION_ID": UUID})
    with_home = describe_breadcrumb(settings)
    request.getfixturevalue("no_home")
    assert describe_breadcrumb(settings) == {**with_home, "user_id": None}
    assert list(describe_breadcrumb(settings)) == list(with_home)
    monkeypatch.setenv("MIGAS_USER_ID", UUID)
    assert describe_breadcrumb(Settings.from_env(os.environ))["user_id"] == UUID


def test_the_id_is_removed_wherever_a_client_kept_it(home: Path) -> None:
    """Ours, and an earlier client's; and it is said if one stays."""
    places = home / "config" / "migas", home / ".config" / "migas"
    for place in places:
        place.mkdir(parents=True)
        (place / "user_id").write_text(UUID)
    assert migas.clear_user_id() is True
    assert [list(place.iterdir()) for place in places] == [[], []]
    (places[1] / "user_id").mkdir()
    assert migas.clear_user_id() is False


@needs_root
def test_root_does_not_remove_the_id_of_another_user(home: Path) -> None:
    """Its owner's processes would get a new one that nobody asked for (pain 46)."""
    path = home / "config" / "migas" / "user_id"
    path.parent.mkdir(parents=True)
    path.write_text(UUID)
    os.chown(home, 65534, 65534)
    assert migas.clear_user_id() is False
    assert path.read_text() == UUID


@pytest.mark.parametrize(
    "content",
    ["[" * 60_000, '{"endpoint": NaN', '{"user_id": "' + "x" * 100_000 + '"}', "\0", "5" * 5000],
    ids=["deep", "NaN", "long", "NUL", "digits"],
)
def test_a_file_that_a_parser_chokes_on_is_ignored(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With one warning."""
    file = tmp_path / "migas.json"
    file.write_text(content)
    migas.setup(filename=file, session_id=UUID)
    assert process._setup == {"session_id": UUID}
    assert len(caplog.records) == 1


def test_a_file_may_begin_with_a_mark_of_its_encoding(tmp_path: Path) -> None:
    """As an editor writes it on Windows."""
    file = tmp_path / "migas.json"
    file.write_text(json.dumps({"session_id": UUID}), encoding="utf-8-sig")
    migas.setup(filename=file)
    assert process._setup == {"session_id": UUID}


@needs_posix
def test_a_fifo_in_place_of_a_file_keeps_nobody_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody may ever write to it."""
    os.mkfifo(tmp_path / "migas.json")
    migas.setup(filename=tmp_path / "migas.json", session_id=UUID)
    assert process._setup == {"session_id": UUID}
    assert len(caplog.records) == 1


def test_a_descriptor_is_no_name_of_a_file() -> None:
    """To read from it would close it for the host."""
    with pytest.raises(TypeError):
        migas.setup(filename=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have_raises_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Neither to read nor to write it."""
    migas.setup(filename=str(tmp_path / name), save_config=True, session_id=UUID)
    assert process._setup == {"session_id": UUID}
    assert caplog.records


@needs_posix
def test_a_file_that_is_saved_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    """Another process that reads it at the same time finds the old one or the new one, whole."""
    theirs, file = tmp_path / "theirs.json", tmp_path / "migas.json"
    theirs.write_text("{}")
    file.symlink_to(theirs)
    migas.setup(filename=file, save_config=True, session_id=UUID)
    assert theirs.read_text() == "{}"
    assert json.loads(file.read_text())["session_id"] == UUID
    assert sorted(os.listdir(tmp_path)) == ["home", "migas.json", "theirs.json"]


def test_a_draft_that_is_somebody_elses_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is neither written to."""
    monkeypatch.setattr(os, "urandom", bytes)
    draft = tmp_path / "migas.json.00000000.tmp"
    draft.write_text("theirs")
    migas.setup(filename=tmp_path / "migas.json", save_config=True, session_id=UUID)
    assert draft.read_text() == "theirs"
    assert "cannot be written" in caplog.text


def test_a_hosts_switch_is_taken_back_and_its_users_no_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`setup(enabled=True)` undoes what `setup(enabled=False)` did, and nothing else."""
    migas.setup(enabled=False)
    assert migas.add_project("owner/repo", "1")["message"] == "switched off by MIGAS_OPTOUT"
    with monkeypatch.context() as cleared:
        cleared.delenv("MIGAS_OPTOUT")
        answer = migas.add_project("owner/repo", "1")
        assert answer["message"] == "switched off by setup(enabled=False)"
    migas.setup(enabled=True)
    assert "MIGAS_OPTOUT" not in os.environ
    monkeypatch.setenv("MIGAS_OPTOUT", "1")
    migas.setup(enabled=False)
    migas.setup(enabled=True)
    assert os.environ["MIGAS_OPTOUT"] == "1"


def test_tests_forget_a_hosts_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """One test's `setup(enabled=False)` is none of the next one's."""
    migas.setup(enabled=False)
    monkeypatch.delenv("MIGAS_OPTOUT")
    process.renew()
    assert not find_optout({})


#: A host with `--notrack`, and a worker and a program that it starts.
NOTRACK = """
import subprocess, sys
import migas
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
CALL = "import migas; migas.add_project('owner/repo', '{}')"
def work(): exec(CALL.format('worker'))
if __name__ == '__main__':
    migas.setup(enabled=False)
    exec(CALL.format('host'))
    with ProcessPoolExecutor(1, get_context('spawn')) as pool: pool.submit(work).result()
    subprocess.run([sys.executable, '-c', CALL.format('program')], check=True)
    migas.setup(enabled=True)
    exec(CALL.format('later'))
"""


@pytest.mark.slow
def test_a_hosts_switch_holds_for_all_that_it_starts(host: Host, server: Server) -> None:
    """Its workers and programs report nothing, and it may report again itself."""
    ended = host.run_program({"main.py": NOTRACK}, SLOW)
    assert ended.calmly, ended
    assert versions(server) == ["later"]

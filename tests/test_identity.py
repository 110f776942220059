"""One random id for a user, made once, and readable by nobody as a name."""

from __future__ import annotations

import getpass
import os
import platform
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from migas import identity
from migas.settings import Settings
from migas.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(home: Path) -> Path:
    return home / "config" / "migas"


def test_an_id_is_made_once_and_kept(directory: Path) -> None:
    """The next process finds the same id, in a file that is the user's alone."""
    first = identity.obtain(str(directory))
    assert identity.obtain(str(directory)) == identity.read(str(directory)) == first
    assert uuid.UUID(first).version == 4
    assert [path.name for path in directory.iterdir()] == ["user_id"]
    if os.name == "posix":
        assert (directory / "user_id").stat().st_mode & 0o777 == 0o600
        assert directory.stat().st_mode & 0o777 == 0o700


def test_an_id_of_an_earlier_client_is_kept(directory: Path) -> None:
    """Nobody becomes a new user by an update (pain 23)."""
    directory.mkdir(parents=True)
    earlier = "1CF6DB85-5D12-4D79-A502-611F353DE27D"
    (directory / "user_id").write_text(earlier)
    assert identity.obtain(str(directory)) == earlier.lower()
    assert (directory / "user_id").read_text() == earlier


def test_an_id_is_found_where_earlier_clients_kept_it(home: Path) -> None:
    """In ~/.config on every system, wherever this one's configuration lies."""
    place = home / ".config" / "migas"
    place.mkdir(parents=True)
    earlier = "1cf6db85-5d12-4d79-a502-611f353de27d"
    (place / "user_id").write_text(earlier)
    assert Writer(Settings()).describe()["user_id"] == earlier
    assert not (home / "config").exists()


def test_a_file_without_an_id_gets_one(directory: Path) -> None:
    """An interrupted write of an earlier client leaves nobody without an id for ever."""
    directory.mkdir(parents=True)
    (directory / "user_id").write_text("")
    assert identity.obtain(str(directory)) == identity.read(str(directory))


def test_looking_creates_nothing(directory: Path) -> None:
    """A person may look before there is anything."""
    assert identity.read(str(directory)) is None
    assert not directory.exists()


def test_where_nothing_can_be_kept_the_id_is_a_stable_hash(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a home the id is the same at each run, and holds no readable name."""
    home.rmdir()
    directory = str(home / "config" / "migas")
    derived = identity.obtain(directory)
    assert derived == identity.obtain(directory)
    assert uuid.UUID(derived).version == 4
    assert getpass.getuser() not in derived
    assert not home.exists()
    monkeypatch.setattr(platform, "node", lambda: "another")
    monkeypatch.setattr("builtins.open", _refuse)
    assert identity.obtain(directory) != derived


def _refuse(*_args: object, **_kwargs: object) -> None:
    raise FileNotFoundError


def test_processes_that_start_together_agree(directory: Path) -> None:
    """The first to publish wins, and the others read."""
    with ThreadPoolExecutor(16) as threads:
        ids = set(threads.map(identity.obtain, [str(directory)] * 64))
    assert len(ids) == 1


def test_a_file_system_without_hard_links_is_good_enough(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename keeps the id there."""

    def link(*_args: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", link)
    first = identity.obtain(str(directory))
    assert identity.obtain(str(directory)) == identity.read(str(directory)) == first

"""The home: whose it is, and how its owner's opt-out is written there."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from migas._disk import home as homes
from migas._disk.directory import find_home
from migas._disk.home import is_foreign, name_owner, remove_optout, write_optout
from migas._runtime.optout import locate_optout

if TYPE_CHECKING:
    from pathlib import Path

needs_posix = pytest.mark.skipif(os.name != "posix", reason="POSIX homes")
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root alone gives a home away"
)


@pytest.fixture
def no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has no entry in the password database, and no HOME."""
    pwd = pytest.importorskip("pwd")

    def find(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", find)
    monkeypatch.delenv("HOME")


def test_the_home_is_the_environments(home: Path) -> None:
    """Also one that is not there."""
    assert find_home() == str(home)
    home.rmdir()
    assert find_home() == str(home)
    assert not is_foreign()


@needs_posix
@pytest.mark.parametrize("value", ["", "/", "//", "relative", "~"])
def test_a_home_that_is_no_persons_is_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """As a system names it for users that nobody logs in as."""
    monkeypatch.setenv("HOME", value)
    assert find_home() == ""
    assert (is_foreign(), name_owner()) == (False, "")


@needs_posix
@pytest.mark.usefixtures("no_entry")
def test_a_user_whom_the_system_does_not_know_has_no_home() -> None:
    """As in a container that is started with any number."""
    assert find_home() == ""
    assert not is_foreign()


@needs_root
def test_root_in_the_home_of_another_user_is_a_stranger(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with sudo, which keeps HOME at some sites (pain 46)."""
    pwd = pytest.importorskip("pwd")
    assert (is_foreign(), name_owner()) == (False, "")
    os.chown(home, 65534, 65534)
    assert is_foreign()
    assert name_owner() == pwd.getpwuid(65534).pw_name
    os.chown(home, 54321, 54321)
    assert name_owner() == "user 54321"
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not is_foreign()


def test_an_opt_out_is_a_file_for_its_owner_alone(home: Path) -> None:
    """Its directory, too; and it says how to take it back."""
    path = home / "config" / "migas" / "optout"
    write_optout(str(path))
    assert "migas optin" in path.read_text()
    if os.name == "posix":
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.write_text("mine")
    write_optout(str(path))
    assert path.read_text() == "mine"
    remove_optout(str(path))
    remove_optout(str(path))
    assert list(path.parent.iterdir()) == []


@needs_posix
def test_an_opt_out_is_kept_in_a_directory_that_a_group_may_write(home: Path) -> None:
    """A laboratory's homes are so; only that the file is there counts, not what it says."""
    path = home / "config" / "migas" / "optout"
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o775)
    write_optout(str(path))
    assert path.exists()


@needs_posix
@pytest.mark.parametrize("target", ["file", "nowhere", "optout"])
def test_a_link_in_place_of_an_opt_out_is_not_written_through(home: Path, target: str) -> None:
    """It is an opt-out already; what it leads to stays, also when the link is removed."""
    (home / "file").write_text("precious")
    path = home / "optout"
    path.symlink_to(home / target)
    write_optout(str(path))
    assert path.is_symlink()
    remove_optout(str(path))
    assert sorted(each.name for each in home.iterdir()) == ["file"]
    assert (home / "file").read_text() == "precious"


@needs_posix
@pytest.mark.usefixtures("no_entry")
@pytest.mark.parametrize("value", ["", "/", None])
def test_without_a_home_no_opt_out_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """Nothing is made or removed in the working directory, nor at the root."""
    if value is not None:
        monkeypatch.setenv("HOME", value)
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as guarded:
        guarded.setattr(homes, "create_directory", pytest.fail)
        with pytest.raises(FileNotFoundError, match="there is no home directory"):
            write_optout(locate_optout(os.environ))
    assert os.listdir(tmp_path) == ["home"]
    theirs = tmp_path / "~" / ".config" / "migas" / "optout"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("named so by mistake")
    remove_optout("~/.config/migas/optout")
    assert theirs.exists()
    write_optout(str(tmp_path / "config" / "optout"))
    assert (tmp_path / "config" / "optout").exists()


def test_an_opt_out_needs_no_text(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk a file can be made and not be written: only its name counts."""

    def fill(path: str, *args: Any, **kwargs: Any) -> None:
        open(path, *args, **kwargs).close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(homes, "open", fill, raising=False)
    write_optout(str(home / "optout"))
    assert (home / "optout").read_bytes() == b""


def test_an_opt_out_that_cannot_be_removed_raises(home: Path) -> None:
    """A directory of that name is a no, and nothing that migas has made."""
    (home / "optout").mkdir()
    with pytest.raises(OSError, match="optout"):
        remove_optout(str(home / "optout"))
    assert find_home() == str(home)

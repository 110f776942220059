"""Files that a person names are read and written with care."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from migas.cli import files
from migas.cli.runner import WrongError

if TYPE_CHECKING:
    from pathlib import Path

needs_posix = pytest.mark.skipif(os.name != "posix", reason="no such permissions")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file as a careful person makes it."""
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(" m_token\r\n")
    return file


@needs_posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_token_that_others_may_read_is_refused(token_file: Path, mode: int) -> None:
    """As ssh refuses a key, with the line that mends it."""
    token_file.chmod(mode)
    with pytest.raises(WrongError, match=f"others may read .* run `chmod 600 {token_file}`"):
        files.read_token(str(token_file))
    token_file.chmod(0o400)
    assert files.read_token(str(token_file)) == "m_token"


@needs_posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_token_of_another_user_is_that_users_to_guard(token_file: Path) -> None:
    """As a secret is that Kubernetes mounts into a container."""
    token_file.chmod(0o644)
    os.chown(token_file, 12345, -1)
    assert files.read_token(str(token_file)) == "m_token"


@needs_posix
def test_a_token_may_come_through_a_pipe() -> None:
    """As `--token-file <(pass show migas)` has it."""
    reader, writer = os.pipe()
    os.write(writer, b"m_token\n")
    os.close(writer)
    try:
        assert files.read_token(f"/dev/fd/{reader}") == "m_token"
    finally:
        os.close(reader)


def test_a_token_is_read_whole_or_not_at_all(token_file: Path) -> None:
    """Windows' editors write a byte order mark before it; half of a token reads nothing."""
    token_file.write_bytes(b"\xef\xbb\xbfm_token\r\n")
    assert files.read_token(str(token_file)) == "m_token"
    token_file.write_text(" " + "m" * 4096)
    with pytest.raises(WrongError, match="longer than any token"):
        files.read_token(str(token_file))


def test_a_file_without_a_token_is_explained(token_file: Path) -> None:
    """Its name is not shown if there is none: it may be the token."""
    token_file.write_text("\n")
    with pytest.raises(WrongError, match="there is no token in this file"):
        files.read_token(str(token_file))
    for path in (f"{token_file}-m_secret", f"{token_file.parent}"):
        with pytest.raises(WrongError) as caught:
            files.read_token(path)
        assert str(caught.value).startswith("the file that --token-file names: ")
        assert str(token_file.parent) not in str(caught.value)


def test_what_cannot_be_written_is_known_beforehand(tmp_path: Path) -> None:
    """A directory that is not there, one in place of the file, and what may not be changed."""
    files.check_place(str(tmp_path / "new.svg"))
    (tmp_path / "directory.svg").mkdir()
    for name, sentence in (
        ("none/such.svg", "there is no directory"),
        ("directory.svg", "this is no regular file"),
        (os.devnull, "this is no regular file"),
    ):
        with pytest.raises(WrongError, match=sentence):
            files.check_place(str(tmp_path / name))
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        (tmp_path / "kept.svg").touch(0o400)
        with pytest.raises(WrongError, match="may not be written"):
            files.check_place(str(tmp_path / "kept.svg"))
        tmp_path.chmod(0o500)
        with pytest.raises(WrongError, match="may not be written"):
            files.check_place(str(tmp_path / "new.svg"))
        tmp_path.chmod(0o700)


@needs_posix
def test_a_file_takes_its_place_in_one_step(tmp_path: Path) -> None:
    """With the permissions that it had; through a link; and nothing else is left."""
    file, link = tmp_path / "badge.json", tmp_path / "link.json"
    files.write(str(file), b"1")
    assert not file.stat().st_mode & 0o111
    file.chmod(0o604)
    link.symlink_to(file)
    with file.open("rb") as reader:
        files.check_place(str(link))
        files.write(str(link), b"22")
        assert reader.read() == b"1"  # what a reader has opened is whole
    assert (file.read_bytes(), link.is_symlink()) == (b"22", True)
    assert file.stat().st_mode & 0o777 == 0o604
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "badge.json",
        "link.json",
    ]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither half a file nor a hidden one."""
    before = sorted(tmp_path.iterdir())
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  # which one is the system's business
        files.write(str(tmp_path / "taken"), b"1")
    (tmp_path / "taken").rmdir()
    assert sorted(tmp_path.iterdir()) == before

"""Does a path lie on the root file system, which a container throws away?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migas._disk.directory import is_on_root_file_system

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """A directory on another file system than the test's own."""
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=other) as directory:
        yield directory


@pytest.mark.parametrize("path", ["", "file", "not/there/yet"])
def test_a_path_below_the_root_lies_on_its_file_system(tmp_path: Path, path: str) -> None:
    """A path that does not exist yet is judged by the nearest directory that does."""
    (tmp_path / "file").touch()
    assert is_on_root_file_system(str(tmp_path / path), str(tmp_path))
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "home"] == ["file"]


@pytest.mark.parametrize("path", ["", "not/there/yet"])
def test_a_mounted_directory_lies_elsewhere(tmp_path: Path, elsewhere: str, path: str) -> None:
    """A path below a mount is elsewhere, directly and through a link to it."""
    (tmp_path / "link").symlink_to(elsewhere)
    for directory in (elsewhere, tmp_path / "link"):
        assert not is_on_root_file_system(str(Path(directory, path)), str(tmp_path))


def test_a_root_that_cannot_be_looked_at_counts_as_the_same(tmp_path: Path, elsewhere: str) -> None:
    """If nobody can tell, nothing is assumed to last."""
    assert is_on_root_file_system(elsewhere, str(tmp_path / "absent"))

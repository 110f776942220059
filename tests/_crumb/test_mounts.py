"""The kernel's list of mounts is read as the kernel writes it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from migas._crumb.mounts import Mount, find_mount, parse, read_mounts

ROOT = Mount("/", "/", "ext4", "rw")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("27 1 254:0 / / rw - ext4 /dev/vda rw", ROOT),
        ("27 1 254:0 / / rw shared:1 master:2 unbindable - ext4 /dev/vda rw", ROOT),
        (
            r"30 27 0:4 /a\134b\040c /d\011e\012f rw - fuse.sshfs jane@host:/my\040home rw,a=\043",
            Mount("/a\\b c", "/d\te\nf", "fuse.sshfs", "rw,a=#"),
        ),
        ("", None),
        ("27 1 254:0 / / rw shared:1 ext4 /dev/vda rw", None),
        ("27 1 254:0 / - ext4 /dev/vda rw", None),
        ("27 1 254:0 / / rw - ext4", None),
    ],
)
def test_a_line_is_parsed(line: str, expected: Mount | None) -> None:
    """With any number of optional fields, and with what a name may hold; others are passed over."""
    assert parse(line) == expected


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/", "/"),
        ("/homes/jane", "/"),
        ("/home", "/home"),
        ("/home/jane", "/home/jane"),
        ("/home/jane/.cache/migas", "/home/jane"),
        ("/home/janet", "/home"),
    ],
)
def test_a_path_lies_on_the_longest_mount_point_above_it(path: str, point: str) -> None:
    """By whole names; and of two at one place the later hides the earlier."""
    mounts = [ROOT, *(ROOT._replace(point=each) for each in ("/home/jane", "/home"))]
    found = find_mount(path, mounts)
    assert found is not None
    assert found.point == point
    hiding = found._replace(kind="tmpfs")
    assert find_mount(path, [*mounts, hiding]) == hiding


def test_where_there_is_no_list_nothing_is_found(tmp_path: Path) -> None:
    """As on a system that is not Linux."""
    assert read_mounts(str(tmp_path)) == []
    assert find_mount("/home/jane", []) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells the mounts")
def test_the_mounts_of_this_machine_are_found() -> None:
    """A mount point is on another file system than what is above it."""
    mounts = read_mounts()
    assert find_mount("/", mounts) is not None
    found = find_mount("/proc/self", mounts)
    assert found is not None
    assert (found.point, found.kind) == ("/proc", "proc")
    assert os.stat(found.point).st_dev != os.stat("/").st_dev

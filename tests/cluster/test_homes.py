"""Homes that nodes cannot write to, or do not have; and a scratch directory instead."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from support import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from migas._disk.spool import Spool

    from .conftest import LimitedServer
    from .network import Network, Node
    from .slurm import Slurm

#: The file systems that a node has mounted in place of its homes, by what is wrong with them.
TROUBLES = {
    "read-only": ["--bind", "{home}"],
    "absent": ["-t", "tmpfs", "-o", "size=1m", "none"],
    "no inode left": ["-t", "tmpfs", "-o", "nr_inodes=1", "none"],
    "three inodes left": ["-t", "tmpfs", "-o", "nr_inodes=4", "none"],
}

TASK = """
import logging
import migas
migas.add_project("owner/repo", "1.0")
"""


@contextlib.contextmanager
def trouble(node: Node, name: str, home: Path) -> Iterator[None]:
    """Let a node's homes be so."""
    place = str(home.parent if name == "absent" else home)
    node.run("mount", *(word.format(home=home) for word in TROUBLES[name]), place)
    if name == "read-only":
        node.run("mount", "-o", "remount,bind,ro", place)
    try:
        yield
    finally:
        node.run("umount", "--lazy", place)


@pytest.mark.parametrize("name", TROUBLES)
@pytest.mark.parametrize("online", [True, False])
def test_a_home_that_takes_nothing(
    *,
    slurm: Slurm,
    network: Network,
    program: Callable[[str], str],
    server: LimitedServer,
    home: Path,
    name: str,
    online: bool,
) -> None:
    """A job beside a home that takes nothing ends calmly, and sends what it can from memory."""
    node = network.nodes[0]
    if online:
        node.go_online()
    with trouble(node, name, home):
        job = slurm.submit(f"exec {program(TASK)}", f"--nodelist={node.name}")
        slurm.await_end(job)
        assert (slurm.state(job), slurm.output(job)) == ("COMPLETED", "")
        if name == "absent":
            assert node.run("ls", "-A", str(home.parent)) == ""
    assert versions(server) == ["1.0"] * online
    assert list(home.iterdir()) == []


def test_a_scratch_directory_in_place_of_a_home(
    *,
    slurm: Slurm,
    network: Network,
    program: Callable[[str], str],
    spool: Callable[..., Spool],
    server: LimitedServer,
    deliver: Callable[[], None],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the home is read-only, what waits lies where the site says, and leaves from there."""
    node = network.nodes[0]
    monkeypatch.setenv("MIGAS_CACHE_DIR", str(home.with_name(f"scratch-{home.name}")))
    with trouble(node, "read-only", home):
        job = slurm.submit(f"exec {program(TASK)}", f"--nodelist={node.name}")
        slurm.await_end(job)
    assert (slurm.state(job), slurm.output(job)) == ("COMPLETED", "")
    assert spool().count() == 1
    deliver()
    assert versions(server) == ["1.0"]
    assert list(home.iterdir()) == []

"""A spool on a network's disk: claims are raced from two nodes, and its server falls silent."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from support import LATER, PATIENCE, SLOW, await_condition, versions

from migas.testing import Fault

from .gluster import Disk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from .conftest import LimitedServer
    from .network import Network, Node


@pytest.fixture(scope="module")
def disk(network: Network, root: Path) -> Iterator[Disk]:
    """A network's disk, on every compute node."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no FUSE")
    disk = Disk(network, root)
    yield disk
    disk.stop()


@pytest.fixture(autouse=True)
def cache(disk: Disk, network: Network, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory there, in which breadcrumbs wait; all nodes are online."""
    for node in network.nodes:
        node.go_online()
    path = disk.path / uuid.uuid4().hex[:8]
    monkeypatch.setenv("MIGAS_CACHE_DIR", str(path))
    return path


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process of this interpreter on a node."""
    started = []

    def start(
        node: Node, *arguments: str, environ: Mapping[str, str] = {}
    ) -> subprocess.Popen[str]:
        variables = [f"{name}={value}" for name, value in environ.items()]
        process = subprocess.Popen(
            node.command("env", *variables, sys.executable, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


#: Notes so much, named by its first argument.
NOTES = """
import logging, sys
import migas
for number in range(int(sys.argv[2])):
    migas.add_breadcrumb("owner/repo", f"{sys.argv[1]}.{number}")
"""


def test_claims_are_raced_from_two_mounts(
    network: Network, start: Callable[..., subprocess.Popen[str]], server: LimitedServer
) -> None:
    """Whoever sends from wherever, while others write: nothing is lost, and nothing sent twice."""
    one, other, _ = network.nodes
    written = {"a": (one, 150), "b": (other, 150)}
    later = {"c": (one, 20), "d": (other, 20), "e": (one, 20), "f": (other, 20)}
    spool_only = {"MIGAS_TIMEOUT": "0", **SLOW}
    finish(
        start(node, "-c", NOTES, name, str(count), environ=spool_only)
        for name, (node, count) in written.items()
    )
    finish(
        [
            *(start(node, "-m", "migas", "flush") for node in (one, other) for _ in range(2)),
            *(
                start(node, "-c", NOTES, name, str(count), environ=SLOW)
                for name, (node, count) in later.items()
            ),
        ],
        statuses=(0, 1),  # what others have claimed is left
    )
    # A release that the disk refuses, as it may for a moment after a rotation, is made up for then.
    finish([start(one, "-c", LATER)])
    expected = [
        f"{name}.{number}"
        for name, (_, count) in (written | later).items()
        for number in range(count)
    ]
    assert versions(server) == sorted(expected)


def test_two_nodes_make_the_same_directories_at_once(
    disk: Disk, network: Network, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """Programs that end while the disk still says that what is there is not lose nothing."""
    one, other, _ = network.nodes
    for _ in range(20):
        path = disk.path / uuid.uuid4().hex[:8]
        environ = {"MIGAS_CACHE_DIR": str(path), "MIGAS_TIMEOUT": "0", **SLOW}
        finish([start(node, "-c", NOTES, "a", "3", environ=environ) for node in (one, other) * 2])
        assert len([*disk.on_server(path).glob("*/*/*.json")]) == 12


#: Reports a use as a rank, at the moment that its first argument names.
RANK = """
import sys, time
import logging
import migas
while time.time() < float(sys.argv[1]):
    pass
migas.add_project("owner/repo", "1")
"""


def test_two_nodes_make_the_same_mark_at_once(
    disk: Disk, network: Network, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """Exactly one rank reports the use, whoever makes the directories."""
    one, other, _ = network.nodes
    for number in range(30):
        path = disk.path / uuid.uuid4().hex[:8]
        launch = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}
        names = {"PMIX_NAMESPACE": f"{number}", "MIGAS_CACHE_DIR": str(path), "MIGAS_TIMEOUT": "0"}
        environ = {**launch, **names, **SLOW}
        moment = f"{time.time() + 1.0}"
        finish([start(node, "-c", RANK, moment, environ=environ) for node in (one, other) * 2])
        assert len([*disk.on_server(path).glob("*/*/*.json")]) == 1


#: Notes something, and more when it is told to; then ends, and says how long each took. Its own
#: exit hook is the last to run.
HOST = """
import atexit, sys, time
atexit.register(lambda: print(time.monotonic() - end, flush=True))
import logging
import migas
def note(version):
    begin = time.monotonic()
    migas.add_breadcrumb("owner/repo", version)
    print(time.monotonic() - begin, flush=True)
note("first")
sys.stdin.readline()
note("second")
end = time.monotonic()
"""


@pytest.mark.parametrize("when", ["before its start", "while it lives", "while it sends"])
def test_a_disk_that_falls_silent_holds_no_host(
    *,
    network: Network,
    disk: Disk,
    cache: Path,
    start: Callable[..., subprocess.Popen[str]],
    server: LimitedServer,
    when: str,
    figures: dict[str, object],
) -> None:
    """Neither a call nor the exit waits for it; and what it had taken arrives once, later."""
    node = network.nodes[0]
    finish([start(node, "-c", NOTES, "earlier", "1", environ={"MIGAS_TIMEOUT": "0"})])
    if when == "while it sends":
        server.inject(Fault.hang())
    elif when == "while it lives":
        server.inject(Fault.status(503))
    with contextlib.ExitStack() as stack:
        if when == "before its start":
            stack.enter_context(disk.silent())
        host = start(node, "-c", HOST)
        took = [read_seconds(host)]
        if when == "while it lives":
            await_condition(lambda: bool(list(disk.on_server(cache).rglob("backoff-*"))))
        elif when == "while it sends":
            await_condition(lambda: bool(server.received))
        if when != "before its start":
            stack.enter_context(disk.silent())
        tell(host)
        took += [read_seconds(host), read_seconds(host)]
        server.mend()
    # The kernel keeps a process whose thread waits for a FUSE file system.
    assert host.communicate(timeout=PATIENCE) == ("", "")
    assert max(took) < 5.0
    figures[f"silent disk, {when}: seconds of two calls and the exit"] = took
    finish([start(node, "-c", LATER)])
    arrived = versions(server)
    assert set(arrived) >= {"earlier.0"} | ({"first"} if when != "before its start" else set())
    assert len(arrived) == len(set(arrived))


def finish(processes: Iterable[subprocess.Popen[str]], statuses: Collection[int] = (0,)) -> None:
    """Wait until processes have ended, as one does who has noticed nothing."""
    for process in list(processes):
        out, err = process.communicate(timeout=2 * PATIENCE)
        assert (process.returncode in statuses, err) == (True, ""), (out, err)


def read_seconds(host: subprocess.Popen[str]) -> float:
    """Read how long something took a host."""
    assert host.stdout is not None
    return float(host.stdout.readline())


def tell(host: subprocess.Popen[str]) -> None:
    """Have a host go on."""
    assert host.stdin is not None
    host.stdin.write("\n")
    host.stdin.flush()

"""One cluster for all tests here, and for each a home on its nodes and a server outside."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import LATER

from migas.testing import Fault, Server

from . import NODES, is_inside
from .network import OUTSIDE, Network, run
from .slurm import Slurm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support import Host

# Nowhere else may these tests lay cables and mount disks.
collect_ignore_glob = [] if is_inside() else ["test_*.py"]

#: What the tests have measured, for a person to read.
_figures: dict[str, object] = {}

#: The hosted server's limit for one address, in requests and seconds.
LIMIT, PERIOD = 1000, 60.0


class LimitedServer(Server):
    """Answers 429 as the hosted server does, to what it takes for one address.

    A request that is refused counts as well: who knocks on keeps the door shut.
    """

    def __init__(self) -> None:
        super().__init__()
        self._deciding = threading.Lock()
        self._log: deque[float] = deque()
        #: How many requests were answered so.
        self.refusals = 0

    def note_others(self, requests: int) -> None:
        """Take somebody else behind that address to have sent so many requests just now."""
        with self._deciding:
            self._log.extend([time.monotonic()] * requests)

    def let_period_pass(self) -> None:
        """Forget all requests, as after a minute without any."""
        with self._deciding:
            self._log.clear()

    def next_fault(self) -> Fault | None:
        """Count a request, and say what is to befall it."""
        fault = super().next_fault()
        with self._deciding:
            now = time.monotonic()
            while self._log and self._log[0] <= now - PERIOD:
                self._log.popleft()
            self._log.append(now)
            if len(self._log) <= LIMIT:
                return fault
            self.refusals += 1
            return Fault.status(429)


@pytest.fixture
def figures() -> dict[str, object]:
    """What is printed after the tests."""
    return _figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    for name, figure in _figures.items():
        shown = f"{figure:.2f}" if isinstance(figure, float) else figure
        terminalreporter.write_line(f"{name}: {shown}")


@pytest.fixture(scope="session")
def root() -> Iterator[Path]:
    """A directory that every daemon may enter, and that all nodes have in common."""
    path = Path(tempfile.mkdtemp(prefix="cluster-"))  # short: sockets lie in it
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def homes(root: Path) -> Iterator[Path]:
    """The file system of the homes, which lasts: neither in memory nor the root of a container."""
    path, image = root / "homes", root / "homes.img"
    path.mkdir()
    image.touch()
    os.truncate(image, 1 << 30)
    run("mkfs.ext4", "-q", "-N", "200000", str(image))
    run("mount", "-o", "loop", str(image), str(path))
    path.chmod(0o755)
    yield path
    run("umount", "--lazy", str(path))


@pytest.fixture(scope="session")
def network(homes: Path) -> Iterator[Network]:
    """Three compute nodes, which have mounted the homes."""
    assert homes.is_mount()
    network = Network([f"{NODES}{number}" for number in (1, 2, 3)])
    yield network
    network.stop()


@pytest.fixture(scope="session")
def slurm(network: Network, root: Path) -> Iterator[Slurm]:
    """A workload manager that runs jobs on them."""
    path = root / "slurm"
    path.mkdir()
    slurm = Slurm(network, path)
    yield slurm
    slurm.stop()


@pytest.fixture(autouse=True)
def home(home: Path, homes: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, on every node; none of them is online."""
    for node in network.nodes:
        node.go_offline()
    shared = homes / f"{home.parent.name}-{uuid.uuid4().hex[:8]}"
    shared.mkdir()
    monkeypatch.setenv("HOME", str(shared))
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / ".cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(shared / ".config"))
    return shared


@pytest.fixture
def deliver(host: Host) -> Callable[[], None]:
    """Have `migas flush` deliver what waits: only a process of its own reaches that server."""

    def run() -> None:
        ended = host.run(LATER, measured=False)
        assert ended.calmly, ended

    return run


@pytest.fixture
def program(root: Path) -> Callable[[str], str]:
    """Write a program where every node finds it, and return the command that runs it."""

    def write(text: str) -> str:
        path = root / f"{uuid.uuid4().hex[:8]}.py"
        path.write_text(text)
        return f"{sys.executable} {path}"

    return write


@pytest.fixture
def server(network: Network, monkeypatch: pytest.MonkeyPatch) -> Iterator[LimitedServer]:
    """A server in the world outside."""
    server = LimitedServer()
    with network.outside.network():
        server.start()
    monkeypatch.setenv("MIGAS_ENDPOINT", f"http://{OUTSIDE}:{server.port}/graphql")
    yield server
    server.close()

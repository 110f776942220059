"""What the tests share: the host's package, a command that is started, and the table of uses."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support import FORKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from migas.testing import Server

#: The host's package. Whoever imports it reports its use.
PACKAGE = "import migas\nmigas.add_project('owner/repo', '1')\n"

#: What the columns say.
_HEAD = ("carrier", "right", "uses", "runs", "users", "lost", "twice")


class Row(NamedTuple):
    """A line of the table."""

    carrier: str
    right: int
    uses: int
    runs: int
    users: int
    lost: int
    twice: int


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines that the tests have noted."""
    reports = [
        report
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, [])
        if report.when == "call"
    ]
    rows = [row for report in reports for name, row in report.user_properties if name == "uses"]
    if rows:
        terminalreporter.section("uses that were counted")
        for row in (_HEAD, *sorted(rows)):
            terminalreporter.write_line(f"| {' | '.join(map(str, row))} |")


def count(server: Server, version: str, carrier: str, right: int) -> Row:
    crumbs = [crumb for crumb in server.crumbs if crumb["version"] == version]
    runs, users = ({crumb[name] for crumb in crumbs} for name in ("session_id", "user_id"))
    more = len(crumbs) - right
    return Row(carrier, right, len(crumbs), len(runs), len(users), max(0, -more), max(0, more))


@pytest.fixture
def note(
    server: Server, deliver: Callable[[], None], record_property: Callable[[str, object], None]
) -> Callable[..., Row]:
    """Deliver what waits, and note a line of the table."""

    def note(carrier: str, right: int = 1, version: str = "1") -> Row:
        deliver()
        row = count(server, version, carrier, right)
        record_property("uses", tuple(row))
        return row

    return note


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's package, where each process finds it."""
    (tmp_path / "package.py").write_text(PACKAGE)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    # The guard compares a host with itself, and knows nothing of these.
    monkeypatch.setenv("GUARD_REPORTS", "")
    return tmp_path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a command, and end it with all that it has started."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **variables: str) -> subprocess.Popen[bytes]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
        with open(tmp_path / "log", "ab") as log:
            started.append(
                subprocess.Popen(
                    command,
                    cwd=tmp_path,
                    env={**environ, **FORKS, **variables},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

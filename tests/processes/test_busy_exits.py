"""An ordinary exit loses nothing, however busy the machine and small its budget (pain 41)."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

from migas._crumb.breadcrumb import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support import Host

    from migas._disk.spool import Spool
    from migas.testing import Server

#: Processes that use all that there is of the machine, hosts beside them, and hosts at a time.
BUSY, HOSTS, AT_A_TIME = 8, 24, 12

#: Adds one breadcrumb at import and one a moment later, and ends.
HOST = """
import sys, time
import migas
number, pause = int(sys.argv[1]), float(sys.argv[2])
migas.add_project("owner/repo", f"{number}-first")
time.sleep(pause)
migas.add_project("owner/repo", f"{number}-second", status="C")
"""

#: From an end that comes before anything is loaded to one at which all is written.
PAUSES = (0.0, 0.001, 0.01, 0.03, 0.1)


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Let no thread have a processor when it wants one."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    yield
    for process in busy:
        process.kill()
        process.wait(PATIENCE)


@pytest.mark.slow
@pytest.mark.usefixtures("busy_machine")
@pytest.mark.parametrize("budget", ["0", "0.05", "1"])
def test_an_exit_on_a_busy_machine_loses_nothing(
    host: Host, server: Server, spool: Callable[..., Spool], budget: str
) -> None:
    """Each breadcrumb is at the server or on disk, and never at the server twice.

    Unless the machine is so busy that three exits in a row hung up before the server had answered:
    it drops what is hung up on, and the breadcrumbs count as delivered (DESIGN, "Delivery").
    """
    for first in range(0, HOSTS, AT_A_TIME):
        started = [
            host.start(
                "",
                {"MIGAS_EXIT_TIMEOUT": budget},
                arguments=("-c", HOST, str(number), str(PAUSES[number % len(PAUSES)])),
                measured=False,
            )
            for number in range(first, first + AT_A_TIME)
        ]
        for process in started:
            out, err = process.communicate(timeout=PATIENCE)
            assert (process.returncode, out, err) == (0, "", "")
    pending = {decode(entry.read()).project_version for entry in spool().list_pending()}
    sent = [str(crumb["version"]) for crumb in server.crumbs]
    wanted = {f"{number}-{which}" for number in range(HOSTS) for which in ("first", "second")}
    assert len(wanted - pending - set(sent)) <= spool().unanswered
    assert len(sent) == len(set(sent))

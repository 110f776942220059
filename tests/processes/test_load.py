"""Many breadcrumbs and many processes: each arrives once, and the server is not stormed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import versions

from migas._crumb import breadcrumb
from migas._delivery import graphql
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas._disk.spool import Spool

#: Flushes until nothing is left, however often the server shuts its door meanwhile.
FLUSH = """
import time, migas
deadline = time.monotonic() + 50
while migas.flush(50) and time.monotonic() < deadline:
    time.sleep(0.05)
"""

#: An exit that gives its request up may have to send it once more: no exit here has to.
PATIENT = {"MIGAS_EXIT_TIMEOUT": "50"}

#: A minute, as a 429 without a word means, would be too long for a test.
BUSY = Fault.status(429, retry_after=1)


@pytest.mark.slow
def test_two_thousand_of_one_process_arrive_once_each(host: Host, server: Server) -> None:
    """With a server that is busy for a while in the middle."""
    server.inject([None] * 50 + [BUSY])
    code = "import migas\nfor n in range(2000): migas.add_project('owner/repo', f'1.{n}')\n"
    ended = host.run(code + FLUSH)
    assert ended.calmly, ended
    assert len(set(versions(server))) == len(server.crumbs) == 2000
    # Each asks for version news, as the first attempt of an add_project does: ten fit.
    assert server.requests <= 2000 / 8


@pytest.mark.slow
def test_sixty_processes_twelve_at_a_time_deliver_each_once(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """With a 429 in the middle, and no request by anybody until it is over."""
    server.inject([None] * 3 + [BUSY])
    for batch in range(5):
        code = "import migas; migas.add_project('owner/repo', '1.{}')"
        started = [host.start(code.format(12 * batch + n), PATIENT) for n in range(12)]
        for process in started:
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out, err) == (0, "", "")
    arrived = len(server.crumbs)
    assert arrived + spool().count() == 60
    ended = host.run(FLUSH)
    assert ended.calmly, ended
    assert len(set(versions(server))) == len(server.crumbs) == 60
    # The first twelve may all deliver: the stamps have no lock, and each reads them before another
    # has written. Of the others no more than the pace allows, and the rest goes in full requests.
    assert server.requests <= 12 + 10 + 60 / 8


def fill(spool: Spool, runs: int, count: int = 1000) -> None:
    """Let ``count`` breadcrumbs of so many runs wait, as one machine's."""
    defaults = {
        "language_version": "3.12.4",
        "platform": "linux",
        "user_id": "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11",
    }
    for number in range(count):
        session = f"00000000-0000-4000-8000-{number % runs:012}"
        crumb = breadcrumb.sanitize(
            "nipreps/fmriprep", "25.2.7", {"session_id": session}, defaults
        ).breadcrumb
        spool.put(breadcrumb.encode(crumb))


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "fit"), [(1, 16), (1000, 12)])
def test_a_backlog_of_a_thousand_goes_in_full_requests(
    host: Host, server: Server, spool: Callable[..., Spool], runs: int, fit: int
) -> None:
    """Sixteen breadcrumbs of one run fit in one, and twelve of as many runs."""
    fill(spool(), runs)
    ended = host.run("import migas; print(migas.flush(50))")
    assert (ended.out, ended.calmly) == ("0\n", True), ended
    assert len(server.crumbs) == 1000
    assert server.requests == -(-1000 // fit)
    assert all(len(request.body) <= graphql.MAX_BODY for request in server.received)

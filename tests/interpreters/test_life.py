"""Real hosts on the interpreter at hand: one that ends, one that is killed, and the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import LATER, PATIENCE, SLOW, await_condition, versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas._disk.spool import Spool
    from migas.testing import Server

LINE = "import migas; migas.add_project('owner/repo', '{}')\n"


def test_a_host_that_ends_delivers_and_its_user_notices_nothing(host: Host, server: Server) -> None:
    """One line is all that a host needs."""
    ended = host.run(LINE.format("1.2.3"), SLOW)
    assert ended.calmly, ended
    assert versions(server) == ["1.2.3"]


def test_what_a_killed_host_has_noted_a_command_delivers(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """`migas status` counts what is pending, `migas flush` sends it, and nothing is left."""
    server.stop()
    killed = host.start(f"import time\n{LINE.format('1')}time.sleep(600)")
    await_condition(lambda: spool().count() == 1)
    killed.kill()
    killed.communicate(timeout=PATIENCE)
    server.start()
    status = host.run("", arguments=("-m", "migas", "status"))
    assert "pending" in status.out, status
    ended = host.run(LATER)
    assert ended.calmly, ended
    assert versions(server) == ["1"]
    assert spool().count() == 0

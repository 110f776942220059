"""Where a process stands: what a host may have done to that does not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server


@pytest.mark.parametrize("argv", ["del sys.argv", "sys.argv = None", "sys.argv = []"])
def test_a_program_without_arguments_reports_its_use(host: Host, server: Server, argv: str) -> None:
    """One that embeds Python need not set them."""
    use = "import migas; migas.add_project('owner/repo', '1.0').result(60)"
    ended = host.run(f"import sys; {argv}; {use}", measured=False)
    assert (ended.calmly, len(server.crumbs)) == (True, 1), ended

"""A person says no by a variable, and a host cannot say it in a person's place."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from migas._runtime.optout import find_optout

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

#: As the hosts do that silence nipype's own ping.
SET_BY_HOST = "import os; os.environ['NIPYPE_NO_ET'] = os.environ['NO_ET'] = '1'\n"
ADD = "import migas; migas.add_project('owner/repo', '1').result(60)\n"


@pytest.mark.parametrize(
    ("variable", "value", "off"),
    [
        ("MIGAS_OPTOUT", "1", True),
        ("MIGAS_OPTOUT", "0", True),
        ("MIGAS_OPTOUT", "", True),
        ("NO_ET", "", True),
        ("NO_ET", "1", True),
        ("DO_NOT_TRACK", "1", True),
        ("DO_NOT_TRACK", "true", True),
        ("DO_NOT_TRACK", "0", False),
        ("DO_NOT_TRACK", "", False),
        ("do_not_track", "1", False),
    ],
)
def test_each_variable_says_no_in_its_own_way(variable: str, value: str, off: bool) -> None:
    """Any value of ours and of NO_ET; anything but empty or 0 of DO_NOT_TRACK."""
    found = find_optout({variable: value}, began_without=lambda _name: False)
    assert found == (variable if off else "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can tell who set it")
def test_what_a_host_sets_for_itself_is_not_the_persons_word(host: Host, server: Server) -> None:
    """Five hosts set NO_ET in their own process, and want to be counted all the same."""
    assert host.run(SET_BY_HOST + ADD).calmly
    assert len(server.crumbs) == 1


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(SET_BY_HOST, id="the host sets it, too"),
        pytest.param(
            "import ctypes; numbers = open('/proc/self/stat').read().rpartition(')')[2].split()\n"
            "start, end = map(int, numbers[47:49])\n"
            "ctypes.memset(start, 0, end - start)\n",
            id="the host's title overwrites it",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="there is no such block"),
        ),
    ],
)
def test_what_a_person_has_set_stands(host: Host, server: Server, code: str) -> None:
    """Whatever a host does afterwards; and where nobody can tell, it is the person's."""
    assert host.run(code + ADD, {"NO_ET": "1"}, measured=False).calmly
    assert server.requests == 0


def test_what_a_process_inherits_counts_as_the_persons_word(host: Host, server: Server) -> None:
    """A program that a host starts does not know who set it, and keeps silent."""
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ADD!r}], check=True)"
    assert host.run(SET_BY_HOST + start).calmly
    assert server.requests == 0

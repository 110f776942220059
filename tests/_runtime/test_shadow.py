"""A host's own module that bears the name of one that our threads need: its code is not run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migas._runtime.shadow import _OF_TRANSPORT, _OF_WRITER

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

MINE = "print('my own code runs')\n"

USE = """
import migas
receipt = migas.add_project("owner/repo", "1.0")
print(receipt["message"])
"""

NO_WAIT = """
import time, migas
migas.add_project("owner/repo", "1.0")
time.sleep(0.5)
"""


Script = Callable[..., Path]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Write a script, and files beside it, into a directory of their own."""

    def write(code: str, *names: str, text: str = MINE) -> Path:
        for name, content in (*[(name, text) for name in names], ("main.py", code)):
            path = tmp_path / "scripts" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path / "scripts/main.py"

    return write


@pytest.mark.parametrize("name", ["calendar.py", "queue/__init__.py", "requests.py", "chardet.py"])
@pytest.mark.parametrize("use", [USE, NO_WAIT, f"import logging\n{NO_WAIT}"])
def test_a_module_beside_the_script_is_not_run(
    host: Host, server: Server, script: Script, name: str, use: str
) -> None:
    """It has the name of one that `requests` imports: the breadcrumb stays, and the reason is told.

    A host that starts elsewhere delivers it.
    """
    path = script(use, name)
    ended = host.run("", measured=False, arguments=[str(path)])
    said = f"cannot send: {path.parent / name} has the name of a module that is needed\n"
    assert (ended.out, ended.calmly) == (said if use == USE else "", True), ended
    assert server.requests == 0
    assert host.run("import migas; assert migas.flush(30) == 0", measured=False).calmly
    assert len(server.crumbs) == 1


@pytest.mark.parametrize("name", ["json.py", "platformdirs.py"])
def test_a_module_that_the_writer_needs_is_not_run(
    host: Host, server: Server, script: Script, name: str
) -> None:
    """Nothing can be written then, and the receipt says why."""
    path = script(USE, name)
    ended = host.run("", measured=False, arguments=[str(path)])
    said = f"{path.parent / name} has the name of a module that is needed\n"
    assert (ended.out, ended.calmly) == (said, True), ended
    assert server.requests == 0


def test_what_hides_nothing_stops_nothing(host: Host, server: Server, script: Script) -> None:
    """Directories without code, modules that nobody needs, and those that are there before."""
    others = ("statistics.py", "time.py", "sys.py", "calendar.txt", "os.py", "test_json.py")
    path = script(USE, *others, "email/letter.txt", "requests/spare.csv", "http/index.html")
    ended = host.run("", measured=False, arguments=[str(path)])
    assert ended.calmly, ended
    assert MINE not in ended.out
    assert len(server.crumbs) == 1


def test_a_package_beside_the_script_is_taken(host: Host, server: Server, script: Script) -> None:
    """As those have it who install all that they need into one directory."""
    path = script(USE, "chardet/__init__.py", text="__version__ = '5.0.0'; print('chardet')")
    ended = host.run("", measured=False, arguments=[str(path)])
    assert (ended.out.split("\n")[0], ended.calmly) == ("chardet", True), ended
    assert len(server.crumbs) == 1


def test_a_backport_that_is_installed_is_taken(host: Host, server: Server, script: Script) -> None:
    """It hides a module of Python's own, and is meant to."""
    import calendar

    text = f"print('backport')\n{Path(calendar.__file__).read_text(encoding='utf-8')}"
    path = script(USE, "calendar.py", text=text)
    (path.parent / "calendar-1.0.dist-info").mkdir()
    ended = host.run("", measured=False, arguments=[str(path)])
    assert (ended.out.split("\n")[0], ended.calmly) == ("backport", True), ended
    assert len(server.crumbs) == 1


def test_a_script_in_the_standard_library_hides_nothing(host: Host, server: Server) -> None:
    """`python -m` in the library's own directory: what lies there is what is needed."""
    code = f"import os, sys; os.chdir(os.path.dirname(os.__file__)); sys.path.insert(0, '')\n{USE}"
    assert host.run(code, measured=False).calmly
    assert len(server.crumbs) == 1


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="PyPy's library is another")
def test_every_name_is_known(host: Host, server: Server) -> None:
    """All of the standard library that a use and its delivery load is looked for before."""
    code = f"""
import sys
there = set(sys.modules)
{USE}
loaded = {{name.partition('.')[0] for name in set(sys.modules) - there}}
known = sys.stdlib_module_names - set(sys.builtin_module_names)
print(*sorted(name for name in loaded & known if not name.startswith('_')))
"""
    ended = host.run(code, measured=False)
    assert ended.calmly, ended
    at_import = {"collections", "functools", "operator", "reprlib", "threading", "types"}
    frozen = {"encodings", "importlib", "ntpath"}
    unknown = set(ended.out.splitlines()[-1].split()) - _OF_WRITER - _OF_TRANSPORT
    assert unknown - at_import - frozen == set()
    assert len(server.crumbs) == 1

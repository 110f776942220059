"""A host's own module that bears the name of one that our threads need: its code is not run."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migas._runtime.shadow import _DIRECTORIES, _FILES, _OF_TRANSPORT, _OF_WRITER

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

MINE = "print('my own code runs')\n"

USE = """
import migas
receipt = migas.add_project("owner/repo", "1.0")
print(receipt["message"])
"""

#: Ends before our thread has tried; and lives until that, which needs `logging`, has told of it.
AT_THE_EXIT = "import migas; migas.add_project('owner/repo', '1.0')"
IN_THE_BACKGROUND = """
import logging, time, migas
receipt = migas.add_project("owner/repo", "1.0")
while not receipt.done(): time.sleep(0.002)
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


@pytest.mark.parametrize("name", ["calendar.py", "queue/__init__.py", "requests.py", "socks.py"])
@pytest.mark.parametrize("use", [USE, AT_THE_EXIT, IN_THE_BACKGROUND])
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


@pytest.mark.parametrize("name", ["json.py", "random.py"])
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


def test_a_shadow_that_goes_stops_nothing(host: Host, server: Server, script: Script) -> None:
    """The person renames the file, as `migas help troubleshooting` says."""
    code = f"""
import os, sys, time
{USE}
os.rename(os.path.join(sys.path[0], "calendar.py"), os.path.join(sys.path[0], "mine.py"))
{USE}
assert migas.flush(30) == 0
"""
    ended = host.run("", measured=False, arguments=[str(script(code, "calendar.py"))])
    assert (ended.out.count("has the name"), ended.calmly) == (1, True), ended
    assert len(server.crumbs) == 2


EXTENSIONS = os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")


@pytest.mark.parametrize("entry", [EXTENSIONS, 3, b"x", "absent"])
def test_what_is_no_scripts_directory_stops_nothing(
    host: Host, server: Server, entry: object
) -> None:
    """Python's own extension modules come first on Windows, and in a frozen program."""
    assert host.run(f"import sys; sys.path.insert(0, {entry!r})\n{USE}", measured=False).calmly
    assert len(server.crumbs) == 1


@pytest.mark.parametrize("name", ["listdir", "stat"])
def test_what_a_host_has_replaced_stops_nothing(host: Host, server: Server, name: str) -> None:
    """As a test's mock does."""
    code = f"""
import os, ssl, json, http.client, email.parser, migas, platformdirs
replaced = os.{name}
place = os.getcwd()
def refuse(path='.', *args, **kwargs):
    if path == place:
        raise RuntimeError('not in a test')
    return replaced(path, *args, **kwargs)
os.{name} = refuse
{USE}
"""
    assert host.run(code, measured=False).calmly
    assert len(server.crumbs) == 1


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="PyPy's library is another")
def test_every_name_is_needed(host: Host, server: Server) -> None:
    """What a delivery does not ask for hides nothing."""
    code = f"""
import sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        asked.add(name.partition('.')[0])
asked = set(sys.modules) | set(sys.builtin_module_names)
sys.meta_path.insert(0, Watch())
{USE}
print(*asked)
"""
    ended = host.run(code, measured=False)
    assert ended.calmly, ended
    asked = set(ended.out.splitlines()[-1].split())
    assert (_OF_WRITER | _OF_TRANSPORT | _FILES | _DIRECTORIES) - asked == set()
    assert len(server.crumbs) == 1

"""The architecture holds: imports run one way, and importing migas is cheap."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import migas

if TYPE_CHECKING:
    from conftest import Host

PACKAGE = Path(migas.__file__).parent

#: The modules, from the top down: each may import only what stands below it.
FLOORS = [
    {"__main__"},
    {"cli"},
    {"commands", "demo"},
    {"report", "terminal", "usage"},
    {"__init__"},
    {"operations", "pytest_plugin"},
    {"api", "config"},
    {"tracker"},
    {"ending", "process", "trap"},
    {"agent", "configfile", "error"},
    {"question", "sender", "writer"},
    {"transport", "uploader"},
    {"backoff", "deadline", "pace", "rate"},
    {"graphql", "identity", "parcel", "policy", "record", "spool"},
    {"entry", "stamp"},
    {"breadcrumb", "environment", "outcome", "redaction", "userdirs"},
    {"inbox", "lineage", "log"},
    {"receipt", "settings", "worker"},
    {"identifier", "loading", "namedtuple", "optout", "version"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}

#: What `import migas` may load, `threading` and what that loads aside.
LIGHT = {"migas"} | {
    f"migas.{name}"
    for name in (
        *("agent", "api", "identifier", "inbox", "lineage", "loading", "log", "optout"),
        *("process", "receipt", "settings", "worker"),
    )
}


def imports(path: Path) -> set[str]:
    """The modules of this package that a module imports when it runs, wherever in its code."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only or not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found.update([node.module] if node.module else [alias.name for alias in node.names])
        elif isinstance(node, ast.ImportFrom) and node.level == 2:
            found.add(f"..{node.module}")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_imports_run_downward(path: Path) -> None:
    """No module knows what stands above it, so a change is seen only from above."""
    assert path.stem in FLOOR, "a new module needs its floor"
    below = {name.partition(".")[0] for name in imports(path)} - {"testing"}
    assert all(FLOOR[name] > FLOOR[path.stem] for name in below), below


@pytest.mark.parametrize("path", sorted((PACKAGE / "error").glob("*.py")), ids=lambda p: p.stem)
def test_the_errors_know_only_what_stands_below_them(path: Path) -> None:
    """A part of the house like any other, though it is a directory."""
    above = {name for name in FLOOR if FLOOR[name] <= FLOOR["error"]}
    named = set(
        re.findall(r"^\s*from migas(?:\.(\w+))? import (\w+)", path.read_text(), re.MULTILINE)
    )
    assert named
    assert not {module or name for module, name in named} & above


@pytest.mark.parametrize(
    ("module", "stranger"),
    [
        ("transport", {"spool", "uploader", "worker", "breadcrumb", "graphql"}),
        ("spool", {"breadcrumb", "outcome", "transport", "graphql"}),
        ("graphql", {"transport", "spool", "settings"}),
        ("breadcrumb", {"transport", "spool", "graphql", "outcome"}),
        ("uploader", {"worker", "transport", "agent", "settings"}),
        ("policy", {"uploader", "spool", "transport", "graphql", "settings"}),
        ("rate", set(FLOOR) - {"rate"}),
        ("deadline", set(FLOOR) - {"deadline"}),
        ("backoff", {"uploader", "spool", "settings", "transport"}),
        ("pace", {"uploader", "spool", "settings", "transport"}),
        ("worker", {"agent", "breadcrumb", "spool", "transport", "settings", "log"}),
        ("identity", {"settings", "api"}),
        ("settings", set(FLOOR) - {"settings", "identifier"}),
        ("identifier", set(FLOOR) - {"identifier"}),
        ("lineage", set(FLOOR) - {"lineage", "settings"}),
        ("environment", set(FLOOR) - {"environment", "namedtuple"}),
        ("redaction", set(FLOOR) - {"redaction"}),
        ("optout", set(FLOOR) - {"optout"}),
        ("trap", set(FLOOR) - {"trap", "log"}),
        ("ending", set(FLOOR) - {"ending", "error"}),
        ("tracker", {"spool", "transport", "graphql", "writer", "sender"}),
        ("loading", set(FLOOR) - {"loading"}),
    ],
)
def test_a_module_does_not_know_what_is_none_of_its_business(
    module: str, stranger: set[str]
) -> None:
    """The last column of the architecture's table."""
    assert not imports(PACKAGE / f"{module}.py") & stranger


@pytest.mark.parametrize("path", sorted((PACKAGE / "testing").glob("*.py")), ids=lambda p: p.stem)
def test_the_local_server_knows_nothing_of_the_agent(path: Path) -> None:
    """It judges what the agent sends, so it must not share a mistake with it."""
    assert not any(name.startswith("..") for name in imports(path))
    code = path.read_text().split('"""')[-1]
    assert not re.search(r"^\s*(from|import) migas", code, re.MULTILINE)


def test_all_is_what_there_is() -> None:
    """The package's table of contents is sorted and true."""
    assert migas.__all__ == sorted(migas.__all__)
    # pytest adds names of its own, "@…", to every module of a package that has a plugin.
    public = {name for name in dir(migas) if not name.startswith(("_", "@"))}
    submodules = {name for name in FLOOR if f"migas.{name}" in sys.modules} | {"testing"}
    assert public - submodules == {name for name in migas.__all__ if name != "__version__"}
    assert all(getattr(migas, name).__doc__ for name in migas.__all__)


def test_importing_migas_is_cheap(host: Host) -> None:
    """No heavy module, no thread, no file: as the interpreter itself reports (pains 1, 26)."""
    ended = host.run(
        """
import sys, threading
sys.dont_write_bytecode = True
before, threads, opened = set(sys.modules), threading.active_count(), []
def watch(event, args):
    if event == 'open' and not str(args[0]).endswith(('.py', '.pyc')):
        opened.append(args)
    if event.startswith(('socket.', 'subprocess.', 'os.mkdir')):
        opened.append((event, args))
sys.addaudithook(watch)
import migas
assert threading.active_count() == threads
assert not opened, opened
print(*set(sys.modules) - before)
""",
        measured=False,
    )
    assert ended.calmly, ended
    # Built in, or loaded by nearly every interpreter at its start.
    assert set(ended.out.split()) - {"__future__", "atexit", "collections.abc"} == LIGHT

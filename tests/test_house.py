"""The house holds: imports run one way by folder, and importing migas is cheap."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import migas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support import Host

PACKAGE = Path(migas.__file__).parent

#: The folders and top-level modules, from the top down: each may import only what is below it.
FLOORS = [
    {"__main__"},
    {"cli", "testing"},
    {"__init__"},
    {"typedefs"},
    {"operations", "config"},
    {"_agent"},
    {"_delivery", "error"},
    {"_disk", "_crumb"},
    {"_runtime"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}

#: The one exception: the command line runs the local server, which knows nothing of the agent.
SIDEWAYS = {("cli", "testing")}

#: What `import migas` may load, `threading` and what that loads aside.
LIGHT = {"migas", "migas.operations"} | {
    f"migas.{name}"
    for name in (
        *("_agent", "_agent.agent", "_agent.jobs", "_agent.process", "_agent.reported"),
        *(
            "_runtime",
            "_runtime.daemon",
            "_runtime.exit",
            "_runtime.garbage",
            "_runtime.ancestor",
            "_runtime.identifier",
            "_runtime.launch",
            "_runtime.listeners",
            "_runtime.imports",
            "_runtime.loading",
            "_runtime.log",
        ),
        *(("_runtime.forks",) if sys.version_info >= (3, 15) else ()),
        *(
            "_runtime.native",
            "_runtime.optout",
            "_runtime.place",
            "_runtime.receipt",
            "_runtime.settings",
            "_runtime.signals",
        ),
        "_runtime.threads",
    )
}


def read_imports(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield what a module of this package imports when it runs, as parts of dotted names.

    The package's own modules come without their first part, `migas`.
    """
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only or not isinstance(node, ast.ImportFrom):
            continue
        package = path.relative_to(PACKAGE).parent.parts
        assert node.level <= 1, "another folder's modules are imported by their whole names"
        module = tuple((node.module or "").split(".")) if node.module else ()
        if node.level == 1:
            module = (*package, *module)
        elif module[0] != "migas":
            continue
        else:
            module = module[1:]
        for alias in node.names:
            yield (*module, alias.name)


def name_room(path: Path) -> str:
    """Return the folder or top-level module that a file belongs to."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_run_downward(path: Path) -> None:
    """No folder knows what is above it, so a change is seen only from above."""
    room = name_room(path)
    for found in read_imports(path):
        target = found[0] if found[0] in FLOOR else "__init__"
        if target in (room, "__init__") and room in (target, "__init__", "testing"):
            continue
        assert (room, target) in SIDEWAYS or FLOOR[target] > FLOOR[room], found


@pytest.mark.parametrize("room", sorted(path.name for path in PACKAGE.iterdir() if path.is_dir()))
def test_no_imports_of_a_folder_run_in_a_circle(room: str) -> None:
    """A module can be read once all that it imports has been."""
    modules = {path.stem: path for path in (PACKAGE / room).glob("*.py")}
    below = {
        stem: {part for found in read_imports(path) if found[0] == room for part in found[1:2]}
        & (set(modules) - {"__init__"})
        for stem, path in modules.items()
        if stem != "__init__"
    }
    while below:
        leaves = {stem for stem, names in below.items() if not names & set(below)}
        assert leaves, below
        below = {stem: names for stem, names in below.items() if stem not in leaves}


@pytest.mark.parametrize(
    "path",
    sorted(path for path in (PACKAGE / "testing").glob("*.py") if path.stem != "plugin"),
    ids=lambda path: path.stem,
)
def test_the_local_server_knows_nothing_of_the_agent(path: Path) -> None:
    """It judges what the agent sends, so it must not share a mistake with it."""
    assert all(found[0] == "testing" for found in read_imports(path))


def test_the_house_has_a_dozen_entries() -> None:
    """A newcomer sees at once where a change goes."""
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert entries - {"py.typed", "LICENSE", "docs"} == {
        f"{name}.py" for name in FLOOR if "." not in name
    } & {
        "__init__.py",
        "__main__.py",
        "operations.py",
        "config.py",
        "typedefs.py",
    } | {name for name in FLOOR if (PACKAGE / name).is_dir()}
    assert len(entries) <= 16  # `docs` and the licence among them


def test_no_module_bears_a_name_of_the_standard_librarys() -> None:
    """A program that begins in our folder would import ours in its place, and end."""
    assert not {path.stem for path in PACKAGE.iterdir()} & sys.stdlib_module_names


def test_all_is_what_there_is() -> None:
    """The package's table of contents is sorted and true."""
    assert migas.__all__ == sorted(migas.__all__)
    # pytest adds names of its own, "@…", to every module of a package that has a plugin.
    public = {name for name in dir(migas) if not name.startswith(("_", "@"))}
    submodules = {name for name in FLOOR if f"migas.{name}" in sys.modules}
    assert public - submodules == {name for name in migas.__all__ if name != "__version__"}
    assert all(getattr(migas, name).__doc__ for name in migas.__all__)


def test_importing_migas_is_cheap(host: Host) -> None:
    """No heavy module, no thread, no file: as the interpreter itself reports (pains 1, 26)."""
    ended = host.run(
        """
import sys, threading, _thread
sys.dont_write_bytecode = True
before, threads, opened = set(sys.modules), _thread._count(), []
def watch(event, args):
    if event == 'open' and not str(args[0]).endswith(('.py', '.pyc')):
        opened.append(args)
    if event.startswith(('socket.', 'subprocess.', 'os.mkdir')):
        opened.append((event, args))
sys.addaudithook(watch)
import migas
assert _thread._count() == threads
assert not opened, opened
print(*set(sys.modules) - before)
""",
        {"GUARD_REPORTS": ""},  # the guard of the tests opens files of its own
        measured=False,
    )
    assert ended.calmly, ended
    # Built in, or loaded by nearly every interpreter at its start.
    assert (
        set(ended.out.split()) - {"__future__", "_functools", "atexit", "collections.abc", "gc"}
        == LIGHT
    )

"""Each boundary of the agent has one door: nobody else reaches through the wall."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import migas

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(migas.__file__).parent

FILES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))

#: The local server is a program of its own, and knows nothing of the agent.
STRANGERS = "testing/"

#: What asks or changes a file system; functions of `os.path` that only compute are left out.
FILE_SYSTEM = re.compile(
    r"open|io\.open|shutil\.\w+|tempfile\.\w+|glob\.\w+|os\.path\.(exists|lexists|is\w+|get\w+|realpath"
    r"|samefile)|os\.(access|chmod|chown|fchmod|fdopen|link|listdir|lstat|makedirs|mkdir|mkfifo"
    r"|open|readlink|remove|removedirs|rename|renames|replace|rmdir|scandir|stat|symlink|truncate"
    r"|unlink|utime|walk)"
)

#: Files that are no spool's, and why they may be asked for elsewhere.
OTHER_FILES = {
    "_runtime/optout.py": "the opt-out looks by itself, and reads how this program was started",
    "_runtime/shadow.py": "the directories that modules are imported from",
    "_crumb/environment.py": "the marks by which a container is known",
    "_runtime/ancestor.py": "what the kernel says of the processes above",
    "_runtime/signals.py": "what the kernel says of this process's signals",
    "_crumb/mounts.py": "the kernel's list of what is mounted",
    "config.py": "the file that the host names",
    "cli/demo.py": "a temporary directory of its own",
    "cli/files.py": "the files that a person names",
    "cli/runner.py": "the null device, in place of a stream that is closed",
}

#: Modules that are CPython's own inside, or one process's state.
INSIDE = re.compile(r"_(?!_)\w+")
STATEFUL = {"random", "warnings", "gc", "faulthandler", "resource"}

#: By public names only, as their nouns.
NOUNS = {
    "signal": {"_agent/endings.py", "cli/service.py"},
    "atexit": {"_agent/process.py"},
}

#: What speaks HTTP, and may be known to the transport and its neighbours alone.
NETWORK = {"requests", "urllib3", "http", "socket", "ssl", "select", "selectors"}
TRANSPORT = {
    f"_delivery/{name}.py"
    for name in ("transport", "connection", "dialer", "progress", "reason", "redirect", "sockets")
}


def read(file: str) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text())


def find_calls(tree: ast.AST) -> Iterator[str]:
    """Yield what is called, as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def find_imports(tree: ast.AST) -> Iterator[str]:
    """Yield the top-level names of foreign modules that are imported anywhere, for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def find_attributes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each attribute of a plain name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


@pytest.mark.parametrize(
    "file", [file for file in FILES if not file.startswith(("_disk/", STRANGERS))]
)
def test_the_disk_is_touched_in_its_folder_alone(file: str) -> None:
    """Whose a directory is, is asked in one place, whoever uses it (pain 44)."""
    touched = {call for call in find_calls(read(file)) if FILE_SYSTEM.fullmatch(call)}
    assert bool(touched) is (file in OTHER_FILES), touched


@pytest.mark.parametrize(
    "file", [file for file in FILES if not file.startswith(("_runtime/", STRANGERS))]
)
def test_the_interpreter_and_the_process_are_touched_in_their_folder_alone(file: str) -> None:
    """So a new release of Python is a review of one folder (pains 30 to 36)."""
    tree = read(file)
    imported = set(find_imports(tree))
    private = {name for name in imported - {"__future__"} if INSIDE.fullmatch(name)}
    assert not private | (imported & STATEFUL)
    for module, files in NOUNS.items():
        assert module not in imported or file in files
    inside = {f"{name}.{attr}" for name, attr in find_attributes(tree) if name in ("sys", "os")}
    assert not {name for name in inside if INSIDE.fullmatch(name.partition(".")[2])}
    assert ("os.register_at_fork" in inside) is (file == "_agent/process.py")


@pytest.mark.parametrize(
    "file", [file for file in FILES if not file.startswith(STRANGERS) and file not in TRANSPORT]
)
def test_the_server_is_spoken_to_by_the_transport_alone(file: str) -> None:
    """Nobody else has to know what a library may raise (pain 55)."""
    assert not set(find_imports(read(file))) & NETWORK


@pytest.mark.parametrize("file", FILES)
def test_the_persons_will_is_looked_for_in_one_module(file: str) -> None:
    """A variable that says no is read by nobody else, so no path forgets one of them."""
    names = {
        node.value
        for node in ast.walk(read(file))
        if isinstance(node, ast.Constant) and node.value in ("MIGAS_OPTOUT", "DO_NOT_TRACK")
    }
    assert not names or file == "_runtime/optout.py"


def test_each_gate_asks_for_the_persons_will() -> None:
    """Taking a breadcrumb, writing it, and sending it."""
    for file in ("_agent/process.py", "_delivery/writer.py", "_delivery/sender.py"):
        calls = set(find_calls(read(file)))
        assert calls & {"find_optout", "look_for_optout"}, file

"""The modules that `import migas` loads: their code in one file, and as many without any.

The first shows what is left of the cost however few they are, the second what their number costs.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import py_compile
import re
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

#: Reads a bundle from the current directory, and leaves the modules as an import does.
READ = """
import marshal, sys, types
with open("bundle", "rb") as file:
    bundle = marshal.loads(file.read())
modules = {name: types.ModuleType(name) for name, _ in bundle}
for name, module in modules.items():
    above, _, last = name.rpartition(".")
    is_package = any(other.startswith(name + ".") for other in modules)
    module.__package__ = name if is_package else above
    if is_package:
        module.__path__ = []
    if above:
        setattr(modules[above], last, module)
sys.modules.update(modules)
for name, code in bundle:
    exec(code, vars(modules[name]))
migas = modules["migas"]
"""

#: Imports the empty modules from the current directory, after what an import of migas needs.
READ_EMPTY = """
import threading, __future__, atexit, empty
for number in range(empty.COUNT):
    __import__(f"empty.module_{number}")
"""


def write(directory: str) -> None:
    """Write a bundle into ``directory``."""
    with open(os.path.join(directory, "bundle"), "wb") as file:
        marshal.dump(_list_code(), file)


def write_empty(directory: str) -> None:
    """Write a package of empty modules into ``directory``, of as many as the bundle has."""
    package = os.path.join(directory, "empty")
    os.mkdir(package)
    count = len(_list_code()) - 1  # the package itself is one
    texts = {f"module_{number}": "" for number in range(count)}
    for name, text in {**texts, "__init__": f"COUNT = {count}\n"}.items():
        path = os.path.join(package, f"{name}.py")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        py_compile.compile(path)


@cache
def _list_code() -> list[tuple[str, CodeType]]:
    """List the modules and their code, in the order in which they come to their end."""
    command = [sys.executable, "-X", "importtime", "-c", "import migas"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    names = re.findall(r"\| +(migas\S*)$", told, re.MULTILINE)
    return [(name, _find_code(name)) for name in names]


def _find_code(name: str) -> CodeType:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    code: CodeType = spec.loader.get_code(name)  # type: ignore[union-attr]  # a file's has it
    return code

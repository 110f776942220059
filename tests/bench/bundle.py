"""The bundle: the code of the modules that `import migas` loads, in one file.

It shows what their number costs, and what is left of it however few they are.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
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


def write(directory: str) -> None:
    """Write a bundle into ``directory``."""
    with open(os.path.join(directory, "bundle"), "wb") as file:
        marshal.dump(_list_code(), file)


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

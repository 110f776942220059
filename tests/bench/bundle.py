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
package = sys.modules["migas"] = types.ModuleType("migas")
for name, code in bundle:
    module = sys.modules.setdefault(name, types.ModuleType(name))
    module.__package__ = "migas"
    exec(code, vars(module))
    if module is not package:
        setattr(package, name.partition(".")[2], module)
migas = package
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

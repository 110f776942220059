"""The lazy imports: imports at once what Python would import on a name's first use (PEP 810).

From Python 3.15 on, with `-X lazy_imports=all`, nearly every import at the top of a module is lazy:
the module is executed, and what it imports follows on first use. On a thread of ours that would be
an import without the locks of `loading`, and outside of `quiet`. So whatever we load is made whole
at once, while the locks are held. This module is loaded in that mode only.

It owns the walk from a module to all that it needs. What may go wrong: an import fails, as it may
for a module that is never used. Then the name stays lazy, and its first use raises the error.
"""

from __future__ import annotations

import sys
import types
from types import FunctionType, ModuleType

from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What a name stands for until its first use. Earlier Pythons have no such thing.
_LazyImport = getattr(types, "LazyImportType", None)

# The modules that have been made whole, and the packages among them by name. Only a thread that
# holds the import lock adds some, or one of the host's that makes its first call; each step is
# atomic.
_whole: set[str] = set()
_packages: dict[str, ModuleType] = {}


def is_whole(name: str) -> bool:
    """Return True if `make_whole` has been called for a module."""
    return name in _whole


def make_whole(name: str) -> None:
    """Import all that a loaded module, and the modules that it uses, would import on first use.

    The caller decides about locks and warnings, as for any import.

    Parameters:
        name: the module, in full. One that is not loaded has nothing to import.
    """
    pending = [name]
    while pending:
        while pending:
            pending.extend(_visit(pending.pop()))
        pending = [name for name in _resolve_submodules() if name not in _whole]


def _visit(name: str) -> Iterator[str]:
    """Import what is lazy in a module that is not whole. Yields the modules that it uses."""
    if name in _whole or name not in sys.modules:
        return
    _whole.add(name)
    module = sys.modules[name]
    if isinstance(module, ModuleType):
        if hasattr(module, "__path__"):
            _packages[name] = module
        yield from _resolve(module)


def _resolve(module: ModuleType) -> Iterator[str]:
    """Import what is lazy in a module. Yields the modules that its names are, or come from."""
    # A look into the dictionary imports nothing; an attribute that is asked for is imported.
    for name, value in tuple(vars(module).items()):
        found = _import(module, name) if type(value) is _LazyImport else value
        if isinstance(found, ModuleType):
            yield found.__name__
        elif issubclass(type(found), (type, FunctionType)):
            yield str(found.__module__)


def _resolve_submodules() -> Iterator[str]:
    """Import the submodules that somebody has imported lazily of a package. Yields their names.

    After `import email.parser, email.message` the name `email` stands for the last one only. Python
    notes them all in one list for all importers, so a host's own lazy submodules of a package that
    we use, too, are imported.
    """
    for name in sys.lazy_modules.copy():  # type: ignore[attr-defined,unused-ignore]
        parent, _, child = name.rpartition(".")
        if parent in _packages and name not in sys.modules:
            _import(_packages[parent], child)
            if name in sys.modules:
                yield name


def _import(module: ModuleType, name: str) -> object:
    """Return an attribute of a module, imported if it is lazy. Returns None if that fails."""
    try:
        return getattr(module, name)
    except Exception as error:  # whatever an import raises; see above
        reraise_from_handler(error)
        return None

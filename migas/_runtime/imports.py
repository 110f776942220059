"""The imports: knows what is loaded, what other threads are importing, and what is lazy.

`importlib` has a lock for each module that is being imported in this interpreter. They are asked,
and no frame of another thread is looked at: other interpreters in the process, and threads without
a GIL, change their frames at any moment.

What may go wrong: `importlib` has no such list of locks. Then every thread counts as importing, and
nothing is loaded in the background; nor is it while a thread of the host's imports without end.
"""

from __future__ import annotations

import sys

from .native import get_ident
from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from typing import Any


class _Unseen:
    """What stands for imports that cannot be seen: a lock whose owner is no thread of ours."""

    owner = 0


_UNSEEN = _Unseen()

# Whether a lock lives on, without an owner, after its import. CPython removes it at once, and one
# without an owner is that of an import which begins. There is a race with such a one elsewhere.
_KEEPS_LOCKS = sys.implementation.name != "cpython"

# The locks of modules that threads of a parent process were importing when this one was forked.
_orphans: list[object] = []


def is_loaded(name: str) -> bool:
    """Return True if a module has been imported and has run to its end.

    A module whose import is still under way is in `sys.modules` as well.
    """
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return module is not None and not getattr(spec, "_initializing", False)


def find_logging_lock() -> threading.RLock | None:
    """Return the lock that a fork takes first, or None if `logging` is not loaded that far."""
    return getattr(sys.modules.get("logging"), "_lock", None)


def is_another_thread_importing() -> bool:
    """Return True if any thread but this one is inside an import, or at the beginning of one.

    `importlib` has a lock for each module that is being imported in this interpreter, and keeps it
    no longer. It makes each with the import lock held: while this thread holds that, none begins.
    """
    owners = [lock.owner for lock in _list_module_locks() if lock not in _orphans]
    if _KEEPS_LOCKS:
        owners = [owner for owner in owners if owner is not None]
    return any(owner != get_ident() for owner in owners)


def is_this_thread_importing() -> bool:
    """Return True if the code that calls this runs since a module is being imported."""
    mine = get_ident()  # in a forked child, that of a thread that is gone may be the same
    return any(lock.owner == mine for lock in _list_module_locks() if lock not in _orphans)


def disregard_orphans() -> None:
    """Forget the imports of a parent process's other threads. To be called in a forked child.

    Their locks are held without end there, by nobody.
    """
    _orphans.extend(lock for lock in _list_module_locks() if lock.owner != get_ident())


def _list_module_locks() -> list[Any]:
    """Return the locks of the modules that are being imported: a private list of `importlib`'s.

    It has been there since Python 3.3, and PyPy has it, too. Where it is missing, imports of others
    cannot be seen, and one lock is returned that seems taken: nothing is loaded in the background.
    """
    references = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", None)
    if references is None:
        return [_UNSEEN]
    try:
        # One step for other threads. Only a garbage collection in the middle may end an import.
        locks = [reference() for reference in list(references.values())]
    except RuntimeError as error:
        reraise_from_handler(error)
        return [_UNSEEN]
    return [lock for lock in locks if lock is not None]


def is_announced(name: str) -> bool:
    """Return True if the host has imported a package, or a module of it, lazily.

    Parameters:
        name: the name of a top-level package.
    """
    announced: set[str] = getattr(sys, "lazy_modules", set())
    return any(module.partition(".")[0] == name for module in announced.copy())


def is_ready(name: str) -> bool:
    """Return True if a module is loaded, and nothing of it is left for its first use."""
    if not is_loaded(name) or not _is_everything_lazy():
        return is_loaded(name)
    lazy = sys.modules.get(f"{__package__}.lazy")
    return lazy is not None and lazy.is_whole(name)


def make_whole(name: str) -> None:
    """Import what a loaded module would import on first use, if that is how this Python imports.

    That is so with `-X lazy_imports=all`, or `PYTHON_LAZY_IMPORTS=all`, from Python 3.15 on.
    """
    if _is_everything_lazy():
        from . import lazy

        lazy.make_whole(name)


def _is_everything_lazy() -> bool:
    """Return True if imports at the top of modules are lazy (PEP 810, from Python 3.15 on)."""
    return getattr(sys, "get_lazy_imports", str)() == "all"

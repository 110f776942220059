"""Importing on a background thread without harm to the host's own imports and forks.

CPython lets a background import break its host in two ways: a thread that meanwhile imports a
submodule of the same package can be handed a half-initialized module (python/cpython issue 83065),
and a child that is forked meanwhile inherits import locks that nobody will ever release. So every
import of the agent's thread is *exclusive*: it begins only while no other thread is importing, and
other imports and forks wait for it.
"""

from __future__ import annotations

import _imp
import sys
import threading

TYPE_CHECKING = False  # the usual constant lives in `typing`, whose import costs 16 ms
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType
    from typing import TypeVar

    T = TypeVar("T")

_IMPORTING = "<frozen importlib._bootstrap>"

#: How long to wait for `logging`'s lock, in seconds; its holders need microseconds.
_LOGGING_LOCK_TIMEOUT = 1.0

#: Seconds, half of the pause after the first attempt to import that could not be made.
_FIRST_PAUSE = 0.005


#: Packages of which this module has imported something.
_packages: set[str] = set()


class Loader:
    """Imports modules exclusively, piece by piece, until it is closed."""

    def __init__(self) -> None:
        # Held from before the first of the interpreter's locks is taken until after the last is
        # given back. A fork may copy it held: the child has an agent, and so a loader, of its own.
        self._gate = threading.Lock()
        self._closed = False

    def attempt(self, names: Iterable[str], *, loads_logging: bool = False) -> bool:
        """Import what is missing of ``names``, unless that could do harm now.

        Returns at once with False where it could; the caller tries again a moment later.
        ``loads_logging`` says that the modules import `logging`, which this method never is the
        first to load: its import takes a lock that its own fork hook holds, and the fork hangs.

        Raises whatever the import raises.
        """
        for name in names:
            with self._gate:
                if self._closed or not (is_loaded(name) or self._import_alone(name, loads_logging)):
                    return False
        return True

    def close(self) -> None:
        """Take none of the interpreter's locks any more, and return when none is held.

        A daemon thread that the interpreter stops keeps its locks for ever, and so does the host's
        end, which imports, or lets go of a logging handler, and wants one of them.
        """
        self._closed = True
        with self._gate:
            pass

    def _import_alone(self, name: str, loads_logging: bool) -> bool:
        if _are_frames_hidden() or _another_thread_imports():
            return False
        # os.fork() takes these two locks in this order: `logging` by its fork hook, the import
        # lock by itself. Whoever starts an import takes the second.
        logging_lock = _logging_lock()
        if logging_lock is None:
            if loads_logging or "logging" in sys.modules:
                return False
            return self._import_locked(name, logging_loaded=False)
        if not logging_lock.acquire(timeout=_LOGGING_LOCK_TIMEOUT):
            return False
        try:
            return self._import_locked(name, logging_loaded=True)
        finally:
            logging_lock.release()

    def _import_locked(self, name: str, *, logging_loaded: bool) -> bool:
        _imp.acquire_lock()
        try:
            # Another thread may have begun an import before the lock was ours.
            if _another_thread_imports() or ("logging" in sys.modules) is not logging_loaded:
                return False
            load(name)
            return True
        finally:
            _imp.release_lock()


class Import:
    """Modules that one thread needs, imported exclusively, and tried again until that can be."""

    def __init__(self, loader: Loader, names: Iterable[str], longest: float) -> None:
        self._loader = loader
        self._names = tuple(names)
        # Seconds from one attempt to the next, at most. Each pause is twice the one before.
        self._longest = longest
        self._pause = _FIRST_PAUSE

    def attempt(self, *, loads_logging: bool = False) -> float:
        """Import what is missing, and return 0.0, or the seconds until the next attempt.

        For ``loads_logging`` see `Loader.attempt`. Raises whatever the import raises.
        """
        if self._loader.attempt(self._names, loads_logging=loads_logging):
            self._pause = _FIRST_PAUSE
            return 0.0
        self._pause = min(self._pause * 2, self._longest)
        return self._pause


def load(name: str) -> None:
    """Import a module, and take back what that does to the host's warning filters.

    `requests` and `urllib3` add filters of their own categories, which a host that has not imported
    them does not expect. Raises whatever the import raises.
    """
    modules, filters = set(sys.modules), _warning_filters()[:]
    __import__(name)
    _packages.update(module.partition(".")[0] for module in set(sys.modules) - modules)
    current = _warning_filters()
    for item in current[:]:
        # Other threads may add filters meanwhile: theirs are not for what is loaded now.
        subjects = (item[2].__module__, getattr(item[3], "pattern", ""))
        packages = {subject.partition(".")[0] for subject in subjects}
        if item not in filters and packages & _packages:
            _discard(current, item)


def _warning_filters() -> list[tuple[object, object, type[Warning], object, int]]:
    # Action, message, category, module and line, as warnings.filterwarnings() makes them.
    return getattr(sys.modules.get("warnings"), "filters", [])


def _discard(items: list[T], item: T) -> None:
    try:
        items.remove(item)
    except ValueError:  # another thread was faster: warnings.resetwarnings() empties the list
        return


def is_loaded(name: str) -> bool:
    """Say whether a module is there and through with its own code."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return module is not None and not getattr(spec, "_initializing", False)


def _logging_lock() -> threading.RLock | None:
    return getattr(sys.modules.get("logging"), "_lock", None)


def _are_frames_hidden() -> bool:
    """Say that nobody can tell who imports: there are no frames, or it is unsafe to look at them.

    They are those of all interpreters in the process. One that runs beside this one, with a lock of
    its own, may be using its own just now: the process may abort (seen on Python 3.12 and 3.13).
    """
    modules = filter(None, map(sys.modules.get, ("_interpreters", "_xxsubinterpreters")))
    return not hasattr(sys, "_current_frames") or any(len(m.list_all()) > 1 for m in modules)


def _another_thread_imports() -> bool:
    frames = sys._current_frames()  # noqa: SLF001 (documented, though its name has an underscore)
    # This frame and what it holds would be a circle: every local variable of the host's would then
    # live on until the garbage collector comes, which chokes on some of them.
    del frames[threading.get_ident()]
    return any(map(_imports, frames.values()))


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False

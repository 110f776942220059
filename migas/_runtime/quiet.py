"""The quiet: drops the warnings that code of ours causes on the thread that runs it.

What `requests` and its dependencies warn of, as of versions that do not match or of a clock that is
years behind, is no news for the host's users; and a host that turns warnings into errors would stop
the import or the delivery. The filters of `warnings` are one list for all threads, so none is added
to them, not even for a moment: a filter more has warnings shown again that the host has shown once.
Instead the module `warnings` gets a class that answers the quiet threads alone in another way. The
C code that warns looks the list up in that module each time, too.

What may go wrong: the host has given the module a class of its own. Then ours is not set, and
warnings are shown. While ours is set, `type(warnings)` is not `types.ModuleType`, and each access
to an attribute of the module takes a microsecond more.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

if TYPE_CHECKING:
    from types import ModuleType
else:
    ModuleType = type(sys)  # `types` would be one more file to load

#: What changes the filters: on a quiet thread a call does nothing. The last is of Python 3.14.
_SETTERS = (
    *("simplefilter", "filterwarnings", "resetwarnings"),
    *("_filters_mutated", "_filters_mutated_lock_held"),
)


class _Warnings(ModuleType):
    """The module `warnings`, as long as some thread is quiet."""

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if name != "filters" and name not in _SETTERS:
            return value
        if quiet.pid != os.getpid():  # a fork has copied the class and not the threads
            quiet.forget()
            return value
        if not quiet.is_active():
            return value
        return _quieten(value) if name == "filters" else _drop

    def __setattr__(self, name: str, value: object) -> None:
        # `catch_warnings` sets a list of filters, and sets back the list that it found: in between
        # another thread may have changed that.
        if not quiet.is_active():
            super().__setattr__(name, value)


class _Filters(list[object]):
    """Filters that stay as they are."""

    append = insert = remove = lambda *_: None  # type: ignore[assignment]


class Quiet:
    """A context manager: while it lasts, its thread warns nobody.

    It may be entered by several threads at a time, and by one thread again.

    Example:
        >>> import warnings
        >>> with quiet:
        ...     warnings.warn("dropped")
        ...     warnings.simplefilter("error")
    """

    def __init__(self) -> None:
        # How often each thread has entered, by its id; and a lock for all that enter and leave.
        # Another thread may look without the lock: a thread asks for itself only.
        self._depths: dict[int, int] = {}
        # Reentrant, for a signal handler on the thread that holds it.
        self._lock = threading.RLock()
        # What a thread has entered, the last one at the end: its id, and how to leave its context.
        self._local = threading.local()
        self.pid = os.getpid()

    def __enter__(self) -> None:
        if self.pid != os.getpid():
            self.forget()
        # By the public name, since gevent replaces it: each of its greenlets has an id.
        ident = threading.get_ident()
        self._local.__dict__.setdefault("entered", []).append((ident, _enter_context()))
        with self._lock:
            self._depths[ident] = self._depths.get(ident, 0) + 1
            if type(warnings) is ModuleType:
                ModuleType.__setattr__(warnings, "__class__", _Warnings)

    def __exit__(self, *_: object) -> None:
        ident, leave_context = self._local.entered.pop()
        with self._lock:
            depth = self._depths.pop(ident, 0) - 1
            if depth > 0:
                self._depths[ident] = depth
            elif not self._depths and type(warnings) is _Warnings:
                ModuleType.__setattr__(warnings, "__class__", ModuleType)
        leave_context()

    def is_active(self) -> bool:
        """Return True on a quiet thread."""
        return threading.get_ident() in self._depths

    def forget(self) -> None:
        """Begin as new in a forked child, whose parent's other threads may have been quiet."""
        ident = threading.get_ident()
        self._depths = {ident: self._depths[ident]} if ident in self._depths else {}
        self._lock = threading.RLock()  # another thread may have held it
        self.pid = os.getpid()
        if not self._depths and type(warnings) is _Warnings:
            ModuleType.__setattr__(warnings, "__class__", ModuleType)


def _enter_context() -> Callable[[], object]:
    """Leave the thread's context of warnings, if it has one. Returns how to come back.

    From Python 3.14 on `catch_warnings` may set filters for one context, which come before the
    module's.
    """
    variable: Any = getattr(warnings, "_warnings_context", None)
    if variable is None:
        return lambda: None
    context = warnings._get_context().copy()  # type: ignore[attr-defined]  # noqa: SLF001
    context._filters = _quieten(context._filters)  # noqa: SLF001
    token = variable.set(context)
    return lambda: variable.reset(token)


def _quieten(filters: Any) -> _Filters:
    """Return filters that ignore all warnings but those of a resource that is not closed.

    Whoever does not close it: Python may collect the host's garbage on any thread.
    """
    kept = [
        (action, message, ResourceWarning, module, line)
        for action, message, category, module, line in filters
        if issubclass(ResourceWarning, category)
    ]
    return _Filters([*kept, ("ignore", None, Warning, None, 0)])


def _drop(*_args: object, **_options: object) -> None:
    """Do nothing."""


quiet = Quiet()

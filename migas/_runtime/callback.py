"""The callback: calls a function of the host's on a thread of ours as on one of the host's.

Our threads block all signals, and what a thread starts inherits that: a process that the host's
function started would ignore a SIGTERM, and so would all that it starts itself. And `threading`
does not know them: where it is asked for the current thread it notes one that nobody can join.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # see `daemon`

from .daemon import be_forgotten, find_own_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def call_host(function: Callable[..., Any], *args: object) -> Any:
    """Return what a function of the host's returns, and raise what it raises.

    While it runs on a thread of ours, that has the signal mask of the host's thread that started
    it. A signal may then be delivered here, where Linux does so only if the main thread blocks it.
    """
    thread = find_own_thread()
    if thread is None:
        return function(*args)
    try:
        return _call_with_mask(thread.host_mask, function, *args)
    finally:
        be_forgotten()


def _call_with_mask(mask: set[int] | None, function: Callable[..., Any], *args: object) -> Any:
    if mask is None:  # Windows
        return function(*args)
    ours = _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    try:
        return function(*args)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ours)

"""The callback: calls a function of the host's on a thread of ours as on one of the host's.

Our threads block all signals, and what a thread starts inherits that: a process that the host's
function started would ignore a SIGTERM, and so would all that it starts itself. And `threading`
does not know them: where it is asked for the current thread it notes one that nobody can join.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # see `daemon`
import os

from .daemon import be_forgotten, find_own_thread, is_known
from .garbage import pause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .daemon import Thread


def call_host(function: Callable[..., Any], *args: object) -> Any:
    """Return what a function of the host's returns.

    While it runs on a thread of ours, that has the signal mask of the host's thread that started
    it. A signal may then be delivered here, where Linux does so only if the main thread blocks it.

    Raises:
        Exception: what the function raises.
        RuntimeError: it raises what would end a thread of ours, as `sys.exit` does.
        SystemExit: it has forked, and this is the child. The thread ends with the function, as it
            would if it were the host's.
    """
    thread = find_own_thread()
    pause.lift()
    try:
        return function(*args) if thread is None else _call_walled(thread, function, *args)
    finally:
        pause.resume()


def _call_walled(thread: Thread, function: Callable[..., Any], *args: object) -> Any:
    try:
        return _call_masked(thread, function, *args)
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"{error!r:.200} on a thread of migas") from None
    finally:
        if thread.pid != os.getpid():
            raise SystemExit


def _call_masked(thread: Thread, function: Callable[..., Any], *args: object) -> Any:
    # A function that calls us may be called by us once more, and knows the thread by then.
    was_known = is_known()
    if thread.host_mask is not None:  # not on Windows
        ours = _signal.pthread_sigmask(_signal.SIG_SETMASK, thread.host_mask)
    try:
        return function(*args)
    finally:
        if thread.host_mask is not None:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ours)
        if not was_known:
            be_forgotten()

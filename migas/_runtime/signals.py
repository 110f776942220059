"""The signals: their names, for what people read, and whether code in C has a handler of one.

What is done about a signal, `endings` knows.
"""

from __future__ import annotations

import os


def name_signal(number: int) -> str:
    """Return a signal's name, or `signal 99` if it has none.

    Example:
        >>> name_signal(15)
        'SIGTERM'
    """
    import signal  # which costs an import of `enum`

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def has_native_handler(number: int) -> bool:
    """Return True if a signal is caught or ignored by code in C, as by `faulthandler.register`.

    Python notes at its start only what others have set: such a signal's handler is the default one
    to `signal.getsignal` from then on. Elsewhere than on Linux nobody can know.

    Example:
        >>> has_native_handler(10)
        False
    """
    try:
        status = os.open("/proc/self/status", os.O_RDONLY)
    except OSError:
        return False
    try:
        lines = os.read(status, 1 << 16).splitlines()
    finally:
        os.close(status)
    masks = [line.split()[1] for line in lines if line.startswith((b"SigCgt:", b"SigIgn:"))]
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)

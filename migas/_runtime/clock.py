"""The clock: reads the time of day, past the tools by which tests fake it.

freezegun and time-machine set the time of the whole process, as far as a test wants. By such a time
breadcrumbs of the day would seem too old to keep, claims over, and servers blocked for years. What
may go wrong: another tool may fake the time; then what is on disk is judged by that.
"""

from __future__ import annotations

import sys
import time

from .signals import reraise_from_handler


def read_clock() -> float:
    """Return the real time, in seconds since the epoch.

    Example:
        >>> read_clock() > 1_700_000_000
        True
    """
    machine = getattr(sys.modules.get("time_machine"), "escape_hatch", None)
    try:
        if machine is not None and machine.is_travelling():
            return float(machine.time.time())
    except Exception as error:  # the test ends its travel at this moment, on another thread
        reraise_from_handler(error)
        return time.time()
    freezer = sys.modules.get("freezegun.api")
    if freezer is not None and time.time is getattr(freezer, "fake_time", None):
        return float(freezer.real_time())
    return time.time()

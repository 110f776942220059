# PYTHON_ARGCOMPLETE_OK
"""Runs the command line as `python -m migas`."""

import contextlib
import os
import sys


def run() -> int:
    """Run the command, and return its exit status."""
    # `-m` puts the working directory first, and a `calendar.py` there would be imported. pip leaves
    # it out as well.
    with contextlib.suppress(OSError):  # the directory may be gone
        if sys.path[:1] == [os.getcwd()]:
            del sys.path[0]
    from .cli import main

    return main()


if __name__ == "__main__":
    sys.exit(run())

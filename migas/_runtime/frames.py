"""The frames: finds the frame in which a thread began, by an internal of CPython.

Only `track` needs this module, so `import migas` does not load it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def find_outermost_frame() -> FrameType:
    """Return the frame in which this thread began to run Python code.

    On a program's main thread this is the frame of the module `__main__`, or of the code that runs
    it: runpy for `python -m`, the script for `coverage run`. `inspect` has a public way to this
    frame, but takes 10 ms to import.
    """
    frame = sys._getframe()  # noqa: SLF001  # documented, though its name has an underscore
    while frame.f_back is not None:
        frame = frame.f_back
    return frame

"""The guard: compares what belongs to the whole process with what it was before `import migas`.

Each Python that a test starts runs this file, since its directory is the first in PYTHONPATH (see
the fixture `guard`). It looks right before the first import of migas, once more after the host's
main code, and a last time when our exit hook has run. A difference is written to a file, which
fails the test. Hosts that are started with -I, -E or -S, or with a PYTHONPATH of their own, do not
run it; and a process that runs no exit hooks is not compared: `test_state.py` looks at those.

Nothing but this file is loaded before migas is, since other tests measure what hosts load.
"""

import atexit
import os
import sys

#: Where differences are written, a file for each look that finds one. Empty: no look is taken. Nor
#: is one where coverage is measured, which changes this state itself.
REPORTS = os.environ.get("GUARD_REPORTS", "")
if any(name.startswith("COVERAGE_") for name in os.environ):
    REPORTS = ""

_here = os.path.dirname(__file__)
while _here in sys.path:
    sys.path.remove(_here)


class _Finder:
    """Finds nothing: it only waits for the first import of migas.

    It stays in its list, through which another thread may be going: that would pass over the next.
    """

    def __init__(self) -> None:
        self._waits = True

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == "migas" and self._waits:
            self._waits = False
            begin()


def begin() -> None:
    """Take the first look, and arrange the other two."""
    sys.path.append(_here)  # at the end, for the same reason
    try:
        import guard_compare
        import guard_look
    finally:
        sys.path.remove(_here)
    import threading  # which migas loads first of all

    # What a host has loaded is another test's business.
    del sys.modules["guard_compare"], sys.modules["guard_look"]
    guard = guard_compare.Guard(guard_look.look(), REPORTS)
    # The last of all hooks to be called, since it is the first to be registered.
    atexit.register(guard.compare, "after our exit hook")
    try:  # called when the main code has ended, before the exit waits for other threads
        threading._register_atexit(  # type: ignore[attr-defined]
            guard.compare, "after the main code"
        )
    except RuntimeError:  # it has ended
        return


if REPORTS:
    sys.meta_path.insert(0, _Finder())

"""The opt-out: how a person says no, for now by a variable or for good by a file.

This module is loaded by `import migas`, so it stays with what the interpreter has loaded already.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The variables that say no. `DO_NOT_TRACK` is https://consoledonottrack.com's, which reads `0` as
#: yes; `NO_ET` is etelemetry's, for which, as for our own, being set is enough.
OPTOUT_VARIABLES = ("MIGAS_OPTOUT", "DO_NOT_TRACK", "NO_ET")

#: Seconds after which a lasting one is looked for anew.
LOOK_AGAIN = 60.0

_began_without: dict[str, bool] = {}


def began_without(name: str) -> bool:
    """Say whether this program was certainly started without the variable ``name``.

    Linux alone tells: elsewhere this is False.
    """
    if name not in _began_without:
        _began_without[name] = _look_back(os.fsencode(name))
    return _began_without[name]


def _look_back(name: bytes) -> bool:
    try:
        with open("/proc/self/environ", "rb") as file:
            block = file.read().split(b"\0")
    except OSError:
        return False
    # A program that renames itself overwrites the block (setproctitle does).
    now = {b"%s=%s" % item for item in os.environb.items()}
    intact = not now.isdisjoint(block)
    return intact and not any(entry.startswith(name + b"=") for entry in block)


class Lasting:
    """Whether this user has said no for good: by a file that lies in the same place everywhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: float | None = None
        self._found = ""

    def find(self, environ: Mapping[str, str]) -> str:
        """Return the file's path if it was there when somebody last looked, or `""`.

        The first look is the only use of the disk on a caller's thread. Later ones are the agent's
        own: a home may have stopped answering since, and the exit asks as well.
        """
        return self.look(environ) if self._due is None else self._found

    def look(self, environ: Mapping[str, str]) -> str:
        """Return the same, and look anew if that was long ago."""
        now = self._clock()
        if self._due is None or now >= self._due:
            path = locate_optout(environ)
            self._found = path if os.path.exists(path) else ""
            self._due = now + LOOK_AGAIN
        return self._found

    def forget(self) -> None:
        """Look at once when asked next."""
        self._due = None


def locate_optout(environ: Mapping[str, str]) -> str:
    """Name the file of a lasting opt-out, which need not be there."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(home, "migas", "optout")


lasting = Lasting()


def look_for_optout(environ: Mapping[str, str]) -> str:
    """Return what `find_optout` does, having looked for a lasting one anew: on a thread of ours."""
    lasting.look(environ)
    return find_optout(environ)


def find_optout(
    environ: Mapping[str, str], began_without: Callable[[str], bool] = began_without
) -> str:
    """Name the variable of ``environ``, or the file, that says no, or return `""`.

    Asked anew each time, unlike all else: whoever opts out later is heard, too.

    Example:
        >>> find_optout({"DO_NOT_TRACK": "1"})
        'DO_NOT_TRACK'
    """
    if not _names_any(environ):
        return lasting.find(environ)
    if "MIGAS_OPTOUT" in environ:
        return "MIGAS_OPTOUT"
    if environ.get("DO_NOT_TRACK", "").strip() not in ("", "0"):
        return "DO_NOT_TRACK"
    # fMRIPrep, MRIQC, NiBabies, PETPrep and SDCFlows set it in their own process, to silence
    # nipype's ping alone: it is the person's word if it stood there when the program began.
    if "NO_ET" in environ and not began_without("NO_ET"):
        return "NO_ET"
    return lasting.find(environ)


_ENCODED = frozenset(map(os.fsencode, OPTOUT_VARIABLES))


def _names_any(environ: Mapping[str, str]) -> bool:
    """Say whether a variable that says no may be there.

    To look for one that is not takes `os.environ` a microsecond and an exception inside, at each
    call of a host's. On POSIX CPython keeps a dict of bytes behind it; elsewhere this is True.
    """
    data = getattr(environ, "_data", None) if os.name == "posix" else None
    return data is None or not data.keys().isdisjoint(_ENCODED)

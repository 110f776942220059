"""The opt-out: how a person says no.

This module is loaded by `import migas`, so it stays with what the interpreter has loaded already.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The variables that say no. `DO_NOT_TRACK` is https://consoledonottrack.com's, which reads `0` as
#: yes; `NO_ET` is etelemetry's, for which, as for our own, being set is enough.
OPTOUT_VARIABLES = ("MIGAS_OPTOUT", "DO_NOT_TRACK", "NO_ET")

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


def find_optout(
    environ: Mapping[str, str], began_without: Callable[[str], bool] = began_without
) -> str:
    """Name the variable of ``environ`` that says no, or return `""`.

    Asked anew each time, unlike all else: whoever opts out later is heard, too.

    Example:
        >>> find_optout({"DO_NOT_TRACK": "1"})
        'DO_NOT_TRACK'
    """
    if "MIGAS_OPTOUT" in environ:
        return "MIGAS_OPTOUT"
    if environ.get("DO_NOT_TRACK", "").strip() not in ("", "0"):
        return "DO_NOT_TRACK"
    # fMRIPrep, MRIQC, NiBabies, PETPrep and SDCFlows set it in their own process, to silence
    # nipype's ping alone: it is the person's word if it stood there when the program began.
    if "NO_ET" in environ and not began_without("NO_ET"):
        return "NO_ET"
    return ""

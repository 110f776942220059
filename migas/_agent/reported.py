"""The reported uses: what a process hands to its workers, so that these do not report it again.

This module owns the variable `MIGAS_TOLD`, and the short keys in it by which repeats are known.

What may go wrong: a host empties the environment, or reports more than `MAX_USES` uses. Then a
worker reports a use that its parent has reported.
"""

from __future__ import annotations

from migas._runtime.place import is_worker_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

#: The variable that holds the reported uses of a process and its parents, separated by `;`.
TOLD = "MIGAS_TOLD"

#: How many uses the variable holds at most, and characters of each. The C library never frees an
#: old value of a variable, so a host that reports ever new uses must not grow it without end.
MAX_USES, _MAX_USE = 50, 120


def add_use(use: str, environ: MutableMapping[str, str]) -> None:
    """Add a reported use to the variable that workers read.

    Only the first `MAX_USES` are kept, which are those of the host's own import.
    """
    uses = _read_uses(environ)
    if use and use not in uses and len(uses) < MAX_USES:
        environ[TOLD] = ";".join([*uses, use])


def withdraw_use(use: str, environ: MutableMapping[str, str]) -> None:
    """Remove a use from the variable that workers read."""
    uses = _read_uses(environ)
    if use in uses:
        environ[TOLD] = ";".join(other for other in uses if other != use)


def make_use_key(project: object, version: object, *words: object) -> str:
    """Return a short key for detecting repeats, or `""` if project or version is not a plain str.

    Example:
        >>> make_use_key("owner/repo", "1.2.3", "R", None)
        'owner/repo 1.2.3 R'
    """
    # No str() of a caller's own objects: it may do anything, and this is the caller's thread.
    if type(project) is not str or type(version) is not str:
        return ""
    text = " ".join([project, version, *[word for word in words if type(word) is str]])
    return ascii(text)[1:-1].replace(";", ",")[:_MAX_USE]


def read_reported_by_parent(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the uses that this worker's parents reported; empty if this process is no worker."""
    return frozenset(_read_uses(environ)) if is_worker_process() else frozenset()


def _read_uses(environ: Mapping[str, str]) -> list[str]:
    return [use for use in environ.get(TOLD, "").split(";") if use]

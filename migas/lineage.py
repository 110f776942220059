"""The lineage: what a process hands down to those that it starts, through the environment.

So a run with its workers, and with every program that it starts, is one run of one user at one
server, and a worker that imports the host anew does not count it once more.
"""

from __future__ import annotations

import sys

from .settings import DEFAULT_ENDPOINT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from .settings import Settings

#: What the process and its parents have told, for the workers of `multiprocessing`.
TOLD = "MIGAS_TOLD"

#: Uses that it names at most, and characters of each. The C library never frees what was once in
#: the environment, so a host that tells of ever new ones must not go on and on.
MAX_USES, _MAX_USE = 50, 120


def hand_down(settings: Settings, environ: MutableMapping[str, str]) -> None:
    """Let children have this process's server, run, and, where the host named one, user."""
    for name, value, default in (
        ("MIGAS_ENDPOINT", settings.endpoint, DEFAULT_ENDPOINT),
        ("MIGAS_USER_ID", settings.user_id, None),
        ("MIGAS_SESSION_ID", settings.session_id, None),
    ):
        # To set what is there already might harm: C code on other threads may read it just now.
        if value is not None and environ.get(name, default) != value:
            environ[name] = value


def tell(use: str, environ: MutableMapping[str, str]) -> None:
    """Let workers know of a use: of the first ones, which are those of the host's own import."""
    told = _uses(environ)
    if use and use not in told and len(told) < MAX_USES:
        environ[TOLD] = ";".join([*told, use])


def take_back(use: str, environ: MutableMapping[str, str]) -> None:
    """Let workers know no more of a use."""
    told = _uses(environ)
    if use in told:
        environ[TOLD] = ";".join(other for other in told if other != use)


def name_use(project: object, version: object, *words: object) -> str:
    """Name what one breadcrumb says in short, or return `""`: it is nothing to compare.

    Example:
        >>> name_use("owner/repo", "1.2.3", "R", None)
        'owner/repo 1.2.3 R'
    """
    # A caller's own objects are left alone: their str() may do anything.
    if type(project) is not str or type(version) is not str:
        return ""
    said = " ".join([project, version, *[word for word in words if type(word) is str]])
    return ascii(said)[1:-1].replace(";", ",")[:_MAX_USE]


def told_by_parent(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the uses that a worker need not tell again; none, if this process is no worker."""
    return frozenset(_uses(environ)) if is_worker() else frozenset()


def is_worker() -> bool:
    """Say whether this is a process of `multiprocessing`'s, or of what builds on it.

    True while a new one imports its parent's main module, too, when `parent_process()` does not
    know it yet.
    """
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return False
    current = process.current_process()
    return process.parent_process() is not None or getattr(current, "_inheriting", False)


def _uses(environ: Mapping[str, str]) -> list[str]:
    return [use for use in environ.get(TOLD, "").split(";") if use]

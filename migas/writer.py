"""The writer: makes a breadcrumb of what a caller passed, and writes it ahead to the disk.

Importing this module imports all that this takes.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from . import breadcrumb, identity, log, userdirs
from .environment import Environment
from .outcome import Outcome, Verdict
from .parcel import Parcel
from .spool import open_spool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .settings import Settings


class Writer:
    """Writes this process's breadcrumbs; what they have in common is found out once.

    ``keeps``: a user who has no id yet is given one, in a file.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str] = os.environ,
        *,
        keeps: bool = True,
    ) -> None:
        self._spool = open_spool(settings)
        self._dry_run = settings.dry_run
        self._environment = Environment.detect(environ)
        self._defaults = {
            **self._environment._asdict(),
            "user_id": settings.user_id or _find_user(keeps and not settings.dry_run),
            "session_id": settings.session_id,
        }

    def describe(self) -> dict[str, object]:
        """Return what every breadcrumb of this process says."""
        common = breadcrumb.make("", "", {}, self._defaults).breadcrumb._asdict()
        del common["project"], common["project_version"]
        return common

    def keeps_for_good(self) -> bool:
        """Say whether what waits on disk is there for a later process."""
        return self._environment.outlives(self._spool.directory)

    def write(
        self,
        project: object,
        version: object,
        fields: Mapping[str, object],
        settle: Callable[[Verdict], None],
    ) -> Parcel | None:
        """Put a breadcrumb on disk, or, where that cannot be, in memory only.

        Returns None where there is nothing to send: a dry run prints it instead.
        """
        crumb, changes = breadcrumb.make(project, version, fields, self._defaults)
        if changes:
            log.say(log.DEBUG, "%s: %s", crumb.project, "; ".join(changes))
        data = breadcrumb.encode(crumb)
        if self._dry_run:
            sys.stderr.write(data.decode())
            settle(Verdict(Outcome.UNSENT, "MIGAS_DRY_RUN is set"))
            return None
        try:
            entry = self._spool.put(data)
        except OSError as error:
            log.say(log.DEBUG, "the spool cannot be written: %s", error)
            entry = None
        return Parcel(crumb, entry, asks=True, settle=settle)


def _find_user(keeps: bool) -> str | None:
    directory = userdirs.config()
    known = identity.read(directory) or identity.read(userdirs.earlier_config())
    return known or (identity.obtain(directory) if keeps else None)

"""The writer: makes a breadcrumb of what a caller passed, and writes it ahead to the disk.

Importing this module imports all that this takes.
"""

from __future__ import annotations

import errno
import os
import sys
import time

from migas._crumb import breadcrumb
from migas._crumb.environment import Environment
from migas._crumb.redaction import Redactor
from migas._disk import user_id
from migas._disk.directory import find_config, find_earlier_config, is_on_root_file_system
from migas._disk.spool import open_spool
from migas._runtime import log

from .parcel import Outcome, Parcel, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from migas._crumb.breadcrumb import Breadcrumb
    from migas._disk.entry import Entry
    from migas._runtime.settings import Settings


#: What a network's disk answers for a moment where two nodes make the same directories, and the
#: seconds after which it is asked again (measured on GlusterFS).
PASSING = (errno.ENOENT, errno.EEXIST, errno.ESTALE)
PAUSES = (0.01, 0.05, 0.2)


class Writer:
    """Writes this process's breadcrumbs; what they have in common is found out once.

    ``keeps``: a user who has no id yet is given one, in a file. ``root`` is the file system's.
    ``reserved``: see `Spool`.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str] = os.environ,
        root: str = "/",
        *,
        keeps: bool = True,
        reserved: set[str] | None = None,
    ) -> None:
        self._spool = open_spool(settings, reserved)
        self._dry_run = settings.dry_run
        self._before_send = settings.before_send
        self._complained = False
        self._environ = environ
        self._redactor: Redactor | None = None
        self._environment = Environment.detect(environ, root)
        keeps = keeps and not settings.dry_run
        self._defaults = {
            **self._environment._asdict(),
            "user_id": settings.user_id or _find_user(self._environment, root, keeps=keeps),
            "session_id": settings.session_id,
        }

    def describe(self) -> dict[str, object]:
        """Return what every breadcrumb of this process says."""
        common = breadcrumb.sanitize("", "", {}, self._defaults).breadcrumb._asdict()
        del common["project"], common["project_version"]
        return common

    def keeps_for_good(self) -> bool:
        """Say whether what waits on disk is there for a later process."""
        return _is_persistent(self._environment, self._spool.directory)

    def write(
        self,
        project: object,
        version: object,
        fields: Mapping[str, object],
        settle: Callable[[Verdict], None],
        *,
        asks: bool,
    ) -> Parcel | None:
        """Put a breadcrumb on disk, or, where that cannot be, in memory only.

        Returns None where there is nothing to send: the host dropped it, or a dry run prints it.
        """
        crumb = self._make(project, version, fields, self._defaults)
        edited = self._edit(crumb) if self._before_send else crumb
        if edited is None:
            settle(Verdict(Outcome.REFUSED, "it is dropped by before_send"))
            return None
        crumb, data = edited, breadcrumb.encode(edited)
        if self._dry_run:
            sys.stderr.write(data.decode())
            settle(Verdict(Outcome.UNSENT, "MIGAS_DRY_RUN is set"))
            return None
        return Parcel(crumb, self._put(data), asks=asks, settle=settle)

    def _put(self, data: bytes) -> Entry | None:
        """Write to the disk; None: that cannot be."""
        for pause in (*PAUSES, None):
            try:
                return self._spool.put(data, reserves=True)
            except OSError as error:
                if pause is None or error.errno not in PASSING:
                    log.say(log.DEBUG, "the spool cannot be written: %s", error)
                    break
            time.sleep(pause)
        return None

    def _make(
        self,
        project: object,
        version: object,
        fields: Mapping[str, object],
        defaults: Mapping[str, object],
    ) -> Breadcrumb:
        made = breadcrumb.sanitize(project, version, fields, defaults, self._redact)
        if made.changes:
            log.say(log.DEBUG, "%s: %s", made.breadcrumb.project, "; ".join(made.changes))
        return made.breadcrumb

    def _redact(self, text: str) -> str:
        if self._redactor is None:  # most breadcrumbs hold no text
            self._redactor = Redactor.detect(self._environ)
        return self._redactor.redact(text)

    def _edit(self, crumb: Breadcrumb) -> Breadcrumb | None:
        """Have the host look at a breadcrumb; None: it is to be dropped."""
        assert self._before_send is not None
        try:
            edited = self._before_send(crumb._asdict())
            if edited is None:
                return None
            fields = dict(edited)
            return self._make(fields.pop("project"), fields.pop("project_version"), fields, {})
        except Exception as error:  # the host's own code may raise anything
            if not self._complained:
                self._complained = True
                message = "before_send failed with %s: what it fails for is dropped"
                log.say(log.WARNING, message, type(error).__name__)
            return None


def _find_user(environment: Environment, root: str, *, keeps: bool) -> str | None:
    """Return the user's id, or None where nothing lasts: each run would invent a user."""
    directory = find_config()
    if not _is_persistent(environment, directory, root):
        return None
    known = user_id.read(directory) or user_id.read(find_earlier_config())
    return known or (user_id.obtain(directory) if keeps else None)


def _is_persistent(environment: Environment, path: str, root: str = "/") -> bool:
    """Return False if a file at ``path`` is thrown away after this run, in CI or a container."""
    if environment.is_disposable:
        return False
    return not (environment.has_disposable_root and is_on_root_file_system(path, root))

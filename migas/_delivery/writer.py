"""The writer: makes a breadcrumb of what a caller passed, and writes it to disk before it is sent.

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
from migas._disk.entry import MemoryEntry, make_token
from migas._disk.spool import open_spool
from migas._runtime import log
from migas._runtime.optout import look_for_optout
from migas._runtime.threads import NEVER

from .parcel import Outcome, Parcel, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from migas._crumb.breadcrumb import Breadcrumb
    from migas._disk.entry import Entry
    from migas._runtime.exit import Exit
    from migas._runtime.receipt import Listeners, Receipt
    from migas._runtime.settings import Settings
    from migas._runtime.threads import Worker

    from .parcel import Item

    class Job(Protocol):
        """What the writer does one after the other."""

        def hold(self, now: float) -> float:
            """Return the seconds for which it may still be taken back."""

        def write(self, writer: Writer) -> None:
            """Do it, on the writer's thread."""

        def fail(self, reason: str) -> None:
            """Report that it cannot be done."""


#: What a network disk answers for a moment while two nodes make the same directories, and the
#: seconds after which it is asked again (measured on GlusterFS).
PASSING = (errno.ENOENT, errno.EEXIST, errno.ESTALE)
PAUSES = (0.01, 0.05, 0.2)

_NO_SENDER = "nothing is sent: no thread is left that could"


class Writer:
    """Writes this process's breadcrumbs; what they have in common is found out once.

    Parameters:
        settings: the process's.
        sending: the sender's thread, to which parcels are handed.
        listeners: shared by all agents of the process.
        process_exit: once it has begun, nothing can be taken back any more.
        environ: the environment that breadcrumbs describe, and ``root`` its file system.
    """

    def __init__(
        self,
        settings: Settings,
        sending: Worker,
        listeners: Listeners,
        process_exit: Exit,
        *,
        environ: Mapping[str, str] = os.environ,
        root: str = "/",
    ) -> None:
        self._settings = settings
        self._sending = sending
        self._listeners = listeners
        self._exit = process_exit
        self._spool = open_spool(settings)
        self._defaults = find_defaults(settings, environ, root, keeps_user=not settings.dry_run)
        # Set once the host's `before_send` has failed: the log says so once.
        self._has_warned = False

    def handle(self, jobs: list[Job], can_wait: bool) -> float:
        """Do the first job, as a `threads.Handler`."""
        if not jobs:
            return NEVER
        hold = jobs[0].hold(time.monotonic())
        if hold and can_wait and not self._exit.has_begun:
            return hold
        try:
            job = jobs.pop(0)
        except IndexError:  # a signal's handler, on this very thread, was faster
            return NEVER
        try:
            job.write(self)
        except Exception as error:  # of a caller's own objects, or of a broken installation
            log.say(log.DEBUG, "a breadcrumb is lost: %r", error)
            job.fail(str(error))
        return 0.0

    def write(
        self, project: object, version: object, fields: Mapping[str, object], receipt: Receipt
    ) -> Parcel | None:
        """Put a breadcrumb on disk, or in memory if there is no disk.

        Returns:
            The parcel to pass on. None if there is nothing to send: the user has opted out, the
            host's `before_send` dropped it, or a dry run printed it. The receipt says which.
        """
        if off := look_for_optout(os.environ):
            receipt.settle({"success": False, "message": f"switched off by {off}"})
            return None
        crumb = self._edit(self._make(project, version, fields, self._defaults))
        if crumb is None:
            verdict = Verdict(Outcome.REFUSED, "it is dropped by before_send")
            receipt.settle(verdict.as_answer())
            return None
        data = breadcrumb.encode(crumb)
        if self._settings.dry_run:
            sys.stderr.write(data.decode())
            receipt.settle(Verdict(Outcome.UNSENT, "MIGAS_DRY_RUN is set").as_answer())
            return None
        token = make_token()
        # Before the entry can be seen: the sender may claim it at once.
        self._listeners.add(token, receipt)
        return Parcel(crumb, self._put(data, token), receipt)

    def pass_on(self, item: Item) -> None:
        """Hand an item to the sender, or report that nobody sends it now."""
        if not self._sending.submit(item):
            item.miss(self._listeners, _NO_SENDER)

    def _put(self, data: bytes, token: str) -> Entry | MemoryEntry:
        for pause in (*PAUSES, None):
            try:
                return self._spool.put(data, token)
            except OSError as error:
                if pause is None or error.errno not in PASSING:
                    log.say(log.DEBUG, "the spool cannot be written: %s", error)
                    break
            time.sleep(pause)
        return MemoryEntry(token)

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
        # Made for each text: most breadcrumbs hold none, and its patterns are kept by `re`.
        return Redactor.detect().redact(text)

    def _edit(self, crumb: Breadcrumb) -> Breadcrumb | None:
        """Return the breadcrumb as the host wants it, or None if it is to be dropped."""
        if self._settings.before_send is None:
            return crumb
        try:
            edited = self._settings.before_send(crumb._asdict())
            if edited is None:
                return None
            fields = dict(edited)
            return self._make(fields.pop("project"), fields.pop("project_version"), fields, {})
        except Exception as error:  # the host's own code may raise anything
            if not self._has_warned:
                self._has_warned = True
                message = "before_send failed with %s: what it fails for is dropped"
                log.say(log.WARNING, message, type(error).__name__)
            return None


def find_defaults(
    settings: Settings,
    environ: Mapping[str, str] = os.environ,
    root: str = "/",
    *,
    keeps_user: bool,
) -> dict[str, object]:
    """Return what every breadcrumb of this process says, but for the project and its status.

    ``keeps_user``: a user who has no id yet is given one, in a file.
    """
    return {
        **Environment.detect(environ, root)._asdict(),
        "user_id": settings.user_id or _find_user(environ, root, keeps=keeps_user),
        "session_id": settings.session_id,
    }


def describe(settings: Settings) -> dict[str, object]:
    """Return the fields that every breadcrumb of this process would have; nothing is created."""
    defaults = find_defaults(settings, keeps_user=False)
    fields = breadcrumb.sanitize("", "", {}, defaults).breadcrumb._asdict()
    del fields["project"], fields["project_version"]
    return fields


def is_persistent(path: str, environ: Mapping[str, str] = os.environ, root: str = "/") -> bool:
    """Return False if a file at ``path`` is thrown away after this run, in CI or a container."""
    environment = Environment.detect(environ, root)
    if environment.is_disposable:
        return False
    return not (environment.has_disposable_root and is_on_root_file_system(path, root))


def _find_user(environ: Mapping[str, str], root: str, *, keeps: bool) -> str | None:
    """Return the user's id, or None where nothing lasts: each run would invent a user."""
    directory = find_config()
    if not is_persistent(directory, environ, root):
        return None
    known = user_id.read(directory) or user_id.read(find_earlier_config())
    return known or (user_id.obtain(directory) if keeps else None)

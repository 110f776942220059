"""The writer: makes a breadcrumb of a caller's arguments, and writes it to disk before it is sent.

It owns the host's `before_send`, and the last check for an opt-out before the disk. Importing this
module imports all that it needs.

What may go wrong: no disk can be written, then the breadcrumb is kept in memory; a caller's object
or the host's `before_send` raises, then that one breadcrumb is dropped and its receipt says so.
"""

from __future__ import annotations

import errno
import functools
import os
import sys

from migas._crumb import breadcrumb
from migas._crumb.redaction import Redactor
from migas._disk.entry import MemoryEntry, make_token
from migas._disk.marks import UnsureError, has_mark, make_mark
from migas._disk.spool import open_spool
from migas._runtime import log
from migas._runtime.ancestor import find_program
from migas._runtime.callback import call_host
from migas._runtime.launch import Part
from migas._runtime.native import time
from migas._runtime.optout import look_for_optout
from migas._runtime.signals import reraise_from_handler
from migas._runtime.threads import NEVER

from .defaults import find_defaults
from .parcel import Outcome, Parcel, Verdict
from .ranks import Ranks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol, TypeVar

    from migas._crumb.breadcrumb import Breadcrumb
    from migas._disk.entry import Entry
    from migas._runtime.exit import Exit
    from migas._runtime.listeners import Listeners
    from migas._runtime.receipt import Receipt
    from migas._runtime.settings import Settings
    from migas._runtime.threads import Worker

    from .parcel import Item

    T = TypeVar("T")

    class Job(Protocol):
        """An item of the writer's queue."""

        def hold(self, now: float) -> float:
            """Return for how many seconds the job may still be withdrawn."""

        def write(self, writer: Writer) -> None:
            """Do the job, on the writer's thread."""

        def fail(self, reason: str) -> None:
            """Report that the job cannot be done."""


#: Errors of a network disk that pass while two nodes make the same directories, and the pauses
#: before the next attempts, in seconds (measured on GlusterFS).
PASSING = (errno.ENOENT, errno.EEXIST, errno.ESTALE)
PAUSES = (0.01, 0.05, 0.2)

#: Seconds after which a pause looks whether the exit has begun.
_STEP = 0.02

#: The spools that this process has waited for in vain: a broken disk is waited for once. A forked
#: child knows them, too, as it has the same disk.
_broken: set[str] = set()

_BY_ANOTHER = "nothing is sent: another process of this run has reported it"

_NO_SENDER = "nothing is sent: no thread is left that could"


class Writer:
    """Writes this process's breadcrumbs. The fields that all of them share are found out once.

    Parameters:
        settings: the process's settings.
        sending: the sender's thread, which gets the parcels.
        listeners: shared by all agents of the process.
        process_exit: once it has begun, no breadcrumb is held back any longer.
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
        part = settings.part or Part()
        find = functools.cache(functools.partial(find_program, part.rank))
        self._ranks = Ranks(part.scope, self._make_mark, self._has_mark, find)
        keeps_user = not settings.dry_run
        # Not before a breadcrumb asks: `migas flush` writes none, and may make no user's id.
        self._find_defaults = functools.cache(
            lambda: find_defaults(settings, environ, root, keeps_user=keeps_user)
        )
        # True once `before_send` has failed, which is logged only the first time.
        self._has_warned = False

    def handle(self, jobs: list[Job], can_wait: bool) -> float:
        """Do the first job, unless it is held back; a `threads.Handler`.

        Returns:
            0.0 for the next call at once, the seconds for which the first job is still held back,
            or `NEVER` if there are no jobs.
        """
        if not jobs:
            return NEVER
        hold = jobs[0].hold(time.monotonic())
        if hold and can_wait and not self._exit.has_begun:
            return hold
        try:
            job = jobs.pop(0)
        except IndexError:  # a signal handler on this thread has done it meanwhile
            return NEVER
        try:
            job.write(self)
        except Exception as error:  # of a caller's own objects, or of a broken installation
            job.fail(str(error))
            reraise_from_handler(error)
            log.say(log.DEBUG, "a breadcrumb is lost: %r", error)
        return 0.0

    def write(
        self,
        project: object,
        version: object,
        fields: Mapping[str, object],
        receipt: Receipt,
        *,
        shared: bool = True,
    ) -> Parcel | None:
        """Write a breadcrumb to disk, or keep it in memory if no disk can be written.

        Parameters:
            project: the caller's argument, unchecked, as are ``version`` and ``fields``.
            receipt: settled by the thread that sends the breadcrumb.
            shared: False if it is this process's own use, whatever others of its run report.

        Returns:
            The parcel to pass on. None if there is nothing to send: the user has opted out, the
            host's `before_send` dropped it, another process of the run reports it, or a dry run
            printed it. The receipt says which.
        """
        if off := look_for_optout(os.environ):
            receipt.settle({"success": False, "message": f"switched off by {off}"})
            return None
        crumb = self._edit(self._make(project, version, fields, self._find_defaults()))
        if crumb is None:
            verdict = Verdict(Outcome.REFUSED, "it is dropped by before_send")
            receipt.settle(verdict.as_answer())
            return None
        data = breadcrumb.encode(crumb)
        if self._settings.dry_run:
            sys.stderr.write(data.decode())
            receipt.settle(Verdict(Outcome.UNSENT, "MIGAS_DRY_RUN is set").as_answer())
            return None
        if shared and not self._ranks.is_reporter(crumb):
            receipt.settle({"success": False, "message": _BY_ANOTHER})
            return None
        token = make_token()
        # Before the entry can be seen on disk: the sender may claim it at once.
        self._listeners.add(token, receipt)
        return Parcel(crumb, self._put(data, token), receipt)

    def pass_on(self, item: Item) -> None:
        """Hand an item to the sender. If its thread cannot run, report that."""
        if not self._sending.submit(item):
            item.miss(self._listeners, _NO_SENDER)

    def _put(self, data: bytes, token: str) -> Entry | MemoryEntry:
        """Write an entry to the spool. Returns one in memory if that fails."""
        try:
            return self._insist(lambda: self._spool.put(data, token))
        except OSError as error:
            log.say(log.DEBUG, "the spool cannot be written: %s", error)
            return MemoryEntry(token)

    def _make_mark(self, name: str) -> bool:
        failures: list[UnsureError] = []

        def attempt() -> bool:
            try:
                # One that is there after such a failure may be the one that has failed so.
                return make_mark(self._spool.directory, name) or bool(failures)
            except UnsureError as error:
                failures.append(error)
                raise

        return self._insist(attempt)

    def _has_mark(self, name: str) -> bool:
        return self._insist(lambda: has_mark(self._spool.directory, name))

    def _insist(self, act: Callable[[], T]) -> T:
        """Return what a step on the disk returns. Raises its `OSError` after four attempts."""
        for pause in PAUSES:
            try:
                return act()
            except OSError as error:
                if error.errno not in PASSING or not self._wait(pause):
                    raise
        try:
            return act()
        except OSError:
            _broken.add(self._spool.directory)
            raise

    def _wait(self, pause: float) -> bool:
        """Wait for ``pause`` seconds before another attempt at the disk, or not at all in the exit.

        Returns False if there is to be none: this process has waited in vain.
        """
        if self._spool.directory in _broken:
            return False
        while pause > 0 and not self._exit.has_begun:
            time.sleep(min(pause, _STEP))
            pause -= _STEP
        return True

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
        # A redactor for each text: most breadcrumbs hold none, and `re` caches the patterns.
        return Redactor.detect().redact(text)

    def _edit(self, crumb: Breadcrumb) -> Breadcrumb | None:
        """Return the breadcrumb that `before_send` makes of it. Returns None if that drops it."""
        if self._settings.before_send is None:
            return crumb
        try:
            edited = call_host(self._settings.before_send, crumb._asdict())
            if edited is None:
                return None
            fields = dict(edited)
            return self._make(fields.pop("project"), fields.pop("project_version"), fields, {})
        except Exception as error:  # the host's own code may raise anything
            reraise_from_handler(error)
            if not self._has_warned:
                self._has_warned = True
                message = "before_send failed with %s: what it fails for is dropped"
                log.say(log.WARNING, message, type(error).__name__)
            return None

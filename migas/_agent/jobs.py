"""The jobs: what callers' threads hand to the writer's thread, and the handlers that wait for jobs.

Each job is made on one thread and done on another. What may go wrong: a caller's object raises when
it is written, or a handler's modules cannot be imported; then the receipt says so. The process may
end before a job is done; then its breadcrumb is lost.
"""

from __future__ import annotations

from migas._runtime import log
from migas._runtime.native import allocate_lock, await_lock
from migas._runtime.signals import reraise_from_handler
from migas._runtime.threads import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from migas._delivery.parcel import Parcel
    from migas._delivery.writer import Writer
    from migas._runtime.loading import Import
    from migas._runtime.receipt import Receipt
    from migas._runtime.threads import Handler

#: Seconds after which modules are loaded once more that could not be loaded.
SECOND_TRY = 0.1


class Call:
    """A job for the writer: the arguments of one call, and the receipt that the caller got.

    Parameters:
        project: the caller's argument, unchecked, as are ``version`` and ``fields``.
        receipt: to withdraw the call, settle it.
        due: until this moment, by `time.monotonic`, the call can be withdrawn.
        keep: called with the parcel instead of handing it to the sender.
        awaited: True if somebody calls `await_written`.
        shared: False if it is this process's own use, whatever others of its run report.
    """

    __slots__ = ("_keep", "_latch", "_project", "_shared", "_version", "due", "fields", "receipt")

    def __init__(
        self,
        project: object,
        version: object,
        fields: Mapping[str, object],
        receipt: Receipt,
        *,
        due: float = 0.0,
        keep: Callable[[Parcel], None] | None = None,
        awaited: bool = False,
        shared: bool = True,
    ) -> None:
        self._project = project
        self._version = version
        self._shared = shared
        self._keep = keep
        self.fields = fields
        self.receipt = receipt
        self.due = due
        # Locked until the call is written: a wait is an acquire, as a receipt's. None: it is done,
        # or nobody asks.
        self._latch = allocate_lock() if awaited else None
        if self._latch is not None:
            self._latch.acquire()

    def hold(self, now: float) -> float:
        """Return for how many seconds the call may still be withdrawn."""
        return 0.0 if self.receipt.done() else max(0.0, self.due - now)

    def write(self, writer: Writer) -> None:
        """Write the breadcrumb to disk, and hand it to the sender, unless it was withdrawn."""
        parcel = None
        if not self.receipt.done():
            what = self._project, self._version, self.fields
            parcel = writer.write(*what, self.receipt, shared=self._shared)
        self._end_wait()
        if parcel is not None:
            (self._keep or writer.pass_on)(parcel)

    def fail(self, reason: str) -> None:
        """Settle the receipt: the breadcrumb cannot be written."""
        self.receipt.settle({"success": False, "message": reason})
        self._end_wait()

    def is_awaited(self) -> bool:
        """Return True if the call was made with ``awaited`` and is not written yet."""
        return self._latch is not None

    def await_written(self, seconds: float) -> None:
        """Wait until the breadcrumb is on disk, in memory if there is no disk, or dropped.

        Parameters:
            seconds: how long to wait at most, >= 0.
        """
        if (latch := self._latch) is not None:
            await_lock(latch, seconds)

    def _end_wait(self) -> None:
        latch, self._latch = self._latch, None
        if latch is not None:
            latch.release()


class Task:
    """A job for the writer's thread, done behind all that was queued. It may touch the disk."""

    def __init__(self, act: Callable[[], None] = lambda: None) -> None:
        self._act = act
        self.is_done = False

    def hold(self, _now: float) -> float:
        """Return 0.0: a task is not withdrawn."""
        return 0.0

    def write(self, _writer: Writer) -> None:
        """Do the task."""
        self._act()
        self.is_done = True

    def fail(self, _reason: str) -> None:
        """Count the task as done: nothing was written that it could come behind."""
        self.is_done = True


class Lazy:
    """A handler that is made on first use, after its modules have been imported."""

    def __init__(self, modules: Import, make: Callable[[], Handler]) -> None:
        self._modules = modules
        self._make = make
        self._handler: Handler | None = None
        self._has_failed = False

    def __call__(self, items: list[Any], can_wait: bool) -> float:
        """Handle ``items``, as a `threads.Handler`; they fail if two tries import nothing."""
        if self._handler is None:
            if not items:
                return NEVER
            try:
                # A caller's own thread imports at once, as any code of the host's does.
                if can_wait and (pause := self._modules.attempt()):
                    return pause
                self._modules.load()
                self._handler = self._make()
            except Exception as error:  # the installation is broken: callers get the reason
                reraise_from_handler(error)
                log.say(log.DEBUG, "cannot load the agent's modules: %r", error)
                # A host that replaces locks just then, as gevent does, breaks an import once.
                if not self._has_failed:
                    self._has_failed = True
                    return SECOND_TRY if can_wait else self(items, can_wait)
                while items:
                    items.pop(0).fail(str(error))
                return NEVER
        return self._handler(items, can_wait)

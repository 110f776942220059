"""The calls: the jobs that callers' threads hand to the writer's thread.

Each is made on one thread and done on another. What may go wrong: a caller's object raises when it
is written, then the receipt says so; or the process ends before the job is done, then it is lost.
"""

from __future__ import annotations

from migas._runtime.native import allocate_lock, await_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from migas._delivery.parcel import Parcel
    from migas._delivery.writer import Writer
    from migas._runtime.receipt import Receipt


class Call:
    """A job for the writer: the arguments of one call, and the receipt that the caller got.

    Parameters:
        project: the caller's argument, unchecked, as are ``version`` and ``fields``.
        receipt: to withdraw the call, settle it.
        due: until this moment, by `time.monotonic`, the call can be withdrawn.
        keep: called with the parcel instead of handing it to the sender.
        awaited: True if somebody calls `await_written`.
    """

    __slots__ = ("_keep", "_latch", "_project", "_version", "due", "fields", "receipt")

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
    ) -> None:
        self._project = project
        self._version = version
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
            parcel = writer.write(self._project, self._version, self.fields, self.receipt)
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

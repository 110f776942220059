"""The flushes: callers who wait until no breadcrumb is pending, each until a moment of its own.

It settles them, and nothing else: what they wait for, the sender does. A flush that is not settled
would have its caller wait until its time is over.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .parcel import Flush


class Flushes:
    """The flushes that the sender holds; true if there are any.

    Parameters:
        count_pending: returns how many breadcrumbs are pending, on disk and in memory.
        clock: seconds of a monotonic clock.
    """

    def __init__(self, count_pending: Callable[[], int], clock: Callable[[], float]) -> None:
        self._count_pending = count_pending
        self._clock = clock
        self._flushes: list[Flush] = []

    def __bool__(self) -> bool:
        return bool(self._flushes)

    def add(self, flush: Flush) -> None:
        """Hold one more."""
        self._flushes.append(flush)

    def expire(self) -> None:
        """Settle the flushes whose time is over."""
        now = self._clock()
        over = [flush for flush in self._flushes if flush.deadline <= now]
        self._flushes = [flush for flush in self._flushes if flush.deadline > now]
        self._answer(over, "there was no more time")

    def settle(self, reason: str) -> None:
        """Settle all flushes with the number of pending breadcrumbs and a reason."""
        flushes, self._flushes = self._flushes, []
        self._answer(flushes, reason)

    def _answer(self, flushes: list[Flush], reason: str) -> None:
        for flush in flushes:
            flush.settle({"pending": self._count_pending(), "message": reason})

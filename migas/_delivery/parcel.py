"""The parcel: a breadcrumb on its way from the disk to the server, and the results of sending it.

This module owns the records that the modules of delivery pass to each other: a parcel or a flush,
which go from the writer to the sender in one queue; the reply to a request; and the verdict on each
breadcrumb in it. Replies and verdicts are immutable, since `policy` decides by them.

What may go wrong: an item that is not sent now must still report that, by `miss` or `fail`, or a
caller would wait until its time is over.
"""

from __future__ import annotations

import enum

from migas._runtime.namedtuple import NamedTuple
from migas._runtime.receipt import Receipt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from migas._crumb.breadcrumb import Breadcrumb
    from migas._disk.entry import Entry, MemoryEntry
    from migas._runtime.listeners import Listeners

    from .sender import Sender
    from .writer import Writer

    class Item(Protocol):
        """An item of the sender's queue."""

        def join(self, sender: Sender) -> None:
            """Add the item to those that the sender holds, on its thread."""

        def miss(self, listeners: Listeners, reason: str) -> None:
            """Report that the item is not sent now."""


class Outcome(enum.Enum):
    """The result of sending a request, or one breadcrumb in it."""

    #: The server has the breadcrumb.
    DELIVERED = "delivered"
    #: The server has said that it will never take the breadcrumb.
    REFUSED = "refused"
    #: The server does not have the breadcrumb, and may take it later.
    UNSENT = "unsent"
    #: The whole request was sent, and no answer came.
    UNKNOWN = "unknown"
    #: The server does not have it, and would take it at once in a request of another form.
    RESEND = "resend"


class Verdict(NamedTuple):
    """The outcome of one breadcrumb, with its reason."""

    outcome: Outcome
    #: The reason in words, for a person; empty for a delivery.
    reason: str = ""
    #: The server's answer for this breadcrumb, with news of the version if they were asked for.
    news: Mapping[str, object] = {}
    #: For how many seconds the server asks for no further requests, if it does.
    demand: float | None = None

    def as_answer(self) -> dict[str, object]:
        """Return the answer for a receipt: `success`, `message`, and the news."""
        delivered = self.outcome is Outcome.DELIVERED
        return {"message": self.reason, **self.news, "success": delivered}


class Reply(NamedTuple):
    """The outcome of one request. For DELIVERED, `answer` holds the server's GraphQL answer."""

    outcome: Outcome
    reason: str = ""
    answer: Mapping[str, object] = {}
    #: True if the request was over the server's size limit.
    too_large: bool = False
    #: For how many seconds the server asks for no further requests, if it does.
    demand: float | None = None
    #: True if a kept connection was found closed: a new one may work.
    stale: bool = False
    #: True if the answer bears the name of the migas application (0.9 and later). An answer without
    #: it may come from a proxy.
    signed: bool = False
    #: True if the application says that it derives a place from the client's address, False if it
    #: says that it does not, None if it says neither. Read of an answer that is DELIVERED.
    derives_place: bool | None = None


class Parcel:
    """A breadcrumb with its entry in the spool and, if a caller has one, its receipt."""

    __slots__ = ("breadcrumb", "entry", "is_plain", "receipt")

    def __init__(
        self,
        breadcrumb: Breadcrumb,
        entry: Entry | MemoryEntry,
        receipt: Receipt | None = None,
    ) -> None:
        self.breadcrumb = breadcrumb
        self.entry = entry
        self.receipt = receipt
        #: True once the server has not taken it as `add_project`: it goes as `add_breadcrumb`.
        self.is_plain = False

    @property
    def is_awaited(self) -> bool:
        """Return True if a caller waits for its delivery."""
        return self.receipt is not None and self.receipt.is_awaited

    def join(self, sender: Sender) -> None:
        """Add the parcel to those that the sender holds."""
        sender.parcels.append(self)

    def miss(self, listeners: Listeners, reason: str) -> None:
        """Report that the parcel is not sent now, unless a thread has claimed it on disk."""
        if self.receipt is not None:
            self.receipt.is_missed = True
        listeners.dismiss(self.entry.token, reason)

    def fail(self, reason: str) -> None:
        """Settle the receipt, if there is one: this process cannot send the parcel."""
        self.settle(Verdict(Outcome.UNSENT, reason))

    def settle(self, verdict: Verdict) -> None:
        """Settle the receipt, if there is one."""
        if self.receipt is not None:
            self.receipt.settle(verdict.as_answer())


class Flush(Receipt):
    """The receipt of a flush: its answer says how many breadcrumbs are pending.

    It goes through both queues behind the breadcrumbs that it waits for.

    Parameters:
        deadline: when the flush ends, by `time.monotonic`; `NEVER` for no limit.
        urge: has everything sent without delay.
        count_pending: counts the breadcrumbs on disk, for the answer of a flush that fails.
    """

    __slots__ = ("_count_pending", "deadline")

    def __init__(
        self, deadline: float, urge: Callable[[], None], count_pending: Callable[[], int]
    ) -> None:
        super().__init__(0.0, urge)
        self._count_pending = count_pending
        #: When the flush ends, by `time.monotonic`.
        self.deadline = deadline

    def hold(self, _now: float) -> float:
        """Return 0.0: a flush is never held back."""
        return 0.0

    def write(self, writer: Writer) -> None:
        """Pass the flush on to the sender, behind all that the writer has written."""
        writer.pass_on(self)

    def miss(self, _listeners: Listeners, reason: str) -> None:
        """Settle the flush: nothing more is sent, for this reason."""
        self.fail(reason)

    def join(self, sender: Sender) -> None:
        """Add the flush to those that the sender holds."""
        sender.flushes.add(self)

    def fail(self, reason: str) -> None:
        """Settle the flush with the number of pending breadcrumbs and a reason."""
        self.settle({"pending": self._count_pending(), "message": reason})

    def wait(self, timeout: float | None) -> int:
        """Wait for the flush, and return how many breadcrumbs are pending.

        Raises:
            TimeoutError: ``timeout`` seconds have passed.
        """
        answer: Mapping[str, object] = self.result(timeout)
        pending = answer["pending"]
        assert isinstance(pending, int)
        return pending

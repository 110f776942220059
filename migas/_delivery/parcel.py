"""The parcel: a breadcrumb on its way from the disk to the server, and what became of it.

Verdicts and replies are values, since the policy chooses by them. A parcel and a flush are handed
from the writer to the sender in one queue, and have the same methods for that.
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
    from migas._runtime.receipt import Listeners

    from .sender import Sender
    from .writer import Writer

    class Item(Protocol):
        """What is handed to the sender."""

        def join(self, sender: Sender) -> None:
            """Be taken up by the sender, on its thread."""

        def miss(self, listeners: Listeners, reason: str) -> None:
            """Report that it is not sent now."""


class Outcome(enum.Enum):
    """What became of a request, or of one breadcrumb in it."""

    #: The server has it.
    DELIVERED = "delivered"
    #: The server has said that it will never take it.
    REFUSED = "refused"
    #: The server has not got it, and may take it later.
    UNSENT = "unsent"
    #: It went out whole, and no answer came.
    UNKNOWN = "unknown"
    #: The server has not got it, and would take it at once in a request of another form.
    RESEND = "resend"


class Verdict(NamedTuple):
    """What became of one breadcrumb."""

    outcome: Outcome
    #: In words, for a person; empty where all went well.
    reason: str = ""
    #: What the server said about the version, if it was asked.
    news: Mapping[str, object] = {}
    #: Seconds for which the server wants to hear nothing more, if it said so.
    demand: float | None = None

    def as_answer(self) -> dict[str, object]:
        """Return what a receipt says."""
        delivered = self.outcome is Outcome.DELIVERED
        return {"message": self.reason, **self.news, "success": delivered}


class Reply(NamedTuple):
    """What became of one request. DELIVERED: the server's GraphQL answer is in `answer`."""

    outcome: Outcome
    reason: str = ""
    answer: Mapping[str, object] = {}
    #: The request was over the server's size limit.
    too_large: bool = False
    #: Seconds for which the server wants to hear nothing more.
    demand: float | None = None
    #: The connection had been kept, and was found closed: another one may do.
    stale: bool = False
    #: The answer bears the name of the migas application (0.9 and later), whose own word it is.
    signed: bool = False


class Parcel:
    """A breadcrumb on its way: what it is, where it lies, and who wants to know of its fate."""

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
        #: True if the server has failed to take it as `add_project`.
        self.is_plain = False

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for its delivery."""
        return self.receipt is not None and self.receipt.is_awaited

    def join(self, sender: Sender) -> None:
        """Be taken up by the sender."""
        sender.parcels.append(self)

    def miss(self, listeners: Listeners, reason: str) -> None:
        """Report that it is not sent now, unless a thread that found it on disk sends it."""
        listeners.dismiss(self.entry.token, reason)

    def settle(self, verdict: Verdict) -> None:
        """Report what became of it."""
        if self.receipt is not None:
            self.receipt.settle(verdict.as_answer())


class Flush(Receipt):
    """The receipt of a flush: its answer says how many breadcrumbs are pending.

    It goes from queue to queue behind the breadcrumbs that it is to wait for.
    """

    __slots__ = ("_count_pending", "deadline")

    def __init__(
        self, deadline: float, urge: Callable[[], None], count_pending: Callable[[], int]
    ) -> None:
        super().__init__(0.0, urge)
        self._count_pending = count_pending
        #: When to stop, by the agent's clock.
        self.deadline = deadline

    def hold(self, _now: float) -> float:
        """Return 0.0: it is not taken back."""
        return 0.0

    def write(self, writer: Writer) -> None:
        """Be passed on by the writer, behind all that it has written."""
        writer.pass_on(self)

    def miss(self, _listeners: Listeners, reason: str) -> None:
        """Report what is pending, and why no more is sent."""
        self.fail(reason)

    def join(self, sender: Sender) -> None:
        """Be taken up by the sender."""
        sender.flushes.append(self)

    def fail(self, reason: str) -> None:
        """Report what is pending, and why no more is sent."""
        self.settle({"pending": self._count_pending(), "message": reason})

    def wait(self, timeout: float | None) -> int:
        """Return how many breadcrumbs are pending. Raises `TimeoutError`."""
        pending = self.result(timeout)["pending"]
        assert isinstance(pending, int)
        return pending

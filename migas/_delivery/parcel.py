"""The parcel: a breadcrumb on its way from the writer to the uploader, and what became of it."""

from __future__ import annotations

import enum

from migas._runtime.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from migas._crumb.breadcrumb import Breadcrumb
    from migas._disk.entry import Entry


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
    #: What the server said of the project, for whoever asked.
    news: Mapping[str, object] = {}

    def tell(self) -> dict[str, object]:
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


#: Breadcrumbs that are held in memory where no disk can be written.
MAX_IN_MEMORY = 1000


class Parcel:
    """A breadcrumb on its way: what it is, where it lies, and who wants to know of its fate."""

    __slots__ = ("asks", "attempts", "breadcrumb", "entry", "settle")

    def __init__(
        self,
        breadcrumb: Breadcrumb,
        entry: Entry | None,
        *,
        asks: bool = False,
        settle: Callable[[Verdict], None] = lambda _verdict: None,
    ) -> None:
        self.breadcrumb = breadcrumb
        #: None: no disk could be written, and it lives in memory only.
        self.entry = entry
        self.asks = asks
        self.settle = settle
        self.attempts = entry.attempts if entry else 0


def postpone(parcels: Sequence[Parcel], reason: str) -> list[Parcel]:
    """Settle ``parcels`` as waiting, and return those that nothing but memory holds."""
    for parcel in parcels:
        parcel.asks = False
        parcel.settle(Verdict(Outcome.UNSENT, reason))
    return [parcel for parcel in parcels if parcel.entry is None][-MAX_IN_MEMORY:]

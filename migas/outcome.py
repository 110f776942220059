"""The outcome of a delivery: a value, since the policy chooses by it."""

from __future__ import annotations

import enum

from .namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


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

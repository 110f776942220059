"""The parcel: a breadcrumb on its way from the writer to the uploader."""

from __future__ import annotations

from .outcome import Outcome, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .breadcrumb import Breadcrumb
    from .entry import Entry

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

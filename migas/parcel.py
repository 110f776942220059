"""The parcel: a breadcrumb on its way from the writer to the uploader."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .breadcrumb import Breadcrumb
    from .outcome import Verdict
    from .spool import Entry


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

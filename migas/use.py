"""The use: what a caller passed, on its way to the writer, and what the caller got for it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .receipt import Receipt


class Use:
    """Project, version and fields as the caller passed them, and what the caller got."""

    __slots__ = ("asks", "due", "fields", "project", "receipt", "version")

    def __init__(
        self,
        project: object,
        version: object,
        fields: Mapping[str, object],
        receipt: Receipt,
        *,
        asks: bool,
        due: float,
    ) -> None:
        self.project = project
        self.version = version
        self.fields = fields
        self.receipt = receipt
        #: The server is to tell the news of this version as well.
        self.asks = asks
        #: Until then whoever has the receipt may settle it, and nothing is written.
        self.due = due

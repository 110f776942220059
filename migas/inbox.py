"""The inbox: uses that wait to be written, by the writer's thread or the caller's."""

from __future__ import annotations

from .worker import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .receipt import Flush, Receipt


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


class Inbox:
    """Hands its items to ``write``, one after the other, whichever thread asks it to.

    Each is taken out by one step, so that two threads at a time share the work.
    """

    def __init__(self, write: Callable[[Use | Flush], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._items: list[Use | Flush] = []
        # Set by one thread and read by another: a moment late does no harm.
        self.is_writing = False

    def __len__(self) -> int:
        return len(self._items)

    def extend(self, items: Iterable[Use | Flush]) -> None:
        """Put ``items`` in at the end."""
        self._items.extend(items)

    def drain(self, *, holds: bool = False) -> float:
        """Write all; ``holds``: only up to what may be taken back, and say for how many seconds."""
        self.is_writing = True
        try:
            while not (pause := self._hold() if holds else 0.0):
                self._write(self._items.pop(0))
        except IndexError:
            return NEVER
        else:
            return pause
        finally:
            self.is_writing = False

    def _hold(self) -> float:
        """Say for how long the first item may still be taken back."""
        for item in self._items[:1]:
            if isinstance(item, Use) and not item.receipt.done():
                return max(0.0, item.due - self._clock())
        return 0.0

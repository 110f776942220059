"""The inbox: what waits to be written, for whoever writes: the writer's thread, or the caller's."""

from __future__ import annotations

from .use import Use
from .worker import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from .receipt import Flush

    Item: TypeAlias = Use | Flush


class Inbox:
    """Hands its items to ``write``, one after the other, whichever thread asks it to.

    Each is taken out by one step, so that two threads at a time share the work.
    """

    def __init__(self, write: Callable[[Item], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._items: list[Item] = []
        # Set by one thread and read by another: a moment late does no harm.
        self.is_writing = False

    def __len__(self) -> int:
        return len(self._items)

    def extend(self, items: Iterable[Item]) -> None:
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

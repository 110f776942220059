"""The listeners: which receipts wait for which entries of the spool.

What may go wrong: two threads of this process deal with one entry at a time, since a host may call
`setup()` while an earlier agent still sends. Whichever claims the entry on disk has its receipt.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .receipt import Receipt


class Listeners:
    """Which receipts wait for which entries of the spool, by the entries' tokens.

    One for all agents of a process. A thread that claims an entry takes its receipt out and settles
    it, whether the entry was handed to it or found on disk. So each receipt is settled by the
    thread that knows, and no entry has to be kept from the others.

    A thread may release what it has claimed of another's, which may have given it up meanwhile.
    Each of the two sets its mark, and then looks for the other's: one of them settles the receipt.
    """

    def __init__(self) -> None:
        # Each access is one operation of a dict's, which is atomic, with a GIL or without one:
        # https://docs.python.org/3/howto/free-threading-python.html#thread-safety
        self._receipts: dict[str, Receipt] = {}

    def add(self, token: str, receipt: Receipt) -> None:
        """Have a receipt settled by the thread that claims the entry.

        To be called before the entry can be seen on disk.
        """
        self._receipts[token] = receipt

    def take(self, token: str) -> Receipt | None:
        """Return an entry's receipt, for the caller to settle; None if another thread has it."""
        return self._receipts.pop(token, None)

    def restore(self, token: str, receipt: Receipt) -> None:
        """Have a receipt settled by the next thread that claims the entry, which is to be released.

        If nobody in this process is left who will, it is settled now.
        """
        self.add(token, receipt)
        if receipt.is_missed:
            self.dismiss(token, "it is pending")

    def dismiss(self, token: str, reason: str) -> None:
        """Report that an entry is not sent now, unless another thread is about to send it."""
        receipt = self.take(token)
        if receipt is not None:
            receipt.settle({"success": False, "message": reason})

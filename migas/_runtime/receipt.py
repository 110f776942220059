"""The receipt: what a caller gets back for a breadcrumb, and may ignore.

It is made on the caller's thread and settled on another one. Nothing here waits unless somebody
looks inside, and no look lasts longer than its caller's patience.
"""

from __future__ import annotations

import os
import threading
import time

# collections.abc by its own name: under that one, `collections` would be loaded as well.
from _collections_abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OTHER_PROCESS = {"success": False, "message": "the breadcrumb belongs to the parent process"}


class Receipt(Mapping[str, object]):
    """The answer to come, as a future and as a mapping.

    As with a `concurrent.futures.Future` there are `done()`, `result()` and
    `add_done_callback()`. Reading a key, as of a dict, waits for the answer, too, but no longer
    than ``patience``, and then finds `success: False` with the reason under `message`. Ignoring the
    receipt costs nothing, and `repr()` never waits.

    The answer has the keys `success` and `message` and, from `add_project`, news of the version:
    `latest_version` and `bad_versions`. `success: False` for a breadcrumb that is pending on disk
    is no loss: a later process sends it.

    Parameters:
        patience: seconds that a look inside waits at most.
        urge: called, on the thread that waits, to have the breadcrumb sent without delay.
        pid: this process's id, if the caller knows it; to ask for it is a system call.
        ask_news: called with the seconds left to get news of the version once the breadcrumb is
            delivered without any; None if the caller of the public function wants none.

    Example:
        >>> receipt = Receipt.settled({"success": True, "message": ""})
        >>> receipt["success"], receipt.done(), receipt.get("latest_version")
        (True, True, None)
    """

    __slots__ = (
        *("_answer", "_ask_news", "_callbacks", "_guard", "_latch", "_patience", "_pid", "_urge"),
        "is_awaited",
    )

    def __init__(
        self,
        patience: float,
        urge: Callable[[], None],
        pid: int | None = None,
        ask_news: Callable[[float], Mapping[str, object]] | None = None,
    ) -> None:
        self._patience = patience
        self._urge = urge
        self._pid = pid or os.getpid()
        self._ask_news = ask_news
        #: True once somebody waits for the answer. Set by one thread and read by another: read a
        #: moment too early, the breadcrumb goes a moment later.
        self.is_awaited = False
        self._answer: dict[str, object] | None = None
        self._callbacks: list[Callable[[Receipt], object]] = []
        # Guards the two above and `_ask_news`. Held for moments, never while a callback runs.
        self._guard = threading.Lock()
        # Locked until the answer is there: a wait is an acquire. An Event would cost ten times as
        # much to make, and most receipts are never waited for.
        self._latch = threading.Lock()
        self._latch.acquire()

    @classmethod
    def settled(cls, answer: Mapping[str, object]) -> Receipt:
        """Return a receipt whose answer is there already."""
        receipt = cls(0.0, lambda: None)
        receipt.settle(answer)
        return receipt

    @property
    def wants_news(self) -> bool:
        """Whether somebody is looking for news of the version already, before it is sent."""
        return self._ask_news is not None and (self.is_awaited or bool(self._callbacks))

    def settle(self, answer: Mapping[str, object]) -> None:
        """Give the answer. Only the first one counts."""
        with self._guard:
            if self._answer is not None:
                return
            self._answer = dict(answer)
            callbacks, self._callbacks = self._callbacks, []
        self._latch.release()
        for callback in callbacks:
            self._call(callback)

    def done(self) -> bool:
        """Return True if the answer is there. Never waits."""
        return self._answer is not None

    def result(self, timeout: float | None = None) -> dict[str, object]:
        """Return the answer, and have the breadcrumb sent at once.

        Parameters:
            timeout: seconds to wait; None: as long as it takes. An answer comes in any case, since
                a failure to deliver is one.

        Returns:
            The answer, as a dict of the caller's own.

        Raises:
            TimeoutError: there is no answer yet.

        Example:
            >>> Receipt.settled({"success": True, "message": ""}).result(timeout=1)
            {'success': True, 'message': ''}
        """
        answer = self._wait(timeout)
        if answer is None:
            raise TimeoutError(f"no answer within {timeout} seconds")
        return dict(answer)

    def add_done_callback(self, fn: Callable[[Receipt], object]) -> None:
        """Call a function when the answer is there, on whichever thread brings it.

        In a child that was forked meanwhile it is called on this thread and now, since no answer
        will come there.

        Parameters:
            fn: called with this receipt. What it raises is dropped.

        Example:
            >>> receipt = Receipt.settled({"success": True, "message": ""})
            >>> receipt.add_done_callback(lambda receipt: print(receipt["success"]))
            True
        """
        # Nor may a child touch the guard, which a thread may have held when it was copied.
        if self._answer is None and not self._is_of_parent():
            with self._guard:
                if self._answer is None:
                    self._callbacks.append(fn)
                    return
        self._call(fn)

    def copy(self) -> dict[str, object]:
        """Return the answer as a dict of the caller's own, as a dict's `copy()` does."""
        return dict(self._look())

    def __getitem__(self, key: str) -> object:
        return self._look()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._look())

    def __len__(self) -> int:
        return len(self._look())

    def __bool__(self) -> bool:
        return True

    # As a future, a receipt equals itself and nothing else. As a dict it is compared by its answer.
    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping) and not isinstance(other, Receipt):
            return self._look() == other
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<Receipt {'pending' if self._answer is None else self._answer}>"

    def _look(self) -> dict[str, object]:
        answer = self._wait(self._patience)
        if answer is None:
            return {"success": False, "message": f"no answer within {self._patience:g} seconds"}
        return answer

    def _wait(self, timeout: float | None) -> dict[str, object] | None:
        if self._is_of_parent():
            return _OTHER_PROCESS if self._answer is None else self._answer
        start = time.monotonic()
        if self._answer is None:
            self.is_awaited = True
            self._urge()
            if self._latch.acquire(timeout=_lock_timeout(timeout)):
                self._latch.release()
        patience = self._patience if timeout is None else min(timeout, self._patience)
        self._add_news(patience - (time.monotonic() - start))
        return self._answer

    def _add_news(self, seconds: float) -> None:
        """Ask for news of the version, once, if the breadcrumb was delivered without."""
        with self._guard:
            answer, ask_news = self._answer, self._ask_news
            if answer is None or ask_news is None or seconds <= 0:
                return
            self._ask_news = None
        if answer["success"] and "latest_version" not in answer:
            self._answer = {**answer, **ask_news(seconds)}

    def _is_of_parent(self) -> bool:
        return os.getpid() != self._pid

    def _call(self, callback: Callable[[Receipt], object]) -> None:
        from .callback import call_host  # few receipts have callbacks

        try:
            call_host(callback, self)
        except Exception:  # the thread that brings the answer is not the callback's to break
            return


class Listeners:
    """Which receipts wait for which entries of the spool, by the entries' tokens.

    One for all agents of a process. A thread that claims an entry takes its receipt out and settles
    it, whether the entry was handed to it or found on disk. So each receipt is settled by the
    thread that knows, and no entry has to be kept from the others.
    """

    def __init__(self) -> None:
        # Each access is one step of a dict's, which no other thread can come between.
        self._receipts: dict[str, Receipt] = {}

    def add(self, token: str, receipt: Receipt) -> None:
        """Have a receipt settled by the thread that claims the entry.

        To be called before the entry can be seen on disk.
        """
        self._receipts[token] = receipt

    def take(self, token: str) -> Receipt | None:
        """Return an entry's receipt, for the caller to settle; None if another thread has it."""
        return self._receipts.pop(token, None)

    def dismiss(self, token: str, reason: str) -> None:
        """Report that an entry is not sent now, unless another thread is about to send it."""
        receipt = self.take(token)
        if receipt is not None:
            receipt.settle({"success": False, "message": reason})


def _lock_timeout(timeout: float | None) -> float:
    """Translate to what `Lock.acquire` takes, where -1 means without a limit."""
    return -1 if timeout is None else max(0.0, min(timeout, threading.TIMEOUT_MAX))

"""The receipt: what a caller gets back for a breadcrumb, and may ignore."""

from __future__ import annotations

import os
import threading

# collections.abc by its own name: under that one, `collections` would be loaded as well.
from _collections_abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OTHER_PROCESS = {"success": False, "message": "the breadcrumb belongs to the parent process"}


class Receipt(Mapping[str, object]):
    """The answer to come, as a future and as a mapping.

    As with a `concurrent.futures.Future` there are `done()`, `result()` and
    `add_done_callback()`. A look inside as into a dict waits for the answer, too, but no longer
    than ``patience`` seconds, and then finds `success: False` with the reason under `message`.
    Whoever ignores the receipt pays nothing, and `repr()` never waits. ``pid`` is this process's,
    from a maker of many: to ask for it is a system call.

    The answer says `success`, `message` and, where the server was asked, `latest_version`,
    `bad_versions` and `cached`. `success: False` with a breadcrumb that waits on disk is no loss:
    a later process sends it.

    Example:
        >>> receipt = Receipt.settled({"success": True, "message": ""})
        >>> receipt["success"], receipt.done(), receipt.get("latest_version")
        (True, True, None)
    """

    __slots__ = ("_answer", "_callbacks", "_guard", "_hurry", "_latch", "_patience", "_pid")

    def __init__(self, patience: float, hurry: Callable[[], None], pid: int | None = None) -> None:
        self._patience = patience
        self._hurry = hurry
        self._pid = pid or os.getpid()
        self._answer: dict[str, object] | None = None
        self._callbacks: list[Callable[[Receipt], object]] = []
        # Guards the two above; held for moments, and never while a callback runs.
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

    def settle(self, answer: Mapping[str, object]) -> None:
        """Give the answer; only the first counts."""
        with self._guard:
            if self._answer is not None:
                return
            self._answer = dict(answer)
            callbacks, self._callbacks = self._callbacks, []
        self._latch.release()
        for callback in callbacks:
            self._call(callback)

    def done(self) -> bool:
        """Say whether the answer is there; never waits."""
        return self._answer is not None

    def result(self, timeout: float | None = None) -> dict[str, object]:
        """Return the answer, and have the breadcrumb sent now rather than later.

        Waits for ``timeout`` seconds, or as long as it takes: an answer comes in any case, since
        a failure to deliver is one. Raises `TimeoutError`.
        """
        answer = self._wait(timeout)
        if answer is None:
            raise TimeoutError(f"no answer within {timeout} seconds")
        return dict(answer)

    def add_done_callback(self, fn: Callable[[Receipt], object]) -> None:
        """Call ``fn`` with this receipt when the answer is there, on whichever thread brings it.

        In a child that was forked meanwhile that is this one, and now: there no answer will come.
        What it raises is dropped.
        """
        # Nor may a child touch the guard, which a thread may have held when it was copied.
        if self._answer is None and not self._is_of_parent():
            with self._guard:
                if self._answer is None:
                    self._callbacks.append(fn)
                    return
        self._call(fn)

    def __getitem__(self, key: str) -> object:
        return self._look()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._look())

    def __len__(self) -> int:
        return len(self._look())

    def __bool__(self) -> bool:
        return True

    # As a future, a receipt is itself and nothing else. As a dict it looks inside to compare.
    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping) and not isinstance(other, Receipt):
            return self._look() == other
        return self is other

    __hash__ = object.__hash__

    def copy(self) -> dict[str, object]:
        """Return the answer as a dict of its own, as a dict's `copy()` does."""
        return dict(self._look())

    def __repr__(self) -> str:
        return f"<Receipt {'pending' if self._answer is None else self._answer}>"

    def _look(self) -> dict[str, object]:
        answer = self._wait(self._patience)
        if answer is None:
            return {"success": False, "message": f"no answer within {self._patience:g} seconds"}
        return answer

    def _wait(self, timeout: float | None) -> dict[str, object] | None:
        if self._answer is None and self._is_of_parent():
            return _OTHER_PROCESS
        if self._answer is None:
            self._hurry()
            if self._latch.acquire(timeout=_lock_timeout(timeout)):
                self._latch.release()
        return self._answer

    def _is_of_parent(self) -> bool:
        return os.getpid() != self._pid

    def _call(self, callback: Callable[[Receipt], object]) -> None:
        try:
            callback(self)
        except Exception:  # the thread that brings the answer is not the callback's to break
            return


class Flush(Receipt):
    """The receipt of a flush: its answer says how many breadcrumbs are `left`."""

    __slots__ = ("deadline",)

    def __init__(self, deadline: float, hurry: Callable[[], None]) -> None:
        super().__init__(0.0, hurry)
        #: When to stop, by the agent's clock.
        self.deadline = deadline

    def count_left(self, timeout: float | None) -> int:
        """Return that number. Raises `TimeoutError`."""
        left = self.result(timeout)["left"]
        assert isinstance(left, int)
        return left


def _lock_timeout(timeout: float | None) -> float:
    """Translate to what `Lock.acquire` takes: -1 for ever."""
    return -1 if timeout is None else max(0.0, min(timeout, threading.TIMEOUT_MAX))

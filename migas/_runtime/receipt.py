"""The receipt: what a caller gets back for a breadcrumb, and may ignore.

It is made on the caller's thread and settled on another one. Nothing here waits unless somebody
looks inside, and no look lasts longer than its caller's patience.
"""

from __future__ import annotations

# collections.abc by its own name: under that one, `collections` would be loaded as well.
from _collections_abc import Mapping
from os import getpid

from .daemon import find_own_thread
from .native import TIMEOUT_MAX, allocate_lock, await_lock, time
from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from migas.typedefs import Answer

    from .answer import Readable
else:
    Readable = Mapping

_OTHER_PROCESS: Answer = {
    "success": False,
    "message": "the breadcrumb belongs to the parent process",
}


class Receipt(Readable):
    """The answer to come, as a future and as a mapping.

    As with a `concurrent.futures.Future` there are `done()`, `result()` and
    `add_done_callback()`, and `future()` returns such a future. Reading a key, as of a dict, waits
    for the answer, too, but no longer than ``patience``, and then finds `success: False` with the
    reason under `message`. `dict(receipt)`, `|`, `json.dumps(receipt, default=dict)` and `pickle`
    wait once for all keys; what is unpickled is a settled receipt. `repr()` never waits, nor do
    `copy.copy` and `copy.deepcopy`, which return the receipt itself. Ignoring it costs nothing.

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
        *("_answer", "_ask_news", "_callbacks", "_guard", "_is_spent", "_latch", "_patience"),
        *("_pid", "_urge", "is_awaited", "is_missed"),
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
        self._pid = pid or getpid()
        self._ask_news = ask_news
        #: True once somebody waits for the answer. Set by one thread and read by another: read a
        #: moment too early, the breadcrumb goes a moment later.
        self.is_awaited: bool = False
        #: True once the thread that was to send the breadcrumb has given it up. See `Listeners`.
        self.is_missed: bool = False
        # True once a look has waited in vain. The looks after it do not wait for the answer, so
        # that `dict(receipt)`, which is a look for each key, waits once.
        self._is_spent = False
        self._answer: Answer | None = None
        self._callbacks: list[Callable[[Receipt], object]] = []
        # Guards the two above and `_ask_news`. Held for moments, never while a callback runs.
        self._guard = allocate_lock()
        # Locked until the answer is there: a wait is an acquire. An Event would cost ten times as
        # much to make, and most receipts are never waited for.
        self._latch = allocate_lock()
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
            # Whoever settles it knows what a server answers.
            self._answer = dict(answer)  # type: ignore[assignment]
            callbacks, self._callbacks = self._callbacks, []
        self._latch.release()
        for callback in callbacks:
            self._call(callback)

    def done(self) -> bool:
        """Return True if the answer is there. Never waits."""
        return self._answer is not None

    def result(self, timeout: float | None = None) -> Answer:
        """Return the answer, and have the breadcrumb sent at once.

        Parameters:
            timeout: seconds to wait; None: as long as it takes. An answer comes in any case, since
                a failure to deliver is one. But in a receipt's callback and in `before_send`, which
                run on the threads that bring answers, None is ``patience``.

        Returns:
            The answer, as a dict of the caller's own.

        Raises:
            TimeoutError: there is no answer yet.

        Example:
            >>> Receipt.settled({"success": True, "message": ""}).result(timeout=1)
            {'success': True, 'message': ''}
        """
        if timeout is None and find_own_thread() is not None:
            timeout = self._patience
        answer = self._wait(timeout)
        if answer is None:
            raise TimeoutError(f"no answer within {timeout:g} seconds")
        return answer.copy()

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

    def future(self) -> Future[Answer]:
        """Return a future of the answer, and have the breadcrumb sent at once.

        It is for functions that take futures, such as `asyncio.wrap_future`. Each call returns a
        new one. It cannot be cancelled: the breadcrumb is on its way. A forked child asks the
        receipt for a future of its own, since its parent's is never settled there.

        Returns:
            A future of the answer, as a dict of the caller's own. Its callbacks run on the thread
            that brings the answer; what they raise there is dropped.

        Example:
            >>> Receipt.settled({"success": True, "message": ""}).future().result(timeout=1)
            {'success': True, 'message': ''}
        """
        from concurrent.futures import Future

        from .log import keep_ours_out

        # Where a callback raises, as asyncio's does once its loop is closed, `Future` logs that.
        keep_ours_out("concurrent.futures")
        future: Future[Answer] = Future()
        future.set_running_or_notify_cancel()
        if self._answer is None and not self._is_of_parent():
            self.is_awaited = True
            self._urge()
        self.add_done_callback(lambda receipt: future.set_result(receipt.result(0)))
        return future

    def copy(self) -> Answer:
        """Return the answer as a dict of the caller's own, as a dict's `copy()` does."""
        return self._look().copy()

    if not TYPE_CHECKING:  # see `answer.pyi`

        def __getitem__(self, key: str) -> object:
            return self._look()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._look())

    def __len__(self) -> int:
        return len(self._look())

    def __bool__(self) -> bool:
        return True

    def __or__(self, other: object) -> dict[str, object]:
        return {**self, **other} if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: object) -> dict[str, object]:
        return {**other, **self} if isinstance(other, Mapping) else NotImplemented

    def __copy__(self) -> Receipt:
        return self

    def __deepcopy__(self, _memo: object) -> Receipt:
        return self

    def __reduce__(self) -> tuple[Callable[..., Receipt], tuple[Answer]]:
        return Receipt.settled, (self.copy(),)

    # As a future, a receipt equals itself and nothing else. As a dict it is compared by its answer.
    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping) and not isinstance(other, Receipt):
            return self._look() == other
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<Receipt {'pending' if self._answer is None else self._answer}>"

    def _look(self) -> Answer:
        # There is a race with an answer that comes just now: this look may then wait for news of
        # the version. It is rare, and bounded by the patience.
        is_spent = self._is_spent and self._answer is None
        answer = self._wait(0.0 if is_spent else self._patience)
        if answer is None:
            self._is_spent = True
            return {"success": False, "message": f"no answer within {self._patience:g} seconds"}
        return answer

    def _wait(self, timeout: float | None) -> Answer | None:
        try:
            return self._await_answer(timeout)
        except Exception as error:  # a limit on the host's memory, or a double of its tests
            reraise_from_handler(error)
            return self._answer

    def _await_answer(self, timeout: float | None) -> Answer | None:
        if self._is_of_parent():
            return self._answer or _OTHER_PROCESS
        start = time.monotonic()
        if self._answer is None:
            self.is_awaited = True
            self._urge()
            if await_lock(self._latch, _lock_timeout(timeout)):
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
            self._answer = {**answer, **ask_news(seconds)}  # type: ignore[assignment]

    def _is_of_parent(self) -> bool:
        return getpid() != self._pid

    def _call(self, callback: Callable[[Receipt], object]) -> None:
        try:
            from .callback import call_host  # few receipts have callbacks

            call_host(callback, self)
        except Exception as error:  # the thread that brings the answer is not its to break
            reraise_from_handler(error)


def _lock_timeout(timeout: float | None) -> float:
    """Translate to what `Lock.acquire` takes, where -1 means without a limit."""
    return -1 if timeout is None else max(0.0, min(timeout, TIMEOUT_MAX))

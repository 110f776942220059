"""The uploader: claims pending entries, sends them in requests, and removes or releases each.

It decides what goes into each request, and in which form. What an outcome means for a breadcrumb,
`policy` decides; `claims` carries it out on disk.

What may go wrong: the process may be killed between any two lines. So an attempt is recorded on
disk before the first byte of a request is sent, and a breadcrumb that the server has answered for
leaves the disk before anything else is done. Claims of a dead process end with their lease.
"""

from __future__ import annotations

from migas._disk.stamp import Stamp
from migas._runtime.clock import read_clock
from migas._runtime.namedtuple import NamedTuple

from . import graphql, policy
from .claims import Claims
from .parcel import Outcome, Verdict
from .sent_log import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migas._crumb.breadcrumb import Breadcrumb
    from migas._disk.spool import Spool
    from migas._runtime.exit import Exit
    from migas._runtime.listeners import Listeners

    from .parcel import Parcel, Reply
    from .throttle import Backoff

#: How long a server is remembered as an old one (0.3), in seconds: tomorrow it may be updated.
_OLD_FOR = 86400.0


class Upload(NamedTuple):
    """The result of one upload."""

    #: How many breadcrumbs were in it, whatever became of them.
    sent: int
    #: The parcels that are still to be sent, since the request had no room for them, or since it
    #: failed and they are in memory only.
    left: list[Parcel]
    #: The reason not to try the server again at once, or None.
    failure: Verdict | None = None
    #: The request had no room for anything else, because it asked for version news.
    asked_news: bool = False


class Uploader:
    """Sends parcels to one server, fills requests up with pending entries, and settles each.

    Parameters:
        spool: the spool whose pending entries are claimed.
        send: sends a request. Its second argument is called before the first byte is sent.
        backoff: counts failures, and ends with a success.
        listeners: shared by all agents of the process.
        process_exit: asked before each request but the first whether it may start.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        spool: Spool,
        send: Callable[[bytes, Callable[[], None]], Reply],
        backoff: Backoff,
        listeners: Listeners,
        process_exit: Exit,
        *,
        clock: Callable[[], float] = read_clock,
    ) -> None:
        self._spool = spool
        self._send = send
        self._backoff = backoff
        self._claims = Claims(spool, listeners, clock)
        self._exit = process_exit
        self._clock = clock
        self._record = Record(spool.directory, clock)
        # Shared by all hosts that use the directory, since the server is the same for all.
        self._old_server = Stamp(spool.directory, "old-server", "all")
        # The breadcrumbs that were encoded last, and their request: it is measured, and then sent.
        self._encoded: tuple[list[Breadcrumb], bytes] = [], b""

    def upload(self, parcels: Sequence[Parcel]) -> Upload:
        """Send one request with the first of ``parcels`` and with pending entries from the disk.

        If the server does not take them in one request, several are sent one after the other.
        """
        self._spool.recover(graphql.MAX_BATCH)
        batch, left = self._collect(parcels, is_old=self._is_server_old())
        if not batch:
            return Upload(0, left)
        asks_news = self._goes_alone(batch[0], is_old=False)
        try:
            sent = self._deliver(batch, [parcel.entry.attempts for parcel in batch])
        except Exception:  # a broken installation: nobody will settle them but by another claim
            self._claims.release(batch)
            raise
        if sent.failure is None:
            self._backoff.succeed()
        elif not self._exit.is_given_up:
            self._backoff.fail(sent.failure.demand)
        return Upload(len(batch), [*sent.left, *left], sent.failure, asks_news)

    def discard_delivered(self) -> None:
        """Remove what the server has taken, and the disk would not let go then."""
        self._claims.discard_delivered()

    def _collect(
        self, parcels: Sequence[Parcel], *, is_old: bool
    ) -> tuple[list[Parcel], list[Parcel]]:
        """Claim as many parcels as one request has room for, then pending entries from the disk.

        Returns the request's parcels, and those of ``parcels`` that are left for the next.
        """
        first = list(parcels[: graphql.MAX_BATCH])
        count = self._count_fitting(first, is_old=is_old)
        batch = self._claims.take(first[:count])
        left = list(parcels[count:])
        if left or any(self._goes_alone(parcel, is_old=is_old) for parcel in batch):
            return batch, left
        candidates = [*batch, *self._claims.fetch(graphql.MAX_BATCH - len(batch))]
        count = max(len(batch), self._count_fitting(candidates, is_old=is_old))
        if candidates[count:]:
            self._claims.release(candidates[count:])
        return candidates[:count], []

    def _count_fitting(self, parcels: Sequence[Parcel], *, is_old: bool) -> int:
        """Return how many of ``parcels``, from the first on, fit into one request."""
        alone = (i for i, parcel in enumerate(parcels) if self._goes_alone(parcel, is_old=is_old))
        count = min(max(1, next(alone, len(parcels))), len(parcels))
        while count > 1:
            size = len(self._encode(parcels[:count]))
            if size <= graphql.MAX_BODY:
                break
            # An estimate: as if all were of one size. It is not too low, since the parts that a
            # request has only once are counted, too.
            count = max(1, min(count - 1, count * graphql.MAX_BODY // size))
        return count

    def _goes_alone(self, parcel: Parcel, *, is_old: bool) -> bool:
        """Return True if a parcel goes as `add_project`, in a request of its own.

        An old server (0.3) knows only that form. Otherwise it is for a caller who reads the receipt
        for version news, and for a `user_type` other than general, which the server keeps of this
        form alone. The server's look-up may take seconds and may fail, so no breadcrumb goes in
        this form after an attempt that had no answer.
        """
        if is_old:
            return True
        if parcel.is_plain or parcel.entry.attempts:
            return False
        if parcel.breadcrumb.user_type != "general":
            return True
        wants_news = parcel.receipt is not None and parcel.receipt.wants_news
        return wants_news and not self._exit.has_begun

    def _is_server_old(self) -> bool:
        """Return True if the server was found to be an old one (0.3) within the last day."""
        mark = self._old_server.read()
        return mark is not None and abs(self._clock() - mark.moment) < _OLD_FOR

    def _deliver(
        self, batch: Sequence[Parcel], attempts: Sequence[int], *, is_old: bool = False
    ) -> Upload:
        """Send one request for ``batch``, or several if the server does not take it in one.

        The first failure ends it. Each breadcrumb is settled as soon as its own answer is there,
        since the process may die before the next one.

        Parameters:
            batch: claimed parcels, one at least.
            attempts: for each parcel, how often it was sent before this request.
            is_old: the server has just said that it is an old one.
        """
        is_old = is_old or self._is_server_old()
        alone = self._goes_alone(batch[0], is_old=is_old)
        reply = self._exchange(batch, attempts, alone=alone)
        if reply.stale and self._may_repeat(reply, attempts):
            attempts = [count + (reply.outcome is Outcome.UNKNOWN) for count in attempts]
            reply = self._exchange(batch, attempts, alone=alone)
        if reply.too_large and len(batch) > 1:
            return self._deliver_parts(batch, attempts, len(batch) // 2, is_old=is_old)
        if not is_old and graphql.lacks_add_breadcrumb(reply):
            self._old_server.clear()
            self._old_server.set(self._clock())
            return self._deliver_parts(batch, attempts, 1, is_old=True)
        if is_old and reply.signed:  # an old server signs nothing: it has been updated since
            self._old_server.clear()
        verdicts = graphql.read_answer(
            reply, len(batch), alone=alone, trusted=is_old, is_last=batch[0].is_plain
        )
        judged = list(zip(batch, verdicts, attempts, strict=True))
        left = self._settle([each for each in judged if each[1].outcome is not Outcome.RESEND])
        again = [(each[0], each[2]) for each in judged if each[1].outcome is Outcome.RESEND]
        for parcel, _ in again:
            parcel.is_plain = True
        # No deeper recursion, whatever the server answers: a plain breadcrumb in a request of its
        # own is never RESEND.
        parts = self._deliver_parts([each[0] for each in again], [each[1] for each in again], 1)
        failure = policy.find_failure(verdicts) or parts.failure
        return Upload(len(batch), [*left, *parts.left], failure)

    def _may_repeat(self, reply: Reply, attempts: Sequence[int]) -> bool:
        """Return True if a request on a stale connection may be sent again at once."""
        counts = [count + (reply.outcome is Outcome.UNKNOWN) for count in attempts]
        return all(policy.waits(reply.outcome, count) for count in counts)

    def _deliver_parts(
        self,
        parcels: Sequence[Parcel],
        attempts: Sequence[int],
        size: int,
        *,
        is_old: bool = False,
    ) -> Upload:
        """Send requests of ``size`` parcels each, until one fails or no more may start."""
        failure: Verdict | None = None
        left: list[Parcel] = []
        for start in range(0, len(parcels), max(1, size)):
            part, counts = parcels[start : start + size], attempts[start : start + size]
            if failure is None and not self._exit.may_start_request():
                failure = Verdict(Outcome.UNSENT, "the process ends")
            if failure is None:
                sent = self._deliver(part, counts, is_old=is_old)
                failure = sent.failure
                left += sent.left
                continue
            verdicts = [Verdict(Outcome.UNSENT, failure.reason)] * len(part)
            judged = list(zip(part, verdicts, counts, strict=True))
            left += self._settle(judged, was_tried=False)
        return Upload(len(parcels), left, failure)

    def _exchange(self, batch: Sequence[Parcel], attempts: Sequence[int], *, alone: bool) -> Reply:
        """Send one request, and count the attempt on disk before its first byte is sent."""

        def mark_as_sent() -> None:
            # If the process dies from here on, the attempt counts. An `OSError` stops the request.
            self._claims.count_attempt(batch, attempts)

        if alone:
            body = graphql.encode_project([parcel.breadcrumb for parcel in batch])
        else:
            body = self._encode(batch)
        return self._send(body, mark_as_sent)

    def _encode(self, parcels: Sequence[Parcel]) -> bytes:
        """Write one request for all ``parcels``, unless it is the one that was written last."""
        crumbs = [parcel.breadcrumb for parcel in parcels]
        if crumbs != self._encoded[0]:
            self._encoded = crumbs, graphql.encode_breadcrumbs(crumbs)
        return self._encoded[1]

    def _settle(
        self, judged: Sequence[tuple[Parcel, Verdict, int]], *, was_tried: bool = True
    ) -> list[Parcel]:
        """Act on each verdict: first on disk, then in the record, then in the receipt.

        The disk comes first, since a kill before that has the breadcrumb sent twice. What was not
        tried is not in the record. Returns the parcels that are to be sent again and are in memory
        only.
        """
        left = self._claims.end(judged)
        # Not those in memory: a disk without room for them has none for a record, either.
        self._record.add(
            (parcel.breadcrumb, verdict)
            for parcel, verdict, _ in judged
            if was_tried and parcel.entry.is_on_disk
        )
        for parcel, verdict, _ in judged:
            parcel.settle(verdict)
        return left

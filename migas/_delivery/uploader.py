"""The uploader: carries the delivery policy out, from the disk to the server and back.

The policy itself stands in `policy`.
"""

from __future__ import annotations

import time

from migas._crumb import breadcrumb
from migas._disk.stamp import Stamp
from migas._runtime import log
from migas._runtime.namedtuple import NamedTuple

from . import graphql, policy
from .parcel import Outcome, Parcel, Verdict
from .sent_log import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from migas._disk.spool import Spool

    from .parcel import Reply
    from .throttle import Backoff

#: Seconds for which an old server is remembered as such: it may be a new one tomorrow.
_OLD_FOR = 86400.0


class Upload(NamedTuple):
    """What became of one upload."""

    #: Breadcrumbs that were sent, with whatever success.
    sent: int
    #: Why the server is not to be tried again at once, or None.
    failure: Verdict | None = None


class Uploader:
    """Sends parcels to one server, fills requests up with what waits, and settles each.

    ``send`` is given a request and a function to call when its first byte is about to leave.
    ``may_start`` is asked before each request but the first.
    """

    def __init__(
        self,
        spool: Spool,
        send: Callable[[bytes, Callable[[], None]], Reply],
        backoff: Backoff,
        *,
        may_start: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spool = spool
        self._send = send
        self._backoff = backoff
        self._may_start = may_start
        self._clock = clock
        # Of all hosts that share the directory, since the server is the same for all.
        self._old_server = Stamp(spool.directory, "old-server", "all")
        self._server_is_old = False
        self._record = Record(spool.directory, clock)
        self._demand: float | None = None
        # What nothing but memory holds and has to be sent again.
        self._held: list[Parcel] = []
        #: Whether a request is on its way, for other threads to read.
        self.is_sending = False

    def upload(self, own: list[Parcel]) -> Upload:
        """Send one request of what is taken from ``own`` and of what waits on disk.

        What nothing but memory holds and has to be sent again goes back to ``own``.
        """
        self._spool.recover(graphql.MAX_BATCH)
        self._server_is_old = self._remembers_old_server()
        batch = self._collect(own)
        if not batch:
            return Upload(0)
        self._held = []
        failure = self._deliver(batch)
        own[:0] = self._held
        if failure is None:
            self._backoff.succeed()
        else:
            self._backoff.fail(self._demand)
        return Upload(len(batch), failure)

    def _collect(self, own: list[Parcel]) -> list[Parcel]:
        """Take from ``own``, then from the disk, what one request has room for."""
        count = self._count_fitting(own[: graphql.MAX_BATCH])
        batch = [parcel for parcel in own[:count] if self._claim(parcel)]
        del own[:count]
        if own:
            return batch
        candidates = [*batch, *self._waiting(graphql.MAX_BATCH - len(batch))]
        count = max(len(batch), self._count_fitting(candidates))
        for parcel in candidates[count:]:
            if parcel.entry is not None:
                parcel.entry.release(parcel.attempts)
        return candidates[:count]

    def _claim(self, parcel: Parcel) -> bool:
        if parcel.entry is None:
            return True
        parcel.entry = self._spool.take(parcel.entry)
        if parcel.entry is None:
            parcel.settle(Verdict(Outcome.UNSENT, "another process is sending it"))
        return parcel.entry is not None

    def _waiting(self, limit: int) -> Iterator[Parcel]:
        for entry in self._spool.claim(limit) if limit > 0 else ():
            if entry.attempts >= policy.MAX_ATTEMPTS:
                self._spool.give_up(entry)
                continue
            try:
                crumb = breadcrumb.decode(entry.read())
            except FileNotFoundError:  # the claim was lost, or the person has removed it
                continue
            except Exception as error:  # a file may hold anything, and a parser may choke on it
                log.say(log.DEBUG, "%s is set aside: %r", entry.path, error)
                entry.set_aside()
                continue
            yield Parcel(crumb, entry)

    def _deliver(self, batch: Sequence[Parcel]) -> Verdict | None:
        """Send one request for ``batch``, or several where it cannot go in one.

        Each breadcrumb is settled as soon as its own answer is there, since the process may die
        before the next. Returns the first failure, which ends it.
        """
        reply, operations = self._exchange(batch)
        counts = reply.outcome is Outcome.UNKNOWN
        if reply.stale and all(policy.waits(reply.outcome, p.attempts + counts) for p in batch):
            for parcel in batch:
                parcel.attempts += counts
            reply, operations = self._exchange(batch)
        if reply.too_large and len(batch) > 1:
            middle = len(batch) // 2
            return self._deliver_parts([batch[:middle], batch[middle:]])
        if not self._server_is_old and graphql.lacks_add_breadcrumb(reply):
            self._server_is_old = True
            self._old_server.clear()
            self._old_server.set(self._clock())
            return self._deliver_parts([batch])
        verdicts = graphql.read_breadcrumbs(reply, operations)
        judged = list(zip(batch, verdicts, strict=True))
        self._settle([each for each in judged if each[1].outcome is not Outcome.RESEND])
        again = [parcel for parcel, verdict in judged if verdict.outcome is Outcome.RESEND]
        for parcel in again:
            parcel.asks = False
        # One that is alone, and that does not ask, is never to be resent: this goes no deeper.
        return self._deliver_parts([[each] for each in again]) or policy.find_failure(verdicts)

    def _deliver_parts(self, parts: Sequence[Sequence[Parcel]]) -> Verdict | None:
        """Send one request after the other, until one fails or no more may begin."""
        failure = None
        for part in parts:
            if failure is None and not self._may_start():
                failure = Verdict(Outcome.UNSENT, "the process ends")
            if failure is None:
                failure = self._deliver(part)
                continue
            self._settle([(parcel, Verdict(Outcome.UNSENT, failure.reason)) for parcel in part])
        return failure

    def _exchange(self, batch: Sequence[Parcel]) -> tuple[Reply, list[graphql.Operation]]:
        operations = self._operations(batch)
        self.is_sending = True
        try:
            reply = self._send(
                graphql.encode_breadcrumbs(operations), lambda: self._mark_as_sent(batch)
            )
        finally:
            self.is_sending = False
        self._demand = reply.demand
        return reply, operations

    def _mark_as_sent(self, batch: Sequence[Parcel]) -> None:
        """Say on disk that each may have been sent once more, before the first byte leaves.

        So an attempt is counted if the process dies now, and only then. Raises `OSError`, which
        stops the request, where another process has taken one: this one was held up for longer
        than its claims last.
        """
        for parcel in batch:
            if parcel.entry is not None:
                parcel.entry = parcel.entry.attempt(self._clock(), parcel.attempts + 1)

    def _operations(self, parcels: Sequence[Parcel]) -> list[graphql.Operation]:
        old = self._server_is_old
        return [graphql.Operation(parcel.breadcrumb, parcel.asks, old) for parcel in parcels]

    def _remembers_old_server(self) -> bool:
        mark = self._old_server.read()
        return mark is not None and abs(self._clock() - mark.moment) < _OLD_FOR

    def _count_fitting(self, parcels: Sequence[Parcel]) -> int:
        """Say how many of ``parcels`` one request has room for, from the first on."""
        count = len(parcels)
        while count > 1:
            size = len(graphql.encode_breadcrumbs(self._operations(parcels[:count])))
            if size <= graphql.MAX_BODY:
                break
            # As many as if all were of one size; what a request has once makes that no too few.
            count = max(1, min(count - 1, count * graphql.MAX_BODY // size))
        return count

    def _settle(self, judged: Sequence[tuple[Parcel, Verdict]]) -> None:
        """Carry out what became of each; the disk comes first, as a kill now may send it twice."""
        for parcel, verdict in judged:
            self._carry_out(parcel, verdict)
        # Where the disk has no room for a breadcrumb there is none for a record of it.
        self._record.add(
            (parcel.breadcrumb, verdict) for parcel, verdict in judged if parcel.entry is not None
        )
        for parcel, verdict in judged:
            parcel.settle(verdict)

    def _carry_out(self, parcel: Parcel, verdict: Verdict) -> None:
        parcel.attempts += verdict.outcome is Outcome.UNKNOWN
        if verdict.outcome is Outcome.REFUSED:
            # INFO, since the person whose process this is can do nothing about it.
            log.say(log.INFO, "%s is refused: %s", parcel.breadcrumb.project, verdict.reason)
            self._spool.refuse(parcel.entry)
        elif policy.waits(verdict.outcome, parcel.attempts):
            if parcel.entry is None:
                self._held.append(parcel)
            else:
                parcel.entry.release(parcel.attempts)
        elif verdict.outcome is Outcome.UNKNOWN:
            self._spool.give_up(parcel.entry)
        elif parcel.entry is not None:
            parcel.entry.discard()

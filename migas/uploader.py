"""The uploader: the delivery policy, from the disk to the server and back.

the server has the breadcrumb             DELIVERED   discard
it never will: unregistered, too large    REFUSED     discard, one log line
not sent, or the server is busy           UNSENT      release, back off
sent whole, and no answer                 UNKNOWN     release; the third time it counts as sent
would be taken in another form            RESEND      once more at once, alone and plain
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import breadcrumb, graphql, log
from .outcome import Outcome, Verdict
from .parcel import Parcel, postpone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .backoff import Backoff
    from .outcome import Reply
    from .spool import Spool

#: Requests that may have arrived, each unanswered, before a breadcrumb counts as delivered.
MAX_ATTEMPTS = 3


class Uploader:
    """Sends parcels to one server, fills requests up with what waits, and settles each."""

    def __init__(
        self,
        spool: Spool,
        send: Callable[[bytes], Reply],
        backoff: Backoff,
    ) -> None:
        self._spool = spool
        self._send = send
        self._backoff = backoff
        self._may_start: Callable[[], bool] = lambda: True
        self._demand: float | None = None
        self._server_is_old = False
        #: Whether the last upload failed.
        self.failed = False

    def upload(
        self,
        parcels: Sequence[Parcel],
        *,
        drain: bool = False,
        may_start: Callable[[], bool] = lambda: True,
    ) -> list[Parcel]:
        """Send ``parcels``, each request filled up with what waits on disk, and settle them.

        ``drain`` goes on until nothing waits. The first failure ends it, and so does ``may_start``,
        asked before each request. Returns the parcels that nothing but memory holds.
        """
        self._may_start = may_start
        self._spool.recover(graphql.MAX_BATCH)
        own, failure = list(parcels), Verdict(Outcome.UNSENT, "the process ends")
        while may_start():
            batch = self._collect(own)
            if not batch:
                self.failed = False  # nothing is left that could have failed
                break
            verdicts = self._deliver(batch)
            for parcel, verdict in zip(batch, verdicts, strict=True):
                self._settle(parcel, verdict)
            lost = [verdict for verdict in verdicts if verdict.outcome in _FAILURES]
            self._note(failed=bool(lost))
            if lost:
                failure = lost[0]
                own[:0] = [
                    parcel
                    for parcel, verdict in zip(batch, verdicts, strict=True)
                    if _waits(parcel, verdict) and parcel.entry is None
                ]
                break
            if not own and not drain:
                break
        return postpone(own, failure.reason)

    def _collect(self, own: list[Parcel]) -> list[Parcel]:
        """Take from ``own``, then from the disk, what one request has room for."""
        batch: list[Parcel] = []
        while own and len(batch) < graphql.MAX_BATCH:
            parcel = own[0]
            if batch and not self._fits([*batch, parcel]):
                return batch
            del own[0]
            if self._claim(parcel):
                batch.append(parcel)
        for parcel in self._waiting(graphql.MAX_BATCH - len(batch)):
            if batch and not self._fits([*batch, parcel]):
                assert parcel.entry is not None
                parcel.entry.release()
            else:
                batch.append(parcel)
        return batch

    def _claim(self, parcel: Parcel) -> bool:
        if parcel.entry is None:
            return True
        parcel.entry = self._spool.take(parcel.entry)
        if parcel.entry is None:
            parcel.settle(Verdict(Outcome.UNSENT, "another process is sending it"))
        return parcel.entry is not None

    def _waiting(self, limit: int) -> Iterator[Parcel]:
        for entry in self._spool.claim(limit) if limit > 0 else ():
            if entry.attempts >= MAX_ATTEMPTS:
                entry.discard()
                continue
            try:
                crumb = breadcrumb.decode(entry.read())
            except (OSError, ValueError) as error:
                log.say(log.DEBUG, "%s is set aside: %s", entry.path, error)
                entry.set_aside()
                continue
            yield Parcel(crumb, entry)

    def _deliver(self, batch: Sequence[Parcel]) -> list[Verdict]:
        """Send one request for ``batch``, or several where it cannot go in one."""
        operations = self._operations(batch)
        reply = self._send(graphql.encode_breadcrumbs(operations))
        self._demand = reply.demand
        if reply.too_large and len(batch) > 1:
            middle = len(batch) // 2
            return self._deliver_parts([batch[:middle], batch[middle:]])
        if not self._server_is_old and graphql.lacks_add_breadcrumb(reply):
            self._server_is_old = True
            return self._deliver_parts([batch])
        verdicts = graphql.read_breadcrumbs(reply, operations)
        again = [n for n, verdict in enumerate(verdicts) if verdict.outcome is Outcome.RESEND]
        for index in again:
            batch[index].asks = False
        # A single plain breadcrumb is never to be resent, so this goes one level deep.
        for index, verdict in zip(
            again, self._deliver_parts([[batch[index]] for index in again]), strict=True
        ):
            verdicts[index] = verdict
        return verdicts

    def _deliver_parts(self, parts: Sequence[Sequence[Parcel]]) -> list[Verdict]:
        """Send one request after the other, until one fails or no more may begin."""
        verdicts: list[Verdict] = []
        failure = None
        for part in parts:
            if failure is None and not self._may_start():
                failure = Verdict(Outcome.UNSENT, "the process ends")
            if failure is not None:
                verdicts += [Verdict(Outcome.UNSENT, failure.reason)] * len(part)
                continue
            verdicts += self._deliver(part)
            failure = next((v for v in verdicts if v.outcome in _FAILURES), None)
        return verdicts

    def _operations(self, parcels: Sequence[Parcel]) -> list[graphql.Operation]:
        # An old server knows no other form than the one that asks for version news.
        old = self._server_is_old
        return [graphql.Operation(parcel.breadcrumb, parcel.asks or old) for parcel in parcels]

    def _fits(self, parcels: Sequence[Parcel]) -> bool:
        body = graphql.encode_breadcrumbs(self._operations(parcels))
        return len(body) <= graphql.MAX_BODY

    def _settle(self, parcel: Parcel, verdict: Verdict) -> None:
        parcel.asks = False
        parcel.attempts += verdict.outcome is Outcome.UNKNOWN
        if verdict.outcome is Outcome.REFUSED:
            # INFO, since the person whose process this is can do nothing about it.
            log.say(log.INFO, "%s is refused: %s", parcel.breadcrumb.project, verdict.reason)
        if parcel.entry is not None and _waits(parcel, verdict):
            parcel.entry.release(attempted=verdict.outcome is Outcome.UNKNOWN)
        elif parcel.entry is not None:
            parcel.entry.discard()
        parcel.settle(verdict)

    def _note(self, *, failed: bool) -> None:
        self.failed = failed
        if failed:
            self._backoff.fail(self._demand)
        else:
            self._backoff.succeed()


_FAILURES = (Outcome.UNSENT, Outcome.UNKNOWN)


def _waits(parcel: Parcel, verdict: Verdict) -> bool:
    return verdict.outcome in _FAILURES and parcel.attempts < MAX_ATTEMPTS

"""The uploader: carries the delivery policy out, from the disk to the server and back.

The policy itself is in `policy`. A process may be killed between any two lines of this module: what
the server has answered leaves the disk before anything else is done.
"""

from __future__ import annotations

import time

from migas._crumb import breadcrumb
from migas._disk.entry import MemoryEntry
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
    from migas._runtime.exit import Exit
    from migas._runtime.receipt import Listeners

    from .parcel import Reply
    from .throttle import Backoff

#: Seconds for which an old server is remembered as such: it may be a new one tomorrow.
_OLD_FOR = 86400.0


class Upload(NamedTuple):
    """What became of one upload."""

    #: Breadcrumbs that were sent, with whatever success.
    sent: int
    #: What is still to be sent: what the request had no room for, and what is in memory alone.
    left: list[Parcel]
    #: Why the server is not to be tried again at once, or None.
    failure: Verdict | None = None


class Uploader:
    """Sends parcels to one server, fills requests up with pending entries, and settles each.

    Parameters:
        spool: where pending entries are claimed.
        send: is given a request, and a function to call when its first byte is about to leave.
        backoff: is told of failures and successes.
        listeners: shared by all agents of the process.
        process_exit: is asked before each request but the first.
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spool = spool
        self._send = send
        self._backoff = backoff
        self._listeners = listeners
        self._exit = process_exit
        self._clock = clock
        self._record = Record(spool.directory, clock)
        # Of all hosts that share the directory, since the server is the same for all.
        self._old_server = Stamp(spool.directory, "old-server", "all")

    def upload(self, parcels: Sequence[Parcel]) -> Upload:
        """Send one request of the first of ``parcels`` and of what is pending on disk.

        Where the server takes them in several requests only, these are sent one after the other.
        """
        self._spool.recover(graphql.MAX_BATCH)
        batch, left = self._collect(parcels, is_old=self._is_server_old())
        if not batch:
            return Upload(0, left)
        sent = self._deliver(batch, [parcel.entry.attempts for parcel in batch])
        if sent.failure is None:
            self._backoff.succeed()
        else:
            self._backoff.fail(sent.failure.demand)
        return Upload(len(batch), [*sent.left, *left], sent.failure)

    def _collect(
        self, parcels: Sequence[Parcel], *, is_old: bool
    ) -> tuple[list[Parcel], list[Parcel]]:
        """Claim what one request has room for: of ``parcels``, then from the disk.

        Returns the request's parcels, and those of ``parcels`` that are left for the next.
        """
        first = list(parcels[: graphql.MAX_BATCH])
        count = self._count_fitting(first, is_old=is_old)
        batch = [parcel for parcel in first[:count] if self._claim(parcel)]
        left = list(parcels[count:])
        if left or any(self._goes_alone(parcel, is_old=is_old) for parcel in batch):
            return batch, left
        candidates = [*batch, *self._claim_pending(graphql.MAX_BATCH - len(batch))]
        count = max(len(batch), self._count_fitting(candidates, is_old=is_old))
        for parcel in candidates[count:]:
            self._release(parcel, parcel.entry.attempts)
        return candidates[:count], []

    def _claim(self, parcel: Parcel) -> bool:
        entry = parcel.entry
        taken = entry if isinstance(entry, MemoryEntry) else self._spool.take(entry)
        if taken is None:
            # A thread of this process that found it on disk has taken its listener as well.
            self._listeners.dismiss(entry.token, "another process is sending it")
            return False
        parcel.entry = taken
        self._listeners.take(taken.token)
        return True

    def _claim_pending(self, limit: int) -> Iterator[Parcel]:
        for entry in self._spool.claim(limit) if limit > 0 else ():
            receipt = self._listeners.take(entry.token)
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
            yield Parcel(crumb, entry, receipt)

    def _count_fitting(self, parcels: Sequence[Parcel], *, is_old: bool) -> int:
        """Return how many of ``parcels`` one request has room for, from the first on."""
        alone = (i for i, parcel in enumerate(parcels) if self._goes_alone(parcel, is_old=is_old))
        count = min(max(1, next(alone, len(parcels))), len(parcels))
        while count > 1:
            size = len(graphql.encode_breadcrumbs([p.breadcrumb for p in parcels[:count]]))
            if size <= graphql.MAX_BODY:
                break
            # As many as if all were of one size; what a request has once makes that no too few.
            count = max(1, min(count - 1, count * graphql.MAX_BODY // size))
        return count

    def _goes_alone(self, parcel: Parcel, *, is_old: bool) -> bool:
        """Return True if a parcel goes as `add_project`, in a request of its own.

        The server then looks the project up elsewhere, which may take seconds and may fail: only
        for whom it is worth that, and not again for what has once had no answer.
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
        mark = self._old_server.read()
        return mark is not None and abs(self._clock() - mark.moment) < _OLD_FOR

    def _deliver(self, batch: Sequence[Parcel], attempts: Sequence[int]) -> Upload:
        """Send one request for ``batch``, or several where it cannot go in one.

        Each breadcrumb is settled as soon as its own answer is there, since the process may die
        before the next. The first failure ends it. ``attempts`` are those before this request.
        """
        is_old = self._is_server_old()
        alone = self._goes_alone(batch[0], is_old=is_old)
        reply = self._exchange(batch, attempts, alone=alone)
        if reply.stale and self._may_repeat(reply, attempts):
            attempts = [count + (reply.outcome is Outcome.UNKNOWN) for count in attempts]
            reply = self._exchange(batch, attempts, alone=alone)
        if reply.too_large and len(batch) > 1:
            return self._deliver_parts(batch, attempts, len(batch) // 2)
        if not is_old and graphql.lacks_add_breadcrumb(reply):
            self._old_server.clear()
            self._old_server.set(self._clock())
            return self._deliver_parts(batch, attempts, 1)
        verdicts = graphql.read_answer(reply, len(batch), alone=alone, trusted=is_old)
        judged = list(zip(batch, verdicts, attempts, strict=True))
        left = self._settle([each for each in judged if each[1].outcome is not Outcome.RESEND])
        again = [(each[0], each[2]) for each in judged if each[1].outcome is Outcome.RESEND]
        for parcel, _ in again:
            parcel.is_plain = True
        # One that is alone and plain is never to be resent: this goes no deeper.
        parts = self._deliver_parts([each[0] for each in again], [each[1] for each in again], 1)
        failure = policy.find_failure(verdicts) or parts.failure
        return Upload(len(batch), [*left, *parts.left], failure)

    def _may_repeat(self, reply: Reply, attempts: Sequence[int]) -> bool:
        """Return True if a request on a stale connection may be sent once more at once."""
        counts = [count + (reply.outcome is Outcome.UNKNOWN) for count in attempts]
        return all(policy.waits(reply.outcome, count) for count in counts)

    def _deliver_parts(
        self, parcels: Sequence[Parcel], attempts: Sequence[int], size: int
    ) -> Upload:
        """Send requests of ``size`` parcels each, until one fails or no more may begin."""
        failure: Verdict | None = None
        left: list[Parcel] = []
        for start in range(0, len(parcels), max(1, size)):
            part, counts = parcels[start : start + size], attempts[start : start + size]
            if failure is None and not self._exit.may_start_request():
                failure = Verdict(Outcome.UNSENT, "the process ends")
            if failure is None:
                sent = self._deliver(part, counts)
                failure = sent.failure
                left += sent.left
                continue
            verdicts = [Verdict(Outcome.UNSENT, failure.reason)] * len(part)
            left += self._settle(list(zip(part, verdicts, counts, strict=True)))
        return Upload(len(parcels), left, failure)

    def _exchange(self, batch: Sequence[Parcel], attempts: Sequence[int], *, alone: bool) -> Reply:
        def mark_as_sent() -> None:
            # Said on disk before the first byte leaves: an attempt is counted if the process dies
            # now, and only then. Raises `OSError`, which stops the request, if another process has
            # taken an entry: this one was held up for longer than its claims last.
            for parcel, count in zip(batch, attempts, strict=True):
                parcel.entry = parcel.entry.attempt(self._clock(), count + 1)

        crumbs = [parcel.breadcrumb for parcel in batch]
        encode = graphql.encode_project if alone else graphql.encode_breadcrumbs
        return self._send(encode(crumbs), mark_as_sent)

    def _settle(self, judged: Sequence[tuple[Parcel, Verdict, int]]) -> list[Parcel]:
        """Carry out what became of each; the disk comes first, as a kill now may send it twice.

        Returns those in memory that are to be sent again.
        """
        left = [parcel for parcel, verdict, count in judged if self._keep(parcel, verdict, count)]
        # Where the disk has no room for a breadcrumb there is none for a record of it.
        self._record.add(
            (parcel.breadcrumb, verdict) for parcel, verdict, _ in judged if parcel.entry.is_on_disk
        )
        for parcel, verdict, _ in judged:
            parcel.settle(verdict)
        return left

    def _keep(self, parcel: Parcel, verdict: Verdict, attempts: int) -> bool:
        """Remove a breadcrumb from the disk, or release it to be sent again.

        Returns True if it is to be sent again and is in memory alone.
        """
        attempts += verdict.outcome is Outcome.UNKNOWN
        if policy.waits(verdict.outcome, attempts):
            self._release(parcel, attempts)
            return not parcel.entry.is_on_disk
        if verdict.outcome is Outcome.REFUSED:
            # INFO, since the person whose process this is can do nothing about it.
            log.say(log.INFO, "%s is refused: %s", parcel.breadcrumb.project, verdict.reason)
            self._spool.refuse(parcel.entry)
        elif verdict.outcome is Outcome.UNKNOWN:
            self._spool.give_up(parcel.entry)
        else:
            parcel.entry.discard()
        return False

    def _release(self, parcel: Parcel, attempts: int) -> None:
        parcel.entry = parcel.entry.release(attempts) or parcel.entry

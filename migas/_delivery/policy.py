"""The delivery policy: what became of a request, and what is done then.

what happened                                                outcome     then
-----------------------------------------------------------  ----------  --------------------------
the server's answer says it took the breadcrumb              DELIVERED   discard
it says it never will: unregistered project, a value that    REFUSED     discard, one log line,
  the schema refuses, a body too large for one breadcrumb                count
no connection: refused, no route, DNS, proxy, TLS, timeout   UNSENT      release, back off
429, 408, 5xx                                                UNSENT      release, back off, at least
                                                                         `Retry-After`; a minute
                                                                         for a 429 without one
413 with several breadcrumbs                                 (too_large) split, send smaller
an answer that is no migas server's: a login page, a proxy's UNSENT      release, back off
  error, a redirect elsewhere
the request went out whole and no answer came in time        UNKNOWN     release, one attempt more;
                                                                         the third: discard, count
a kept connection turns out to be closed                     (stale)     once more at once, which
                                                                         is an attempt like another
one alias of several fails                                   by each one's own part of the answer
the schema refuses the request, or a look-up fails           RESEND      once more at once, alone
                                                                         and plain

`judge` reads a request's answer from the top of that table, `graphql` reads each breadcrumb's part,
`waits` decides between discarding and releasing, and `uploader` carries it out.
"""

from __future__ import annotations

import email.utils

from migas._runtime.namedtuple import NamedTuple

from .parcel import Outcome, Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .parcel import Verdict

#: Requests that may have arrived, each unanswered, before a breadcrumb counts as delivered.
MAX_ATTEMPTS = 3

#: Seconds after which a server opens a door that it has shut with a 429; it says so in words only,
#: and whoever knocks meanwhile keeps it shut.
SILENCE = 60.0

#: Answered by a server that may take the same request later, besides 5xx.
_BUSY = (408, 425, 429)

#: Answered to a request that it will never take, by the migas application itself: a web server in
#: front of it, or a proxy, says these for reasons of its own.
_REFUSING = (400, 422)


class Exchange(NamedTuple):
    """What was seen of one request."""

    #: What went wrong, in words, where no whole answer came.
    error: str = ""
    #: The request went out to its last byte.
    whole: bool = False
    #: It went out on a connection that was kept from an earlier one, and that was hung up before
    #: the answer began.
    stale: bool = False
    #: HTTP's, where an answer came.
    status: int | None = None
    #: The answer bears the migas application's name.
    signed: bool = False
    #: The header of that name.
    retry_after: str = ""
    #: What the body says, where that is JSON.
    content: object = None


def judge(exchange: Exchange, now: float) -> Reply:
    """Say what became of a request; ``now`` is in seconds since the epoch."""
    status = exchange.status
    if exchange.error:
        outcome = Outcome.UNKNOWN if exchange.whole else Outcome.UNSENT
        return Reply(outcome, exchange.error, stale=exchange.stale)
    if status == 413:
        return Reply(Outcome.REFUSED, "the request is too large", too_large=True)
    if status is not None and (status in _BUSY or status >= 500):
        demand = read_retry_after(exchange.retry_after, now)
        if status == 429 and demand is None:
            demand = SILENCE
        return Reply(Outcome.UNSENT, f"the server answered {status}", demand=demand)
    if status in _REFUSING and exchange.signed:
        return Reply(Outcome.REFUSED, f"the server answered {status}")
    content = exchange.content
    if status == 200 and isinstance(content, dict) and ("data" in content or "errors" in content):
        return Reply(Outcome.DELIVERED, answer=content, signed=exchange.signed)
    return Reply(Outcome.UNSENT, f"the answer was no migas server's ({status})")


def waits(outcome: Outcome, attempts: int) -> bool:
    """Say whether a breadcrumb is to be sent again, of which ``attempts`` remained unanswered."""
    return outcome is Outcome.UNSENT or (outcome is Outcome.UNKNOWN and attempts < MAX_ATTEMPTS)


def find_failure(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the first verdict that says the server is not to be tried again at once."""
    return next((verdict for verdict in verdicts if verdict.outcome in _FAILURES), None)


def read_retry_after(value: str, now: float) -> float | None:
    """Read the header's two forms, seconds and a date (RFC 9110, 10.2.3); None: neither."""
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment.timestamp() - now)


_FAILURES = (Outcome.UNSENT, Outcome.UNKNOWN)

"""The delivery policy: decides what became of a request, and what is done then.

what happened                                                outcome     then
-----------------------------------------------------------  ----------  --------------------------
the server's GraphQL answer says it took the breadcrumb      DELIVERED   discard
the application itself says it never will: unregistered      REFUSED     discard, one log line with
  project; a refusal by the schema of one breadcrumb alone;              the server's reason, count
  a signed 400, 413 or 422 for one breadcrumb; an old
  server's `Invalid project`
any other GraphQL error for the whole request                UNSENT      release, back off
nothing was sent: connection refused, no route, DNS, proxy   UNSENT      release, back off
  or TLS failure, connect timeout, anything that raises
  before the request's last byte has left
429, 425, 408, 5xx                                           UNSENT      release, back off, at least
                                                                         `Retry-After`; a minute
                                                                         for a 429 without one
a signed 413 for several breadcrumbs                         (too_large) split, send smaller
an answer that is no migas server's: a login page, a proxy's UNSENT      release, back off
  error, a redirect elsewhere, an unsigned 413, 400 or
  `{"errors": …}`
the request went out whole, and no answer came in time, or   UNKNOWN     release, back off, one
  one that cannot be read: cut off, too long, too deep, 1xx              attempt more; the third:
  or 204 in its place, signed and not understood, anything               discard, count
  that raises
a kept connection turns out to be closed                     (stale)     once more at once, which
                                                                         is an attempt like another
one breadcrumb of several fails                              by each one's own part of the answer
the schema, or a signed 400 or 422, refuses several          RESEND      each once more, alone
  breadcrumbs for one's sake

`judge` decides for a request, from what `transport` saw of it. Where a GraphQL answer came,
`graphql` decides for each breadcrumb. `waits` decides between discarding and releasing, and
`uploader` carries that out.

The application is known by a header of its own; an answer that bears it is *signed*. Servers before
0.9 sign nothing. All functions here are pure, and none raises: what a parser chokes on is an
answer that cannot be read.
"""

from __future__ import annotations

import email.utils
import json
import math

from migas._runtime.namedtuple import NamedTuple

from .parcel import Outcome, Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .parcel import Verdict

#: Requests that may have arrived, each unanswered, before a breadcrumb counts as delivered.
MAX_ATTEMPTS = 3

#: The hosted server lifts a 429 after 60 s without requests. It sends no `Retry-After`, and every
#: request restarts the minute.
SILENCE = 60.0

#: Brackets within brackets that an answer may hold; the server's hold 5. A parser's own limit is
#: the host's to set, and a host that sets it high has the parser overflow the thread's stack.
MAX_DEPTH = 100

#: Answered by a server that may take the same request later, besides 5xx.
_BUSY = (408, 425, 429)

#: Answered by the application to a request that it will never take. A web server in front of it,
#: or a proxy, answers these for reasons of its own.
_REFUSING = (400, 422)

_MYSTERY = "the server's answer is not understood"

_REASONS = {401: "the server wants other credentials", 407: "the proxy wants credentials"}

#: The signed refusals of a list (migas-server 0.9.0, `auth.py` and `api/deps.py`).
_UNLISTED = {
    401: "the server does not know the token",
    403: "the token is for another project",
    404: "the server does not know the project",
}

_NO_REST = "the server counts no sessions: it is older than migas-server 0.7, or none (404)"

#: The byte order mark of UTF-8, which RFC 8259 has parsers pass over.
_MARK = b"\xef\xbb\xbf"


class Exchange(NamedTuple):
    """What was seen of one request."""

    #: Why no complete answer came, in words; empty where one came.
    error: str = ""
    #: Where there is an `error`: the request had gone out to its last byte.
    whole: bool = False
    #: The request went out on a connection that was kept from an earlier one, and that was hung up
    #: before the answer began.
    stale: bool = False
    #: HTTP's status, where at least the head of an answer came.
    status: int | None = None
    #: The answer bears the migas application's name.
    signed: bool = False
    #: The answer's body is compressed, though the request asked for an uncompressed one.
    encoded: bool = False
    #: The header of that name.
    retry_after: str = ""
    #: The header `breadcrumb.PLACE_HEADER`, as it came.
    place: str = ""
    #: The body of an answer with a status of 2xx, as far as it came. No other body is read.
    body: bytes = b""


def judge(exchange: Exchange, now: float) -> Reply:
    """Return what became of a request.

    Parameters:
        exchange: what was seen of the request.
        now: the time, in seconds since the epoch; a `Retry-After` may be a date.

    Example:
        >>> judge(Exchange(status=503, retry_after="30"), now=0.0).demand
        30.0
    """
    status, signed = exchange.status, exchange.signed
    if status is not None and (status in _BUSY or status >= 500):
        return _judge_busy(exchange, status, now)
    if exchange.error and not exchange.whole:
        return Reply(Outcome.UNSENT, exchange.error, stale=exchange.stale, signed=signed)
    if status is None or status < 200:
        reason = exchange.error or _MYSTERY
        return Reply(Outcome.UNKNOWN, reason, stale=exchange.stale, signed=signed)
    if status < 300:
        return _judge_body(exchange, status)
    if signed and status == 413:
        return Reply(Outcome.REFUSED, "the request is too large", too_large=True, signed=True)
    reason = f"the server answered {status}" if signed else _name_stranger(status)
    refused = signed and status in _REFUSING
    return Reply(Outcome.REFUSED if refused else Outcome.UNSENT, reason, signed=signed)


def judge_list(exchange: Exchange, now: float) -> Reply:
    """Return what became of a question by REST, which is answered by a list.

    An unsigned list is no answer: the REST interface is younger than the signature.

    Parameters:
        exchange: what was seen of the request.
        now: as for `judge`.

    Example:
        >>> judge_list(Exchange(status=200, signed=True, body=b"[1]"), now=0.0).answer
        {'rows': [1]}
    """
    status, signed = exchange.status, exchange.signed
    if status == 200 and signed and not (exchange.error or exchange.encoded):
        rows = read_json(exchange.body)
        if isinstance(rows, list):
            return Reply(Outcome.DELIVERED, answer={"rows": rows}, signed=True)
        return Reply(Outcome.UNKNOWN, _MYSTERY, signed=True)
    if status in _UNLISTED and signed and not exchange.error:
        return Reply(Outcome.REFUSED, _UNLISTED[status], signed=True)
    if status == 404 and not exchange.error:
        return Reply(Outcome.UNSENT, _NO_REST)
    return judge(exchange, now)


def waits(outcome: Outcome, attempts: int) -> bool:
    """Return True if a breadcrumb is to be sent again.

    Parameters:
        outcome: what became of it the last time.
        attempts: how many requests with it remained unanswered, the last one included.
    """
    return outcome is Outcome.UNSENT or (outcome is Outcome.UNKNOWN and attempts < MAX_ATTEMPTS)


def find_failure(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the first verdict after which the server is left alone for a while, or None."""
    return next((verdict for verdict in verdicts if verdict.outcome in _FAILURES), None)


def read_retry_after(value: str, now: float) -> float | None:
    """Read the header's two forms, seconds and a date (RFC 9110, 10.2.3).

    Returns the seconds to wait from ``now`` on, which are finite and not negative, or None if
    ``value`` is neither.
    """
    try:
        if value.strip().isdecimal():
            seconds = float(value)
        else:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
    except Exception:  # the standard library's parser of dates raises whatever it stumbles over
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def read_json(body: bytes) -> object:
    """Return the JSON value in ``body``, or None if it cannot be read.

    It can be read if it is UTF-8 (RFC 8259, 8.1), no deeper than `MAX_DEPTH`, and can be written
    again: no number is infinite, and no text holds half of a surrogate pair, which no file takes.

    Example:
        >>> read_json(b'{"data": {}}'), read_json(b"[" * 60_000)
        ({'data': {}}, None)
    """
    try:
        # By hand: the codec that leaves a byte order mark out is a module to import.
        text = body.removeprefix(_MARK).decode()
        if _measure_depth(text) > MAX_DEPTH:
            return None
        value: object = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except Exception:  # a number of 5,000 digits is a ValueError, lack of memory a MemoryError
        return None
    return value


def _judge_busy(exchange: Exchange, status: int, now: float) -> Reply:
    """Return when a server that takes nothing just now wants to hear more."""
    demand = read_retry_after(exchange.retry_after, now)
    if status == 429 and demand is None:
        demand = SILENCE
    reason = f"the server answered {status}"
    return Reply(Outcome.UNSENT, reason, demand=demand, signed=exchange.signed)


def _judge_body(exchange: Exchange, status: int) -> Reply:
    """Return what became of a request that was answered with a status of 2xx."""
    signed = exchange.signed
    readable = not (exchange.error or exchange.encoded)
    content = read_json(exchange.body) if readable else None
    if status == 200 and isinstance(content, dict) and _is_graphql(content):
        if signed or isinstance(content.get("data"), dict):
            place = _FLAGS.get(exchange.place.strip().lower()) if signed else None
            return Reply(Outcome.DELIVERED, answer=content, signed=signed, derives_place=place)
        # An old server signs nothing: by the answer `graphql` knows its two sentences.
        return Reply(Outcome.UNSENT, _name_stranger(status), answer=content)
    if not signed and _is_page(exchange, content):
        return Reply(Outcome.UNSENT, _name_stranger(status))
    reason = exchange.error or _MYSTERY
    return Reply(Outcome.UNKNOWN, reason, signed=signed)


def _is_graphql(content: dict[str, object]) -> bool:
    """Return whether a JSON object is an answer by the GraphQL specification (7.1)."""
    if isinstance(content.get("data"), dict):
        return True
    errors = content.get("errors")
    return (
        isinstance(errors, list)
        and bool(errors)
        and all(isinstance(e, dict) and isinstance(e.get("message"), str) for e in errors)
    )


def _is_page(exchange: Exchange, content: object) -> bool:
    """Return whether an unsigned answer is clearly none of any migas server.

    That is markup, however long it is; JSON of another kind; or any other text that came whole.
    What begins as JSON does and cannot be read may be an old server's answer that something on the
    way has touched.
    """
    text = exchange.body.removeprefix(_MARK).lstrip()
    if exchange.encoded or not text:
        return False
    if text.startswith(b"<"):
        return True
    return not exchange.error and (content is not None or not text.startswith((b"{", b"[")))


def _name_stranger(status: int) -> str:
    """Return who may have given an unsigned answer, in words."""
    reason = _REASONS.get(status, "the answer was no migas server's")
    return f"{reason} ({status})"


def _measure_depth(text: str) -> int:
    """Return how many brackets of ``text``, read as JSON, stand within one another at most."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0  # as in every answer of the server, most of which hold some ten
    depth = deepest = 0
    # Backslashes and quotes within strings come in pairs with what they quote.
    parts = text.replace("\\\\", "").replace('\\"', "").split('"')
    for character in "".join(parts[::2]):  # every other part is a string's inside
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


#: A header that says anything else says nothing.
_FLAGS = {"true": True, "false": False}

_FAILURES = (Outcome.UNSENT, Outcome.UNKNOWN)

"""The transport: one session with the server; every answer and every failure is a `Reply`.

Importing this module imports `requests`, which is nearly all that a delivery costs: nobody does so
before there is something to send.
"""

from __future__ import annotations

import email.utils
import io
import json
import time
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

import requests

from .outcome import Outcome, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds after which a connection is not used again; the server closes idle ones after 5.
_IDLE = 3.0

#: Bytes of an answer that are read; the server's are below 3 kB, a captive portal's are not.
_MAX_ANSWER = 64 * 1024

#: Seconds after which a server opens a door that it has shut with a 429; it says so in words only,
#: and whoever knocks meanwhile keeps it shut.
_SILENCE = 60.0

#: Answered by a server that may take the same request later (429 without `Retry-After`).
_BUSY = (408, 425, 429)

#: Answered by the migas application itself, which bears its name in a header, to a request that
#: it will never take.
_REFUSING = (400, 422)
_SIGNATURE = "X-Backend-Server"


class Transport:
    """Sends requests to one server. Not for several threads at a time."""

    def __init__(
        self, endpoint: str, user_agent: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._last_used = clock()
        self._session = requests.Session()
        self._session.headers.update(
            {"User-Agent": user_agent, "Content-Type": "application/json", "Accept": "*/*"}
        )
        # requests looks into ~/.netrc unless somebody else sees to authentication.
        self._session.auth = lambda request: request
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def send(self, body: bytes, timeout: float) -> Reply:
        """Post ``body`` and wait for the answer, at most ``timeout`` seconds for each step.

        The name look-up knows no time limit: it takes what the resolver takes.
        """
        now = self._clock()
        if now - self._last_used > _IDLE:
            self._session.close()
        stream = io.BytesIO(body)
        try:
            reply = self._post(stream, timeout, deadline=now + timeout)
        except Exception as error:  # requests lets urllib3's and socket's own errors through, too
            # The stream is read as it goes out: short of its end, the server has not got it.
            whole = stream.tell() == len(body)
            outcome = Outcome.UNKNOWN if whole else Outcome.UNSENT
            reply = Reply(outcome, f"{type(error).__name__} from the server's address")
        self._last_used = self._clock()
        return reply

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def _post(self, stream: io.BytesIO, timeout: float, deadline: float) -> Reply:
        # A zero would be refused by urllib3.
        timeout = max(timeout, 0.001)
        with self._session.post(
            self._endpoint, data=stream, timeout=timeout, allow_redirects=False, stream=True
        ) as response:
            return _classify(response) or self._read(response, deadline)

    def _read(self, response: requests.Response, deadline: float) -> Reply:
        content = b""
        for chunk in response.iter_content(8192):
            content += chunk
            if len(content) > _MAX_ANSWER:
                return _FOREIGN
            if self._clock() > deadline:
                return Reply(Outcome.UNKNOWN, "the server's answer took too long")
        if not content or _is_cut_off(response):
            return Reply(Outcome.UNKNOWN, "the server's answer was cut off")
        try:
            answer = json.loads(content)
        except ValueError:
            return _FOREIGN
        if isinstance(answer, dict) and ("data" in answer or "errors" in answer):
            return Reply(Outcome.DELIVERED, answer=answer)
        return _FOREIGN


_FOREIGN = Reply(Outcome.UNSENT, "the answer was no migas server's")


def _read_retry_after(value: str) -> float | None:
    """Read the header's two forms, seconds and a date (RFC 9110, 10.2.3); None: neither."""
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment.timestamp() - time.time())


def _is_cut_off(response: requests.Response) -> bool:
    # urllib3 says so itself from its release 2 on.
    announced = response.headers.get("Content-Length", "")
    return announced.isdecimal() and response.raw.tell() < int(announced)


def _classify(response: requests.Response) -> Reply | None:
    status = response.status_code
    if status == 200:
        return None
    if status == 413:
        return Reply(Outcome.REFUSED, "the request is too large", too_large=True)
    if status in _BUSY or status >= 500:
        demand = _read_retry_after(response.headers.get("Retry-After", ""))
        if status == 429 and demand is None:
            demand = _SILENCE
        return Reply(Outcome.UNSENT, f"the server answered {status}", demand=demand)
    if status in _REFUSING and _SIGNATURE in response.headers:
        return Reply(Outcome.REFUSED, f"the server answered {status}")
    return Reply(Outcome.UNSENT, f"the answer was no migas server's ({status})")

"""The transport: the door to the server; every answer and every failure becomes a `Reply`.

Importing this module imports `requests`, which is nearly all that a delivery costs: nobody does so
before there is something to send. Only this module and those that it leans on, `connection`,
`dialer`, `sockets`, `progress`, `reason` and `redirect`, know `requests`, `urllib3` and sockets.

Nothing that can be raised passes `Transport.send` or `fetch`, whatever the server answers and
however a library fails. What raises before a request's last byte has left is UNSENT, what raises
after it UNKNOWN: the server may have taken the request. Only the host's own interruptions, such as
a `KeyboardInterrupt`, go through.
"""

from __future__ import annotations

import base64
import io
from urllib.parse import unquote_to_bytes

import requests
from urllib3.util import parse_url

from migas._crumb.breadcrumb import PLACE_HEADER
from migas._runtime.clock import read_clock
from migas._runtime.log import keep_ours_out
from migas._runtime.quiet import quiet
from migas._runtime.version import __version__

from . import policy
from .connection import MAX_ANSWER, MAX_LIST, Adapter
from .policy import Exchange
from .progress import Progress, StoppedError
from .reason import explain, is_hang_up, wants_certificate
from .redirect import find_redirect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from .parcel import Reply

    #: Sends a request to an address, with headers, within seconds, and returns the answer's head.
    Ask: TypeAlias = Callable[[str, Mapping[str, str], float], requests.Response]

# A host that listens to all that goes on in it has not asked for our connections.
for _module in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
    keep_ours_out(f"urllib3.{_module}")

_USER_AGENT = f"migas-py/{__version__}"

#: How many redirects are followed, one after another.
_MAX_REDIRECTS = 3

#: Has `requests` follow no redirect, and read no body.
_PLAINLY: dict[str, Any] = {"allow_redirects": False, "stream": True}

#: Added to its answers by the migas application.
_SIGNATURE = "X-Backend-Server"


class _Session(requests.Session):
    """A session that leaves redirects to us: to prepare one, `requests` reads the answer's body.

    It asks the environment for proxies and certificates once for the requests that follow one
    another on a connection: `requests` would read each variable of it, twice, for each request.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._found: dict[str, Any] = {}
        for scheme in ("http://", "https://"):
            self.mount(scheme, Adapter(progress))
        self.headers.update(
            {
                "User-Agent": _USER_AGENT,
                "Content-Type": "application/json",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            }
        )
        # requests looks into ~/.netrc unless somebody else sees to authentication.
        self.auth = lambda request: request

    def merge_environment_settings(self, url: Any, *given: Any) -> Any:
        if url not in self._found:
            self._found[url] = super().merge_environment_settings(url, *given)
        return self._found[url].copy()

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        return None


class _Body(io.BytesIO):
    """A request's body, which tells when its first byte is about to leave and its last has left."""

    def __init__(self, content: bytes, on_write: Callable[[], None], progress: Progress) -> None:
        super().__init__(content)
        self._on_write = on_write
        self._progress = progress

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() == 0:
            self._announce()
        block = super().read(size)
        if not block:  # one block is asked for after the system has taken the one before
            self._progress.finish_sending()
        return block

    def _announce(self) -> None:
        try:
            self._on_write()
        except Exception as error:
            # urllib3 takes some errors for the socket's own, and then waits for an answer.
            raise StoppedError(type(error).__name__) from None


class Transport:
    """Sends requests to one server. Other threads may call `has_answer` and `hang_up` only.

    ``endpoint`` may name a user and a password, for Basic authentication (RFC 7617); neither stands
    in any reason.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._progress = Progress()
        # Made for the first of the requests that follow one another.
        self._session: _Session | None = None

    def send(
        self, body: bytes, timeout: float, on_write: Callable[[], None] = lambda: None
    ) -> Reply:
        """Post ``body``, wait for the answer, and return what became of it.

        Parameters:
            body: at most what the server takes.
            timeout: seconds until the request has left, with all that it takes to connect to any of
                the server's addresses, and as many again for the answer. The name look-up knows no
                limit: it takes what the resolver takes.
            on_write: called when the first byte is about to leave, once more where a redirect is
                followed. What it raises stops the request, which is then UNSENT.
        """

        def post(url: str, headers: Mapping[str, str], seconds: float) -> requests.Response:
            data = _Body(body, on_write, self._progress)
            return self._open().post(url, data=data, headers=headers, timeout=seconds, **_PLAINLY)

        exchange = self._attempt(post, self._endpoint, {}, timeout, MAX_ANSWER)
        return policy.judge(exchange, read_clock())

    def fetch(self, path: str, token: str, timeout: float) -> Reply:
        """Ask for a list by REST (`GET`), and return what became of the question.

        The token goes to the endpoint's own scheme, host and port only, as each request does. It
        takes the place of credentials in the endpoint: there is one such header (RFC 9110, 11.6.2).

        Parameters:
            path: what follows the endpoint's address up to `/graphql`.
            token: shows who asks (RFC 6750). Visible ASCII.
            timeout: as for `send`.

        Returns:
            A reply whose `answer` holds the list as `rows` if it is DELIVERED.
        """
        headers = {"Authorization": f"Bearer {token}"}

        def get(url: str, headers: Mapping[str, str], seconds: float) -> requests.Response:
            return self._open().get(url, headers=headers, timeout=seconds, **_PLAINLY)

        url = self._endpoint.removesuffix("/graphql") + path
        exchange = self._attempt(get, url, headers, timeout, MAX_LIST)
        return policy.judge_list(exchange, read_clock())

    def has_answer(self) -> bool:
        """Return whether a request is under way and some of its answer is there, read or not.

        For other threads, at any moment: an exit whose time is over may give the sending thread a
        moment more where that only has to be scheduled. Never waits; False on any error.
        """
        return self._progress.has_answer()

    def hang_up(self) -> None:
        """Have the request under way fail at once, and every later one. For other threads."""
        self._progress.hang_up()

    def close(self) -> None:
        """Let go of the connection, as has to be done where no other request follows at once.

        A host may close every descriptor, and open something of its own under the same number.
        Nothing is left of the session, either: eventlet, patching later, would tell of its locks.
        """
        self._progress.sock = None
        if self._session is not None:
            self._session.close()
            self._session = None

    def _open(self) -> _Session:
        if self._session is None:
            self._session = _Session(self._progress)
        return self._session

    def _attempt(
        self, ask: Ask, url: str, headers: Mapping[str, str], timeout: float, most: int
    ) -> Exchange:
        """Return what was seen of a request, whatever was raised meanwhile."""
        progress = self._progress
        timeout = max(timeout, 0.001)  # urllib3 refuses a zero
        progress.begin(timeout, most)
        try:
            with quiet:
                return self._exchange(ask, url, headers, timeout)
        except Exception as error:
            return Exchange(
                explain(error, progress),
                whole=progress.whole and not (wants_certificate(error) and not progress.received),
                stale=not (progress.dialed or progress.received) and is_hang_up(error),
            )
        finally:
            progress.end()

    def _exchange(self, ask: Ask, url: str, headers: Mapping[str, str], timeout: float) -> Exchange:
        url, basic = _split_credentials(url)
        headers = {**basic, **headers}
        redirects = 0
        while True:
            with ask(url, headers, timeout) as response:
                target = find_redirect(response, url)
                if target is None or redirects == _MAX_REDIRECTS:
                    return self._read(response)
            redirects += 1
            # All redirects share the time of the first answer.
            url, timeout = target, self._progress.remaining()
            self._progress.begin(timeout, self._progress.most)

    def _read(self, response: requests.Response) -> Exchange:
        """Return what an answer says, whose head has come."""
        head = Exchange(
            whole=self._progress.whole,
            status=response.status_code,
            signed=_SIGNATURE in response.headers,
            encoded=self._progress.encoded,
            retry_after=response.headers.get("Retry-After", ""),
            place=response.headers.get(PLACE_HEADER, ""),
        )
        if not head.whole:
            return head._replace(error="the server answered before it had the whole request")
        if not 200 <= response.status_code < 300:
            return head
        body = io.BytesIO()
        try:
            for chunk in response.raw.stream(8192, decode_content=False):
                body.write(chunk)
        except Exception as error:
            return head._replace(error=explain(error, self._progress), body=body.getvalue())
        cut_off = "the server's answer was cut off" if _is_cut_off(response, body.tell()) else ""
        return head._replace(error=cut_off, body=body.getvalue())


def _split_credentials(endpoint: str) -> tuple[str, dict[str, str]]:
    """Return an endpoint without its credentials, and the headers that show them.

    Raises `ValueError` for what is no address.
    """
    address = parse_url(endpoint)
    if address.auth is None:
        return endpoint, {}
    user, _, password = address.auth.partition(":")
    token = base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password))
    return address._replace(auth=None).url, {"Authorization": f"Basic {token.decode()}"}


def _is_cut_off(response: requests.Response, received: int) -> bool:
    """Return whether a body is shorter than its head says; urllib3 1 does not look."""
    announced = response.headers.get("Content-Length", "").strip().lstrip("0")
    if "Transfer-Encoding" in response.headers or not announced.isdecimal():
        return False
    # A number of 5,000 digits is more than Python reads.
    return len(announced) > 9 or received < int(announced)

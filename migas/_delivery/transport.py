"""The transport: one session with the server; every answer and every failure is a `Reply`.

Importing this module imports `requests`, which is nearly all that a delivery costs: nobody does so
before there is something to send.

A timeout of `requests` bounds each step of a socket. A server that sends a byte now and then would
hold whoever reads it for days, before its headers are complete even. Here what one step may take
is what the whole answer may take, from the last byte of the request on.
"""

from __future__ import annotations

import http.client
import io
import json
import time
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from migas._runtime.loading import keep_ours_out
from migas._runtime.version import __version__

from . import policy
from .policy import Exchange

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .parcel import Reply

# A host that listens to all that goes on in it has not asked for our connections.
for _module in ("connection", "connectionpool", "poolmanager", "util.retry"):
    keep_ours_out(f"urllib3.{_module}")

_USER_AGENT = f"migas-py/{__version__}"

#: Bytes of an answer that are read; the server's are below 3 kB, a captive portal's are not.
_MAX_ANSWER = 64 * 1024

#: Redirects that keep the method (RFC 9110, 15.4.8 and 15.4.9), and how many are followed.
_REDIRECTS, _MAX_REDIRECTS = (307, 308), 3

#: Added to its answers by the migas application.
_SIGNATURE = "X-Backend-Server"


class _Stream(io.RawIOBase):
    """Reads a socket for as long as its timeout says, from now on."""

    def __init__(self, connection: socket.socket, raw: io.RawIOBase) -> None:
        self._connection = connection
        self._raw = raw
        timeout = connection.gettimeout()
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("the answer took too long")
            self._connection.settimeout(remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Stream(sock, self.fp.detach()))


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class _DeadlineAdapter(HTTPAdapter):
    """Sends requests as `HTTPAdapter` does, and reads answers by a deadline."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        # One for SOCKS has pools of its own kind, which are left as they are.
        if isinstance(manager, ProxyManager):
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _Body(io.BytesIO):
    """A request's body, which tells when it begins to leave."""

    def __init__(self, content: bytes, on_write: Callable[[], None]) -> None:
        super().__init__(content)
        self._on_write = on_write

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() == 0:
            self._on_write()
        return super().read(size)


class Transport:
    """Sends requests to one server. Not for several threads at a time."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        # The last request left its connection open.
        self._kept = False
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _DeadlineAdapter())
        self._session.headers.update(
            {"User-Agent": _USER_AGENT, "Content-Type": "application/json", "Accept": "*/*"}
        )
        # requests looks into ~/.netrc unless somebody else sees to authentication.
        self._session.auth = lambda request: request
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def send(
        self, body: bytes, timeout: float, on_write: Callable[[], None] = lambda: None
    ) -> Reply:
        """Post ``body`` and wait for the answer.

        Parameters:
            body: at most what the server takes.
            timeout: seconds for each of: connecting, to each of the server's addresses; sending;
                the answer. The name look-up knows no limit: it takes what the resolver takes.
            on_write: called when the first byte is about to leave; what it raises stops that.
        """
        exchange = self._exchange(self._endpoint, _Body(body, on_write), timeout)
        return policy.judge(exchange, time.time())

    def has_answer(self) -> bool:
        """Return True if a request is under way and its answer waits to be read."""
        return False

    def close(self) -> None:
        """Let go of the connection, as has to be done where no other request follows at once.

        A host may close every descriptor, and open something of its own under the same number.
        """
        self._session.close()
        self._kept = False

    def _exchange(
        self, url: str, body: _Body, timeout: float, redirects: int = _MAX_REDIRECTS
    ) -> Exchange:
        kept, self._kept = self._kept, False
        try:
            response = self._session.post(
                url,
                data=body,
                timeout=max(timeout, 0.001),  # a zero would be refused by urllib3
                allow_redirects=False,
                stream=True,
            )
        except Exception as error:  # requests lets urllib3's and socket's own errors through, too
            # The stream is read as it goes out: short of its end, the server has not got it.
            whole = body.tell() == len(body.getbuffer())
            hung_up = body.tell() > 0 and isinstance(error, requests.ConnectionError)
            return Exchange(_describe(error), whole=whole, stale=kept and hung_up)
        with response:
            target = _find_redirect(response)
            if target is None or not redirects:
                return self._read(response)
            self._kept = _is_kept(response)
        body.seek(0)
        return self._exchange(target, body, timeout, redirects - 1)

    def _read(self, response: requests.Response) -> Exchange:
        head = Exchange(
            status=response.status_code,
            signed=_SIGNATURE in response.headers,
            retry_after=response.headers.get("Retry-After", ""),
        )
        if response.status_code != 200:
            return head
        content = b""
        try:
            for chunk in response.iter_content(8192):
                content += chunk
                if len(content) > _MAX_ANSWER:
                    return head
        except Exception as error:  # as above
            return Exchange(_describe(error), whole=True)
        if not content or _is_cut_off(response):
            return Exchange("the server's answer was cut off", whole=True)
        self._kept = _is_kept(response)
        try:
            return head._replace(content=json.loads(content))
        except ValueError:
            return head


def _describe(error: Exception) -> str:
    # Not its text, in which a proxy's password may stand.
    return f"{type(error).__name__} from the server's address"


def _find_redirect(response: requests.Response) -> str | None:
    """Return where the same server wants the request instead; no other gets it, nor over HTTP."""
    location = response.headers.get("Location")
    if response.status_code not in _REDIRECTS or not location:
        return None
    try:
        target = urljoin(response.url, location)
        old, new = urlsplit(response.url), urlsplit(target)
        moved = (old.hostname, old.port) != (new.hostname, new.port)
    except ValueError:  # no address
        return None
    upgraded = old.scheme == "http" and new.scheme == "https" and old.hostname == new.hostname
    return target if upgraded or (old.scheme == new.scheme and not moved) else None


def _is_kept(response: requests.Response) -> bool:
    return response.headers.get("Connection", "").lower() != "close"


def _is_cut_off(response: requests.Response) -> bool:
    # urllib3 says so itself from its release 2 on.
    announced = response.headers.get("Content-Length", "")
    return announced.isdecimal() and response.raw.tell() < int(announced)

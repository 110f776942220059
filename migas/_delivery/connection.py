"""The connection: reads a server's answers within bounds of time and size.

Owns the few classes by which our own session's connections differ from those that `urllib3` makes
by itself; no connection of the host's changes. They differ in this:

- A name's addresses are dialed by `dialer`.
- Time and size of an answer are bounded. A timeout of `requests` bounds each step of a socket: a
  server that sends a byte now and then could hold the reading thread for days.
- Every informational answer (1xx) is read past, and what the libraries would act on by themselves,
  compressed bodies and cookies, is taken out of the head.

`progress` says how far a request has come. Whatever fails here raises, and `transport` catches it.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import sys

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from migas._runtime.stand_in import find_resolver

from .dialer import dial
from .sockets import is_patched_late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from urllib3 import HTTPConnectionPool

    from .progress import Progress

#: Bytes of an answer that are read, head and body together. The server's answers are below 3 kB,
#: but for a list of sessions: some 70 bytes for each day, version and status.
MAX_ANSWER, MAX_LIST = 64 * 1024, 16 * 1024 * 1024


class TooLongError(http.client.HTTPException):
    """An answer is longer than its bound."""


class Adapter(HTTPAdapter):
    """Sends requests as `HTTPAdapter` does, over connections of this module's kinds."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self._refine(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Return the manager of connections through ``proxy``."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        if not known:
            self._refine(manager)
        return manager

    def close(self) -> None:
        """Close each connection. urllib3 leaves that to finalizers, and our exit hook runs last."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  # no dict, and iterating raises
                manager.pools[key].close()
        super().close()

    def _refine(self, manager: Any) -> None:
        """Have ``manager`` make connections of our kinds; its class stays as it is."""
        classes: Mapping[str, type[HTTPConnectionPool]] = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {
            scheme: _refine_pool(pool, self._progress) for scheme, pool in classes.items()
        }


class _Stack:
    """The connections of a pool that one thread uses, for urllib3 in place of a queue.

    Under gevent that would be a queue of gevent's, which fails when urllib3 empties it at the very
    end of the interpreter: a traceback is printed (gevent 26.9).
    """

    def __init__(self, maxsize: int) -> None:
        self._items: list[object] = []
        self._maxsize = maxsize

    def qsize(self) -> int:
        return len(self._items)

    def put(self, item: object, block: bool = True) -> None:  # noqa: ARG002
        if self.qsize() >= self._maxsize:
            raise queue.Full
        self._items.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> object:  # noqa: ARG002
        if not self._items:
            raise queue.Empty
        return self._items.pop()


def _refine_pool(pool: type[HTTPConnectionPool], progress: Progress) -> type[HTTPConnectionPool]:
    """Return a kind of ``pool`` whose connections are ours, and write to ``progress``."""
    connection: Any = pool.ConnectionCls
    # One to a SOCKS proxy has a way of its own to connect, and goes on using it.
    dials = getattr(connection, "_new_conn", None) is HTTPConnection._new_conn  # noqa: SLF001
    bases = (_Dialing if dials else _Bounded, connection)
    response = type("_Response", (_Response,), {"progress": progress})
    members = {"progress": progress, "response_class": response}
    kinds = {"ConnectionCls": type("_Connection", bases, members), "QueueCls": _Stack}
    return type("_Pool", (pool,), kinds)


class _Bounded(HTTPConnection):
    """A connection whose answers are bounded, and whose `Progress` hears what becomes of it."""

    progress: Progress
    #: A host that has `http.client` print its traffic has not asked for ours.
    debuglevel = 0

    @property
    def is_connected(self) -> bool:
        """Whether a kept connection can be used again; not if to ask would take a patched call."""
        return not is_patched_late() and super().is_connected

    def connect(self) -> None:
        """Connect, and note what to."""
        self.progress.dialed = True
        self.progress.proxied = self.proxy is not None
        try:
            super().connect()
        finally:
            spare, self.progress.spare = self.progress.spare, None
            if spare is not None:
                spare.close()
        self.progress.sock = self.sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request, over a kept connection within its own time."""
        if self.sock is not None:  # kept from an earlier request, with what that had left of time
            self.sock.settimeout(self.progress.remaining())
        super().request(*args, **kwargs)
        if kwargs.get("body") is None:  # nobody reads the end of a body that is not there
            self.progress.finish_sending()


class _Dialing(_Bounded):
    """A connection that `dialer` makes."""

    def _new_conn(self) -> socket.socket:
        # It differs from `host` in its last dot, which has a resolver add no domain of its own.
        name: str = self._dns_host
        try:
            self.progress.remaining()  # raises if another thread has ended all exchanges
            # `allowed_gai_family` is where hosts say that this machine has no IPv6.
            family = allowed_gai_family()
            look_up = find_resolver(socket.getaddrinfo)
            found = look_up(name.strip("[]"), self.port, family, socket.SOCK_STREAM)
            # Nothing bounds a resolver, and a slow one is no reason not to try what it has found.
            self.progress.renew()
            sock = dial(found, self.progress.remaining, self.socket_options or ())
            # A TLS handshake takes the socket away from its object. Closed by `connect`.
            self.progress.spare = sock.dup()
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "timed out") from error
        except OSError as error:
            raise NewConnectionError(self, "cannot connect") from error
        sys.audit("http.client.connect", self, self.host, self.port)
        return sock


class _Response(http.client.HTTPResponse):
    """An answer that is read by `Progress`'s deadline, and is no longer than its bound."""

    progress: Progress

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.progress.received = 0
        self.fp = io.BufferedReader(_Stream(sock, self.fp.detach(), self.progress))

    def _read_status(self) -> tuple[str, int, str]:
        """Return an answer's first line, with all informational answers before it read past."""
        version, status, reason = super()._read_status()  # type: ignore[misc]
        while 100 <= status < 200:  # `http.client` itself reads past 100 alone
            http.client.parse_headers(self.fp)
            version, status, reason = super()._read_status()  # type: ignore[misc]
        self.progress.status = status
        return version, status, reason

    def begin(self) -> None:
        """Read the head of an answer, and leave out what the libraries would act on."""
        super().begin()
        encoding = self.headers.get("Content-Encoding", "")
        self.progress.encoded = encoding.strip().lower() not in ("", "identity")
        # `urllib3` would make a decoder for each encoding that is named, though nothing is to be
        # decoded, and `requests` would parse every cookie.
        del self.headers["Content-Encoding"], self.headers["Set-Cookie"]


class _Stream(io.RawIOBase):
    """Reads a socket for as long, and as far, as an answer may go."""

    def __init__(self, sock: Any, raw: io.RawIOBase, progress: Progress) -> None:
        self._sock = sock
        self._raw = raw
        self._progress = progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there, or raise `TimeoutError` or `TooLongError`."""
        room = self._progress.most - self._progress.received
        if room <= 0:
            raise TooLongError
        self._sock.settimeout(self._progress.remaining())
        self._progress.begin_read()
        count = self._raw.readinto(memoryview(buffer)[:room])
        self._progress.end_read(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()

"""The server: a migas-server 0.9.0 of one's own over real HTTP, on loopback.

A `Server` puts listener, site and store together, and owns the faults that a test injects. `start`
fails if the port is taken. Its threads end with `stop`.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Any

from .endpoint import Endpoint
from .engine import Answer, Engine, Projects
from .fault import Fault
from .limit import Limit
from .listener import HTTPServer
from .rest import Rest
from .site import Site
from .store import Store

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import Self

    from .message import Connection, Reply, Request

__all__ = ["Answer", "Server"]

#: Requests that are kept for a test to read.
_KEPT = 1000


class Server:
    """A migas server of one's own, to be used in a `with` statement.

    It answers GraphQL and REST as the hosted server was recorded to answer them.

    Parameters:
        port: where to listen on 127.0.0.1. 0: any free port, the same at each start.
        database: a SQLite file that keeps the breadcrumbs. None: memory.
        projects: the registered projects. None: every `owner/repo`.
        latest_version: the latest version of each of them in version news. "forbidden" stands for
            the hosted server's answer after GitHub has refused to name one.
        bad_versions: the versions that their developers warn of.
        tls: the certificate for HTTPS. None: speak HTTP.
        old: whether to be a server 0.3, which knows neither `add_breadcrumb` nor `check_project`
            nor REST, and signs none of its answers.
        limit: requests that one client may make within ``window``. Others are answered 429, and
            count as well. The hosted server has 1,000. None: any number.
        window: seconds. The hosted server has 60.
        tokens: the project that each token may read by REST.
        geolocation: whether its answers say that it derives a place from a client's address.

    Example:
        >>> import migas
        >>> with Server() as server:
        ...     migas.setup(endpoint=server.endpoint)
        ...     _ = migas.add_project("owner/repo", "1.2.3")
        ...     _ = migas.flush()
        >>> [crumb["project"] for crumb in server.crumbs]
        ['owner/repo']
    """

    def __init__(
        self,
        port: int = 0,
        *,
        database: str | None = None,
        projects: Collection[str] | None = None,
        latest_version: str = "unknown",
        bad_versions: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
        old: bool = False,
        limit: int | None = None,
        window: float = 60.0,
        tokens: Mapping[str, str] | None = None,
        geolocation: bool = False,
    ) -> None:
        self.port = port
        #: How many requests came so far, answered or not.
        self.requests = 0
        #: The latest of them, up to a thousand, without those that were left unread.
        self.received: deque[Request] = deque(maxlen=_KEPT)
        self._tls = tls
        # Guards that number and the faults to come, which the server's threads share.
        self._counting = threading.Lock()
        self._faults: Iterator[Fault | None] = iter(())
        self._store = Store(database)
        known = Projects(projects, latest_version, tuple(bad_versions))
        self._engine = Engine(self._store, known, old=old)
        # The old server takes one request more than its limit says.
        shared = Limit(limit + 1 if old and limit is not None else limit, window)
        rest = None if old else Rest(self._store, known, shared, tokens or {})
        self._site = Site(
            Endpoint(self.answer, shared, old=old), rest, places=geolocation, scheme=self._scheme
        )
        self._http: HTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        """The address of its GraphQL, while it runs."""
        return f"{self._scheme}://127.0.0.1:{self.port}/graphql"

    @property
    def crumbs(self) -> list[dict[str, object]]:
        """Every breadcrumb that arrived, in order. It can be read after `close` as well."""
        return self._store.crumbs()

    @property
    def users(self) -> list[dict[str, object]]:
        """Every user, with what its first breadcrumb said of it."""
        return self._store.users()

    def await_crumbs(self, count: int, timeout: float = 10.0) -> list[dict[str, object]]:
        """Wait until ``count`` breadcrumbs have arrived, and return all that have.

        Raises `TimeoutError` after ``timeout`` seconds.
        """
        if not self._store.await_crumbs(count, timeout):
            raise TimeoutError(f"{len(self.crumbs)} of {count} breadcrumbs after {timeout} s")
        return self.crumbs

    def start(self) -> None:
        """Listen. Raises `OSError` if the port is taken."""
        self._http = HTTPServer(("127.0.0.1", self.port), self, self._tls)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and close every connection. The breadcrumbs stay."""
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()
            self._http.hang_up()
            self._http = self._thread = None

    def inject(self, faults: Fault | Iterable[Fault | None]) -> None:
        """Fail from now on, in place of what was injected before.

        Parameters:
            faults: the fault of every request. Or one for each request to come, where None is a
                good answer; after the last one all is well again.
        """
        with self._counting:
            self._faults = repeat(faults) if isinstance(faults, Fault) else iter(faults)

    def mend(self) -> None:
        """Answer well from now on. Connections that hang go on hanging."""
        self.inject(())

    def next_fault(self) -> Fault | None:
        """Count a request, and return the fault that befalls it. The listener calls this."""
        with self._counting:
            self.requests += 1
            return next(self._faults, None)

    def respond(
        self, request: Request, connection: Connection, fault: Fault | None
    ) -> Reply | None:
        """Answer a request. The listener calls this.

        Returns None if ``fault`` has the request not carried out.
        """
        self.received.append(request)
        if fault is not None and not fault.stores:
            return None
        return self._site.respond(request, connection)

    def answer(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        operation: str | None = None,
        refusal: str | None = None,
        *,
        look_up: Callable[[], bool] = lambda: True,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Answer a GraphQL request, without HTTP.

        Parameters:
            query: the document.
            variables: its variables.
            operation: the name of the operation to execute. None: the first one.
            refusal: the reason why the request is refused. None: it is not.
            look_up: looks a version up and returns False if that fails.
            is_gone: returns True once the client has hung up. Nothing is stored then, since the
                hosted server gives up a request that it has not stored by that time.
        """
        body, rows = self._engine.answer(query, variables, operation, refusal, look_up=look_up)
        if is_gone():
            return Answer(body, stored=False)
        # Stored before the answer leaves, so that a client that has the answer finds the
        # breadcrumb. The hosted server stores it a moment later.
        return Answer(body, self._store.ingest(rows))

    def close(self) -> None:
        """Stop for good. `crumbs` and `users` can still be read."""
        self.stop()
        self._store.close()

    @property
    def _scheme(self) -> str:
        return "https" if self._tls else "http"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

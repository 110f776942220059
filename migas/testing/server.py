"""The server: migas-server 0.9.0's GraphQL side over real HTTP, on loopback."""

from __future__ import annotations

import threading
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Any

from .fault import Fault
from .listener import Answer, HTTPServer
from .message import Request
from .schema import Engine, Projects
from .store import Store

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from typing_extensions import Self

__all__ = ["Answer", "Server"]

#: Requests that are kept for a test to read.
_KEPT = 1000


class Server:
    """A migas server of one's own, to be used in a `with` statement.

    Parameters:
        port: where to listen on 127.0.0.1; 0: any free port, the same at each start.
        database: a SQLite file that keeps the breadcrumbs; None: they live in memory, as long as
            this object.
        projects: the registered projects; None: every `owner/repo`.
        latest_version: what version news say of each of them.
        bad_versions: the versions that its developers warn of.
        tls: what it takes to speak HTTPS; None: it speaks HTTP.
        old: be a server 0.3, which knows neither `add_breadcrumb` nor `check_project`.

    Example:
        >>> import migas
        >>> with Server() as server:
        ...     migas.setup(endpoint=server.endpoint)
        ...     _ = migas.add_project("owner/repo", "1.2.3")
        ...     _ = migas.flush()
        ...     [crumb["project"] for crumb in server.crumbs]
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
    ) -> None:
        self.port = port
        #: How many requests came so far, answered or not.
        self.requests = 0
        #: The latest of them, up to a thousand, but for those that were left unread.
        self.received: deque[Request] = deque(maxlen=_KEPT)
        self._tls = tls
        # Guards that number and the faults to come, which the server's threads share.
        self._counting = threading.Lock()
        self._faults: Iterator[Fault | None] = iter(())
        self._store = Store(database)
        versions = latest_version, tuple(bad_versions)
        self._engine = Engine(self._store, Projects(projects, *versions), old=old)
        self._http: HTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        """The address of its GraphQL, while it runs."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/graphql"

    @property
    def crumbs(self) -> list[dict[str, object]]:
        """Every breadcrumb that arrived, in order."""
        return self._store.crumbs()

    @property
    def users(self) -> list[dict[str, object]]:
        """Every user as first seen."""
        return self._store.users()

    def await_crumbs(self, count: int, timeout: float = 10.0) -> list[dict[str, object]]:
        """Wait until ``count`` breadcrumbs have arrived, and return all that have.

        Raises `TimeoutError` after ``timeout`` seconds.
        """
        if not self._store.await_crumbs(count, timeout):
            raise TimeoutError(f"{len(self.crumbs)} of {count} breadcrumbs after {timeout} s")
        return self.crumbs

    def start(self) -> None:
        """Listen. Raises `OSError` where the port is taken."""
        self._http = HTTPServer(("127.0.0.1", self.port), self, self._tls)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and hang up; the breadcrumbs stay."""
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()
            self._http.hang_up()
            self._http = self._thread = None

    def inject(self, faults: Fault | Iterable[Fault | None]) -> None:
        """Fail from now on, in place of what was injected before.

        Parameters:
            faults: what befalls every request; or what befalls each in turn, None being a good
                answer, and after the last of them all is well again. An endless iterable never
                comes to that.
        """
        with self._counting:
            self._faults = repeat(faults) if isinstance(faults, Fault) else iter(faults)

    def mend(self) -> None:
        """Answer well from now on. Who was left hanging is left hanging."""
        self.inject(())

    def next_fault(self) -> Fault | None:
        """Count a request, and say what is to befall it."""
        with self._counting:
            self.requests += 1
            return next(self._faults, None)

    def answer(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        operation: str | None = None,
        refusal: str | None = None,
        *,
        look_up_fails: bool = False,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Answer as its HTTP side does, which counts requests before.

        ``refusal``: valid or not, it is refused. ``look_up_fails``: see `Fault`. ``is_gone`` says
        whether the client has hung up: the hosted server then stores nothing, if it has not yet.
        """
        body, rows = self._engine.answer(
            query, variables, operation, refusal, look_up_fails=look_up_fails
        )
        if is_gone():
            return Answer(body, stored=False)
        # Stored before the answer leaves, so that whoever has it finds the breadcrumb; the hosted
        # server stores a moment later.
        return Answer(body, self._store.ingest(rows))

    def close(self) -> None:
        """Stop, and let go of the breadcrumbs."""
        self.stop()
        self._store.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

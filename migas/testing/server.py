"""The server: migas-server 0.9.0's GraphQL side over real HTTP, on loopback."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from .schema import Engine, Projects
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from typing_extensions import Self

#: Bytes of a body that the hosted server takes.
MAX_BODY = 2500


class Answer(NamedTuple):
    """What the server says, and whether it could store what it was told."""

    body: dict[str, object]
    stored: bool


class Server:
    """A migas server of one's own, to be used in a `with` statement.

    Parameters:
        port: where to listen on 127.0.0.1; 0: any free port, the same at each start.
        database: a SQLite file that keeps the breadcrumbs; None: they live in memory, as long as
            this object.
        projects: the registered projects; None: every `owner/repo`.
        latest_version: what version news say of each of them.
        bad_versions: the versions that its developers warn of.

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
    ) -> None:
        self.port = port
        #: How many requests were answered so far.
        self.requests = 0
        # Guards that number, which the server's threads share.
        self._counting = threading.Lock()
        self._store = Store(database)
        self._engine = Engine(self._store, Projects(projects, latest_version, tuple(bad_versions)))
        self._http: _HTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        """The address of its GraphQL, while it runs."""
        return f"http://127.0.0.1:{self.port}/graphql"

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
        self._http = _HTTPServer(("127.0.0.1", self.port), self)
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

    def answer(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        operation: str | None = None,
        refusal: str | None = None,
    ) -> Answer:
        """Answer a request as its HTTP side does; ``refusal``: valid or not, it is refused."""
        with self._counting:
            self.requests += 1
        body, rows = self._engine.answer(query, variables, operation, refusal)
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


class _HTTPServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], owner: Server) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""

    def hang_up(self) -> None:
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    #: Seconds after which an idle connection is closed, as at the hosted server.
    timeout = 5
    server: _HTTPServer

    def do_GET(self) -> None:
        if self.path == "/graphql":
            self._send(405, {"detail": "Method Not Allowed"})
        else:
            self._send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.requestline.split()[1]  # `self.path` is mended where it begins with two slashes
        if path == "/graphql/":
            self._send(307, "", Location=f"http://{self.headers['Host']}/graphql")
        elif path != "/graphql":
            missing = path != "/"
            detail = "Not Found" if missing else "Method Not Allowed"
            self._send(404 if missing else 405, {"detail": detail})
        elif self.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            self._send(400, "Unsupported content type")
        else:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        try:
            request = json.loads(body)
        except ValueError:
            self._send(400, "Unable to parse request body as JSON")
            return
        if isinstance(request, list):
            self._send(400, "Batching is not enabled")
            return
        if not isinstance(request, dict) or not isinstance(request.get("query"), str):
            self._send(400, "No GraphQL query found in the request")
            return
        size = f"Request body ({len(body)}) exceeds maximum size ({MAX_BODY})"
        refusal = size if len(body) > MAX_BODY else None
        answered = self.server.owner.answer(
            request["query"], request.get("variables"), request.get("operationName"), refusal
        )
        self.close_connection |= not answered.stored
        self._send(413 if refusal else 200, answered.body)

    def _send(self, status: int, body: object, **headers: str) -> None:
        text = isinstance(body, str)
        compact = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        content = (str(body) if text else compact).encode()
        self.send_response(status)
        kind = "text/plain; charset=utf-8" if text else "application/json"
        headers = {"Content-Type": kind, "X-Backend-Server": "migas@0.9", **headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Say nothing: the server shares its terminal with the host."""

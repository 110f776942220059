"""The server: migas-server 0.9.0's GraphQL side over real HTTP, on loopback."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import struct
import threading
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from .fault import Fault, write_answer
from .schema import Engine, Projects
from .store import Store

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from typing_extensions import Self

#: Bytes of a body that the hosted server takes.
MAX_BODY = 2500

#: Requests that are kept for a test to read.
_KEPT = 1000


class Request(NamedTuple):
    """A request as it arrived."""

    path: str
    #: By their names in lower case.
    headers: Mapping[str, str]
    body: bytes


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
        self._http: _HTTPServer | None = None
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
        self._http = _HTTPServer(("127.0.0.1", self.port), self, self._tls)
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
    ) -> Answer:
        """Answer as its HTTP side does, which counts requests before.

        ``refusal``: valid or not, it is refused. ``look_up_fails``: see `Fault`.
        """
        body, rows = self._engine.answer(
            query, variables, operation, refusal, look_up_fails=look_up_fails
        )
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

    def __init__(self, address: tuple[str, int], owner: Server, tls: ssl.SSLContext | None) -> None:
        self.owner = owner
        #: Set when it stops: until then whoever hangs goes on hanging.
        self.stopped = threading.Event()
        self._tls = tls
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._tls is None:
            return connection, address
        # The handshake is left to the thread that reads.
        return self._tls.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        ), address

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""

    def hang_up(self) -> None:
        self.stopped.set()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    #: Seconds after which an idle connection is closed, as at the hosted server.
    timeout = 5
    server: _HTTPServer
    _fault: Fault | None

    def handle_one_request(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            if not self.rfile.peek(1):  # type: ignore[attr-defined]  # it is a BufferedReader
                return
            self._fault = self.server.owner.next_fault()
            if self._fault is not None and not self._fault.reads:
                self._fail(self._fault, b"")
                return
            super().handle_one_request()

    def do_GET(self) -> None:
        if self.path == "/graphql":
            self._send(405, {"detail": "Method Not Allowed"})
        else:
            self._send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # the client has gone
            self.close_connection = True
            return
        target = self.requestline.split()[1]  # `self.path` is mended where it begins with "//"
        # A client of a proxy sends the whole address (RFC 9112, 3.2.2).
        path = urlsplit(target).path if target.startswith("http") else target
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.owner.received.append(Request(path, headers, body))
        if path == "/graphql/":
            self._send(307, "", Location=f"http://{self.headers['Host']}/graphql")
        elif path != "/graphql":
            missing = path != "/"
            detail = "Not Found" if missing else "Method Not Allowed"
            self._send(404 if missing else 405, {"detail": detail})
        elif headers.get("content-type", "").partition(";")[0] != "application/json":
            self._send(400, "Unsupported content type")
        else:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        if self._fault is not None and not self._fault.stores:
            self._fail(self._fault, b"")
            return
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
            request["query"],
            request.get("variables"),
            request.get("operationName"),
            refusal,
            look_up_fails=self._fault is not None and self._fault.look_up_fails,
        )
        self.close_connection |= not answered.stored
        self._send(413 if refusal else 200, answered.body)

    def _send(self, status: int, body: object, **headers: str) -> None:
        text = isinstance(body, str)
        compact = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        kind = "text/plain; charset=utf-8" if text else "application/json"
        headers = {"Content-Type": kind, "X-Backend-Server": "migas@0.9", **headers}
        answer = write_answer(status, str(body) if text else compact, headers)
        if self._fault is None:
            self.wfile.write(answer)
        else:
            self._fail(self._fault, answer)

    def _fail(self, fault: Fault, good: bytes) -> None:
        self.close_connection |= fault.end != "keep"
        for piece in fault.pieces(good):
            if self.server.stopped.wait(fault.delay):
                return
            self.wfile.write(piece)
        if fault.end == "hang":
            self.server.stopped.wait()
        elif fault.end == "reset":
            # To close a socket that lingers for no time sends a reset.
            now = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            self.rfile.close()
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Say nothing: the server shares its terminal with the host."""

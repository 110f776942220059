"""The listener: the local server's side of HTTP, good answers and faults."""

from __future__ import annotations

import contextlib
import http.server
import json
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from .message import MAX_BODY, SIGNATURE, Reply, Request

if TYPE_CHECKING:
    import ssl
    from collections import deque
    from collections.abc import Callable, Mapping

    from .fault import Fault


class Answer(NamedTuple):
    """The answer to a GraphQL request."""

    body: dict[str, object]
    #: Whether every breadcrumb of the request could be stored.
    stored: bool


class Application(Protocol):
    """What the listener calls for each request that arrives."""

    #: The listener appends each request that it has read.
    received: deque[Request]

    def next_fault(self) -> Fault | None:
        """Count a request and return the fault that befalls it."""

    def answer(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        operation: str | None = None,
        refusal: str | None = None,
        *,
        look_up_fails: bool = False,
        is_gone: Callable[[], bool] = ...,
    ) -> Answer:
        """Answer a GraphQL request."""


class HTTPServer(http.server.ThreadingHTTPServer):
    """Listens, and has a thread for each connection."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], application: Application, tls: ssl.SSLContext | None
    ) -> None:
        self.application = application
        #: Set when it stops: until then whoever hangs goes on hanging.
        self.stopped = threading.Event()
        self._tls = tls
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and speak TLS on it if that is wanted."""
        connection, address = super().get_request()
        if self._tls is None:
            return connection, address
        # The handshake is left to the thread that reads.
        return self._tls.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        ), address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember a connection for as long as it lasts."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget it."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""

    def hang_up(self) -> None:
        """End every connection, whatever it waits for."""
        self.stopped.set()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    #: Seconds after which an idle connection is closed, as at the hosted server.
    timeout = 5
    server: HTTPServer
    _fault: Fault | None

    def handle_one_request(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            if not self.rfile.peek(1):  # type: ignore[attr-defined]  # it is a BufferedReader
                return
            self._fault = self.server.application.next_fault()
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
        self.server.application.received.append(Request(path, headers, body))
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
        answered = self.server.application.answer(
            request["query"],
            request.get("variables"),
            request.get("operationName"),
            refusal,
            look_up_fails=self._fault is not None and self._fault.look_up_fails,
            is_gone=self._is_gone,
        )
        self.close_connection |= not answered.stored
        self._send(413 if refusal else 200, answered.body)

    def _is_gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0.0)
        try:
            # Below TLS, which cannot peek.
            return bool(readable) and not socket.socket.recv(self.connection, 1, socket.MSG_PEEK)
        except OSError:  # it has been reset
            return True

    def _send(self, status: int, body: object, **headers: str) -> None:
        text = isinstance(body, str)
        compact = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        kind = "text/plain; charset=utf-8" if text else "application/json"
        content = (str(body) if text else compact).encode()
        answer = Reply(status, content, {"Content-Type": kind, **SIGNATURE, **headers}).encode()
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

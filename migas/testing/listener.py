"""The listener: reads requests from connections, and writes good answers or carries out faults.

It knows HTTP/1.1 and nothing of what is asked: an `Application` answers each request. Every
connection has a thread of its own, which ends when the client or the server closes it.
"""

from __future__ import annotations

import contextlib
import http.server
import re
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Protocol

from .message import Connection, Request, reply_text

if TYPE_CHECKING:
    import ssl

    from .fault import Fault
    from .message import Reply

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH")

#: Bytes of a line of HTTP that is read.
_MAX_LINE = 65536


class Application(Protocol):
    """The part of the server that answers requests."""

    def next_fault(self) -> Fault | None:
        """Count a request that begins to arrive, and return the fault that befalls it."""

    def respond(
        self, request: Request, connection: Connection, fault: Fault | None
    ) -> Reply | None:
        """Return the good answer, or None if ``fault`` has the request not carried out."""


class HTTPServer(http.server.ThreadingHTTPServer):
    """Listens, and runs a thread for each connection.

    Parameters:
        address: the host and port to listen on. Port 0: any that is free.
        application: answers the requests.
        tls: the certificate for HTTPS. None: speak HTTP.

    Raises `OSError` if the port is taken.
    """

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], application: Application, tls: ssl.SSLContext | None
    ) -> None:
        self.application = application
        #: Set when the server stops. Faults that hang, and all that is slow, wait for it.
        self.stopped = threading.Event()
        self._tls = tls
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and wrap it in TLS if that is wanted."""
        connection, address = super().get_request()
        if self._tls is None:
            return connection, address
        # The handshake is left to the connection's own thread: it may take any time.
        return self._tls.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        ), address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember a connection while it lasts, for `hang_up`."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: clients come and go."""

    def hang_up(self) -> None:
        """Close every connection, and end what its thread waits for."""
        self.stopped.set()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _BadRequestError(Exception):
    """The bytes on the connection are no request of HTTP/1.1."""


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    #: Seconds after which an idle connection is closed, as at the hosted server.
    timeout = 5
    server: HTTPServer
    _fault: Fault | None

    def handle_one_request(self) -> None:
        """Read a request and answer it, or close the connection."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            if not self.rfile.peek(1):  # type: ignore[attr-defined]  # it is a BufferedReader
                return
            self._fault = self.server.application.next_fault()
            if self._fault is not None and not self._fault.reads:
                self._fail(self._fault, b"")
                return
            self.raw_requestline = self.rfile.readline(_MAX_LINE + 1)
            if not self.raw_requestline.endswith(b"\n"):
                self.send_error(414)
                return
            if not self.parse_request():
                return  # `send_error` has answered
            try:
                body = self._read_body()
                request = Request(self._read_target(), self._read_headers(), body, self.command)
            except _BadRequestError:
                self.send_error(400)
                return
            if self.command in _METHODS:
                self._answer(request)
            else:
                self.send_error(501)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer bytes that are no HTTP. The hosted server's web server has one answer to all."""
        del code, message, explain
        self.close_connection = True
        reply = reply_text(400, "Invalid HTTP request received.")
        headers = {**reply.headers, "Connection": "close"}
        self.wfile.write(reply._replace(headers=headers).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Print nothing: the server shares its terminal with the host."""

    def _read_target(self) -> str:
        """Return the request's path with its query string."""
        target = self.requestline.split()[1]  # `self.path` is mended where it begins with "//"
        if target.startswith(("/", "*")):
            return target
        # A client of a proxy sends the whole address (RFC 9112, 3.2.2).
        scheme, mark, rest = target.partition("://")
        if not mark or scheme not in ("http", "https"):
            raise _BadRequestError
        return f"/{rest.partition('/')[2]}"

    def _read_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _read_body(self) -> bytes:
        """Read the body, whole or in chunks (RFC 9112, 6.3).

        Raises `_BadRequestError` if its length is not said in either way, and `OSError` if the
        client goes away.
        """
        length = self.headers["Content-Length"]
        coding = self.headers["Transfer-Encoding"]
        if coding is None:
            return self._read_exactly(_read_size(length or "0", 10))
        if length is not None or not coding.lower().endswith("chunked"):
            raise _BadRequestError
        chunks = []
        while size := _read_size(self._read_line().partition(b";")[0].decode("latin-1"), 16):
            chunks.append(self._read_exactly(size))
            if self._read_line():
                raise _BadRequestError
        while self._read_line():
            pass  # the trailer's fields
        return b"".join(chunks)

    def _read_exactly(self, size: int) -> bytes:
        """Return so many bytes. Raises `OSError` if the client goes away before."""
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionResetError
        return data

    def _read_line(self) -> bytes:
        """Return a line without its end. Raises `OSError` if the client goes away before."""
        line = self.rfile.readline(_MAX_LINE + 1)
        if not line:
            raise ConnectionResetError
        return line.rstrip(b"\r\n")

    def _answer(self, request: Request) -> None:
        """Write the good answer, or carry out the fault."""
        connection = Connection(self._read_client(request), self._is_gone, self._look_up)
        reply = self.server.application.respond(request, connection, self._fault)
        answer = b""
        if reply is not None:
            self.close_connection |= reply.last
            answer = reply.encode(bodiless=request.method == "HEAD")
        if self._fault is None:
            self.wfile.write(answer)
        else:
            self._fail(self._fault, answer)

    def _read_client(self, request: Request) -> str:
        """Return the client's address. A proxy before the server names it in a header."""
        forwarded = request.headers.get("x-forwarded-for", "").partition(",")[0].strip()
        return forwarded or str(self.client_address[0])

    def _is_gone(self) -> bool:
        """Return whether either end has hung up."""
        if self.server.stopped.is_set():  # this end hangs up, a moment later
            return True
        readable, _, _ = select.select([self.connection], [], [], 0.0)
        try:
            # Below TLS, which cannot peek.
            return bool(readable) and not socket.socket.recv(self.connection, 1, socket.MSG_PEEK)
        except OSError:  # it has been reset
            return True

    def _look_up(self) -> bool:
        """Take as long as a look-up does by the injected fault. Returns False if it fails."""
        if self._fault is None:
            return True
        self.server.stopped.wait(self._fault.look_up_seconds)
        return not self._fault.look_up_fails

    def _fail(self, fault: Fault, good: bytes) -> None:
        """Carry out a fault.

        Parameters:
            fault: what is to happen.
            good: the good answer.
        """
        self.close_connection |= fault.end != "keep"
        for piece in fault.pieces(good):
            if self.server.stopped.wait(fault.delay):
                return
            self.wfile.write(piece)
        if fault.end == "hang":
            self.server.stopped.wait()
        elif fault.end == "reset":
            # Closing a socket that lingers for no time sends a reset.
            now = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            self.rfile.close()
            self.connection.close()


def _read_size(digits: str, base: int) -> int:
    """Return a length. Raises `_BadRequestError` for anything else."""
    # int() takes signs and underscores, which HTTP does not.
    if not re.fullmatch(r"[0-9A-Fa-f]+", digits.strip()):
        raise _BadRequestError
    try:
        return int(digits, base)
    except ValueError:
        raise _BadRequestError from None

"""A server that says what a test writes, byte by byte, and hears what the client says."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import struct
import threading
from typing import TYPE_CHECKING

from support import PATIENCE

from migas._delivery.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Self

    from migas._delivery.parcel import Reply

BODY = b'{"query": "{get_projects}"}'
GOOD = b'{"data": {}}'
SIGNED = b"X-Backend-Server: migas@0.9\r\n"


def write(body: bytes = GOOD, head: bytes = SIGNED, status: bytes = b"200 OK") -> bytes:
    """Write an answer with a body of a known length."""
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + length + head + b"\r\n" + body


@contextlib.contextmanager
def bound_memory(limit: int) -> Iterator[None]:
    """Fail if the block takes more bytes at a time, where the interpreter counts them."""
    if importlib.util.find_spec("_tracemalloc") is None:  # PyPy
        yield
        return
    import tracemalloc

    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


class Wire:
    """Listens on loopback, and has ``serve`` deal with each connection, on a thread of its own."""

    def __init__(self, serve: Callable[[Connection], None], host: str = "127.0.0.1") -> None:
        self._serve = serve
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/graphql"
        self.connections = 0
        self.requests: list[bytes] = []
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    def _listen(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            thread = threading.Thread(target=self._talk, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _talk(self, sock: socket.socket) -> None:
        connection = Connection(sock, self.requests)
        with sock, contextlib.closing(connection), contextlib.suppress(OSError):
            self._serve(connection)

    def close(self) -> None:
        """Hang up, and wait for every thread."""
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Connection:
    """A server's side of a connection."""

    def __init__(self, sock: socket.socket, requests: list[bytes]) -> None:
        self.sock = sock
        self._file = sock.makefile("rb")
        self._requests = requests

    def read(self) -> bytes:
        """Read a request to its end, or raise `OSError` if the client hangs up."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._file.readline()
            if not line:
                raise ConnectionResetError
            head += line
        lines = dict(line.lower().partition(b":")[::2] for line in head.splitlines()[1:-1])
        request = head + self._file.read(int(lines.get(b"content-length", b"0")))
        self._requests.append(request)
        return request

    def send(self, *pieces: bytes) -> None:
        """Send ``pieces``; raise `OSError` if the client has hung up."""
        for piece in pieces:
            self.sock.sendall(piece)

    def close(self) -> None:
        """Let go of the socket, which stays open as long as something reads from it."""
        self._file.close()

    def reset(self) -> None:
        """Hang up rudely: to close a socket that lingers for no time sends a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()
        self.sock.close()


def post(
    endpoint: str,
    timeout: float = PATIENCE,
    on_write: Callable[[], None] = lambda: None,
    body: bytes = BODY,
) -> Reply:
    """Send one request."""
    with contextlib.closing(Transport(endpoint)) as transport:
        return transport.send(body, timeout, on_write)


def say(*pieces: bytes, endless: bytes = b"") -> Callable[[Connection], None]:
    """Read a request, send ``pieces``, then ``endless`` as long as somebody listens; hang up."""

    def serve(connection: Connection) -> None:
        connection.read()
        connection.send(*pieces)
        while endless:
            connection.send(endless)

    return serve


def resolve_to(
    monkeypatch: Any, addresses: Sequence[tuple[str, int]]
) -> list[tuple[object, object]]:
    """Have every name lead to ``addresses``, in this order; return what is looked up."""
    asked: list[tuple[object, object]] = []

    def look_up(name: object, port: object, *_args: object, **_kwargs: object) -> list[object]:
        asked.append((name, port))
        return [
            (
                socket.AF_INET6 if ":" in host else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (host, number, 0, 0) if ":" in host else (host, number),
            )
            for host, number in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked

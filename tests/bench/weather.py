"""The weather: what becomes of a request, whichever client sends it."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import os
import re
import shutil
import socket
import threading
import time
import zlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What every client puts into what it sends.
MARK = re.compile(rb"bench-\d+")

#: Where nothing answers a name look-up: a socket there is never read.
_RESOLVER = "127.0.0.53"

#: Gives a process, and it alone, another resolver. `exec` keeps its id.
_OTHER_RESOLVER = (
    *("unshare", "--mount", "sh", "-c"),
    'mount --bind "$0" /etc/resolv.conf && exec "$@"',
)


class Weather(NamedTuple):
    """What a client meets."""

    name: str
    #: Seconds before an answer.
    delay: float = 0.0
    status: int = 200
    #: It is not a server's, but a login page's.
    is_portal: bool = False
    #: Nobody listens.
    is_refused: bool = False
    #: No name look-up is answered.
    lacks_names: bool = False

    @property
    def is_possible(self) -> bool:
        """Whether it can be made here: another resolver takes a mount namespace."""
        return not self.lacks_names or (shutil.which("unshare") is not None and os.geteuid() == 0)

    @property
    def is_good(self) -> bool:
        """Whether what is sent is taken."""
        return self.status == 200 and not (self.is_portal or self.is_refused or self.lacks_names)


_FOREVER = 3600.0

WEATHERS = [
    Weather("fast"),
    Weather("100 ms", delay=0.1),
    Weather("2 s", delay=2.0),
    Weather("refused", is_refused=True),
    Weather("silent", delay=_FOREVER),
    Weather("500", status=500),
    Weather("login page", is_portal=True),
    Weather("no names", lacks_names=True),
]


class Sky:
    """A server in one weather, which takes whatever any client sends, and counts it."""

    def __init__(self, weather: Weather, directory: Path) -> None:
        self.weather = weather
        self.requests = 0
        self.taken: Counter[str] = Counter()
        self.graphql = Server()  # never started: it is asked within this process
        self.over = threading.Event()
        self._directory = directory

    @contextlib.contextmanager
    def shine(self) -> Iterator[Sky]:
        """Listen, unless nobody is to."""
        server = _HTTPServer(("127.0.0.1", 0), _Handler)
        server.sky = self
        self.url = f"http://127.0.0.1:{server.server_port}"
        with contextlib.ExitStack() as stack:
            stack.callback(self.graphql.close)
            if self.weather.lacks_names:
                self.url = "http://nobody-knows.example:80"
                resolver = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                resolver.bind((_RESOLVER, 53))
            stack.callback(server.server_close)
            if self.weather.is_refused:
                server.server_close()
            else:
                thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
                thread.start()
                stack.callback(thread.join)
                stack.callback(server.shutdown)
            stack.callback(self.over.set)
            yield self

    def wrap(self, command: list[str]) -> list[str]:
        """Have a command meet it."""
        if not self.weather.lacks_names:
            return command
        path = self._directory / "resolv.conf"
        path.write_text(f"nameserver {_RESOLVER}\n")
        return [*_OTHER_RESOLVER, str(path), *command]

    def take(self, path: str, body: bytes) -> bytes:
        """Take what was sent, and return what is answered."""
        self.requests += 1
        self.over.wait(self.weather.delay)
        if self.weather.is_portal:
            return b"<html>Please log in.</html>"
        if not self.weather.is_good or self.over.is_set():
            return b"{}"
        self.taken.update(mark.decode() for mark in set(MARK.findall(path.encode() + body)))
        if not path.endswith("/graphql"):
            return b"{}"
        asked = json.loads(body)
        answer = self.graphql.answer(asked["query"], asked.get("variables"))
        return json.dumps(answer.body).encode()


class _HTTPServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    sky: Sky

    def handle_error(self, *_: object) -> None:
        """Clients hang up as they like."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer leaves in one piece
    server: _HTTPServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        encoding = self.headers.get("Content-Encoding")
        if encoding == "gzip":
            body = gzip.decompress(body)
        elif encoding == "deflate":
            body = zlib.decompress(body)
        answer = self.server.sky.take(self.path, body)
        kind = "text/html" if self.server.sky.weather.is_portal else "application/json"
        self.send_response(self.server.sky.weather.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_POST  # noqa: N815  # as http.server names them

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def await_quiet(sky: Sky, seconds: float = 0.05) -> None:
    """Wait until no request has come for a while: some clients leave one on its way."""
    seen = -1
    while seen != sky.requests:
        seen = sky.requests
        time.sleep(seconds)

"""How the tests of the local server talk to it: as any client of HTTP does."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from migas.testing import Server


class Told(NamedTuple):
    """What a server has answered."""

    status: int
    headers: http.client.HTTPMessage
    #: Parsed where it is JSON, and text otherwise.
    body: Any


def ask(server: Server, method: str, path: str, body: object = None, /, **headers: str) -> Told:
    """Send one request and return the answer.

    ``body`` goes as JSON unless it is of bytes already. In a header's name `_` stands for `-`.
    """
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        given = {"Content-Type": "application/json", **given}
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, data, given)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.headers["Content-Encoding"] == "gzip":
        content = gzip.decompress(content)
    is_json = content and response.headers["Content-Type"] == "application/json"
    return Told(
        response.status, response.headers, json.loads(content) if is_json else content.decode()
    )


def query(document: str, **members: object) -> dict[str, object]:
    """Return the body of a GraphQL request."""
    return {"query": document, **members}


#: One breadcrumb, as `add_breadcrumb` and as `add_project` take it. More of its fields may follow
#: in place of the `%s`.
PLAIN = (
    'mutation{add_breadcrumb(project:"a/b",project_version:"1",language:"python",'
    'language_version:"3.11",ctx:{},proc:{%s}){success message}}'
)
ADD = (
    'mutation{add_project(p:{project:"a/b",project_version:"1",language:"python",'
    'language_version:"3.11"%s})}'
)


def send_raw(server: Server, data: bytes, *, ends: bool = False) -> bytes:
    """Send bytes and return all that comes until the server hangs up.

    If the client ``ends``, it says that nothing more will come.
    """
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(data)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        # A server that hangs up on something unread resets the connection after its answer.
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(65536):
                received += more
    return received

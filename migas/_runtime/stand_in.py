"""The stand-ins: notices a test's tool that stands in for the network or the file system.

responses, requests-mock and vcrpy replace methods and classes of `requests` and `urllib3`,
pytest-socket replaces sockets, and pyfakefs replaces `os`, each in the whole process and for as
long as a test lasts. What we sent or wrote meanwhile would be in a mock's list of calls, in a
cassette, or in a file system that is gone a moment later. So nothing is sent, and breadcrumbs stay
pending; in place of the file system nothing is even reported.

This module owns the places that such tools replace. To look imports nothing: a place in a module
that nobody has loaded is not replaced. What may go wrong: a tool may start just between the last
look and the request; that one request is then seen.
"""

from __future__ import annotations

import sys

from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

#: Where tools replace what sends a request, by module and attribute.
_REQUESTS = (
    ("requests.adapters", "HTTPAdapter.send"),
    ("requests.sessions", "Session.request"),
    ("requests.sessions", "Session.send"),
    ("requests.sessions", "Session.get_adapter"),
    ("urllib3.connectionpool", "HTTPConnectionPool.urlopen"),
    ("urllib3.connectionpool", "HTTPConnectionPool.ConnectionCls"),
    ("urllib3.connectionpool", "HTTPSConnectionPool.ConnectionCls"),
)

#: Classes that ours are made of: to load the transport now would keep the tool's for good.
_CLASSES = (
    ("urllib3.connection", "HTTPConnection"),
    ("http.client", "HTTPConnection"),
    ("socket", "socket"),
)

_SOCKETS = (("socket", "getaddrinfo"), ("socket", "create_connection"))

#: Whose code stands there without a tool.
_OWN = {"", "requests", "urllib3", "http", "socket", "_socket"}

#: Tools of tests. What replaces sockets for good, as gevent and PySocks do, is gone through.
_TOOLS = {"httpretty", "mocket", "pytest_socket", "requests_mock", "responses", "unittest", "vcr"}

#: Anything that replaces a method of `requests` where one of these is loaded is taken for a tool.
#: In production a host may do so itself, and goes on being counted.
_RUNNERS = ("pytest", "unittest")

_LOOPBACK = ("://127.0.0.1", "://localhost", "://[::1]")


def find_stand_in(endpoint: str) -> str:
    """Return the name of the tool that a request to ``endpoint`` would meet, or `""`.

    Example:
        >>> find_stand_in("https://migas.nipreps.org/graphql")
        ''
    """
    is_test = any(runner in sys.modules for runner in _RUNNERS)
    for place in _REQUESTS:
        maker = _find_maker(*place)
        if maker in _TOOLS or (is_test and maker not in _OWN):
            return maker
    # pytest-socket can restrict hosts. Tests that do so let their own machine through.
    is_local = any(host in endpoint for host in _LOOPBACK)
    places = _SOCKETS if is_local else (*_SOCKETS, ("socket", "socket.connect"))
    return find_replaced_class() or _find_tool(places)


def find_replaced_class() -> str:
    """Return the name of the tool whose classes the transport would be made of now, or `""`."""
    return _find_tool(_CLASSES)


def explain_stand_in(tool: str) -> str:
    """Return why nothing is sent while ``tool`` stands in."""
    return f"nothing is sent: {tool} stands in for the network"


def find_resolver(resolver: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``resolver``, which is `socket.getaddrinfo`, or the system's own if it is gevent's.

    gevent's starts a thread for a look-up, which from Python 3.12 on cannot be done during the
    exit. What else a host puts there, to say how names are looked up, is used.
    """
    import _socket

    is_gevent = _find_maker("socket", "getaddrinfo") == "gevent"
    return _socket.getaddrinfo if is_gevent else resolver


def _find_tool(places: Iterable[tuple[str, str]]) -> str:
    """Return the name of the first tool that has replaced one of ``places``, or `""`."""
    return next((tool for place in places if (tool := _find_maker(*place)) in _TOOLS), "")


def _find_maker(module: str, path: str) -> str:
    """Return the top-level package of what stands at a place, or `""` if that is not known.

    A wrapper that names what it wraps, as those of OpenTelemetry do, counts as that.
    """
    found: object = sys.modules.get(module)
    try:
        for name in path.split("."):
            found = getattr(found, name, None)
        for _ in range(9):
            found = getattr(found, "__wrapped__", found)
        return str(getattr(found, "__module__", None) or "").partition(".")[0]
    except Exception as error:  # whatever an object of the host's raises when it is asked
        reraise_from_handler(error)
        return ""

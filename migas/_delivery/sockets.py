"""The sockets: what our thread connects with, whenever a host patches with gevent or eventlet.

Where a host patches before this module is loaded, these are its own: one of its greenlets has
loaded us, and so gevent has a hub on the host's thread. Where it patches later, our thread must use
nothing of the new: gevent makes a hub for each thread that does, and imports modules for it under
import locks of its own. If the host's thread makes its first one at that moment, both wait without
end (gevent 26.9: 15 of 20 processes). What else a host puts there, as PySocks does, is used.
"""

from __future__ import annotations

import selectors
import socket

from migas._runtime.native import are_threads_replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# As they were when this module was loaded.
_Socket, _Selector = socket.socket, selectors.DefaultSelector


def is_patched_late() -> bool:
    """Return True if a host has replaced its threads and sockets after this module was loaded."""
    return socket.socket is not _Socket and are_threads_replaced()


def make_socket(family: int, kind: int, protocol: int) -> socket.socket:
    """Return a new socket, or raise `OSError`; the parameters are those of `socket.socket`."""
    return (_Socket if is_patched_late() else socket.socket)(family, kind, protocol)


def make_selector() -> selectors.BaseSelector:
    """Return a new selector, for the caller to close."""
    return _Selector() if is_patched_late() else selectors.DefaultSelector()


def shut_down(sock: Any) -> None:
    """Have whatever waits for a socket of `make_socket`'s go on, or raise if there is none.

    Not by the method of a TLS socket, which would change what another thread reads.
    """
    _Socket.shutdown(sock, socket.SHUT_RDWR)

"""The dialer: connects to one of a server's addresses, as RFC 8305 says ("happy eyeballs").

A name often has an address of each family, and of several machines. One that leads nowhere costs a
quarter of a second here; tried one after the other, each with the whole timeout, it would cost the
caller all of its time. Every failure is an `OSError`.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from itertools import zip_longest

from .sockets import make_selector, make_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TypeAlias

    #: Family, type, protocol, canonical name and socket address, as of `socket.getaddrinfo`.
    Address: TypeAlias = tuple[int, int, int, str, Any]

#: Seconds from one address to the next: the Connection Attempt Delay (RFC 8305, section 5).
ATTEMPT_DELAY = 0.25

#: The longest wait for the system, in seconds: after each the time that is left is asked for. It
#: is over when another thread has ended the exchange.
_GLANCE = 0.1

#: How the system says that it knows no way to an address.
NO_ROUTE = (
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.EHOSTDOWN,
    errno.EADDRNOTAVAIL,
)


def dial(
    addresses: Iterable[Address], remaining: Callable[[], float], options: Sequence[Any] = ()
) -> socket.socket:
    """Return a socket that is connected to the first address to answer.

    Each address gets `ATTEMPT_DELAY` before the next is tried beside it, and less if the time is
    short; one that fails makes way at once. No thread is started: the connects do not block, also
    where a host has patched `socket` (gevent).

    Parameters:
        addresses: in the order of the resolver (RFC 6724); the families are interleaved here.
        remaining: returns the seconds that are left for all of them, or raises `TimeoutError`.
        options: options for each socket, as `socket.setsockopt` takes them.

    Raises `OSError`, of the class of the most telling failure.
    """
    waiting = interleave(addresses)
    delay = min(ATTEMPT_DELAY, remaining() / (len(waiting) + 1))
    errors: list[OSError] = []
    connected: socket.socket | None = None
    with make_selector() as selector:
        try:
            while connected is None and (waiting or selector.get_map()):
                while waiting and not _start(waiting.pop(0), selector, options, errors):
                    pass
                connected = _await_one(selector, remaining, delay if waiting else None, errors)
        finally:
            _close_all_but(connected, selector)
    if connected is not None:
        return connected
    if not errors:
        raise OSError("the name has no address")
    # That one family has no route says less than what the other family's address says.
    raise next((error for error in errors if error.errno not in NO_ROUTE), errors[0])


def interleave(addresses: Iterable[Address]) -> list[Address]:
    """Return ``addresses`` with their families taking turns (RFC 8305, section 4).

    Example:
        >>> interleave([(6, 1, 6, "", "a"), (6, 1, 6, "", "b"), (4, 1, 6, "", "c")])
        [(6, 1, 6, '', 'a'), (4, 1, 6, '', 'c'), (6, 1, 6, '', 'b')]
    """
    families: dict[int, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address[0], []).append(address)
    turns = zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


def _start(
    address: Address,
    selector: selectors.BaseSelector,
    options: Sequence[Any],
    errors: list[OSError],
) -> bool:
    """Begin to connect to ``address``; ``selector`` hears of the end.

    Returns False if that failed at once, with the reason in ``errors``.
    """
    family, kind, protocol, _, target = address
    try:
        sock = make_socket(family, kind, protocol)
    except OSError as error:  # the system does not know this family, or has no descriptor left
        errors.append(error)
        return False
    try:
        for option in options:
            sock.setsockopt(*option)
        sock.setblocking(False)
        _connect(sock, target)
        selector.register(sock, selectors.EVENT_WRITE)
    except OSError as error:
        sock.close()
        errors.append(error)
        return False
    except BaseException:
        sock.close()
        raise
    return True


def _connect(sock: socket.socket, target: Any) -> None:
    try:
        sock.connect(target)
    except BlockingIOError:  # it is under way
        return


def _await_one(
    selector: selectors.BaseSelector,
    remaining: Callable[[], float],
    delay: float | None,
    errors: list[OSError],
) -> socket.socket | None:
    """Wait until a connect succeeds, and return its socket, which waits for what is left.

    Returns None if one fails, with the reason in ``errors``; after ``delay`` seconds, or a moment
    if that is not given; and at once if none is under way.
    """
    if not selector.get_map():
        return None
    timeout = remaining()
    for key, _ in selector.select(min(timeout, _GLANCE if delay is None else delay)):
        sock: Any = key.fileobj
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            sock.settimeout(remaining())
            return sock  # type: ignore[no-any-return]  # we register nothing but sockets
        selector.unregister(sock)
        sock.close()
        errors.append(OSError(code, os.strerror(code)))
    return None


def _close_all_but(connected: socket.socket | None, selector: selectors.BaseSelector) -> None:
    for key in list(selector.get_map().values()):
        sock: Any = key.fileobj
        if sock is not connected:
            sock.close()

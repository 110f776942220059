"""The progress: says how far the request under way has come, and ends it for another thread.

It owns the exchange's deadline, and what other threads may do to its socket: look for an answer, or
hang up. What may go wrong: the sending thread goes on at that moment. Then a look sees what has
just passed, and a hang-up finds nothing to shut down.
"""

from __future__ import annotations

import select
import socket

from migas._runtime.native import duplicate_socket, time

from .sockets import shut_down

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: How often a whole answer is read from, at most: each time takes what is there. A server that
#: answers a few bytes at a time is read from more often.
_MOST_READS = 16

#: Has one call not wait; 0 on Windows, which lacks the flag.
_AT_ONCE: int = getattr(socket, "MSG_DONTWAIT", 0)


class StoppedError(Exception):
    """The caller has stopped a request whose first byte was about to leave."""


class Progress:
    """How far the request under way has come.

    The sending thread writes it. Other threads may read it at any moment, and may see what has just
    passed.
    """

    def __init__(self) -> None:
        # Seconds that sending may take, and the answer again, and when the present one's are over.
        self._timeout = self._deadline = 0.0
        #: Bytes that the answer may have, head and body together.
        self.most = 0
        #: A new connection was made for this request, and that was to a proxy.
        self.dialed = self.proxied = False
        #: The request's last byte has left.
        self.whole = False
        #: Bytes of the current answer that were read, its status, and whether it is compressed.
        #: Before the request's last byte that answer is a proxy's, which was asked to connect.
        self.received = 0
        self.status: int | None = None
        self.encoded = False
        # How often that answer was read from, and whether a read waits for the server.
        self._reads = 0
        self._is_reading = False
        #: What the request goes out on, and while that is being made, a duplicate of its socket.
        self.sock: Any = None
        self.spare: socket.socket | None = None
        # Another thread has ended all exchanges.
        self._is_stopped = False

    def begin(self, timeout: float, most: int) -> None:
        """Note that a request begins.

        Parameters:
            timeout: seconds that it may take to leave, and that the answer may take again.
            most: bytes that the answer may have.
        """
        self.most = most
        self.dialed = self.proxied = self.whole = self.encoded = False
        self.received, self.status = 0, None
        self._timeout = timeout
        self.renew()

    def renew(self) -> None:
        """Give the present part of the exchange all of its seconds once more."""
        self._deadline = time.monotonic() + self._timeout

    def finish_sending(self) -> None:
        """Note that the request's last byte has left; the answer's seconds start now."""
        self.received, self.status = 0, None
        self._reads = 0
        self.renew()
        self.whole = True

    def begin_read(self) -> None:
        """Note that the sending thread asks for more of the answer, and may wait for it."""
        self._reads += 1
        self._is_reading = True

    def end_read(self, count: int) -> None:
        """Note that it has got so many bytes more."""
        self.received += count
        self._is_reading = False

    def end(self) -> None:
        """Note that no request is under way."""
        self.whole = False

    def remaining(self) -> float:
        """Return the seconds that are left, more than 0, or raise `TimeoutError`."""
        remaining: float = self._deadline - time.monotonic()
        if remaining <= 0 or self._is_stopped:
            raise TimeoutError("there is no time left")
        return remaining

    def hang_up(self) -> None:
        """End all exchanges, from another thread, and wake the one that waits for the server.

        A name look-up cannot be ended. If the other thread closes the socket just now, there is
        nothing to shut down: by then no other socket of the host's is behind the same object.
        """
        self._is_stopped = True
        sock: Any
        for sock in (self.sock, self.spare):
            try:
                shut_down(sock)
            except Exception:  # noqa: S112  # there is none, or it is closed already
                continue

    def has_answer(self) -> bool:
        """Return whether some of the answer is there and not dealt with; False on any error.

        If all that has come is dealt with and the rest has not come, it is the server that has to
        be waited for; and so it is if that answers a few bytes at a time. Never waits, and takes
        nothing out of the socket. With TLS 1.3 the tickets that a server sends before its answer
        count as well, until the reading thread has taken them.
        """
        if not self.whole or self._reads > _MOST_READS:
            return False
        if self.received and not self._is_reading:
            return True
        try:
            # A socket object of our own: if the reading thread is faster, its own would wait here
            # until its timeout. That thread may also close it just now, and the host open something
            # else under the same number. A look changes nothing there: the flag is for one call,
            # while to set a timeout would change what every holder of the socket shares. And it is
            # of the system's own kind: among greenlets another would wait for them.
            ours = duplicate_socket(self.sock)
            try:
                if ours.gettimeout() is not None:  # the host has set one for all new sockets
                    ours.settimeout(0)
                # On Windows another thread may read it between the two calls. Then the second does
                # not wait on a socket that has a timeout, as each of ours has.
                if not _AT_ONCE and not select.select([ours], [], [], 0)[0]:
                    return False
                return bool(ours.recv(1, socket.MSG_PEEK | _AT_ONCE))
            finally:
                ours.close()
        except Exception:  # nothing is there, or no socket
            return False

"""The service: a local migas server that runs until a person or a service manager stops it.

It takes the extra `server`. What may go wrong is told in a line: the port is taken, or the database
is no SQLite file.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3

from migas.testing import Server

from .runner import LEFT, WELL
from .terminal import print_error, print_line


def serve(port: int, database: str | None) -> int:
    """Run a server on 127.0.0.1, and return the exit status when it is stopped.

    Parameters:
        port: where it listens; 0 lets the system choose a free one.
        database: the path of a SQLite file, or None: breadcrumbs are kept in memory.
    """
    try:
        server = Server(port, database=database)
    except sqlite3.Error as error:
        print_error(f"{database}: {error}")
        return LEFT
    try:
        server.start()
        # Before anybody can know that it runs, and stop it.
        signal.signal(signal.SIGTERM, _stop)
        print_line(f"migas server at {server.endpoint}; Ctrl-C stops it")
        _await_signal()
    except OSError as error:
        print_error(f"port {port}: {error.strerror}")
        return LEFT
    except KeyboardInterrupt:
        return WELL
    finally:
        server.close()
    return WELL


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _await_signal() -> None:
    """Wait for Ctrl-C, for SIGTERM, or, where no signal can be waited for, for the input's end.

    The first two raise `KeyboardInterrupt`.
    """
    with contextlib.suppress(EOFError):
        while True:
            signal.pause() if hasattr(signal, "pause") else input()

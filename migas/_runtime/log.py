"""The agent's own log: the logger `migas`, silent unless its user or the host listens.

It loads `logging` only for a user who asked for it by `MIGAS_LOG_LEVEL`; what is said before the
host has loaded it has no listener and is dropped.
"""

from __future__ import annotations

import sys
import threading

from .loading import is_loaded
from .threads import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

DEBUG, INFO, WARNING = 10, 20, 30


def configure(level: int | None) -> None:
    """Show the agent's log on stderr from ``level`` up, or, with None, to no one."""
    if level is None:
        return
    import logging

    logger = logging.getLogger("migas")
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler()
        # Of a stream that the host has closed, `logging` would complain on stderr.
        handler.handleError = lambda _: None  # type: ignore[assignment,method-assign]
        handler.setFormatter(logging.Formatter("migas: %(levelname)s: %(message)s"))
        logger.addHandler(handler)


def keep_ours_out(name: str) -> None:
    """Have a logger of a library's drop what it is told on a thread of the agent's."""
    import logging

    logger = logging.getLogger(name)
    logger.addFilter(_is_the_hosts)
    # Its first use takes logging's lock. A thread that the interpreter's end stops just then keeps
    # it for ever, and the end wants it; so that is done here, while the loader keeps the end away.
    logger.isEnabledFor(logging.DEBUG)


def _is_the_hosts(_record: logging.LogRecord) -> bool:
    return not isinstance(threading.current_thread(), Thread)


def say(level: int, message: str, *args: object) -> None:
    """Log one line, if anybody can listen; never a payload, since logs are shared."""
    if sys.is_finalizing() or not is_loaded("logging"):
        return
    logging = sys.modules["logging"]
    logger = logging.getLogger("migas")
    if not logger.handlers:
        # Without a handler of its own a warning would reach stderr by logging.lastResort.
        logger.addHandler(logging.NullHandler())
    logger.log(level, message, *args)

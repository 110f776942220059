"""The agent's own log: the logger `migas`, silent unless its user or the host listens.

It imports `logging` only for a user who has set `MIGAS_LOG_LEVEL`. Without that, what is logged
before the host has imported `logging` has no listener, and is dropped. And what libraries log on
our threads stays out of their loggers, which the host may listen to.

What may go wrong: logs are shared with strangers, in issues and in chats. So a message names sizes
and reasons, and never a value of a breadcrumb.
"""

from __future__ import annotations

import sys

from .daemon import find_own_thread
from .imports import is_loaded
from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

#: The levels of `logging`, which may not be loaded.
DEBUG, INFO, WARNING = 10, 20, 30


def configure(level: int) -> None:
    """Show the agent's log on stderr.

    Parameters:
        level: the lowest level to show, as `logging` numbers them.
    """
    import logging

    logger = logging.getLogger("migas")
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler()
        # The host may have closed the stream, and `logging` would print a traceback about that.
        handler.handleError = lambda _: None  # type: ignore[assignment,method-assign]
        handler.setFormatter(logging.Formatter("migas: %(levelname)s: %(message)s"))
        logger.addHandler(handler)


def say(level: int, message: str, *args: object) -> None:
    """Log one line, if anybody can listen.

    Parameters:
        level: `DEBUG`, `INFO` or `WARNING`.
        message: a text with `%` signs for ``args``; without any value of a breadcrumb.
        args: what to put in their place.
    """
    # Late in the interpreter's exit the streams of handlers are closed.
    if sys.is_finalizing() or not is_loaded("logging"):
        return
    logging = sys.modules["logging"]
    logger = logging.getLogger("migas")
    if not logger.handlers:
        # Without any handler `logging.lastResort` would print a warning on stderr.
        logger.addHandler(logging.NullHandler())
    # A level that the host has set for all loggers is not meant for ours: unset, that is WARNING.
    if level >= (logger.level or WARNING) and logger.isEnabledFor(level):
        from .callback import call_host  # few have a listener

        try:
            call_host(logger.log, level, message, *map(_escape, args))
        except Exception as error:  # a handler of the host's log fails: that is no failure of ours
            reraise_from_handler(error)


def _escape(value: object) -> object:
    """Return a text in one line that no terminal obeys: a reason may be a server's own words."""
    if isinstance(value, str) and not value.isprintable():
        return repr(value)[1:-1]
    return value


def keep_ours_out(name: str) -> None:
    """Have the logger ``name`` of a library drop every record that a thread of ours makes."""
    import logging

    logger = logging.getLogger(name)
    if not isinstance(logger.isEnabledFor, _HostsOnly):
        logger.isEnabledFor = _HostsOnly(logger)  # type: ignore[method-assign]
    # A logger's first use takes the lock of `logging`. If the interpreter's exit stopped our thread
    # at that moment the lock would stay held, and the exit needs it. So the first use is here, on a
    # thread that the exit waits for (see `Loader.close`).
    logger.isEnabledFor(logging.DEBUG)


class _HostsOnly:
    """Says whether a logger makes records of a level: on a thread of ours, of none.

    A filter would come too late. A record asks `threading` for its thread, which takes a number for
    one that it does not know, and the host's next thread would have another name.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._is_enabled = logger.isEnabledFor

    def __call__(self, level: int) -> bool:
        return find_own_thread() is None and self._is_enabled(level)

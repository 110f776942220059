"""The agent's own log: the logger `migas`, silent unless its user or the host listens.

It loads `logging` only for a user who asked for it by `MIGAS_LOG_LEVEL`; what is said before the
host has loaded it has no listener and is dropped.
"""

from __future__ import annotations

import sys

from .loading import is_loaded

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
        handler.setFormatter(logging.Formatter("migas: %(levelname)s: %(message)s"))
        logger.addHandler(handler)


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

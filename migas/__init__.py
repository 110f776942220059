"""Count how often your package is used, with one line that your users can switch off.

A call of `add_project` returns at once; the breadcrumb is written to disk and sent in the
background. This module is the table of contents: it imports `operations` and `Receipt`, which that
one line needs, and loads the other names on first use, so that `import migas` stays cheap.
"""

from ._runtime.receipt import Receipt
from .operations import (
    add_breadcrumb,
    add_project,
    check_project,
    flush,
    get_usage,
    track,
    track_exit,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import config as config
    from . import error as error
    from . import operations as operations
    from . import typedefs as typedefs
    from ._agent.sessions import NoAnswerError, get_sessions
    from ._runtime.version import __version__
    from .config import clear_user_id, notice, print_config, setup

__all__ = [
    "NoAnswerError",
    "Receipt",
    "__version__",
    "add_breadcrumb",
    "add_project",
    "check_project",
    "clear_user_id",
    "flush",
    "get_sessions",
    "get_usage",
    "notice",
    "print_config",
    "setup",
    "track",
    "track_exit",
]


def _load(name: str) -> object:
    """Return a name that is loaded on first use.

    Such a name is a module that hosts of earlier clients expect as an attribute of the package, the
    version, what asks for sessions, or a function of `config`. Raises `AttributeError` for others.
    """
    if name in ("config", "error", "operations", "typedefs"):
        import importlib

        return importlib.import_module(f"migas.{name}")
    if name == "__version__":
        from ._runtime.version import __version__

        return __version__
    if name in ("NoAnswerError", "get_sessions"):
        from ._agent import sessions

        return getattr(sessions, name)
    if name in __all__:
        from . import config

        return getattr(config, name)
    raise AttributeError(f"module 'migas' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return all names of the package, also those that are not loaded yet."""
    return sorted({*globals(), *__all__})


# A type checker would take every misspelt name for one that is loaded on first use.
if not TYPE_CHECKING:
    __getattr__ = _load
del TYPE_CHECKING

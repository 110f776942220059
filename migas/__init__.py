"""Count how often your package is used, with one line that your users can switch off.

A call of `add_project` returns at once; the breadcrumb is written to disk and sent in the
background. Nothing is loaded for that but what stands in this file. What else a name below takes is
loaded when it is first used.
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
    from ._runtime.version import __version__
    from .config import clear_user_id, notice, print_config, setup
del TYPE_CHECKING

__all__ = [
    "Receipt",
    "__version__",
    "add_breadcrumb",
    "add_project",
    "check_project",
    "clear_user_id",
    "flush",
    "get_usage",
    "notice",
    "print_config",
    "setup",
    "track",
    "track_exit",
]


def __getattr__(name: str) -> object:
    """Load what a host's one line does not need."""
    # Loaded on first use, since a host's one line needs none of it. Hosts of earlier clients expect
    # the modules to be attributes of the package.
    if name in ("config", "error", "operations"):
        import importlib

        return importlib.import_module(f"migas.{name}")
    if name == "__version__":
        from ._runtime.version import __version__

        return __version__
    if name in __all__:
        from . import config

        return getattr(config, name)
    raise AttributeError(f"module 'migas' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List also what is not loaded yet."""
    return sorted({*globals(), *__all__})

"""Usage telemetry that a Python package can carry: one line at import, nothing to notice."""

from .api import (
    add_breadcrumb,
    add_project,
    check_project,
    flush,
    get_usage,
    track,
    track_exit,
)
from .config import clear_user_id, notice, print_config, setup
from .receipt import Receipt
from .version import __version__

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
    # Earlier clients had these loaded; here they are once somebody looks.
    if name in ("error", "operations"):
        import importlib

        return importlib.import_module(f"migas.{name}")
    raise AttributeError(f"module 'migas' has no attribute {name!r}")

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
from .receipt import Receipt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import clear_user_id, notice, print_config, setup
    from .version import __version__
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

_MODULES = ("config", "error", "operations")


def __getattr__(name: str) -> object:
    # Loaded once somebody looks: a host's one line needs none of it. Earlier clients had the
    # modules loaded, too.
    if name not in (*_MODULES, *__all__):
        raise AttributeError(f"module 'migas' has no attribute {name!r}")
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"migas.{name}")
    home = "version" if name == "__version__" else "config"
    return getattr(importlib.import_module(f"migas.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Usage telemetry that a Python package can carry: one line at import, nothing to notice."""

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
    # Loaded once somebody looks: a host's one line needs none of it. Earlier clients had the
    # modules loaded, too.
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
    return sorted({*globals(), *__all__})

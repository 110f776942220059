"""Usage telemetry that a Python package can carry: one line at import, nothing to notice."""

from .api import (
    add_project,
    check_project,
    flush,
    get_usage,
    print_config,
    setup,
)
from .receipt import Receipt
from .version import __version__

__all__ = [
    "Receipt",
    "__version__",
    "add_project",
    "check_project",
    "flush",
    "get_usage",
    "print_config",
    "setup",
]

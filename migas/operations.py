"""What earlier clients kept here: the public functions that talk to the server."""

from .api import add_breadcrumb, add_project, check_project, get_usage

__all__ = ["add_breadcrumb", "add_project", "check_project", "get_usage"]

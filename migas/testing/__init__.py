"""A real local migas server, for trying things out and for tests."""

from .fault import Fault
from .listener import Request
from .server import Server

__all__ = ["Fault", "Request", "Server"]

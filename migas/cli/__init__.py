"""The command line: `migas`, or `python -m migas`."""

from .parser import main

__all__ = ["main"]

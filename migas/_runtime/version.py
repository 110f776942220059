"""The version of this package, which the build reads from this file."""

__version__ = "1.0.0.dev0"

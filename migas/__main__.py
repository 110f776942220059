# PYTHON_ARGCOMPLETE_OK
"""Runs the command line as `python -m migas`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Runs tests on an interpreter that few machines have, or says why not.

    python -m tests.interpreters NAME [pytest's options]

The interpreter and what it needs are fetched at the first time.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .debian import Debian
from .pypy import PyPy
from .windows import Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERPRETERS = (Debian, PyPy, Windows)


def main(arguments: Sequence[str]) -> int:
    """Run the tests and return pytest's exit status; 0 where they cannot be run."""
    known = {kind.name: kind for kind in _INTERPRETERS}
    if not arguments or arguments[0] not in known:
        print(f"usage: python -m tests.interpreters {{{','.join(known)}}} [pytest's options]")
        return 2
    interpreter = known[arguments[0]]()
    if obstacle := interpreter.prepare():
        print(f"the tests on {arguments[0]} are skipped: {obstacle}")
        return 0
    return interpreter.run(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

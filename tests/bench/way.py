"""Follow one breadcrumb: the files that it enters, and the state that it meets.

    python -m tests.bench.way

Counts, with a profile hook on every thread, the files of this package in which a function is
called from `add_project` to the server's answer, and how often a call goes from one file to
another. Then counts the attributes that the constructors of the pipeline's classes set.
"""

from __future__ import annotations

import ast
import os
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import migas
from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PACKAGE = Path(migas.__file__).parent

#: What a breadcrumb passes through, from the caller to the server.
PIPELINE = (
    "Agent",
    "Exit",
    "Worker",
    "Import",
    "Loader",
    "Writer",
    "Sender",
    "Uploader",
    "Listeners",
    "Lazy",
)

#: Set in the code of a function, and not in that of a module or of a class.
_NEWLOCALS = 0x2


class Way:
    """The files that are entered, and how often a thread goes from one to another."""

    def __init__(self) -> None:
        self.entered: Counter[str] = Counter()
        self.crossings = 0
        self._last: dict[int, str] = {}

    def note(self, frame: FrameType, event: str, _argument: object) -> None:
        """Note a call, as a profile function."""
        path = Path(frame.f_code.co_filename)
        if event != "call" or not frame.f_code.co_flags & _NEWLOCALS:
            return
        if PACKAGE not in path.parents or PACKAGE / "testing" in path.parents:
            return
        file = str(path.relative_to(PACKAGE))
        thread = threading.get_ident()
        self.crossings += self._last.get(thread, file) != file
        self._last[thread] = file
        self.entered[file] += 1


def follow() -> Way:
    """Send one breadcrumb to a local server, and return its way."""
    way = Way()
    with tempfile.TemporaryDirectory() as home, Server() as server:
        os.environ.update(HOME=home, XDG_CACHE_HOME=f"{home}/cache", XDG_CONFIG_HOME=f"{home}/c")
        migas.setup(endpoint=server.endpoint)
        threading.setprofile(way.note)
        sys.setprofile(way.note)
        answer = migas.add_project("owner/repo", "1.2.3").result(timeout=60)
        sys.setprofile(None)
        threading.setprofile(None)
        assert answer["success"], answer
    return way


def count_attributes() -> Iterator[tuple[str, int]]:
    """Yield each class of the pipeline with the number of attributes that its constructor sets."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name in PIPELINE:
                yield node.name, len(set(_find_attributes(node)))


def _find_attributes(node: ast.ClassDef) -> Iterator[str]:
    for function in node.body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            for inner in ast.walk(function):
                targets: list[Any] = []
                if isinstance(inner, ast.Assign):
                    targets = inner.targets
                elif isinstance(inner, ast.AnnAssign):
                    targets = [inner.target]
                for target in targets:
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    yield from (name.attr for name in names if isinstance(name, ast.Attribute))


def main() -> None:
    """Print both."""
    way = follow()
    print(f"{len(way.entered)} files, {way.crossings} times from one to another:")
    print(*sorted(way.entered), sep="\n")
    attributes = dict(count_attributes())
    print(f"\n{sum(attributes.values())} attributes: {attributes}")


if __name__ == "__main__":
    main()

"""Reads the Python examples of Markdown files, each file's as one module that checkers can read."""

from __future__ import annotations

import ast
import builtins
import doctest
from typing import TYPE_CHECKING

from support import find_examples

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: What an example may leave open without more words, and its type.
_KNOWN = {"__version__": "str"}

#: The names that a module has without an assignment.
_GIVEN = {*dir(builtins), "__file__", "__name__"}


def read_examples(path: Path) -> list[str]:
    """Return the Python examples of a Markdown file, without a session's prompts and output."""
    return list(_read_examples(path.read_text("utf-8")))


def declare(names: set[str]) -> str:
    """Return a stub that declares names which a module leaves open, as `main`."""
    lines = [f"{name}: {_KNOWN.get(name, 'Any')}" for name in sorted(names)]
    return "\n".join(["from typing import Any", f"__all__ = {sorted(names)}", *lines, ""])


def _read_examples(text: str) -> Iterator[str]:
    for code in find_examples(text, "python"):
        if ">>> " in code:
            examples = doctest.DocTestParser().get_examples(code)
            yield "".join(example.source for example in examples)
        else:
            yield code


def find_open_names(examples: Iterable[str]) -> set[str]:
    """Return the names that an example reads and neither it nor one before it gives a value to."""
    known = set(_GIVEN)
    found: set[str] = set()
    for code in examples:
        read, bound = _find_names(ast.parse(code))
        known |= bound
        found |= read - known
    return found


def _find_names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Return the names that are read in a tree, and those that are given a value."""
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return read, bound

"""Shadows: notices a module of the host's that bears the name of one that our threads need.

The directory of a script comes before the standard library on `sys.path`. So a `calendar.py` beside
the script is what `requests` would be given: the host's own code would run on our thread, which the
host has not asked for, and `requests` could not be imported all the same. What has a shadow is not
imported: then breadcrumbs stay on disk, for a process that starts elsewhere.

This module owns the names that are looked for. A module that the host has imported is no shadow any
more: its code has run. What may go wrong: a newer `requests` may need a name that is missing here.
Then the host's module is imported, as by any `import requests`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_shadow"]

#: What the writer needs of the standard library, on one Python or another.
_OF_WRITER = {
    *("binascii", "bisect", "bz2", "collections", "contextlib", "copy", "copyreg", "enum"),
    *("fnmatch", "functools", "glob", "grp", "ipaddress", "json", "keyword", "lzma", "math"),
    *("operator", "pathlib", "random", "re", "reprlib", "shutil", "tempfile", "urllib"),
    *("warnings", "weakref", "zlib"),
}

#: What the transport needs beside that.
_OF_TRANSPORT = {
    *("array", "ast", "base64", "calendar", "csv", "datetime", "dis", "email", "hashlib"),
    *("heapq", "hmac", "http", "importlib", "inspect", "linecache", "locale", "logging"),
    *("mimetypes", "opcode", "queue", "quopri", "select", "selectors", "socket", "ssl"),
    *("string", "stringprep", "struct", "textwrap", "token", "tokenize", "traceback"),
    *("typing", "unicodedata", "zipfile"),
}

#: What is installed beside migas, each as a directory: so a single file of that name is no such.
_PACKAGE_OF_WRITER = "platformdirs"
_PACKAGES = {
    *("certifi", "chardet", "charset_normalizer", "idna", "requests", "simplejson", "urllib3"),
    _PACKAGE_OF_WRITER,
}

#: Where the standard library lies; `""` if it is inside the program, as PyInstaller has it.
_LIBRARY = os.path.dirname(getattr(os, "__file__", ""))

#: What was found so far, by the entries looked through and `sends`: a home on a network is slow.
_found: dict[tuple[object, ...], str] = {}


def find_shadow(*, sends: bool) -> str:
    """Return the path of a module that hides one that is to be imported, or `""`.

    A process looks once through what is on `sys.path`.

    Parameters:
        sends: look for what the transport needs, too, and not only for what the writer needs.
    """
    entries = _list_entries()
    look = (*entries, sends)
    if look not in _found:
        wanted = _OF_WRITER | (_OF_TRANSPORT | _PACKAGES if sends else {_PACKAGE_OF_WRITER})
        _found[look] = next((path for entry in entries for path in _search(entry, wanted)), "")
    return _found[look]


def _search(entry: str, wanted: set[str]) -> Iterator[str]:
    """Yield the paths of modules that lie in a directory and have one of the names."""
    # The machinery is frozen into the interpreter: nothing can hide it.
    from importlib.machinery import PathFinder

    for name in sorted(wanted & _list_names(entry)):
        if name in sys.modules or name in sys.builtin_module_names:
            continue
        spec = PathFinder.find_spec(name, [entry])
        if spec is None or not spec.has_location:  # a mere directory
            continue
        if not (name in _PACKAGES and spec.submodule_search_locations):
            yield str(spec.origin)


def _list_entries() -> list[str]:
    """Return what comes before the standard library on `sys.path`."""
    entries: list[object] = list(sys.path)
    before = entries[: entries.index(_LIBRARY)] if _LIBRARY in entries else []
    return [entry for entry in before if isinstance(entry, str)]


def _list_names(entry: str) -> set[str]:
    """Return the names that a host's modules may have in a directory; `""` is where it works.

    None where packages are installed, as Lambda and clusters' module systems have it: what hides
    something there, as a backport does, is meant to.
    """
    try:
        if os.path.samefile(entry or os.curdir, _LIBRARY):
            return set()
        names = os.listdir(entry or os.curdir)
    except OSError:
        return set()
    if any(name.endswith(".dist-info") for name in names):
        return set()
    return {name.partition(".")[0] for name in names}

"""The shadow: a module beside the host's script that bears the name of one that our threads need.

The directory of the script comes first on `sys.path`, before the standard library. So a
`calendar.py` beside the script is what `requests` would be given: the host's own code would run on
our thread, which the host has not asked for, and `requests` could not be imported all the same.
What has a shadow is not imported. Then a breadcrumb stays on disk, for a process that starts
elsewhere; it is lost, as by that import, if what writes it has a shadow.

This module owns the names that are looked for, and where. A module that the host has imported is no
shadow any more: its code has run. What may go wrong: a shadow lies elsewhere on the path, is no
source file, or has a name that only some Pythons need. Then it is imported, as by any `import
requests`: to refuse what would have worked is worse.
"""

from __future__ import annotations

import os
import sys

from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_shadow"]

#: What the writer needs of the standard library, on each Python.
_OF_WRITER = {
    *("bisect", "collections", "contextlib", "copyreg", "enum", "functools", "json", "keyword"),
    *("math", "operator", "random", "re", "reprlib"),
}

#: What the transport needs beside that.
_OF_TRANSPORT = {
    *("base64", "binascii", "bz2", "calendar", "copy", "datetime", "email", "fnmatch", "hashlib"),
    *("heapq", "hmac", "http", "importlib", "ipaddress", "locale", "logging", "lzma"),
    *("mimetypes", "pathlib", "queue", "quopri", "select", "selectors", "shutil", "socket"),
    *("ssl", "string", "stringprep", "struct", "tempfile", "textwrap", "token", "tokenize"),
    *("traceback", "typing", "unicodedata", "urllib", "warnings", "weakref", "zipfile", "zlib"),
}

#: What `requests` needs or asks for of what is installed; a directory of one of the last may be it.
_FILES = {"brotli", "brotlicffi", "socks"}
_DIRECTORIES = {
    *("certifi", "chardet", "charset_normalizer", "idna", "requests", "simplejson", "urllib3"),
}

#: The names in the script's directory, and which directory it was at which time.
_listed: tuple[object, frozenset[str]] = (None, frozenset())


def find_shadow(*, sends: bool) -> str:
    """Return the path of a module that hides one that is to be imported, or `""`.

    Parameters:
        sends: look for what the transport needs, too, and not only for what the writer needs.
    """
    try:
        return next(_search(*_find_script_directory(), sends=sends), "")
    except Exception as error:  # no such directory, or a host has replaced what looks at it
        reraise_from_handler(error)
        return ""


def _find_script_directory() -> tuple[str, frozenset[str]]:
    """Return what Python has put first on `sys.path`, and the names there; none if it is not ours.

    Not where packages are installed, as by `pip install --target`: what hides something there, as a
    backport does, is meant to. And not the standard library, where a script may lie as well.
    """
    global _listed  # a home on a network is listed once, until it changes
    place = os.path.abspath(sys.path[0])
    status = os.stat(place)
    if sys.flags.safe_path or os.path.samestat(status, os.stat(os.path.dirname(os.__file__))):
        return place, frozenset()
    state = status.st_dev, status.st_ino, status.st_mtime_ns
    last, names = _listed
    if state != last:
        names = frozenset(os.listdir(place))
        _listed = state, names
    is_installed = any(name.endswith(".dist-info") for name in names)
    return place, frozenset() if is_installed else names


def _search(place: str, names: frozenset[str], *, sends: bool) -> Iterator[str]:
    """Yield the source files of modules that have one of the names we look for."""
    wanted = _OF_WRITER | (_OF_TRANSPORT | _FILES | _DIRECTORIES if sends else set())
    for name in sorted(wanted.difference(sys.builtin_module_names)):
        if name in sys.modules:
            continue
        if name in names and name not in _DIRECTORIES:
            path = os.path.join(place, name, "__init__.py")
            if os.path.isfile(path):
                yield path
        if f"{name}.py" in names:
            yield os.path.join(place, f"{name}.py")

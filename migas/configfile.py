"""The configuration file that a host may keep for `setup()`: three values as JSON."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

from . import log

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = ("endpoint", "user_id", "session_id")


def read(filename: str | os.PathLike[str]) -> dict[str, str]:
    """Return what the file says; nothing where there is none or it makes no sense."""
    try:
        with open(filename, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.say(log.WARNING, "%s is ignored: %s", os.fspath(filename), error)
        return {}
    if not isinstance(content, dict):
        log.say(log.WARNING, "%s is ignored: it holds no JSON object", os.fspath(filename))
        return {}
    return {name: content[name] for name in NAMES if isinstance(content.get(name), str)}


def write(filename: str | os.PathLike[str], values: Mapping[str, str]) -> None:
    """Write the file whole or not at all."""
    path = os.fspath(filename)
    draft = f"{path}.{os.getpid()}.tmp"
    try:
        with open(draft, "w", encoding="utf-8") as file:
            json.dump({name: values.get(name) for name in NAMES}, file, indent=2)
        os.replace(draft, path)
    except OSError as error:
        log.say(log.WARNING, "%s cannot be written: %s", path, error)
        with contextlib.suppress(OSError):
            os.unlink(draft)

"""The public functions that set up and look."""

from __future__ import annotations

import contextlib
import json
import os

from ._agent.process import here
from ._runtime import log
from ._runtime.optout import find_optout
from ._runtime.settings import parse_endpoint, parse_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._runtime.settings import BeforeSend

_PARSERS: Mapping[str, Callable[[str], str]] = {
    "endpoint": parse_endpoint,
    "user_id": parse_id,
    "session_id": parse_id,
}


def setup(
    *,
    endpoint: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    filename: str | os.PathLike[str] | None = None,
    save_config: bool = False,
    before_send: BeforeSend | None = None,
) -> None:
    """Say what the environment and the defaults are not to decide; optional.

    What is given goes before the environment, but nothing goes before an opt-out.

    Parameters:
        endpoint: the server's http or https address, with or without `/graphql`.
        user_id: a UUID in place of the anonymous id of this user.
        session_id: a UUID for this run.
        filename: a JSON file that holds any of the three; what is passed here goes before it.
        save_config: write the three to ``filename``.
        before_send: a function that is called with the fields of each breadcrumb, as a dict,
            before it is written anywhere. It returns them as they are to be told, or None: nothing
            is told. Should it fail, nothing is told either, and a WARNING in the log says so once.
            It runs on a thread of the agent's or on the caller's, and must not add any itself.

    A value that makes no sense is ignored, with one warning in the log.

    Example:
        >>> setup(session_id="3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11")
    """
    given = {"endpoint": endpoint, "user_id": user_id, "session_id": session_id}
    values = {name: str(value) for name, value in given.items() if value is not None}
    if filename is not None:
        values = {**_read_file(filename), **values}
    sound = {name: _parse(name, value) for name, value in values.items()}
    values = {name: value for name, value in sound.items() if value is not None}
    if filename is not None and save_config and not find_optout(os.environ):
        _write_file(filename, values)
    hook = _check_hook(before_send)
    here().setup(values if hook is None else {**values, "before_send": hook})


def print_config() -> None:
    """Print what breadcrumbs of this process say, and to whom; makes and sends nothing.

    Example:
        >>> print_config()  # doctest: +ELLIPSIS
        endpoint: ...
    """
    from ._delivery.writer import describe

    settings = here().use_settings()
    print(f"endpoint: {settings.endpoint}")
    print(f"switched off by: {find_optout(os.environ) or 'nothing'}")
    for name, value in describe(settings).items():
        print(f"{name}: {value}")


def clear_user_id() -> bool:
    """Forget the anonymous id of this user; the next breadcrumb makes a new one.

    Returns:
        Whether no id is left on disk: False where a file cannot be removed.

    Example:
        >>> clear_user_id()
        True
    """
    from ._disk.directory import find_config, find_earlier_config
    from ._disk.user_id import clear

    cleared = [clear(directory) for directory in (find_config(), find_earlier_config())]
    here().setup({})
    return all(cleared)


def notice() -> str:
    """Return two lines with which a host may tell its users of its telemetry, where it likes.

    Nothing is printed by itself.

    Example:
        >>> print(notice())
        Anonymous usage statistics are sent to the developers of this software, by migas.
        To switch that off set MIGAS_OPTOUT=1 or run `migas optout`; `migas show` says what is sent.
    """
    return (
        "Anonymous usage statistics are sent to the developers of this software, by migas.\n"
        "To switch that off set MIGAS_OPTOUT=1 or run `migas optout`; `migas show` says what is"
        " sent."
    )


def _check_hook(hook: object) -> object:
    if hook is None or callable(hook):
        return hook
    log.say(log.WARNING, "before_send is ignored: it cannot be called")
    return None


def _parse(name: str, value: str) -> str | None:
    try:
        return _PARSERS[name](value)
    except ValueError as error:
        log.say(log.WARNING, "%s is ignored: %s", name, error)
        return None


#: What a configuration file holds.
_NAMES = ("endpoint", "user_id", "session_id")


def _read_file(filename: str | os.PathLike[str]) -> dict[str, str]:
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
    return {name: content[name] for name in _NAMES if isinstance(content.get(name), str)}


def _write_file(filename: str | os.PathLike[str], values: Mapping[str, str]) -> None:
    """Write the file whole or not at all."""
    path = os.fspath(filename)
    draft = f"{path}.{os.getpid()}.tmp"
    try:
        with open(draft, "w", encoding="utf-8") as file:
            json.dump({name: values.get(name) for name in _NAMES}, file, indent=2)
        os.replace(draft, path)
    except OSError as error:
        log.say(log.WARNING, "%s cannot be written: %s", path, error)
        with contextlib.suppress(OSError):
            os.unlink(draft)

"""The configuration: the public functions that set up and show what breadcrumbs say, and to whom.

They own nothing: settings belong to the process, and the id to its file. What may go wrong: a value
or a file makes no sense, which is one warning in the log; and there may be no home directory, and
so no file to keep an id in.
"""

from __future__ import annotations

import contextlib
import json
import os

from ._agent.process import current_process
from ._runtime import log
from ._runtime.identifier import parse_id
from ._runtime.optout import find_optout, switch
from ._runtime.settings import hide_credentials, parse_endpoint
from ._runtime.signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal, TypeAlias

    from .typedefs import BeforeSend

    Style: TypeAlias = Literal["short", "text", "markdown", "rst"]

#: What a configuration file holds, and how each value is read.
_PARSERS: Mapping[str, Callable[[str], str]] = {
    "endpoint": parse_endpoint,
    "user_id": parse_id,
    "session_id": parse_id,
}

#: Characters of a configuration file that are read; a sound one has some two hundred.
_FILE_SIZE = 65536


def setup(
    *,
    enabled: bool | None = None,
    endpoint: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    filename: str | os.PathLike[str] | None = None,
    save_config: bool = False,
    before_send: BeforeSend | None = None,
) -> None:
    """Override environment variables and defaults, from now on. Optional.

    An opt-out is not overridden. A value that makes no sense is ignored, with one warning in the
    log; but an ``endpoint`` that makes none switches everything off.

    Parameters:
        enabled: False switches this process off, and what it starts, by `MIGAS_OPTOUT` in the
            process's own environment: for a switch such as `--notrack`. True takes that back. What
            was reported before and is on disk stays there, and a later process sends it.
        endpoint: the server's http or https address, with or without `/graphql`.
        user_id: a UUID in place of the user id of this user.
        session_id: a UUID for this run.
        filename: a JSON file that holds any of the three; what is passed here goes before it.
        save_config: write the three to ``filename``.
        before_send: a function that gets the fields of each breadcrumb, as a dict, before it is
            written anywhere, and returns the fields to send, or None to drop the breadcrumb. If it
            raises, the breadcrumb is dropped, and a WARNING in the log says so once. It runs on one
            of our threads or on the caller's, and must not add any breadcrumb itself.

    What is passed holds until another call passes something else for it.

    Raises:
        TypeError: ``filename`` is no path. A file that cannot be read or written raises nothing: a
            WARNING in the log names it.

    Example:
        >>> setup(session_id="3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11")
    """
    if enabled is not None:
        switch(os.environ, on=enabled)
    given = {"endpoint": endpoint, "user_id": user_id, "session_id": session_id}
    values = {name: str(value) for name, value in given.items() if value is not None}
    if filename is not None:
        values = {**_read_file(filename), **values}
    sound = {name: _parse(name, value) for name, value in values.items()}
    values = {name: value for name, value in sound.items() if value is not None}
    if filename is not None and save_config and not find_optout(os.environ):
        _write_file(filename, {name: value for name, value in values.items() if value})
    hook = _check_hook(before_send)
    current_process().setup(values if hook is None else {**values, "before_send": hook})


def print_config() -> None:
    """Print what the breadcrumbs of this process say, and to whom; nothing is made or sent.

    Example:
        >>> print_config()  # doctest: +ELLIPSIS
        endpoint: ...
    """
    from ._delivery.defaults import describe_breadcrumb

    settings = current_process().use_settings()
    print(f"endpoint: {hide_credentials(settings.endpoint)}")
    print(f"switched off by: {current_process().find_refusal() or 'nothing'}")
    for name, value in describe_breadcrumb(settings).items():
        print(f"{name}: {value}")


def clear_user_id() -> bool:
    """Remove the user id of this user; the next breadcrumb makes a new one.

    Breadcrumbs that were sent stay on the server under the old one. As root in the home of another
    user, nothing is removed.

    Returns:
        True if no id is left on disk, False if a file could not be removed.

    Example:
        >>> clear_user_id()
        True
    """
    from ._disk import user_id
    from ._disk.directory import find_config, find_earlier_config
    from ._disk.home import is_foreign

    directories = [find_config(), find_earlier_config()]
    if is_foreign():
        return not any(map(user_id.read, directories))
    cleared = [user_id.clear(directory) for directory in directories]
    current_process().setup({})
    return all(cleared)


def notice(
    style: Style = "short",
    *,
    project: str = "",
    operator: str = "",
    retention: str = "",
    contact: str = "",
) -> str:
    """Return a text by which a package informs its users of its telemetry, where it likes.

    Nothing is printed by itself. `migas notice` prints the same on the command line.

    Parameters:
        style: `short` for two lines, for a program's own output; `text`, `markdown` or `rst` for a
            text with a list of all fields that are sent, for a package's documentation.
        project: the package's name; `""`: `this software`.
        operator: who runs the server. This and the next two stand in the long styles only, in which
            a blank, such as `[who runs the server]`, stands for what is `""`.
        retention: how long records are kept, such as `two years`.
        contact: whom to ask for deletion: a name, an address of mail or of the web.

    Returns:
        The text, without a line feed at its end.

    Raises:
        ValueError: there is no such style.

    Example:
        >>> print(notice())
        Usage statistics are sent to the developers of this software, by migas.
        To switch that off set MIGAS_OPTOUT=1 or run `migas optout`; `migas show` says what is sent.
        >>> text = notice("rst", project="hostpkg", contact="privacy@example.org")
        >>> "- ``project``: the package that is used, as owner/repo" in text
        True
    """
    from ._crumb.notice import write_notice

    return write_notice(
        style, project=project, operator=operator, retention=retention, contact=contact
    )


def _check_hook(hook: object) -> object:
    if hook is None or callable(hook):
        return hook
    log.say(log.WARNING, "before_send is ignored: it cannot be called")
    return None


def _parse(name: str, value: str) -> str | None:
    """Return a sound value in its canonical form, or None, with a warning.

    An endpoint that makes no sense is `""`, which switches everything off: nobody knows where the
    data were to go.
    """
    try:
        return _PARSERS[name](value)
    except ValueError as error:
        reraise_from_handler(error)
        effect = "switches everything off" if name == "endpoint" else "is ignored"
        log.say(log.WARNING, "%s %s: %s", name, effect, error)
        return "" if name == "endpoint" else None


def _read_file(filename: str | os.PathLike[str]) -> dict[str, str]:
    """Return the values that a file holds; none if there is no file or it makes no sense."""
    path = os.fspath(filename)
    try:
        # Without a wait for a FIFO's other end. An editor may have begun the text with a BOM.
        with open(path, encoding="utf-8-sig", opener=_open_at_once) as file:
            content = json.loads(file.read(_FILE_SIZE))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:  # the last for deep brackets
        reraise_from_handler(error)
        log.say(log.WARNING, "%s is ignored: %s", path, error)
        return {}
    if not isinstance(content, dict):
        log.say(log.WARNING, "%s is ignored: it holds no JSON object", path)
        return {}
    return {name: content[name] for name in _PARSERS if isinstance(content.get(name), str)}


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _write_file(filename: str | os.PathLike[str], values: Mapping[str, str]) -> None:
    """Write the file whole or not at all; another process may read it at any time."""
    path = os.fspath(filename)
    draft = f"{path}.{os.urandom(4).hex()}.tmp"
    try:
        # "x", since somebody else may have put a link of that name there.
        with open(draft, "x", encoding="utf-8") as file:
            json.dump({name: values.get(name) for name in _PARSERS}, file, indent=2)
        os.replace(draft, path)
    except (OSError, ValueError) as error:  # the latter for a NUL, or what is no character
        if not isinstance(error, FileExistsError):
            with contextlib.suppress(OSError, ValueError):
                os.unlink(draft)
        reraise_from_handler(error)
        log.say(log.WARNING, "%s cannot be written: %s", path, error)

"""The settings: reads the `MIGAS_*` variables and the arguments of `setup()`, and freezes them.

This module owns the defaults and the bounds of every setting, the form of endpoints, and the
variables that child processes inherit. `import migas` loads it, so it imports only modules that
each interpreter has loaded already.

What may go wrong: a variable may hold anything. A value that cannot be used is left out, and one
problem for the log says why.
"""

from __future__ import annotations

import os

from .identifier import make_id, parse_id
from .launch import find_part
from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from typing import TypeVar

    from migas.typedefs import BeforeSend

    from .launch import Part

    T = TypeVar("T")

DEFAULT_ENDPOINT = "https://migas.nipreps.org/graphql"
DEFAULT_TIMEOUT = 5.0
DEFAULT_EXIT_TIMEOUT = 1.0

#: The variables by which children inherit server, user, run, spool, and what has been reported.
HANDED_DOWN = (
    *("MIGAS_ENDPOINT", "MIGAS_USER_ID", "MIGAS_SESSION_ID", "MIGAS_CACHE_DIR"),
    *("MIGAS_LAUNCH", "MIGAS_TOLD"),
)

#: The longest wait that a variable can set, in seconds. `threading` overflows far above it.
MAX_TIMEOUT = 3600.0

#: The default bounds of the spool, and the lowest that a variable can set: it is divided in shares.
DEFAULT_SPOOL_COUNT, LEAST_SPOOL_COUNT = 10_000, 100
DEFAULT_SPOOL_BYTES, LEAST_SPOOL_BYTES = 20_000_000, 1_000_000
DEFAULT_SPOOL_DAYS = 30.0

#: What children of a process get for an address that cannot be used or handed down: no server, and
#: not the default one.
_UNUSABLE = "unusable"

_LEVELS = {
    "CRITICAL": 50,
    "FATAL": 50,
    "ERROR": 40,
    "WARNING": 30,
    "WARN": 30,
    "INFO": 20,
    "DEBUG": 10,
    "NOTSET": 0,
}


class Settings:
    """The settings of one process, frozen.

    Parameters:
        given: any of the fields below, by name. Raises `TypeError` for another name.

    Example:
        >>> Settings.from_env({"MIGAS_ENDPOINT": "http://localhost:8000/"}).endpoint
        'http://localhost:8000/graphql'
        >>> Settings(timeout=2.0).exit_timeout
        1.0
    """

    #: The server's GraphQL address; `""` if what was given is none.
    endpoint: str = DEFAULT_ENDPOINT
    #: Seconds to wait for the server in all, 0 to 3600. With 0 nothing is sent.
    timeout: float = DEFAULT_TIMEOUT
    #: Seconds that the interpreter's exit may take, 0 to 3600.
    exit_timeout: float = DEFAULT_EXIT_TIMEOUT
    #: The level of the agent's own log, as in `logging`. None: nothing is shown.
    log_level: int | None = None
    #: The directory that holds the spools. None: the user's cache directory.
    cache_dir: str | None = None
    #: The bounds of the spool: breadcrumbs, bytes, and days of age.
    spool_count: int = DEFAULT_SPOOL_COUNT
    spool_bytes: int = DEFAULT_SPOOL_BYTES
    spool_days: float = DEFAULT_SPOOL_DAYS
    #: Print breadcrumbs instead of sending them.
    dry_run: bool = False
    #: The host's own id for its user, a UUID, if it has one.
    user_id: str | None = None
    #: The id of this run, a UUID: the host's own, its parent's, its launch's or a random one.
    session_id: str
    #: The part that this process has in that run. None: it was not looked for.
    part: Part | None = None
    #: The host's function that returns each breadcrumb as it is sent, or None to drop it.
    before_send: BeforeSend | None = None
    #: The variables that were ignored, and why, for the log.
    problems: tuple[str, ...] = ()

    def __init__(self, **given: object) -> None:
        if unknown := given.keys() - Settings.__annotations__.keys():
            raise TypeError(f"there are no settings named {sorted(unknown)}")
        # Not by attribute, which `__setattr__` refuses: threads read settings without a lock.
        vars(self).update(given, session_id=given.get("session_id") or make_id())

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Settings are frozen: {name}")

    @property
    def off_by(self) -> str:
        """What switches everything off, or `""`: nobody knows where the data were to go."""
        return "" if self.endpoint else "MIGAS_ENDPOINT, which is no http or https address"

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str],
        setup: Mapping[str, object] = {},
        part: Part | None = None,
    ) -> Settings:
        """Return the settings by the arguments of `setup()`, then ``environ``, then the defaults.

        A variable whose value cannot be used is left out and named in ``problems``. The part in
        a run is looked for, unless this process has found it already.
        """
        variables = _Variables(environ)
        read = variables.read
        session = read("MIGAS_SESSION_ID", parse_id)
        if part is None:
            part = find_part(environ, session)
        given: dict[str, object] = {
            "endpoint": read("MIGAS_ENDPOINT", parse_endpoint, "switches everything off", ""),
            "timeout": read("MIGAS_TIMEOUT", _parse_seconds),
            "exit_timeout": read("MIGAS_EXIT_TIMEOUT", _parse_seconds),
            "spool_count": read("MIGAS_SPOOL_COUNT", _parse_least(LEAST_SPOOL_COUNT)),
            "spool_bytes": read("MIGAS_SPOOL_BYTES", _parse_least(LEAST_SPOOL_BYTES)),
            "spool_days": read("MIGAS_SPOOL_DAYS", _parse_days),
            "user_id": read("MIGAS_USER_ID", parse_id),
            "session_id": part.session_id or session,
            "part": part,
            "log_level": read("MIGAS_LOG_LEVEL", _parse_level),
            "cache_dir": read("MIGAS_CACHE_DIR", _find_path),
            "dry_run": bool(environ.get("MIGAS_DRY_RUN")),
            **{name: value for name, value in setup.items() if value is not None},
            "problems": tuple(variables.problems),
        }
        return cls(**{name: value for name, value in given.items() if value is not None})

    def hand_down(self, environ: MutableMapping[str, str]) -> None:
        """Set the server, the session id and what else is not the default, for children.

        They may run in another directory, so a path is handed down whole.
        """
        for name, value, default in (
            ("MIGAS_ENDPOINT", self.endpoint or _UNUSABLE, DEFAULT_ENDPOINT),
            ("MIGAS_USER_ID", self.user_id, None),
            ("MIGAS_SESSION_ID", self.session_id, None),
            ("MIGAS_CACHE_DIR", self.cache_dir, None),
            ("MIGAS_LAUNCH", self.part.handed_down if self.part else None, None),
        ):
            # Only if it differs: C code on another thread may read the environment at this moment.
            if value is not None and environ.get(name, default) != value:
                try:
                    environ[name] = value
                except UnicodeEncodeError:  # a server's name, where the locale lacks a letter of it
                    environ[name] = _UNUSABLE


class _Variables:
    """Reads variables, and notes which of them cannot be used, and why."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def read(
        self,
        name: str,
        parse: Callable[[str], T],
        effect: str = "is ignored",
        otherwise: T | None = None,
    ) -> T | None:
        """Return a variable's value, None if it is not set, or ``otherwise`` if it makes no sense.

        ``effect`` says in words what becomes of one that makes no sense.
        """
        text = self._environ.get(name, "").strip()
        if not text:
            return None
        try:
            return parse(text)
        except ValueError as error:
            reraise_from_handler(error)
            self.problems.append(f"{name} {effect}: {error}")
            return otherwise


def parse_endpoint(text: str) -> str:
    """Return the server's address with `/graphql` at its end.

    Raises:
        ValueError: ``text`` is no http or https address.
    """
    address = text.strip()
    scheme, separator, rest = address.partition("://")
    authority = _find_authority(rest)
    host = authority.rpartition("@")[2]
    named = host.partition(":")[0] if not host.startswith("[") else host
    if scheme.lower() not in ("http", "https") or not separator or not named:
        raise ValueError(f"{hide_credentials(text)!r} is no http or https address")
    if _may_hold_password(authority, rest):
        what = "may have a password: in one / is written %2F, ? is %3F, and # is %23"
        raise ValueError(f"{hide_credentials(text)!r} {what}")
    if any(character.isspace() or ord(character) < 33 for character in address):
        raise ValueError(f"{hide_credentials(text)!r} holds a space or a control character")
    if not address.isprintable():  # such as a byte of the environment's that is no UTF-8
        raise ValueError(f"{hide_credentials(text)!r} holds what is no character")
    address = address.rstrip("/")
    return address if address.endswith("/graphql") else f"{address}/graphql"


def _find_path(text: str) -> str:
    # A shell expands `~` only where it is not quoted, and a file of variables is read by no shell.
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise ValueError(f"{text!r} names no home directory")
    # At once, since the host may change its current directory later, as daemons do.
    try:
        return os.path.abspath(path)
    except OSError as error:
        reraise_from_handler(error)
        raise ValueError(f"there is no current directory: {error}") from None


def _parse_seconds(text: str) -> float:
    return min(_parse_number(text, "seconds"), MAX_TIMEOUT)


def _parse_days(text: str) -> float:
    return _parse_number(text, "days")


def _parse_number(text: str, unit: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        reraise_from_handler(error)
        raise ValueError(f"{text!r} is no number of {unit}") from None
    if not number >= 0:  # NaN compares false
        raise ValueError(f"{text!r} is no number of {unit} >= 0")
    return number


def _parse_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ValueError(f"{text!r} is no whole number >= {least}")
        return int(text)

    return parse


def _parse_level(text: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return _LEVELS[text.upper()]
    except KeyError:
        raise ValueError(f"{text!r} is no logging level") from None


def hide_credentials(endpoint: str) -> str:
    """Return an endpoint without the user name and the password that it may hold.

    All that is shown or kept uses it: messages, file names, `status`. If the text is no address, or
    may have a slash in its password, all up to the last `@` is left out.

    Example:
        >>> hide_credentials("https://user:secret@example.org:8000/graphql")
        'https://example.org:8000/graphql'
    """
    scheme, separator, rest = endpoint.partition("://")
    authority = _find_authority(rest)
    host = authority.rpartition("@")[2]
    port = host.rpartition("]")[2].partition(":")[2]
    if not separator:
        return endpoint.rpartition("@")[2]
    if not host or not (port or "0").isdecimal() or _may_hold_password(authority, rest):
        return f"{scheme}://{rest.rpartition('@')[2]}"
    return f"{scheme}://{host}{rest[len(authority) :]}"


def _find_authority(rest: str) -> str:
    """Return user, password, host and port, of what stands in an address behind `://`."""
    for mark in "/?#":  # what ends it (RFC 3986, 3.2)
        rest = rest.partition(mark)[0]
    return rest


def _may_hold_password(authority: str, rest: str) -> bool:
    """Return True if what looks like a port may begin a password that holds one of those marks.

    As in `anna:2024/secret@example.org`, and not in `example.org:8000/@anna`.
    """
    before, found, _ = rest[len(authority) :].partition("@")
    return bool(found) and ":" in authority and not before.endswith("/")

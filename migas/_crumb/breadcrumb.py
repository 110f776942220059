"""The breadcrumb: one usage record, the limits of its fields, and its form on disk.

In other tools a breadcrumb is a trail of events. Here it is one record that a program ran.

This module owns what each field may hold. If one field is not as the server's database wants it,
the server answers `success`, stores nothing of that breadcrumb, and drops every later breadcrumb of
the same request (measured on server 0.9.0). So `sanitize` corrects or drops every value that a
caller passes, and nothing reaches the disk or the server without it.

What may go wrong: the file of a breadcrumb may be truncated, foreign, or written by a newer version
of migas. `decode` raises `ValueError` for all three.
"""

from __future__ import annotations

import json
from functools import partial

from migas._runtime.callback import call_host
from migas._runtime.identifier import parse_id
from migas._runtime.namedtuple import NamedTuple
from migas._runtime.signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The header by which a server says that it derives a place: `true` or `false`.
PLACE_HEADER = "X-Backend-Geolocation"

#: The version of the form on disk. A reader leaves records of an unknown version to a newer migas.
FORMAT = 1

#: Limits in characters: the widths of the columns of the server's database.
MAX_VERSION, MAX_LANGUAGE, MAX_PLATFORM = 24, 32, 64

#: Limits in bytes of JSON text, so that the largest request for one breadcrumb stays below 2,500
#: bytes: the hosted server answers 413 to anything longer.
MAX_PROJECT, MAX_STATUS_DESC, MAX_ERROR_TYPE, MAX_ERROR_DESC = 160, 320, 160, 960

#: The server's word for each word, in lower case, that a caller may use.
STATUSES = {
    **dict.fromkeys(("r", "running", "pending"), "R"),
    **dict.fromkeys(("c", "completed", "success"), "C"),
    **dict.fromkeys(("f", "failed", "error"), "F"),
    **dict.fromkeys(("s", "suspended"), "S"),
}
CONTAINERS = {
    "unknown": "unknown",
    "docker": "docker",
    "podman": "docker",
    "apptainer": "apptainer",
    "singularity": "apptainer",
}
USER_TYPES = {"general": "general", "dev": "dev", "ci": "ci"}
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class Breadcrumb(NamedTuple):
    """One record of a run, or of one step of a run, of one project. Only `sanitize` makes it."""

    #: `owner/repo` at GitHub.
    project: str
    #: The project's version, at most `MAX_VERSION` characters.
    project_version: str
    #: The programming language that reports, and the version of its interpreter.
    language: str
    language_version: str
    #: `sys.platform` of the machine.
    platform: str
    #: `docker`, `apptainer` or `unknown`.
    container: str
    #: True if the program runs in a continuous integration service.
    is_ci: bool
    #: `R`unning, `C`ompleted, `F`ailed or `S`uspended.
    status: str
    #: What the status means, in the host's own words.
    status_desc: str | None
    #: The class of the exception that ended the run.
    error_type: str | None
    #: The text of that exception; both ends of it, if it is long.
    error_desc: str | None
    #: `general`, `dev` or `ci`.
    user_type: str
    #: The user: a UUID in its canonical form.
    user_id: str | None
    #: The run with all its worker processes: a UUID in its canonical form.
    session_id: str | None


class Sanitized(NamedTuple):
    """A breadcrumb that the server can store, with a list of what `sanitize` changed."""

    breadcrumb: Breadcrumb
    #: One phrase for each change, for the log. None holds a value, since values may be private.
    changes: tuple[str, ...]


def sanitize(
    project: object,
    project_version: object,
    fields: Mapping[str, object],
    defaults: Mapping[str, object],
    redact: Callable[[str], str] = str,
) -> Sanitized:
    """Turn what a caller passed into a breadcrumb that the server can store.

    Never raises: a value that cannot be corrected is dropped, and its default is used.

    Parameters:
        project: `owner/repo` at GitHub. Any object: what is no text is written as text.
        project_version: the project's version. Any object; None and an empty text become `unknown`.
        fields: the other fields of `Breadcrumb` by their names, any objects. None means that the
            caller did not pass the field; an unknown name is dropped.
        defaults: what the agent found out itself, by field; already correct.
        redact: removes what is private from the texts about the run. It runs before a text is
            cut, since a cut could leave half a name that nobody would recognise.

    Returns:
        The breadcrumb, and a phrase for each field that was changed or dropped.

    Example:
        >>> crumb, changes = sanitize("owner/repo", 1.5, {"status": "failed", "colour": "red"}, {})
        >>> crumb.project_version, crumb.status, crumb.container
        ('1.5', 'F', 'unknown')
        >>> changes
        ('colour left out: unknown field', 'status changed', 'project_version changed')
    """
    changes = [f"{name} left out: unknown field" for name in fields if name not in _SANITIZERS]
    values: dict[str, object] = {**_BLANK, **defaults}
    passed = {name: value for name, value in fields.items() if name in _SANITIZERS}
    passed.update(project=project, project_version=project_version)
    for name, value in passed.items():
        if value is None and name not in _REQUIRED:
            continue
        # What is no text runs code of the caller's: its `__str__`, or its `__bool__`.
        call = _sanitize if type(value) is str else partial(call_host, _sanitize)
        try:
            values[name] = sanitized = call(name, value, redact)
        except Exception as error:  # str() and bool() of a caller's object may raise anything
            reraise_from_handler(error)
            changes.append(f"{name} left out: {_explain(error)}")
            continue
        # The types first: to compare with a caller's object may raise as well (NumPy's arrays do).
        if type(sanitized) is not type(value) or sanitized != value:
            changes.append(f"{name} changed")
    return Sanitized(Breadcrumb(**values), tuple(changes))  # type: ignore[arg-type]


def _sanitize(name: str, value: object, redact: Callable[[str], str]) -> object:
    public = redact(_clean(value)) if name in _TEXTS else value
    return _SANITIZERS[name](public)


def encode(breadcrumb: Breadcrumb) -> bytes:
    """Write a breadcrumb as one line of ASCII JSON, with the version of that form in `format`."""
    record = {"format": FORMAT, **breadcrumb._asdict()}
    return (json.dumps(record, separators=(",", ":")) + "\n").encode("ascii")


def decode(data: bytes) -> Breadcrumb:
    """Return the breadcrumb that `encode` wrote as ``data``.

    Its values are sanitized once more, since anybody may have edited the file. Raises `ValueError`
    if ``data`` is truncated, of another `format`, or has a field too few or too many.
    """
    record = json.loads(data)
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        raise ValueError("no breadcrumb of a format that this version reads")
    try:
        fields = {name: record.pop(name) for name in Breadcrumb._fields}
    except KeyError as error:
        raise ValueError(f"the breadcrumb lacks {error}") from None
    sanitized = sanitize(fields.pop("project"), fields.pop("project_version"), fields, {})
    if record:
        raise ValueError("the breadcrumb holds what no breadcrumb holds")
    return sanitized.breadcrumb


def keep_ends(text: str, limit: int) -> str:
    """Cut the middle out of a text of more than ``limit`` bytes of JSON; ``limit`` is 11 or more.

    A traceback begins with where the error began, and ends with the error itself. Both ends are
    kept, two thirds of the room for the second one.

    Example:
        >>> keep_ends("Traceback of an error that is long: ValueError: no", 25)
        'Traceb ... ValueError: no'
    """
    shown, kept = text, limit - len(_GAP)
    while (excess := _count_bytes(shown) - limit) > 0:
        if shown is not text:
            kept -= max(1, excess // 6)  # see _limit_bytes()
        shown = text[: kept // 3] + _GAP + text[kept // 3 - kept :]
    return shown


def _explain(error: Exception) -> str:
    """Return why a value was dropped: our own words, or the class alone of a foreign exception."""
    return str(error) if isinstance(error, ValueError) else type(error).__name__


def _clean(value: object) -> str:
    """Return a value as text without NUL and lone surrogates: PostgreSQL stores neither."""
    text = value if isinstance(value, str) else str(value)
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _limit_bytes(limit: int) -> Callable[[object], str]:
    """Return a sanitizer that cuts a text to ``limit`` bytes of JSON."""

    def cut(value: object) -> str:
        text = _clean(value)[:limit]
        # One character takes six bytes at most (`\u0001`), so no step cuts more than it must.
        while (excess := _count_bytes(text) - limit) > 0:
            text = text[: -max(1, excess // 6)]
        return text

    return cut


def _count_bytes(text: str) -> int:
    """Return how many bytes a text takes in JSON, without its two quotation marks."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def _limit_version(value: object) -> str:
    """Return a version cut to the server's column, or `unknown` if nothing is left of it."""
    text = "" if value is None else _clean(value)
    # The cut may leave a space at the end; a second strip, or decode(encode(x)) would not be x.
    return text.strip()[:MAX_VERSION].strip() or "unknown"


def _limit_language(value: object) -> str:
    """Return a language's name cut to the server's column. Raises `ValueError` if it is empty."""
    text = _clean(value)[:MAX_LANGUAGE]
    if not text:
        raise ValueError("empty")
    return text


def _choose_from(words: Mapping[str, str]) -> Callable[[object], str]:
    """Return a sanitizer that translates a word, in any case, by ``words``."""

    def choose(value: object) -> str:
        try:
            return words[_clean(value).strip().lower()]
        except KeyError:
            raise ValueError("none of " + ", ".join(dict.fromkeys(words.values()))) from None

    return choose


def _read_flag(value: object) -> bool:
    """Return a truth value, written out or not. Raises `ValueError` for any other text."""
    if isinstance(value, str):
        try:
            return _BOOLEANS[value.strip().lower()]
        except KeyError:
            raise ValueError("neither true nor false") from None
    return bool(value)


def _read_id(value: object) -> str:
    """Return a UUID in its canonical form. Raises `ValueError` for anything else."""
    return parse_id(_clean(value))


#: Fields whose None is sanitized like any other value, and not replaced by a default.
_REQUIRED = ("project", "project_version")

#: Fields in a package's own words, which may hold paths, names and addresses.
_TEXTS = ("platform", "status_desc", "error_type", "error_desc")

#: Stands for the middle of a long text.
_GAP = " ... "

#: The function that corrects each field. It raises, whatever it likes, to have the field dropped.
_SANITIZERS: Mapping[str, Callable[[object], object]] = {
    "project": _limit_bytes(MAX_PROJECT),
    "project_version": _limit_version,
    "language": _limit_language,
    "language_version": _limit_version,
    "platform": lambda value: _clean(value)[:MAX_PLATFORM],
    "container": _choose_from(CONTAINERS),
    "is_ci": _read_flag,
    "status": _choose_from(STATUSES),
    "status_desc": _limit_bytes(MAX_STATUS_DESC),
    "error_type": _limit_bytes(MAX_ERROR_TYPE),
    "error_desc": lambda value: keep_ends(_clean(value), MAX_ERROR_DESC),
    "user_type": _choose_from(USER_TYPES),
    "user_id": _read_id,
    "session_id": _read_id,
}

#: The value of each field that neither the caller nor the agent knows: the server's own defaults.
_BLANK: Mapping[str, object] = {
    "project": "",
    "project_version": "unknown",
    "language": "python",
    "language_version": "unknown",
    "platform": "unknown",
    "container": "unknown",
    "is_ci": False,
    "status": "R",
    "status_desc": None,
    "error_type": None,
    "error_desc": None,
    "user_type": "general",
    "user_id": None,
    "session_id": None,
}

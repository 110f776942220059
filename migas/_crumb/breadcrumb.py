"""The breadcrumb: one usage record, its bounds, and how it is written to disk.

Elsewhere the word means a trail of events; here it is a single note that a program ran.

The migas server answers `success` and stores nothing, nor anything after it in the same request,
when a field is not as its database wants it (measured on server 0.9.0). So whatever a caller
passes is made right here, before it goes anywhere.
"""

from __future__ import annotations

import json

from migas._runtime.namedtuple import NamedTuple
from migas._runtime.settings import parse_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Version of the encoded form; a reader leaves what it does not know to a newer one.
FORMAT = 1

#: Bounds in characters: the columns of the server's database.
MAX_VERSION, MAX_LANGUAGE, MAX_PLATFORM = 24, 32, 64

#: Bounds in bytes of the JSON text: together with the ids they leave a request for one crumb
#: below the hosted server's limit of 2,500.
MAX_PROJECT, MAX_STATUS_DESC, MAX_ERROR_TYPE, MAX_ERROR_DESC = 160, 320, 160, 960

STATUSES = {
    "r": "R",
    "running": "R",
    "pending": "R",
    "c": "C",
    "completed": "C",
    "success": "C",
    "f": "F",
    "failed": "F",
    "error": "F",
    "s": "S",
    "suspended": "S",
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
    """One run, or one step of a run, of one project."""

    #: `owner/repo` at GitHub.
    project: str
    #: The project's version, cut to what the server keeps.
    project_version: str
    language: str
    language_version: str
    #: `sys.platform` of the machine.
    platform: str
    #: `docker`, `apptainer` or `unknown`.
    container: str
    is_ci: bool
    #: `R`unning, `C`ompleted, `F`ailed or `S`uspended.
    status: str
    status_desc: str | None
    error_type: str | None
    error_desc: str | None
    #: `general`, `dev` or `ci`.
    user_type: str
    #: The anonymous user: a UUID.
    user_id: str | None
    #: The run, with all its workers: a UUID.
    session_id: str | None


class Made(NamedTuple):
    """A breadcrumb, and what had to be changed to make it."""

    breadcrumb: Breadcrumb
    #: One phrase a change, without the values, which may be private.
    changes: tuple[str, ...]


def make(
    project: object,
    project_version: object,
    fields: Mapping[str, object],
    defaults: Mapping[str, object],
    redact: Callable[[str], str] = str,
) -> Made:
    """Make a breadcrumb of whatever the caller passed; nothing is refused.

    A field that cannot be made right is left to ``defaults``, as though it had not been passed.
    What is private in a text about the run is taken out by ``redact``, before anything is cut.
    """
    changes = [f"{name} left out: unknown field" for name in fields if name not in _REPAIRS]
    values: dict[str, object] = {**_BLANK, **defaults}
    passed = {name: value for name, value in fields.items() if name in _REPAIRS}
    passed.update(project=project, project_version=project_version)
    for name, value in passed.items():
        if value is None and name not in _REQUIRED:
            continue
        try:
            open_value = redact(_clean(value)) if name in _TEXTS else value
            values[name] = repaired = _REPAIRS[name](open_value)
        except Exception as error:  # repr() and str() of a caller's object may raise anything
            changes.append(f"{name} left out: {_reason(error)}")
            continue
        if repaired != value or type(repaired) is not type(value):
            changes.append(f"{name} changed")
    return Made(Breadcrumb(**values), tuple(changes))  # type: ignore[arg-type]


def encode(breadcrumb: Breadcrumb) -> bytes:
    """Write a breadcrumb as one line of JSON."""
    record = {"format": FORMAT, **breadcrumb._asdict()}
    return (json.dumps(record, separators=(",", ":")) + "\n").encode("ascii")


def decode(data: bytes) -> Breadcrumb:
    """Read what `encode` wrote. Raises `ValueError` for anything else."""
    record = json.loads(data)
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        raise ValueError("no breadcrumb of a format that this version reads")
    try:
        fields = {name: record.pop(name) for name in Breadcrumb._fields}
    except KeyError as error:
        raise ValueError(f"the breadcrumb lacks {error}") from None
    made = make(fields.pop("project"), fields.pop("project_version"), fields, {})
    if record:
        raise ValueError("the breadcrumb holds what no breadcrumb holds")
    return made.breadcrumb


def keep_ends(text: str, limit: int) -> str:
    """Return both ends of a text that takes more than ``limit`` bytes of JSON.

    They are where an error began, and, the longer one, what came of it.
    """
    shown, kept = text, limit - len(_GAP)
    while (excess := _size(shown) - limit) > 0:
        if shown is not text:
            kept -= max(1, excess // 6)
        shown = text[: kept // 3] + _GAP + text[kept // 3 - kept :]
    return shown


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else type(error).__name__


def _clean(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _text(limit: int) -> Callable[[object], str]:
    return lambda value: _clean(value)[:limit]


def _sized_text(limit: int) -> Callable[[object], str]:
    def cut(value: object) -> str:
        text = _clean(value)[:limit]
        # A character takes six bytes at most, so that this never cuts too much.
        while (excess := _size(text) - limit) > 0:
            text = text[: -max(1, excess // 6)]
        return text

    return cut


def _size(text: str) -> int:
    """Count the bytes that a text takes in JSON."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def _version(value: object) -> str:
    text = "" if value is None else _clean(value)
    # Once more after the cut: what is read back has to be what was written.
    return text.strip()[:MAX_VERSION].strip() or "unknown"


def _language(value: object) -> str:
    text = _clean(value)[:MAX_LANGUAGE]
    if not text:
        raise ValueError("empty")
    return text


def _member(members: Mapping[str, str]) -> Callable[[object], str]:
    def choose(value: object) -> str:
        try:
            return members[_clean(value).strip().lower()]
        except KeyError:
            raise ValueError("none of " + ", ".join(dict.fromkeys(members.values()))) from None

    return choose


def _flag(value: object) -> bool:
    if isinstance(value, str):
        try:
            return _BOOLEANS[value.strip().lower()]
        except KeyError:
            raise ValueError("neither true nor false") from None
    return bool(value)


def _uuid(value: object) -> str:
    return parse_id(_clean(value))


_REQUIRED = ("project", "project_version")

#: What a package says of its run in its own words.
_TEXTS = ("status_desc", "error_type", "error_desc")

#: Stands for what is left out between two ends.
_GAP = " ... "

#: How each field that a caller may pass is made right.
_REPAIRS: Mapping[str, Callable[[object], object]] = {
    "project": _sized_text(MAX_PROJECT),
    "project_version": _version,
    "language": _language,
    "language_version": _version,
    "platform": _text(MAX_PLATFORM),
    "container": _member(CONTAINERS),
    "is_ci": _flag,
    "status": _member(STATUSES),
    "status_desc": _sized_text(MAX_STATUS_DESC),
    "error_type": _sized_text(MAX_ERROR_TYPE),
    "error_desc": lambda value: keep_ends(_clean(value), MAX_ERROR_DESC),
    "user_type": _member(USER_TYPES),
    "user_id": _uuid,
    "session_id": _uuid,
}

#: What stands where neither the caller nor the environment says anything: the server's defaults.
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

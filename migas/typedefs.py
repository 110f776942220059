"""The types of what migas takes and gives, for annotations in your own code.

The module owns no behaviour. Nothing of migas imports it at run time, so it costs only a program
that does. Type checkers read it for every call, since the package is typed (PEP 561).

What may go wrong: a server may answer with values of other types than these. They are the types
that the servers 0.3 and 0.9 were recorded with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from ._agent.track import Track

__all__ = [
    "Answer",
    "BeforeSend",
    "Breadcrumb",
    "Container",
    "ErrorHandler",
    "ErrorHandlers",
    "Fields",
    "Sessions",
    "Status",
    "Track",
    "Usage",
    "UserType",
    "VersionNews",
]

#: What became of a run: `R`unning, `C`ompleted, `F`ailed or `S`uspended, by any of the names that
#: the server has for them. `pending` is `R`, `success` is `C`, and `error` is `F`.
Status: TypeAlias = Literal[
    "R",
    "C",
    "F",
    "S",
    "running",
    "completed",
    "failed",
    "suspended",
    "pending",
    "success",
    "error",
]

#: The container that a program runs in: Docker and the like, Apptainer or Singularity, or none.
Container: TypeAlias = Literal["docker", "apptainer", "unknown"]

#: The kind of user that a package reports.
UserType: TypeAlias = Literal["general", "dev", "ci"]


class Fields(TypedDict, total=False):
    """The fields that a caller may pass with a breadcrumb. None stands for a field not passed.

    Pass them on from a function of your own with `**fields: Unpack[Fields]`, see
    https://peps.python.org/pep-0692.

    Example:
        >>> fields: Fields = {"status": "R", "status_desc": "reading"}
    """

    status: Status | None
    #: What the status means, in your own words.
    status_desc: str | None
    #: The class and the text of the exception that ended the run.
    error_type: str | None
    error_desc: str | None
    user_type: UserType | None
    #: `sys.platform`, if you pass nothing.
    platform: str | None
    container: Container | None
    #: True in a continuous integration service.
    is_ci: bool | None
    language: str | None
    language_version: str | None
    #: UUIDs.
    user_id: str | None
    session_id: str | None


class Breadcrumb(TypedDict):
    """One record as it is sent: what a `before_send` gets, and what it returns.

    To send no value for a field that may be None, set it to None.

    Example:
        >>> def hide_platform(crumb: Breadcrumb) -> Breadcrumb | None:
        ...     return {**crumb, "platform": "unknown"}
    """

    project: str
    project_version: str
    language: str
    language_version: str
    platform: str
    container: Container
    is_ci: bool
    status: Status
    status_desc: str | None
    error_type: str | None
    error_desc: str | None
    user_type: UserType
    user_id: str | None
    session_id: str | None


class Answer(TypedDict):
    """What a `Receipt` holds once it is done."""

    #: True if the server has taken the breadcrumb.
    success: bool
    #: Why it has not; empty if it has.
    message: str
    #: News of the version, for a receipt of `add_project` that somebody has read.
    latest_version: NotRequired[str]
    #: The versions that the project's developers warn of. If the breadcrumb went before somebody
    #: looked into the receipt: this version, or none.
    bad_versions: NotRequired[list[str]]
    #: True if the server knew the latest version without a look-up.
    cached: NotRequired[bool]


class Usage(TypedDict):
    """What `get_usage` returns."""

    #: How many breadcrumbs or, if `unique`, how many users.
    hits: int
    unique: bool
    success: bool
    #: Why there is no answer; empty if there is one.
    message: str


class VersionNews(TypedDict):
    """What `check_project` returns."""

    success: bool
    #: True if the project's developers warn of the version.
    flagged: bool
    #: The latest version, `unknown`, or empty if there is no answer.
    latest: str
    #: Why there is no answer; empty if there is one.
    message: str


class Sessions(TypedDict):
    """One item of what `get_sessions` returns."""

    #: The day on which the sessions began (UTC), as "2026-01-31".
    date: str
    version: str
    #: "running", "completed", "failed" or "suspended".
    status: str
    #: How many.
    sessions: int


#: A function for `setup(before_send=…)`, which may know breadcrumbs as such or as dicts. It returns
#: None to drop the breadcrumb.
BeforeSend: TypeAlias = (
    Callable[[Breadcrumb], Mapping[str, object] | None]
    | Callable[[dict[str, Any]], Mapping[str, object] | None]
)

#: Called with an exception's class, text and traceback. Returns fields of a breadcrumb (annotate
#: them as `Fields`), or None to have the exception described as if there were no handler.
ErrorHandler: TypeAlias = Callable[
    [type[BaseException], str, TracebackType | None], Mapping[str, object] | None
]

#: Handlers by an exception's class or its name, or the name of a preset.
_Handlers: TypeAlias = Mapping[Any, ErrorHandler] | Literal["nipype"]

#: Those, or several of them, of which later ones win.
ErrorHandlers: TypeAlias = _Handlers | Sequence[_Handlers] | None

"""GraphQL as the migas server speaks it: documents to send, and what an answer means.

Values travel as variables, and what several breadcrumbs of a request share is passed once. Inside
the document stand only those values of one breadcrumb alone that need no quoting whatever they say.
"""

from __future__ import annotations

import datetime
import json
import re
import string
from collections import Counter

from migas._runtime.namedtuple import NamedTuple

from .parcel import Outcome, Reply, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migas._crumb.breadcrumb import Breadcrumb

#: Bytes of a request's body that the hosted server takes.
MAX_BODY = 2500

#: Breadcrumbs that can fit into one request (measured: 16 of one run).
MAX_BATCH = 16

_DATE_FORMS = "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ"
_DATE = r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?"

#: By its GraphQL type. `user_type` is missing: with `add_breadcrumb` the server does not keep it.
_CONTEXT_FIELDS = {
    "session_id": "String",
    "user_id": "String",
    "platform": "String!",
    "container": "Container!",
    "is_ci": "Boolean!",
}
#: What the server takes to be said where nothing is.
_DEFAULTS = {"platform": "unknown", "container": "unknown", "is_ci": False, "status": "R"}
_PROCESS_FIELDS = ("status", "status_desc", "error_type", "error_desc")


class Operation(NamedTuple):
    """One breadcrumb in a request."""

    breadcrumb: Breadcrumb
    #: Ask for version news with it. The server then looks the project up elsewhere, which may
    #: take seconds and may fail.
    asks: bool
    #: The server is an old one (0.3), which knows `add_project` alone.
    old: bool = False

    @property
    def is_add_project(self) -> bool:
        """Whether it goes as `add_project`, which takes no version but PEP 440's."""
        crumb = self.breadcrumb
        versions = crumb.project_version, crumb.language_version
        return self.old or (self.asks and all(map(is_pep440, versions)))

    @property
    def has_plainer_form(self) -> bool:
        """Whether the server may take it in another form, which is less likely to fail."""
        return self.is_add_project and not self.old


class _Variables:
    """The variables of one document; equal values of one type share one."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self.values: dict[str, object] = {}

    def name(self, kind: str, value: object) -> str:
        key = kind, json.dumps(value, sort_keys=True)
        if key not in self._names:
            count = len(self._names)
            # Each byte of a name is there many times, and bytes are what a request is short of.
            name = string.ascii_letters[count] if count < len(string.ascii_letters) else f"v{count}"
            self._names[key] = name
            self.values[name] = value
        return "$" + self._names[key]

    def declaration(self) -> str:
        return ",".join(f"${name}:{kind}" for (kind, _), name in self._names.items())


def encode_breadcrumbs(operations: Sequence[Operation]) -> bytes:
    """Write one request for all ``operations``, each under the alias `a` and its index.

    `add_breadcrumb` comes before `add_project`: where a look-up fails, the server has taken what
    stood before it and nothing after.
    """
    variables = _Variables()
    plain = [op.breadcrumb for op in operations if not op.is_add_project]
    # As one variable a context that several share is shortest, taken apart one of a single run is:
    # the server's default values can be left out of it, and the rest is shared.
    contexts = Counter(map(_context, plain))
    fields = [
        f"a{index}:{_add_project(crumb, variables)}"
        if asks
        else f"a{index}:{_add_breadcrumb(crumb, variables, shared=contexts[_context(crumb)] > 1)}"
        for index, (crumb, asks) in _in_order(operations)
    ]
    fragment = "fragment r on BreadcrumbResult{success message}" if plain else ""
    document = f"mutation({variables.declaration()}){{{''.join(fields)}}}{fragment}"
    return _body(document, variables.values)


def read_breadcrumbs(reply: Reply, operations: Sequence[Operation]) -> list[Verdict]:
    """Tell what became of each of ``operations``."""
    if reply.outcome is not Outcome.DELIVERED:
        return [Verdict(reply.outcome, reply.reason) for _ in operations]
    data = reply.answer.get("data")
    if isinstance(data, dict):
        return [_judge(data.get(f"a{index}"), op) for index, op in enumerate(operations)]
    reason, failed = _first_error(reply.answer)
    order = [index for index, _ in _in_order(operations)]
    if failed not in order:
        # The schema refused the request before it ran: nothing is stored, whoever was to blame.
        last = len(operations) == 1 and not operations[0].has_plainer_form
        outcome = Outcome.REFUSED if last else Outcome.RESEND
        return [Verdict(outcome, reason) for _ in operations]
    return [_judge_by_failure(index, failed, order, reason, operations) for index in sorted(order)]


def lacks_add_breadcrumb(reply: Reply) -> bool:
    """Say whether the server is an old one (0.3), which knows `add_project` alone."""
    return _first_error(reply.answer)[0].startswith("Cannot query field 'add_breadcrumb'")


def encode_usage(project: str, start: str, end: str | None, unique: bool) -> bytes:
    """Write the question how often ``project`` was used."""
    return _body(
        "query($p:String!,$s:DateTime!,$e:DateTime,$u:Boolean!)"
        "{get_usage(project:$p,start:$s,end:$e,unique:$u)}",
        {"p": project, "s": start, "e": end, "u": unique},
    )


def encode_check(project: str, project_version: str) -> bytes:
    """Write the question what its developers say of a version."""
    return _body(
        "query($p:String!,$v:String!)"
        "{check_project(project:$p,project_version:$v){success flagged latest message}}",
        {"p": project, "v": project_version},
    )


def encode_greeting() -> bytes:
    """Write the question that any GraphQL server answers."""
    return _body("{__typename}", {})


def read_field(reply: Reply, field: str, failure: Mapping[str, object]) -> dict[str, object]:
    """Return what ``reply`` says under ``field``, or ``failure`` with the reason as `message`."""
    data = reply.answer.get("data")
    value = data.get(field) if isinstance(data, dict) else None
    if isinstance(value, dict):
        return value
    reason = reply.reason or _first_error(reply.answer)[0]
    return {"success": False, **failure, "message": reason}


def format_date(value: object) -> str:
    """Write a date, or a moment, as the server reads it; a moment without a zone is UTC.

    Raises `ValueError` for anything else.

    Example:
        >>> format_date(datetime.date(2026, 1, 31)), format_date("2026-01-31T12:00:00Z")
        ('2026-01-31', '2026-01-31T12:00:00Z')
    """
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc)
        return value.strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str) and re.fullmatch(_DATE, value, re.ASCII):
        try:
            datetime.datetime.fromisoformat(value.rstrip("Z"))
            return value
        except ValueError as error:
            raise ValueError(f"{value!r} is no date: {error}") from None
    raise ValueError(f"{value!r} is no date: pass a date, a datetime or text, {_DATE_FORMS}")


def _body(document: str, variables: Mapping[str, object]) -> bytes:
    request = {"query": document, "variables": variables}
    return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()


def _in_order(operations: Sequence[Operation]) -> list[tuple[int, tuple[Breadcrumb, bool]]]:
    numbered = [(i, (op.breadcrumb, op.is_add_project)) for i, op in enumerate(operations)]
    return sorted(numbered, key=lambda item: item[1][1])


def _add_project(crumb: Breadcrumb, variables: _Variables) -> str:
    given = {name: value for name, value in crumb._asdict().items() if value is not None}
    return f"add_project(p:{variables.name('ProjectInput!', given)})"


def _add_breadcrumb(crumb: Breadcrumb, variables: _Variables, *, shared: bool) -> str:
    arguments = {
        name: variables.name("String!", getattr(crumb, name))
        for name in ("project", "project_version", "language", "language_version")
    }
    if shared:
        arguments["ctx"] = variables.name("ContextInput!", dict(_context(crumb)))
    else:
        # The run's own id is a UUID, as in every breadcrumb, and nobody else's here.
        given = {
            name: f'"{value}"'
            if name == "session_id"
            else variables.name(_CONTEXT_FIELDS[name], value)
            for name, value in _context(crumb)
            if value != _DEFAULTS.get(name)
        }
        arguments["ctx"] = f"{{{_arguments(given)}}}"
    process = {k: v for k, v in _given(crumb, _PROCESS_FIELDS).items() if _DEFAULTS.get(k) != v}
    arguments["proc"] = variables.name("ProcessInput!", process) if process else "{}"
    return f"add_breadcrumb({_arguments(arguments)}){{...r}}"


def _arguments(values: Mapping[str, str]) -> str:
    return ",".join(f"{name}:{value}" for name, value in values.items())


def _context(crumb: Breadcrumb) -> tuple[tuple[str, object], ...]:
    return tuple(_given(crumb, tuple(_CONTEXT_FIELDS)).items())


def _given(crumb: Breadcrumb, names: Sequence[str]) -> dict[str, object]:
    return {name: value for name in names if (value := getattr(crumb, name)) is not None}


def _judge(answer: object, operation: Operation) -> Verdict:
    if not isinstance(answer, dict):
        return Verdict(Outcome.UNSENT, "the server answered nothing for this breadcrumb")
    if answer.get("success"):
        return Verdict(Outcome.DELIVERED, news=answer)
    if operation.is_add_project and len(answer) > 1:
        # Stored, though the server could not learn the project's latest version.
        return Verdict(Outcome.DELIVERED, news=answer)
    reason = answer.get("message") or "The project is not registered."
    return Verdict(Outcome.REFUSED, str(reason), news=answer)


def _judge_by_failure(
    index: int, failed: int, order: list[int], reason: str, operations: Sequence[Operation]
) -> Verdict:
    if order.index(index) < order.index(failed):
        return Verdict(Outcome.DELIVERED)
    if len(operations) == 1 and not operations[0].has_plainer_form:
        final = reason.startswith(_OLD_REFUSAL)
        return Verdict(Outcome.REFUSED if final else Outcome.UNSENT, reason)
    return Verdict(Outcome.RESEND, reason)


#: What an old server says of a project's name without a slash, as an error of one operation.
_OLD_REFUSAL = "Invalid project"


def _first_error(answer: Mapping[str, object]) -> tuple[str, int]:
    """Return the first error's message, and the index of the operation it befell, or -1."""
    errors = answer.get("errors")
    error = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(error, dict):
        return "the server's answer holds neither data nor an error", -1
    path = error.get("path")
    alias = str(path[0]) if isinstance(path, list) and path else ""
    index = int(alias[1:]) if re.fullmatch(r"a\d+", alias, re.ASCII) else -1
    return str(error.get("message")), index


# PEP 440's grammar, normalizations included, less what nobody writes: it decides only whether the
# server may be asked for version news, so a rare "no" costs nothing but that news.
_PEP_440 = re.compile(
    r"v?(\d+!)?\d+(\.\d+)*"
    r"([-_.]?(a|alpha|b|beta|c|rc|pre|preview)[-_.]?\d*)?"
    r"([-_.]?(post|rev|r)[-_.]?\d*|-\d+)?"
    r"([-_.]?dev[-_.]?\d*)?"
    r"(\+[a-z0-9]+([-_.][a-z0-9]+)*)?",
    re.IGNORECASE | re.ASCII,
)


def is_pep440(version: str) -> bool:
    """Say whether ``version`` is one by PEP 440.

    Example:
        >>> is_pep440("22.0.0rc1"), is_pep440("1.2.3.dirty")
        (True, False)
    """
    return _PEP_440.fullmatch(version) is not None

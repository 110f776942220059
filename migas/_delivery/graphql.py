"""GraphQL of the migas server: writes the documents to send, and reads the answers.

It owns the wire form. Values go as variables, and a value that several breadcrumbs of a request
share goes once. Only a session id, which is a UUID, may stand in the document itself.

What may go wrong: an answer may hold errors in place of data, data for some breadcrumbs only, or
none of what GraphQL prescribes. Each breadcrumb gets a verdict in any case.
"""

from __future__ import annotations

import datetime
import json
import re
import string
from collections import Counter

from .parcel import Outcome, Reply, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migas._crumb.breadcrumb import Breadcrumb

#: The largest request body that the hosted server takes, in bytes.
MAX_BODY = 2500

#: Breadcrumbs that can fit into one request (measured: 16 of one run).
MAX_BATCH = 16

_DATE_FORMS = "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ"
_DATE = r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?"

#: The fields of `ctx` with their GraphQL types. `user_type` is not among them: the server does not
#: keep it of `add_breadcrumb`.
_CONTEXT_FIELDS = {
    "session_id": "String",
    "user_id": "String",
    "platform": "String!",
    "container": "Container!",
    "is_ci": "Boolean!",
}
#: The server's values for fields that are left out.
_DEFAULTS = {"platform": "unknown", "container": "unknown", "is_ci": False, "status": "R"}
_PROCESS_FIELDS = ("status", "status_desc", "error_type", "error_desc")


class _Variables:
    """The variables of one document. Equal values of one type share a variable."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, object], str] = {}
        self.values: dict[str, object] = {}

    def name(self, kind: str, value: object) -> str:
        """Return the variable, as `$a`, for a value of the GraphQL type ``kind``."""
        # A kind's values are all of one type: texts, booleans, or dicts of such.
        key = kind, tuple(value.items()) if isinstance(value, dict) else value
        if key not in self._names:
            count = len(self._names)
            # One letter if possible: a name stands in the document many times, and its size is
            # limited.
            name = string.ascii_letters[count] if count < len(string.ascii_letters) else f"v{count}"
            self._names[key] = name
            self.values[name] = value
        return "$" + self._names[key]

    def declaration(self) -> str:
        """Return the declarations of all variables, as they stand after `mutation`."""
        return ",".join(f"${name}:{kind}" for (kind, _), name in self._names.items())


def encode_breadcrumbs(crumbs: Sequence[Breadcrumb]) -> bytes:
    """Write one request for all ``crumbs``, each under the alias `a` and its index."""
    variables = _Variables()
    # A context that several breadcrumbs have is shortest as one variable. That of a single one is
    # shorter field by field: the server's defaults are left out, and equal values shared.
    contexts = [_context(crumb) for crumb in crumbs]
    counts = Counter(contexts)
    fields = [
        f"a{index}:{_add_breadcrumb(crumb, context, variables, shared=counts[context] > 1)}"
        for index, (crumb, context) in enumerate(zip(crumbs, contexts, strict=True))
    ]
    document = (
        f"mutation({variables.declaration()}){{{''.join(fields)}}}"
        "fragment r on BreadcrumbResult{success message}"
    )
    return _body(document, variables.values)


def encode_project(crumbs: Sequence[Breadcrumb]) -> bytes:
    """Write a request for one breadcrumb, in the form that asks for version news.

    For this form the server looks up the project elsewhere, which takes seconds and may fail. If it
    fails, the rest of the request is lost (measured on server 0.9.0). So it goes alone.

    Parameters:
        crumbs: exactly one breadcrumb.
    """
    [crumb] = crumbs
    given = {name: value for name, value in crumb._asdict().items() if value is not None}
    return _body("mutation($p:ProjectInput!){a0:add_project(p:$p)}", {"p": given})


def read_answer(
    reply: Reply, count: int, *, alone: bool, trusted: bool, is_last: bool = False
) -> list[Verdict]:
    """Return the verdict on each breadcrumb of a request, in their order.

    Parameters:
        reply: the reply to the request.
        count: how many breadcrumbs the request had.
        alone: True if `encode_project` wrote it.
        trusted: True if the server is known to be an old one (0.3), which signs no answer.
        is_last: True if there is no other form to try, so that the verdict on a single breadcrumb
            is never RESEND.
    """
    if not reply.answer:
        # A refusal without an answer does not say whom it is about.
        is_shared = reply.outcome is Outcome.REFUSED and count > 1
        outcome = Outcome.RESEND if is_shared else reply.outcome
        return [Verdict(outcome, reply.reason, demand=reply.demand)] * count
    data = reply.answer.get("data")
    is_word = reply.signed or trusted
    if isinstance(data, dict):
        return [
            _judge(data.get(f"a{index}"), alone=alone, is_word=is_word) for index in range(count)
        ]
    error = _first_error(reply.answer)
    is_refusal = _is_refusal(error, is_word=is_word)
    if alone and reply.signed and not is_last and (is_refusal or error.get("path")):
        # PEP 440 does not know the version, or the look-up failed. As `add_breadcrumb`, the server
        # takes it.
        outcome = Outcome.RESEND
    elif not is_refusal:
        outcome = Outcome.UNSENT  # a failure inside the server, such as a database that is down
    else:
        # The schema refuses the whole request, whichever breadcrumb was to blame.
        outcome = Outcome.REFUSED if count == 1 else Outcome.RESEND
    return [Verdict(outcome, reply.reason or _describe(error))] * count


def lacks_add_breadcrumb(reply: Reply) -> bool:
    """Return True if the server is an old one (0.3), which knows `add_project` alone."""
    return _describe(_first_error(reply.answer)).startswith("Cannot query field 'add_breadcrumb'")


def encode_usage(project: str, start: str, end: str | None, unique: bool) -> bytes:
    """Write the request that asks how often ``project`` was used, between two dates as text."""
    return _body(
        "query($p:String!,$s:DateTime!,$e:DateTime,$u:Boolean!)"
        "{get_usage(project:$p,start:$s,end:$e,unique:$u)}",
        {"p": project, "s": start, "e": end, "u": unique},
    )


def encode_check(project: str, project_version: str) -> bytes:
    """Write the request that asks whether a version is flagged, and what the latest one is."""
    return _body(
        "query($p:String!,$v:String!)"
        "{check_project(project:$p,project_version:$v){success flagged latest message}}",
        {"p": project, "v": project_version},
    )


def encode_greeting() -> bytes:
    """Write a request that any GraphQL server answers."""
    return _body("{__typename}", {})


def read_field(reply: Reply, field: str, failure: Mapping[str, object]) -> dict[str, object]:
    """Return the answer's ``field``, or ``failure`` with the reason as `message`."""
    data = reply.answer.get("data")
    value = data.get(field) if isinstance(data, dict) else None
    if not isinstance(value, dict):
        reason = reply.reason or _describe(_first_error(reply.answer))
    elif type(value.get("success")) is not bool:
        reason = "the server's answer does not say whether it succeeded"
    elif type(value.get("hits", 0)) is not int:
        reason = "the server's answer names no number of hits"
    else:
        return value | {name: failure.get(name, "") for name in {*failure, "message"} - set(value)}
    return {"success": False, **failure, "message": reason}


def format_date(value: object) -> str:
    """Return a date or a moment as text for the server.

    Parameters:
        value: a date, a datetime (UTC if it has no zone), or text in one of the server's two forms.

    Raises:
        ValueError: the value is anything else.

    Example:
        >>> format_date(datetime.date(2026, 1, 31)), format_date("2026-01-31T12:00:00Z")
        ('2026-01-31', '2026-01-31T12:00:00Z')
    """
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            try:
                value = value.astimezone(datetime.UTC)
            except OverflowError:
                raise ValueError(f"{value!r} is no date: it is out of range in UTC") from None
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


def _add_breadcrumb(
    crumb: Breadcrumb,
    context: tuple[tuple[str, object], ...],
    variables: _Variables,
    *,
    shared: bool,
) -> str:
    """Return one `add_breadcrumb` of a document; ``shared``: others have the same context."""
    arguments = {
        name: variables.name("String!", getattr(crumb, name))
        for name in ("project", "project_version", "language", "language_version")
    }
    if shared:
        arguments["ctx"] = variables.name("ContextInput!", dict(context))
    else:
        # The session id is a UUID, so it needs no quoting, and no other breadcrumb here has it.
        given = {
            name: f'"{value}"'
            if name == "session_id"
            else variables.name(_CONTEXT_FIELDS[name], value)
            for name, value in context
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


def _judge(answer: object, *, alone: bool, is_word: bool) -> Verdict:
    """Return the verdict on one breadcrumb, from its own part of the answer."""
    if not isinstance(answer, dict):
        outcome = Outcome.UNKNOWN if is_word else Outcome.UNSENT
        return Verdict(outcome, "the server answered nothing for this breadcrumb")
    if answer.get("success"):
        return Verdict(Outcome.DELIVERED, news=answer)
    if alone and len(answer) > 1:
        # Stored, though the server could not look up the project's latest version.
        return Verdict(Outcome.DELIVERED, news=answer)
    reason = str(answer.get("message") or "The project is not registered.")
    return Verdict(Outcome.REFUSED if is_word else Outcome.UNSENT, reason, news=answer)


#: Messages for a document that cannot be parsed. These errors have no `locations`.
_SYNTAX_ERRORS = ("No GraphQL document available", "Syntax Error")

#: An old server's (0.3) message for a project's name without a slash, an error with a `path`.
_OLD_REFUSAL = "Invalid project"


def _is_refusal(error: Mapping[str, object], *, is_word: bool) -> bool:
    """Return True if the application itself says that it will never take this request.

    All recorded refusals by the schema have `locations` and no `path` (server 0.9.0). An error with
    neither, such as that of a Redis that is down, and one with a `path` are failures inside the
    server, which pass.
    """
    message = _describe(error)
    if message.startswith(_OLD_REFUSAL):
        return True
    by_schema = bool(error.get("locations")) and not error.get("path")
    return is_word and (by_schema or message.startswith(_SYNTAX_ERRORS))


def _first_error(answer: Mapping[str, object]) -> Mapping[str, object]:
    errors = answer.get("errors")
    error = errors[0] if isinstance(errors, list) and errors else None
    return error if isinstance(error, dict) else {}


def _describe(error: Mapping[str, object]) -> str:
    return str(error.get("message") or "the server's answer holds neither data nor an error")

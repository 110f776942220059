"""The model of a breadcrumb that comes by REST: its fields, their types and their defaults.

The hosted server leaves the words of its errors to the library that reads its bodies. The errors
here have the same form: a type, a place, a message, and the value that stood there.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from .scalars import parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    #: Where a value stands: `body`, and the names of the fields that lead to it.
    Place: TypeAlias = tuple[str, ...]
    Errors: TypeAlias = list[dict[str, object]]
    Reader: TypeAlias = Callable[[Any, Place, Errors], Any]

#: A field without a default.
_REQUIRED = object()

#: The texts and numbers that are read as true, and as false.
_TRUE = ("1", "on", "t", "true", "y", "yes")
_FALSE = ("0", "off", "f", "false", "n", "no")


class _Field(NamedTuple):
    """A field of the model."""

    #: Returns the field's value, or any value with an error.
    read: Reader
    default: object = _REQUIRED


def read_breadcrumb(body: object, errors: Errors) -> dict[str, Any]:
    """Return the fields of a breadcrumb.

    Parameters:
        body: the request's body, read from its JSON.
        errors: an error is appended for each field that is missing or of another type.
    """
    return _read_fields(_BREADCRUMB, body, ("body",), errors)


def read_flag(value: object, place: Place, errors: Errors) -> bool:
    """Return a truth value, or False with an error."""
    text = value.lower() if isinstance(value, str) else value
    if text in (True, *_TRUE):
        return True
    if text not in (False, *_FALSE):
        if isinstance(value, (str, int)):
            reason = "a valid boolean, unable to interpret input"
            _note(errors, "bool_parsing", place, reason, value)
        else:
            _note(errors, "bool_type", place, "a valid boolean", value)
    return False


def read_number(value: str, place: Place, errors: Errors) -> int:
    """Return a whole number that is written in digits, or 0 with an error."""
    try:
        return int(value)
    except ValueError:
        reason = "a valid integer, unable to parse string as an integer"
        _note(errors, "int_parsing", place, reason, value)
        return 0


def read_date(value: str, place: Place, errors: Errors) -> datetime.date:
    """Return a date in one of the forms that `parse_moment` reads, or any date with an error."""
    try:
        return parse_moment(value).date()
    except ValueError as error:
        _note(errors, "date_parsing", place, f"a valid date, {error}", value)
        return datetime.date.max


def note_missing(errors: Errors, place: Place, value: object) -> None:
    """Append the error that a field is missing in ``value``."""
    errors.append({"type": "missing", "loc": place, "msg": "Field required", "input": value})


def _read_fields(
    fields: Mapping[str, _Field], value: object, place: Place, errors: Errors
) -> dict[str, Any]:
    """Return the values of ``fields`` in an object. Others in it are ignored."""
    if not isinstance(value, dict):
        reason = "a valid dictionary or object to extract fields from"
        _note(errors, "model_attributes_type", place, reason, value)
        value = {}
        errors = []  # fields that such a value cannot have are not missing
    read = {}
    for name, field in fields.items():
        if name in value:
            read[name] = field.read(value[name], (*place, name), errors)
        elif field.default is _REQUIRED:
            note_missing(errors, (*place, name), value)
        else:
            read[name] = field.default
    return read


def _model(fields: Mapping[str, _Field]) -> _Field:
    """Return a field that has fields of its own."""

    def read(value: object, place: Place, errors: Errors) -> object:
        return _read_fields(fields, value, place, errors)

    return _Field(read, read({}, (), []))


def _choice(names: str, default: str) -> _Field:
    """Return a field that is one of ``names``, which are separated by blanks."""
    *most, last = [repr(name) for name in names.split()]
    expected = f"{', '.join(most)} or {last}"

    def read(value: object, place: Place, errors: Errors) -> object:
        if not isinstance(value, str) or value not in names.split():
            _note(errors, "enum", place, expected, value)
            errors[-1]["ctx"] = {"expected": expected}
        return value

    return _Field(read, default)


def _read_text(value: object, place: Place, errors: Errors) -> object:
    if not isinstance(value, str):
        _note(errors, "string_type", place, "a valid string", value)
    else:
        value.encode()  # a lone surrogate breaks the hosted server's answer: UnicodeEncodeError
    return value


def _read_optional_text(value: object, place: Place, errors: Errors) -> object:
    return None if value is None else _read_text(value, place, errors)


def _note(errors: Errors, kind: str, place: Place, expected: str, value: object) -> None:
    """Append the error that ``value`` is not as expected."""
    message = f"Input should be {expected}"
    errors.append({"type": kind, "loc": place, "msg": message, "input": value})


_TEXT = _Field(_read_optional_text, None)

_BREADCRUMB = {
    "project": _Field(_read_text),
    "project_version": _Field(_read_text),
    "language": _Field(_read_text, "python"),
    "language_version": _Field(_read_text, "0.0.0"),
    "ctx": _model(
        {
            "session_id": _TEXT,
            "user_id": _TEXT,
            "user_type": _choice("general dev ci", "general"),
            "platform": _Field(_read_text, "unknown"),
            "container": _choice("unknown docker apptainer", "unknown"),
            "is_ci": _Field(read_flag, default=False),
        }
    ),
    "proc": _model(
        {
            # The hosted server names each of its eleven statuses by the letter that it means.
            "status": _choice("R R C C F F S S R C F", "R"),
            "status_desc": _TEXT,
            "error_type": _TEXT,
            "error_desc": _TEXT,
        }
    ),
}

"""Whatever a caller passes becomes a breadcrumb that the server can store."""

from __future__ import annotations

import doctest
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migas._crumb import breadcrumb, environment
from migas._crumb.breadcrumb import Breadcrumb, decode, encode, keep_ends, sanitize
from migas._delivery import graphql

if TYPE_CHECKING:
    from types import ModuleType

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"


class Hostile:
    """A value whose own methods fail."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __bool__ = __str__


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc", "Lo"]), max_size=2000),
    st.binary(),
    st.uuids(),
    st.just(Hostile()),
)
FIELDS = st.dictionaries(
    st.one_of(st.sampled_from(Breadcrumb._fields), st.text(max_size=5)), ANYTHING
).map(lambda fields: {k: v for k, v in fields.items() if not k.startswith("project")})


def one(**fields: object) -> tuple[Any, str]:
    """Return a breadcrumb with ``fields``, and its changes in the form of the log."""
    sanitized = sanitize("owner/repo", "1", fields, {"user_id": UUID})
    return sanitized.breadcrumb, "; ".join(sanitized.changes)


@pytest.mark.slow
@given(ANYTHING, ANYTHING, FIELDS)
def test_nothing_that_is_passed_is_refused(
    project: object, version: object, fields: dict[str, object]
) -> None:
    """Any values make one breadcrumb that can be written, read back, and sent alone."""
    crumb = sanitize(project, version, fields, {}).breadcrumb
    assert decode(encode(crumb)) == crumb
    for encode_request in (graphql.encode_breadcrumbs, graphql.encode_project):
        assert len(encode_request([crumb])) <= graphql.MAX_BODY
    for value in crumb:
        if isinstance(value, str):
            assert "\0" not in value
            value.encode()
    assert len(crumb.project_version) <= breadcrumb.MAX_VERSION
    assert len(crumb.language) <= breadcrumb.MAX_LANGUAGE
    assert len(crumb.platform) <= breadcrumb.MAX_PLATFORM
    for identifier in (crumb.user_id, crumb.session_id):
        assert identifier is None or str(uuid.UUID(identifier)) == identifier


class Array:
    """A value that has a text, and whose comparisons have no truth value, as NumPy's arrays."""

    def __str__(self) -> str:
        return "[1 2]"

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    __ne__ = __eq__
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("name", ["project", "version", "platform"])
def test_a_value_that_cannot_be_compared_is_written_out(name: str) -> None:
    """A host that passes an array by mistake gets a breadcrumb, and no exception."""
    given = {"project": "owner/repo", "version": "1", "platform": "linux", name: Array()}
    crumb, changes = sanitize(
        given["project"], given["version"], {"platform": given["platform"]}, {}
    )
    assert "[1 2]" in (crumb.project, crumb.project_version, crumb.platform)
    assert len(changes) == 1


def count_bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


@given(st.text(), st.integers(11, 200))
def test_both_ends_of_a_text_are_kept(text: str, limit: int) -> None:
    """A text within the limit is left alone; of a longer one as much is kept as there is room."""
    kept = keep_ends(text, limit)
    assert count_bytes(kept) <= limit
    if count_bytes(text) <= limit:
        assert kept == text
    elif kept.count(" ... ") == 1:  # a text may hold it by itself
        head, _, tail = kept.partition(" ... ")
        assert (text.startswith(head), text.endswith(tail)) == (True, True)
        assert len(head) <= len(tail)


@pytest.mark.parametrize("module", [breadcrumb, environment], ids=lambda module: module.__name__)
def test_the_docstrings_examples_run(module: ModuleType) -> None:
    """The results are those that the docstrings show."""
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(
    ("passed", "kept"),
    [
        ({"status": "C"}, "C"),
        ({"status": "completed"}, "C"),
        ({"status": "Failed"}, "F"),
        ({"status": "pending"}, "R"),
        ({"container": "singularity"}, "apptainer"),
        ({"container": "Podman"}, "docker"),
        ({"user_type": "dev"}, "dev"),
        ({"is_ci": "true"}, True),
        ({"is_ci": 0}, False),
        ({"user_id": UUID.upper()}, UUID),
        ({"session_id": "{" + UUID.replace("-", "") + "}"}, UUID),
        ({"session_id": uuid.UUID(UUID)}, UUID),
        ({"error_desc": "a\0b\ud800c"}, "ab?c"),
        ({"platform": "p" * 65}, "p" * 64),
        ({"language": "l" * 33}, "l" * 32),
        ({"language_version": 3.11}, "3.11"),
        ({"error_desc": 5}, "5"),
    ],
    ids=str,
)
def test_a_field_is_corrected(passed: dict[str, object], kept: object) -> None:
    """A value that is nearly right is kept in the form that the server takes."""
    [name] = passed
    crumb, _ = one(**passed)
    assert getattr(crumb, name) == kept


@pytest.mark.parametrize(
    ("passed", "default"),
    [
        ({"status": "X"}, "R"),
        ({"status": None}, "R"),
        ({"container": "jail"}, "unknown"),
        ({"user_type": "admin"}, "general"),
        ({"user_id": "sub-01"}, UUID),
        ({"user_id": ""}, UUID),
        ({"session_id": "abc"}, None),
        ({"session_id": 5}, None),
        ({"is_ci": "perhaps"}, False),
        ({"language": ""}, "python"),
        ({"error_type": Hostile()}, None),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_cannot_be_corrected_is_dropped(passed: dict[str, object], default: object) -> None:
    """The default is used, and the line for the log names the field without its value."""
    [name] = passed
    crumb, changes = one(**passed)
    assert getattr(crumb, name) == default
    if passed[name] is not None:
        assert changes.startswith(f"{name} left out: ")


def test_an_unknown_field_is_named_and_dropped() -> None:
    """A host that is newer than its migas still sends its breadcrumb."""
    crumb, changes = one(status="C", flavour="sour")
    assert (crumb.status, changes) == ("C", "flavour left out: unknown field")


def test_what_was_right_is_not_listed_as_changed() -> None:
    """The line for the log lists changes only."""
    assert one(status="F", error_desc="boom", is_ci=True, session_id=UUID)[1] == ""


@pytest.mark.parametrize(
    ("version", "kept"),
    [
        (None, "unknown"),
        ("", "unknown"),
        (1.0, "1.0"),
        (" 1.0 ", "1.0"),
        ("v" * 23 + " 1", "v" * 23),
        (" \0 ", "unknown"),
    ],
)
def test_a_version_that_is_no_text_is_written_out(version: object, kept: str) -> None:
    """Any object can be a version, and is read back as it was written."""
    crumb = sanitize("owner/repo", version, {}, {}).breadcrumb
    assert crumb.project_version == kept
    assert decode(encode(crumb)) == crumb


@pytest.mark.parametrize("text", ["é" * 3000, "\x01" * 3000, '"' * 3000, "😀" * 3000])
def test_a_long_text_is_cut_by_its_bytes(text: str) -> None:
    """The server's limit counts bytes, and escapes count, too."""
    crumb, changes = one(error_desc=text)
    size = count_bytes(crumb.error_desc)
    assert breadcrumb.MAX_ERROR_DESC - 6 < size <= breadcrumb.MAX_ERROR_DESC
    head, _, tail = str(crumb.error_desc).partition(" ... ")
    assert 0 < len(head) < len(tail)
    assert (text.startswith(head), text.endswith(tail)) == (True, True)
    assert changes == "error_desc changed"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"format": 2}',
        b'{"format": 1}',
        encode(one()[0])[:-20],
        encode(one()[0]).replace(b"{", b'{"more": 1, '),
    ],
)
def test_what_encode_did_not_write_is_not_read(data: bytes) -> None:
    """Truncated, foreign and newer records raise the same exception."""
    with pytest.raises(ValueError, match=r"."):
        decode(data)


@pytest.mark.parametrize("field", ["platform", "status_desc", "error_type", "error_desc"])
def test_each_text_of_a_callers_is_redacted(field: str) -> None:
    """What `uname` prints as the platform holds the machine's name, as messages do."""
    made = sanitize(
        "o/r", "1", {field: "Linux lab7 5.15"}, {}, lambda text: text.replace("lab7", "")
    )
    assert "lab7" not in str(getattr(made.breadcrumb, field))

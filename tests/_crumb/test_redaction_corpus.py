"""The redaction, measured by what programs really print: `tests/data/redaction.toml`.

Each text there names the pieces that must be gone and those that must stay. What is known to go or
to stay against that has its reason beside it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from migas._crumb.redaction import Redactor

CORPUS: dict[str, Any] = tomllib.loads(
    (Path(__file__).parents[1] / "data" / "redaction.toml").read_text(encoding="utf-8")
)
GROUPS: dict[str, list[dict[str, Any]]] = CORPUS["groups"]
REDACTOR = Redactor(**CORPUS["person"])


def find_leaks(entry: dict[str, Any], redacted: str) -> list[str]:
    """Return the pieces of a text that had to go, and have not; in any case of letters."""
    return [piece for piece in entry.get("gone", ()) if piece.lower() in redacted.lower()]


def find_losses(entry: dict[str, Any], redacted: str) -> list[str]:
    """Return the pieces of a text that had to stay, and have not."""
    if "gone" not in entry and "stays" not in entry:
        return [] if redacted == entry["text"] else [entry["text"]]
    known = entry.get("lost", ())
    return [
        piece for piece in entry.get("stays", ()) if piece not in redacted and piece not in known
    ]


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_private_is_left(group: str) -> None:
    """Not one piece leaks, and what was redacted once stays as it is."""
    for entry in GROUPS[group]:
        redacted = REDACTOR.redact(entry["text"])
        assert find_leaks(entry, redacted) == [], redacted
        assert REDACTOR.redact(redacted) == redacted


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_of_use_is_left(group: str) -> None:
    """Error words, versions, numbers and names of modules stay, but for the known losses."""
    for entry in GROUPS[group]:
        redacted = REDACTOR.redact(entry["text"])
        assert find_losses(entry, redacted) == [], redacted


@pytest.mark.parametrize(
    "entry",
    [entry for entries in GROUPS.values() for entry in entries if "why" in entry],
    ids=lambda entry: entry["text"],
)
def test_the_known_limits_are_true(entry: dict[str, Any]) -> None:
    """A limit that has been overcome has to leave the list, and each has its reason."""
    redacted = REDACTOR.redact(entry["text"])
    assert [piece for piece in entry.get("lost", ()) if piece in redacted] == []
    assert [piece for piece in entry.get("kept", ()) if piece not in redacted] == []
    assert entry["why"]


def test_the_corpus_is_large_and_true_to_its_texts() -> None:
    """Each piece stands in its text, and many texts must stay whole."""
    entries = [entry for entries in GROUPS.values() for entry in entries]
    assert len(entries) >= 300
    assert sum("gone" not in entry for entry in entries) >= 60
    for entry in entries:
        text = entry["text"]
        assert all(piece.lower() in text.lower() for piece in entry.get("gone", ())), text
        assert all(piece in text for piece in (*entry.get("stays", ()), *entry.get("kept", ()))), (
            text
        )

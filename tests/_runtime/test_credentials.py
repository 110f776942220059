"""An endpoint's user name and password are shown nowhere."""

from __future__ import annotations

import pytest

from migas._runtime.settings import hide_credentials

SHOWN = {
    "https://example.org/graphql": "https://example.org/graphql",
    "https://user:secret@example.org:8000/graphql": "https://example.org:8000/graphql",
    "https://secret@example.org/graphql": "https://example.org/graphql",
    "https://user:se@cret@example.org/graphql": "https://example.org/graphql",
    "http://user:secret@[::1]:8000/graphql": "http://[::1]:8000/graphql",
    "http://[fe80::1%25eth0]/graphql": "http://[fe80::1%25eth0]/graphql",
    "http://example.org:/@team/graphql": "http://example.org:/@team/graphql",
    "http://user:secret@example.org/@team/graphql": "http://example.org/@team/graphql",
    "http://example.org?next=a@b": "http://example.org?next=a@b",
    "http://example.org:8000/@team/graphql": "http://example.org:8000/@team/graphql",
    "http://anna:2024/secret@example.org/graphql": "http://example.org/graphql",
    "http://anna:2024?secret@example.org": "http://example.org",
    "http://anna:/secret@example.org": "http://example.org",
    # No address can be what follows, and its message shows it.
    "https://user:sec/ret@example.org/graphql": "https://example.org/graphql",
    "https://user:sec?r#et@example.org/graphql": "https://example.org/graphql",
    "https:///user:secret@example.org/graphql": "https://example.org/graphql",
    "https:/user:secret@example.org/graphql": "example.org/graphql",
    "ftp://user:secret@example.org": "ftp://example.org",
    "user:secret@example.org": "example.org",
    "https://user:secret@": "https://",
    "": "",
}


@pytest.mark.parametrize(("endpoint", "shown"), SHOWN.items(), ids=SHOWN)
def test_credentials_are_hidden(endpoint: str, shown: str) -> None:
    """The rest is shown as it is, even where it is no address."""
    assert hide_credentials(endpoint) == shown

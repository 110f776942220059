"""The mirror from which a chroot is made is the one that the machine's own apt uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .apt import find_mirror

if TYPE_CHECKING:
    from pathlib import Path

ONE_LINE = "deb [arch=amd64] https://mirror.example/debian bookworm main\n"
SECTIONS = """Types: deb
URIs: https://mirror.example/debian-security https://mirror.example/debian
Suites: bookworm
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("sources.list", ONE_LINE, "https://mirror.example/debian"),
        ("sources.list.d/debian.sources", SECTIONS, "https://mirror.example/debian"),
        ("sources.list", "# " + ONE_LINE, "http://deb.debian.org/debian"),
        ("sources.list", ONE_LINE.replace("/debian", "/ubuntu"), "http://deb.debian.org/debian"),
        ("sources.list", "", "http://deb.debian.org/debian"),
    ],
    ids=["one line", "sections", "a comment", "another system's", "nothing"],
)
def test_the_mirror_is_the_machines(tmp_path: Path, name: str, text: str, expected: str) -> None:
    """In both formats that apt reads; Debian's own where there is none."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert find_mirror(tmp_path) == expected

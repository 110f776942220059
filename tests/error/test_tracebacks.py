"""Real tracebacks: each file of `tracebacks` holds what was raised, and what of it is told.

They were raised on Python 3.12 by nipype 1.12, nibabel, PyBIDS, requests and the standard library.
The home in them is nobody's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from migas._crumb import breadcrumb
from migas._crumb.redaction import Redactor

TABLE = sorted((Path(__file__).parents[1] / "data" / "tracebacks").glob("*.txt"))
REDACTOR = Redactor(["jane"], ["lab7"], ["/home/jane"])


@pytest.mark.parametrize("path", TABLE, ids=lambda path: path.stem)
def test_a_traceback_is_told_by_its_useful_ends(path: Path) -> None:
    """Within the server's limit, with the error at the end, and without a word of whose it is."""
    raised, told = path.read_text().split("\n\n=== is told as\n\n")
    crumb = breadcrumb.make("o/r", "1", {"error_desc": raised}, {}, REDACTOR.redact).breadcrumb
    assert crumb.error_desc == told.rstrip("\n")
    assert len(told.encode()) <= breadcrumb.MAX_ERROR_DESC
    assert not [word for word in ("jane", "/home", "/usr", "study", "secret") if word in told]

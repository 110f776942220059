"""Real tracebacks: each file of `tracebacks` holds what was raised, and what of it is sent.

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
def test_the_useful_ends_of_a_traceback_are_sent(path: Path) -> None:
    """Within the server's limit, with the error at the end, and without any private word."""
    raised, sent = path.read_text().split("\n\n=== is told as\n\n")
    crumb = breadcrumb.sanitize("o/r", "1", {"error_desc": raised}, {}, REDACTOR.redact).breadcrumb
    assert crumb.error_desc == sent.rstrip("\n")
    assert len(sent.encode()) <= breadcrumb.MAX_ERROR_DESC
    assert not [word for word in ("jane", "/home", "/usr", "study", "secret") if word in sent]

"""The table of the uses that were counted, for a person to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

#: What the columns say.
_HEAD = ("carrier", "right", "uses", "runs", "users", "lost", "twice")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines that the tests have noted."""
    reports = [
        report
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, [])
        if report.when == "call"
    ]
    rows = [row for report in reports for name, row in report.user_properties if name == "uses"]
    if rows:
        terminalreporter.section("uses that were counted")
        for row in (_HEAD, *rows):
            terminalreporter.write_line(f"| {' | '.join(map(str, row))} |")

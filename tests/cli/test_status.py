"""The status is told in words that need no second reading."""

from __future__ import annotations

from typing import Any

import pytest

from migas._runtime.settings import Settings
from migas.cli.report import NOT_ASKED, Status
from migas.cli.status import describe

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"

#: The server has said nothing of places.
SILENT = "it has not said whether it derives a place from that"

#: All is well, and nothing was sent.
QUIET = Status(
    telemetry="on",
    switched_off_by="",
    endpoint="https://example.org/graphql",
    problem="",
    next_try_seconds=0,
    exits_that_may_deliver=10,
    user_id=UUID,
    user_id_file=None,
    spool="/home/jane/.cache/migas/example.org",
    spool_problem="",
    pending=0,
    pending_bytes=0,
    pending_since=None,
    delivered=0,
    delivered_since="2026-01-31T12:00:00Z",
    refused=0,
    refused_because=None,
    dropped=0,
    unanswered=0,
    server_derives_place=None,
    ci_by="",
    container="unknown",
    container_by="",
    session_is="its own",
    ignored_settings=[],
)


def show(label: str, settings: Settings | None = None, **fields: Any) -> str:
    """Return the sentence of one row."""
    rows = describe(QUIET._replace(**fields), settings or Settings())
    return next(text for name, text in rows if name == label)


def test_a_quiet_machine_has_a_quiet_status() -> None:
    """In the order in which a person asks; a number is no riddle."""
    assert describe(QUIET, Settings()) == [
        ("telemetry", "on"),
        ("server", "https://example.org/graphql: it answers"),
        (
            "server notes",
            f"when a breadcrumb arrives, and your network address; {SILENT}",
        ),
        ("next try", "at once"),
        ("sent at exit", "0 of 10 this hour"),
        ("user id", UUID),
        ("run", "its own"),
        ("CI", "no sign of it"),
        ("container", "no sign of one"),
        ("pending", "0 breadcrumbs, 0 bytes"),
        ("", "in /home/jane/.cache/migas/example.org"),
        ("delivered", "0"),
        ("refused", "0 by the server"),
        ("dropped", "0 that were too many or too old"),
        ("unanswered", "0 that were sent three times without an answer"),
    ]


@pytest.mark.parametrize(
    ("off", "telemetry"),
    [
        ("MIGAS_OPTOUT", "off, by the variable MIGAS_OPTOUT"),
        ("/etc/xdg/migas/optout", "off, by the file /etc/xdg/migas/optout"),
        ("pyfakefs", "off, by pyfakefs"),
    ],
)
def test_what_switches_telemetry_off_is_named(off: str, telemetry: str) -> None:
    """Then nothing is sent, and nobody is asked."""
    fields: dict[str, Any] = {"switched_off_by": off, "problem": NOT_ASKED}
    assert show("telemetry", **fields) == telemetry
    assert show("server", **fields).endswith(": not asked, since telemetry is off")
    assert show("server notes", **fields) == "nothing, since nothing is sent"
    assert show("next try", **fields) == "none, while telemetry is off"


@pytest.mark.parametrize(
    ("settings", "telemetry", "server"),
    [
        (
            Settings(dry_run=True),
            "on, but MIGAS_DRY_RUN has breadcrumbs printed, not sent",
            "not asked, because of MIGAS_DRY_RUN",
        ),
        (
            Settings(timeout=0.0),
            "on, but MIGAS_TIMEOUT=0 has breadcrumbs kept, not sent",
            "not asked, because of MIGAS_TIMEOUT=0",
        ),
    ],
)
def test_a_variable_that_keeps_breadcrumbs_from_the_server_is_named(
    settings: Settings, telemetry: str, server: str
) -> None:
    """Telemetry is on, and yet nothing is sent."""
    assert show("telemetry", settings, problem=NOT_ASKED) == telemetry
    assert show("server", settings, problem=NOT_ASKED).endswith(f": {server}")


@pytest.mark.parametrize(
    ("derives", "notes"),
    [
        (True, ", from which it derives city, network operator and coordinates"),
        (False, "; it derives no place from that"),
    ],
)
def test_what_the_server_derives_is_said(derives: bool, notes: str) -> None:
    """As the server itself says (pain 65)."""
    assert show("server notes", server_derives_place=derives).endswith(f"address{notes}")


def test_a_wait_is_in_seconds_or_minutes() -> None:
    """With its reason."""
    assert show("next try", next_try_seconds=90) == "in 90 s, since the last one failed"
    assert show("next try", next_try_seconds=600) == "in 10 min, since the last one failed"


def test_each_ignored_variable_has_its_reason_and_what_is_used_instead() -> None:
    """One row each, of which the first has the label."""
    ignored: list[dict[str, object]] = [
        {"variable": "MIGAS_TIMEOUT", "reason": "'soon' is no number", "used": 5.0},
        {"variable": "MIGAS_SPOOL_COUNT", "reason": "'3' is too low", "used": 10_000},
        {"variable": "MIGAS_USER_ID", "reason": "no UUID", "used": None},
        {"variable": "MIGAS_ENDPOINT", "reason": "'x' is no address", "used": None},
    ]
    rows = describe(QUIET._replace(ignored_settings=ignored), Settings())
    first = rows.index(("ignored", "MIGAS_TIMEOUT: 'soon' is no number; 5 is used"))
    assert rows[first + 1 : first + 4] == [
        ("", "MIGAS_SPOOL_COUNT: '3' is too low; 10000 is used"),
        ("", "MIGAS_USER_ID: no UUID; it counts as not set"),
        ("", "MIGAS_ENDPOINT: 'x' is no address; nothing is sent"),
    ]

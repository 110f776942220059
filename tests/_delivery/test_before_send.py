"""A host may have a look at each breadcrumb before it goes anywhere."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

import migas

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Unpack

    from support import Host

    from migas._disk.spool import Spool
    from migas.testing import Server
    from migas.typedefs import Answer, Fields


def add(version: str = "1", **fields: Unpack[Fields]) -> Answer:
    return migas.add_breadcrumb("owner/repo", version, **fields).result(PATIENCE)


def test_a_host_edits_what_is_told(server: Server) -> None:
    """It sees what would be told, redacted already, and what it makes of that is made right."""
    seen: list[dict[str, object]] = []

    def edit(crumb: Mapping[str, object]) -> Mapping[str, object]:
        seen.append(dict(crumb))
        return {**crumb, "language": "any", "user_id": None, "status_desc": "/data/x", "is_ci": 1}

    migas.setup(before_send=edit)
    migas.setup(session_id="3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11")
    assert add(error_desc="no /home/jane/x")["success"] is True
    assert (seen[0]["project"], seen[0]["error_desc"]) == ("owner/repo", "no <path>")
    [crumb] = server.crumbs
    told = [crumb[name] for name in ("language", "user_id", "status_desc", "is_ci")]
    assert told == ["any", None, "<path>", True]


def test_a_host_drops_what_is_not_to_be_told(server: Server, spool: Callable[..., Spool]) -> None:
    """It is written nowhere, and whoever waits is told."""
    migas.setup(before_send=lambda crumb: crumb if crumb["status"] == "C" else None)
    assert add()["message"] == "it is dropped by before_send"
    assert add(status="C")["success"] is True
    assert len(server.crumbs) == 1
    assert spool().count() == 0


def fail(_crumb: object) -> None:
    raise KeyError("secret")


@pytest.mark.parametrize(
    ("hook", "error"),
    [(fail, "KeyError"), (lambda _: 7, "TypeError"), (lambda _: {}, "KeyError")],
)
def test_what_a_hook_fails_for_is_dropped(
    server: Server, caplog: pytest.LogCaptureFixture, hook: object, error: str
) -> None:
    """Rather too little is told; that is said once, at WARNING, and without a payload."""
    migas.setup(before_send=hook)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, "migas"):
        assert [add()["success"], add()["success"]] == [False, False]
    assert [record.getMessage() for record in caplog.records] == [
        f"before_send failed with {error}: what it fails for is dropped"
    ]
    assert server.requests == 0


@pytest.mark.usefixtures("server")
def test_what_is_no_hook_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    """With one warning, as any value that makes no sense."""
    migas.setup(before_send="yes")  # type: ignore[arg-type]
    assert [record.getMessage() for record in caplog.records] == [
        "before_send is ignored: it cannot be called"
    ]
    assert add()["success"] is True


def test_a_dry_run_prints_what_the_hook_has_made(host: Host) -> None:
    """A person sees what would be sent, and not what would have been."""
    code = """
import migas
migas.setup(before_send=lambda crumb: {**crumb, 'platform': 'secret'})
migas.add_project('owner/repo', '1')
"""
    ended = host.run(code, {"MIGAS_DRY_RUN": "1"})
    assert '"platform":"secret"' in ended.err

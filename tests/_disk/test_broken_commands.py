"""A disk that fails under a command: it ends, says what it could not do, and loses nothing."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest
from planting import crumb
from support import end_claims

from migas._agent.process import renew
from migas._crumb import breadcrumb
from migas._delivery.parcel import Outcome, Verdict
from migas._delivery.sent_log import FILES, Record
from migas._delivery.throttle import Backoff
from migas._disk import directory, user_id
from migas._disk.spool import open_spool
from migas._runtime.settings import Settings
from migas.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from migas._disk.spool import Spool
    from migas.testing import Server

    from .broken import BrokenOS

#: What a broken disk says most often.
ERRORS = [errno.ESTALE, errno.EIO, errno.EDQUOT, errno.EROFS]

#: Commands, and which of the pending breadcrumbs, the record and the id they remove.
COMMANDS = {
    "status": "",
    "show --pending": "",
    "show --sent": "",
    "show": "",
    "optout": "",
    "optin": "",
    "clear spool --yes": "breadcrumbs",
    "clear record --yes": "record",
    "clear all --yes": "breadcrumbs, record",
    "clear id --yes": "id",
}

#: Failures that are tried for each command: so many at different calls.
LOOKS = 16


class Case:
    """A spool with three breadcrumbs, a record and an id; and what of them is there."""

    def __init__(self, home: Path) -> None:
        for name in ("cache", "config"):
            shutil.rmtree(home / name, ignore_errors=True)
        renew()
        directory._known.clear()
        self.config = str(home / "config" / "migas")
        self.spool = fill()
        made = breadcrumb.sanitize("owner/repo", "1", {}, {}).breadcrumb
        Record(self.spool.directory).add([(made, Verdict(Outcome.DELIVERED))])
        Backoff(self.spool.directory).fail(5.0)
        user_id.obtain(self.config)

    def look(self) -> dict[str, bool]:
        """Return which of the three are there."""
        record = [os.path.join(self.spool.directory, name) for name in FILES]
        return {
            "breadcrumbs": self.spool.count() > 0,
            "record": any(map(os.path.exists, record)),
            "id": os.path.exists(user_id.locate(self.config)),
        }


def fill() -> Spool:
    spool = open_spool(Settings.from_env(os.environ))
    for number in range(3):
        spool.put(crumb(str(number)))
    return spool


@pytest.mark.parametrize("once", [True, False], ids=["once", "from then on"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_ends_and_says_what_it_could_not_do(
    *,
    home: Path,
    broken: BrokenOS,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    once: bool,
) -> None:
    """At whichever call the disk fails: what is not removed is said to be left."""
    monkeypatch.setenv("MIGAS_TIMEOUT", "0")
    arguments = [*command.split(), "--json"]
    Case(home)
    broken.fail(0, None, once=False)
    assert main(arguments) == 0
    calls = range(len(broken.calls))
    capsys.readouterr()
    for first in sorted(random.Random(1).sample(calls, min(LOOKS, len(calls)))):
        number = ERRORS[first % len(ERRORS)]
        case = Case(home)
        broken.fail(number, first, once=once)
        status = main(arguments)
        broken.fail(0, None, once=False)
        out, err = capsys.readouterr()
        found, where = case.look(), (first, broken.calls, out, err)
        assert status in (0, 1), where
        assert out or err, where
        assert not out or isinstance(json.loads(out), (dict, list))
        removes = [name for name in found if name in COMMANDS[command]]
        assert all(found[name] for name in set(found) - set(removes)), where
        if status == 0:
            assert not any(found[name] for name in removes), where


@pytest.mark.slow
@pytest.mark.parametrize("number", ERRORS)
def test_a_flush_ends_and_loses_nothing(
    home: Path,
    server: Server,
    broken: BrokenOS,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    """At whichever call the disk fails: once it works again, the rest goes."""
    for first in (1, 4, 10, 25, 60):
        for once in (True, False):
            case = Case(home)
            Backoff(case.spool.directory).succeed()
            server.crumbs.clear()
            broken.fail(number, first, once=once)
            assert main(["flush", "--timeout", "20", "--json"]) in (0, 1)
            broken.fail(0, None, once=False)
            renew()
            end_claims(case.spool)
            assert main(["flush", "--json"]) == 0, capsys.readouterr()
            assert {str(each["version"]) for each in server.crumbs} == {"0", "1", "2"}
            assert case.spool.count() == 0
            assert "Traceback" not in capsys.readouterr().err

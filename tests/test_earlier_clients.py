"""What the public tests of the clients 0.3.0 and 0.4.0 ask for holds, read as behaviours.

Not held are those that ask for a private name or a habit that was given up:

- `migas.config.Config` and its attributes, `_reset()`, `load()`, `save()`: settings are frozen, and
  belong to a process. What they say is seen by `print_config()` or in what arrives.
- `migas.config._safe_uuid_factory()`: it made an id of the login and the host's name.
- `migas.config.logger` and `_init_logger()`: the log is `migas`, and no level makes it raise.
- `migas.request.request()`: its tests asked services on the internet.
- An unknown status was refused by the server, and the breadcrumb lost; now it is left out.
- `setup()` wrote a file to the temporary directory for each process, by default.
- `add_project` warned that it is deprecated, which it is no more.
"""

from __future__ import annotations

import datetime
import sys
import uuid
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

import migas
from migas.operations import add_breadcrumb, add_project, check_project, get_usage

if TYPE_CHECKING:
    from pathlib import Path

    from support import Host

    from migas.testing import Server

PROJECT, UUID = "nipreps/migas-py", "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"
TODAY = datetime.datetime.now(datetime.UTC)


def test_their_names_are_there() -> None:
    """At the top, and in the modules in which hosts look for them."""
    for name in ("add_breadcrumb", "add_project", "check_project", "get_usage"):
        assert getattr(migas, name) is getattr(migas.operations, name)
    assert callable(migas.error.inspect_error)
    assert migas.config.setup is migas.setup
    assert migas.config.print_config is migas.print_config
    with pytest.raises(AttributeError, match="no attribute 'telemetry'"):
        migas.telemetry  # type: ignore[attr-defined]  # noqa: B018


def test_a_breadcrumb_is_added(server: Server) -> None:
    """What comes back behaves as the dict that it was."""
    answer = add_breadcrumb(PROJECT, migas.__version__)
    assert answer["success"] is True
    assert answer == {"success": True, "message": ""}
    assert dict(answer) == answer.copy() == {**answer}
    assert add_breadcrumb(PROJECT, "1", True, language="cpython", platform="win32").done()
    assert add_breadcrumb(PROJECT, project_version="1", wait=True)["success"] is True
    assert [crumb["language"] for crumb in server.crumbs] == ["python", "cpython", "python"]
    with pytest.raises(TypeError, match="version"):
        add_breadcrumb(PROJECT)  # type: ignore[call-overload]


def test_a_breadcrumb_asks_for_no_news(server: Server) -> None:
    """The server looks nothing up for it, at GitHub or anywhere."""
    add_breadcrumb(PROJECT, "1").result(PATIENCE)
    add_project(PROJECT, "1").result(PATIENCE)
    plain, asking = (request.body.decode() for request in server.received)
    assert ("add_project" in plain, "add_project" in asking) == (False, True)


def test_an_unknown_status_loses_nothing(server: Server) -> None:
    """It was refused, and the breadcrumb with it."""
    assert add_breadcrumb(PROJECT, "1", status="wtf")["success"] is True  # type: ignore[call-overload]
    assert server.crumbs[0]["status"] == "R"


@pytest.mark.usefixtures("server")
def test_a_project_is_added() -> None:
    """With the news of its version."""
    answer = add_project(PROJECT, migas.__version__)
    assert answer["success"] is True
    assert answer["latest_version"]
    assert add_project(PROJECT, "1", language="cpython", platform="win32")["success"] is True


@pytest.mark.usefixtures("server")
def test_a_project_is_checked() -> None:
    """Also with fields, which 0.4.0 let pass."""
    answer = check_project(PROJECT, migas.__version__, language="python", is_ci=True)
    assert (answer["success"], answer["flagged"], answer["message"]) == (True, False, "")
    assert answer["latest"]


@pytest.mark.usefixtures("server")
def test_usage_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, that of different users, that of the future, and that of nobody's project."""
    monkeypatch.setenv("MIGAS_USER_ID", UUID)
    for _ in range(2):
        add_breadcrumb(PROJECT, "1", wait=True)
    today, future = (
        f"{day:%Y-%m-%d}" for day in (TODAY - datetime.timedelta(1), TODAY + datetime.timedelta(2))
    )
    assert get_usage(PROJECT, start=today)["hits"] == 2
    assert get_usage(PROJECT, start=today, unique=True)["hits"] == 1
    assert get_usage(PROJECT, start=future)["hits"] == 0
    unknown = get_usage("my-madeup-project", start=today)
    assert (unknown["success"], unknown["hits"]) == (False, 0)


def test_a_set_up_is_overwritten_by_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    """And an id that is none is not used."""
    migas.setup(endpoint="http://localhost:1/graphql", user_id=UUID)
    migas.setup(user_id="abc", session_id="abc")
    migas.print_config()
    said = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert (said["endpoint"], said["user_id"]) == ("http://localhost:1/graphql", UUID)
    assert str(uuid.UUID(said["session_id"])) == said["session_id"]
    for name in ("language", "language_version", "platform", "container", "is_ci"):
        assert said[name]


def test_a_set_up_is_kept_in_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the host asks for it."""
    migas.setup(filename=tmp_path / "config.json", user_id=UUID, save_config=True)
    assert UUID in (tmp_path / "config.json").read_text()
    migas.setup(user_id=str(uuid.UUID(int=1)))
    migas.setup(filename=tmp_path / "config.json")
    migas.print_config()
    assert f"user_id: {UUID}\n" in capsys.readouterr().out


def test_a_child_has_its_parents_set_up(host: Host) -> None:
    """By the environment, and from the set-up on."""
    child = "import migas; migas.setup(); migas.print_config()"
    code = f"""
import subprocess, sys, migas
migas.setup(endpoint='http://localhost:1', session_id={UUID!r})
subprocess.run([sys.executable, '-c', {child!r}], check=True)
"""
    ended = host.run(code)
    assert "endpoint: http://localhost:1/graphql\n" in ended.out
    assert f"session_id: {UUID}\n" in ended.out


class CustomError(Exception):
    """A host's own."""


def handle(etype: type, _evalue: str, _etb: object) -> dict[str, object]:
    return {"status": "F", "error_type": etype.__name__, "error_desc": "Custom Error!"}


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (None, "C", None),
        (KeyboardInterrupt(), "S", None),
        (FileNotFoundError("i'm a teapot"), "F", "i'm a teapot"),
        (CustomError(), "F", "Custom Error!"),
    ],
)
def test_an_error_is_inspected(
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException | None,
    status: str,
    said: str | None,
) -> None:
    """The last one that the interpreter keeps, by the host's own function for it."""
    monkeypatch.setattr(sys, "last_value", error, raising=False)
    monkeypatch.setattr(sys, "last_exc", error, raising=False)
    found = migas.error.inspect_error({"CustomError": handle})
    assert (found["status"], found.get("error_desc")) == (status, said)

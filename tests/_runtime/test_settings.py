"""Settings come from the environment and from setup(), and nonsense is named and ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migas._runtime.settings import (
    DEFAULT_ENDPOINT,
    DEFAULT_EXIT_TIMEOUT,
    DEFAULT_TIMEOUT,
    MAX_TIMEOUT,
    Settings,
    parse_endpoint,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_without_anything_the_defaults_rule() -> None:
    """An empty environment is a complete one."""
    settings = Settings.from_env({})
    assert settings.endpoint == DEFAULT_ENDPOINT
    assert (settings.timeout, settings.exit_timeout) == (DEFAULT_TIMEOUT, DEFAULT_EXIT_TIMEOUT)
    assert (settings.problems, settings.log_level) == ((), None)


@pytest.mark.parametrize(
    "address",
    [
        "http://host:8000",
        "http://host:8000/",
        "http://host:8000/graphql",
        "http://host:8000/graphql/",
        "http://host:8000//",
        " http://host:8000 ",
    ],
)
def test_an_endpoint_is_completed(address: str) -> None:
    """With or without /graphql, with or without a trailing slash."""
    assert parse_endpoint(address) == "http://host:8000/graphql"


def test_an_endpoint_may_lie_below_a_path() -> None:
    """A server behind a reverse proxy keeps its prefix."""
    assert parse_endpoint("HTTPS://u:p@[::1]:8/a") == "HTTPS://u:p@[::1]:8/a/graphql"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        "host:8000",
        "ftp://host",
        "http://",
        "http://:80",
        "http:// host",
        "http://h/\udcff",
        "http://anna:2024/secret@host",
        "http://anna:2024#secret@host/graphql",
    ],
)
def test_what_is_no_endpoint_is_refused(address: str) -> None:
    """A typing error is named, not sent to."""
    with pytest.raises(ValueError, match=r"address|space|character|password"):
        parse_endpoint(address)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MIGAS_SPOOL_COUNT", "99"),
        ("MIGAS_SPOOL_COUNT", "1e4"),
        ("MIGAS_SPOOL_BYTES", "-5"),
        ("MIGAS_SPOOL_BYTES", "20 MB"),
        ("MIGAS_SPOOL_DAYS", "-1"),
        ("MIGAS_SPOOL_DAYS", "a month"),
        ("MIGAS_TIMEOUT", "abc"),
        ("MIGAS_TIMEOUT", "-1"),
        ("MIGAS_TIMEOUT", "nan"),
        ("MIGAS_EXIT_TIMEOUT", "1s"),
        ("MIGAS_LOG_LEVEL", "nonsense"),
        ("MIGAS_LOG_LEVEL", "-10"),
        ("MIGAS_USER_ID", "me"),
        ("MIGAS_SESSION_ID", "today"),
    ],
)
def test_nonsense_is_ignored_and_named_once(variable: str, value: str) -> None:
    """Its reader finds the variable and the value in one sentence, and the default rules."""
    settings, default = Settings.from_env({variable: value}), Settings.from_env({})
    [problem] = settings.problems
    assert variable in problem
    assert value in problem or "no UUID" in problem
    for name in set(Settings.__annotations__) - {"problems", "session_id", "part"}:
        assert getattr(settings, name) == getattr(default, name)


@pytest.mark.parametrize(
    ("value", "seconds"), [("0", 0), ("2.5", 2.5), ("1e99", MAX_TIMEOUT), ("inf", MAX_TIMEOUT)]
)
def test_a_time_is_a_number_of_seconds_within_bounds(value: str, seconds: float) -> None:
    """The longest wait is one that every interpreter can wait."""
    assert Settings.from_env({"MIGAS_TIMEOUT": value}).timeout == seconds


@pytest.mark.parametrize(
    ("value", "level"), [("debug", 10), ("Info", 20), ("WARNING", 30), ("15", 15), ("fatal", 50)]
)
def test_a_level_is_a_name_in_any_case_or_a_number(value: str, level: int) -> None:
    """As `logging` counts them, which is not imported for it."""
    assert Settings.from_env({"MIGAS_LOG_LEVEL": value}).log_level == level


def test_setup_goes_before_the_environment() -> None:
    """What the host says in its own code is more exact than what surrounds it."""
    environ = {"MIGAS_ENDPOINT": "http://environment"}
    assert Settings.from_env(environ, {"endpoint": "http://setup/graphql"}).endpoint == (
        "http://setup/graphql"
    )
    assert Settings.from_env(environ, {"endpoint": None}).endpoint == "http://environment/graphql"


def test_the_cache_directory_is_a_whole_path_for_children_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~` is the home, and a relative path is seen from where the process began (pain 51)."""
    monkeypatch.chdir(tmp_path)
    for given, path in {"~/x": home / "x", "~": home, "x/../y": tmp_path / "y"}.items():
        settings = Settings.from_env({"MIGAS_CACHE_DIR": given})
        children = {"MIGAS_CACHE_DIR": given}
        settings.hand_down(children)
        assert (settings.cache_dir, children["MIGAS_CACHE_DIR"]) == (str(path), str(path))
        assert settings.problems == ()
    children.clear()
    Settings.from_env({}).hand_down(children)
    assert "MIGAS_CACHE_DIR" not in children


def test_a_home_that_nobody_has_is_no_cache_directory() -> None:
    """Nor is a directory of that name made in the working directory (pain 51)."""
    settings = Settings.from_env({"MIGAS_CACHE_DIR": "~no.such.user/x"})
    assert settings.cache_dir is None
    assert settings.problems == (
        "MIGAS_CACHE_DIR is ignored: '~no.such.user/x' names no home directory",
    )


def test_settings_are_frozen() -> None:
    """What was read once stays."""
    with pytest.raises(AttributeError, match="frozen"):
        Settings().timeout = 3.0


@pytest.mark.parametrize("value", ["migas.hospital.org", "ftp://a", "https://", "https://a b"])
def test_an_endpoint_that_makes_no_sense_switches_everything_off(value: str) -> None:
    """Nobody knows where the data were to go; the children of such a process are off as well."""
    settings = Settings.from_env({"MIGAS_ENDPOINT": value})
    assert settings.endpoint == ""
    assert settings.off_by.startswith("MIGAS_ENDPOINT")
    [problem] = settings.problems
    assert problem.startswith("MIGAS_ENDPOINT switches everything off: ")
    children: dict[str, str] = {}
    settings.hand_down(children)
    assert Settings.from_env(children).off_by
    assert not Settings.from_env({}).off_by
    assert not Settings.from_env({"MIGAS_ENDPOINT": value}, {"endpoint": "http://a/graphql"}).off_by

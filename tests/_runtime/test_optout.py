"""A user opts out by a variable, and a host cannot do that in the user's place."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migas._runtime.optout import OPTOUT_VARIABLES, OptoutFile, find_optout, list_optout_files

if TYPE_CHECKING:
    from pathlib import Path

    from support import Host

    from migas.testing import Server

#: As the hosts do that silence nipype's own ping.
SET_BY_HOST = "import os; os.environ['NIPYPE_NO_ET'] = os.environ['NO_ET'] = '1'\n"
ADD = "import migas; migas.add_project('owner/repo', '1').result(60)\n"


@pytest.mark.parametrize(
    ("variable", "value", "off"),
    [
        ("MIGAS_OPTOUT", "1", True),
        ("MIGAS_OPTOUT", "0", True),
        ("MIGAS_OPTOUT", "", True),
        ("NO_ET", "", True),
        ("NO_ET", "1", True),
        ("DO_NOT_TRACK", "1", True),
        ("DO_NOT_TRACK", "true", True),
        ("DO_NOT_TRACK", "0", False),
        ("DO_NOT_TRACK", "", False),
        ("do_not_track", "1", False),
    ],
)
def test_each_variable_opts_out_in_its_own_way(variable: str, value: str, off: bool) -> None:
    """Any value of MIGAS_OPTOUT and NO_ET does, and of DO_NOT_TRACK any but empty and 0."""
    found = find_optout({variable: value}, started_without=lambda _name: False)
    assert found == (variable if off else "")


@given(
    st.dictionaries(
        st.sampled_from([*OPTOUT_VARIABLES, "HOME", "NO_ETC"]),
        st.sampled_from(["", "0", " 0 ", "1", "no"]),
    )
)
def test_the_short_cut_for_the_processs_own_variables_changes_nothing(
    environ: dict[str, str],
) -> None:
    """`os.environ`, which is looked at by its inside, and a dict give the same answer."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(environ)
        found = find_optout(os.environ, started_without=lambda _name: False)
        assert found == find_optout(environ, started_without=lambda _name: False)
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can tell who set it")
def test_what_a_host_sets_for_itself_is_not_the_users_opt_out(host: Host, server: Server) -> None:
    """Five hosts set NO_ET in their own process, and want to be counted all the same."""
    assert host.run(SET_BY_HOST + ADD).calmly
    assert len(server.crumbs) == 1


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(SET_BY_HOST, id="the host sets it, too"),
        pytest.param(
            "import ctypes; numbers = open('/proc/self/stat').read().rpartition(')')[2].split()\n"
            "start, end = map(int, numbers[47:49])\n"
            "ctypes.memset(start, 0, end - start)\n",
            id="the host's title overwrites it",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="there is no such block"),
        ),
    ],
)
def test_what_a_user_has_set_counts(host: Host, server: Server, code: str) -> None:
    """Whatever a host does afterwards. If nobody can tell who set a variable, the user did."""
    assert host.run(code + ADD, {"NO_ET": "1"}, measured=False).calmly
    assert server.requests == 0


def test_what_a_process_inherits_counts_as_the_users_opt_out(host: Host, server: Server) -> None:
    """A program that a host starts cannot know who set a variable, and sends nothing."""
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ADD!r}], check=True)"
    assert host.run(SET_BY_HOST + start).calmly
    assert server.requests == 0


def look() -> str:
    """Look as a process does that has just started."""
    return OptoutFile().find(os.environ)


@pytest.mark.parametrize("place", ["config", ".config", "site"])
def test_an_opt_out_file_is_found_wherever_one_counts(home: Path, place: str) -> None:
    """In XDG_CONFIG_HOME, in ~/.config beside it, and in the site's XDG_CONFIG_DIRS (pain 51)."""
    assert look() == ""
    (home / place / "migas").mkdir(parents=True)
    (home / place / "migas" / "optout").touch()
    assert look() == str(home / place / "migas" / "optout")


def test_a_relative_directory_counts_as_unset(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the working directory holds is no word of the person's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", "elsewhere")
    monkeypatch.setenv("XDG_CONFIG_DIRS", f"elsewhere:{home / 'site'}")
    (tmp_path / "elsewhere" / "migas").mkdir(parents=True)
    (tmp_path / "elsewhere" / "migas" / "optout").touch()
    assert look() == ""


@pytest.mark.parametrize("value", [None, "", "etc/xdg", ":~/xdg"])
def test_without_an_absolute_directory_of_the_sites_the_usual_one_counts(
    home: Path, value: str | None
) -> None:
    """`/etc/xdg/migas/optout`: it survives `env -i`, sudo and cron (pain 51)."""
    environ = {"HOME": str(home)} if value is None else {"XDG_CONFIG_DIRS": value}
    assert list_optout_files(environ) == [
        str(home / ".config" / "migas" / "optout"),
        "/etc/xdg/migas/optout",
    ]


@pytest.mark.parametrize("where", ["optout", "migas"])
def test_a_link_that_leads_nowhere_or_in_a_circle_is_a_no(home: Path, where: str) -> None:
    """It is not followed; and what cannot be read because of one opts out (pain 45)."""
    (home / "config").mkdir()
    path = home / "config" / "migas"
    if where == "optout":
        path.mkdir()
        (path / "optout").symlink_to(home / "nowhere")
        assert look() == str(path / "optout")
    else:
        path.symlink_to(path)
        assert look().startswith(f"{path / 'optout'}, which cannot be read: ")


@pytest.mark.parametrize("name", ["EACCES", "ESTALE", "EIO", "ETIMEDOUT", "ELOOP", "ENAMETOOLONG"])
def test_a_no_that_cannot_be_read_is_a_no(
    name: str, host: Host, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent, and the answer names what could not be read (pain 45)."""
    number = getattr(errno, name)

    def fail(path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    with monkeypatch.context() as broken:
        broken.setattr(os, "lstat", fail)
        assert "which cannot be read" in look()
    code = f"""
import os
lstat = os.lstat
def fail(path, **more):
    if str(path).endswith('optout'): raise OSError({number}, 'broken')
    return lstat(path, **more)
os.lstat = fail
import migas
print(migas.add_project('owner/repo', '1').result(60)['message'])
"""
    ended = host.run(code)
    assert ended.calmly, ended
    assert "switched off by" in ended.out
    assert "cannot be read: broken" in ended.out
    assert server.requests == 0


@pytest.mark.parametrize("name", ["ENOENT", "ENOTDIR"])
def test_only_a_file_that_is_certainly_not_there_is_a_yes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everywhere where nobody has opted out."""

    def fail(path: str) -> None:
        raise OSError(getattr(errno, name), "no such file", path)

    monkeypatch.setattr(os, "lstat", fail)
    assert look() == ""

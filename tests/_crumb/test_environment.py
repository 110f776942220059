"""What runs here is known by its real signs."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from migas._crumb.environment import CI_VARIABLES, Environment, find_container, find_python_version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("environ", "marker", "container"),
    [
        ({}, None, "unknown"),
        ({}, ".dockerenv", "docker"),
        ({}, "run/.containerenv", "docker"),
        ({"container": "podman"}, None, "docker"),
        ({"container": "oci"}, None, "docker"),
        ({"container": "lxc"}, None, "unknown"),
        ({}, ".singularity.d", "apptainer"),
        ({"APPTAINER_CONTAINER": "/image.sif"}, None, "apptainer"),
        ({"SINGULARITY_NAME": "image.sif"}, None, "apptainer"),
        ({"APPTAINER_NAME": "image.sif"}, ".dockerenv", "apptainer"),
        ({"APPTAINER_NAME": ""}, None, "unknown"),
    ],
)
def test_a_container_is_known_by_its_signs(
    tmp_path: Path, environ: dict[str, str], marker: str | None, container: str
) -> None:
    """Docker, Podman, Apptainer and Singularity leave marker files or variables."""
    if marker:
        path = tmp_path / marker
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert find_container(environ, str(tmp_path)) == container


@pytest.mark.parametrize("variable", CI_VARIABLES)
def test_a_ci_service_is_known_by_its_variable(tmp_path: Path, variable: str) -> None:
    """Each common service sets one of these, most of them CI."""
    assert Environment.detect({variable: "true"}, str(tmp_path)).is_ci


@pytest.mark.parametrize("environ", [{}, {"CI": ""}, {"CI": "false"}, {"CI": "0"}])
def test_no_ci_is_claimed_without_a_sign(tmp_path: Path, environ: dict[str, str]) -> None:
    """CI=false means no CI at some services."""
    assert not Environment.detect(environ, str(tmp_path)).is_ci


@pytest.mark.parametrize(
    ("environ", "everything", "root"),
    [
        pytest.param({}, False, False, id="a machine"),
        pytest.param({"CI": "1"}, True, False, id="CI"),
        pytest.param({"container": "podman"}, False, True, id="Podman"),
        pytest.param({"container": "podman", "CI": "1"}, True, True, id="Podman in CI"),
        pytest.param({"APPTAINER_NAME": "image.sif"}, False, False, id="Apptainer"),
    ],
)
def test_what_is_thrown_away_after_a_run_is_known(
    tmp_path: Path, environ: dict[str, str], everything: bool, root: bool
) -> None:
    """CI throws everything away, and Docker and Podman a container's root file system."""
    found = Environment.detect(environ, str(tmp_path))
    assert (found.is_disposable, found.has_disposable_root) == (everything, root)


def test_the_interpreters_version_is_one_that_the_server_takes() -> None:
    """Versions by PEP 440 only: a build from a repository calls itself 3.13.0rc1+ elsewhere."""
    assert str(Version(find_python_version())) == find_python_version()
    numbers = [int(number) for number in re.findall(r"\d+", find_python_version())]
    assert numbers[:3] == list(sys.version_info[:3])


def test_the_environment_is_named_in_the_servers_words() -> None:
    """The language is Python, and the platform has its short name."""
    found = Environment.detect()
    assert (found.language, found.platform) == ("python", sys.platform)

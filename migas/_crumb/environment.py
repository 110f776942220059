"""The environment: what runs here, as far as a breadcrumb tells it."""

from __future__ import annotations

import os
import sys

from migas._runtime.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Variables by which the common CI services are known, `CI` being what most of them set.
CI_VARIABLES = (
    "CI",
    "CONTINUOUS_INTEGRATION",
    "APPVEYOR",
    "BAMBOO_BUILDKEY",
    "BITBUCKET_BUILD_NUMBER",
    "BUILDKITE",
    "CIRCLECI",
    "CIRRUS_CI",
    "CODEBUILD_BUILD_ID",
    "DRONE",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "HUDSON_URL",
    "JENKINS_URL",
    "SEMAPHORE",
    "TASKCLUSTER_ROOT_URL",
    "TEAMCITY_VERSION",
    "TF_BUILD",
    "TRAVIS",
    "WOODPECKER",
)

#: Set by Apptainer and by Singularity, its older name, inside their containers.
_APPTAINER_VARIABLES = (
    "APPTAINER_CONTAINER",
    "APPTAINER_NAME",
    "SINGULARITY_CONTAINER",
    "SINGULARITY_NAME",
)

_RELEASE_LEVELS = {"alpha": "a", "beta": "b", "candidate": "rc", "final": ""}


class Environment(NamedTuple):
    """What runs here."""

    language: str
    language_version: str
    platform: str
    #: `docker` (Podman too, which the server does not tell apart), `apptainer` or `unknown`.
    container: str
    is_ci: bool

    @classmethod
    def detect(cls, environ: Mapping[str, str] = os.environ, root: str = "/") -> Environment:
        """Look at ``environ``, and at the marker files below ``root``."""
        return cls(
            language="python",
            language_version=python_version(),
            platform=sys.platform,
            container=find_container(environ, root),
            is_ci=any(
                environ.get(name, "").lower() not in ("", "0", "false") for name in CI_VARIABLES
            ),
        )

    def outlives(self, path: str, root: str = "/") -> bool:
        """Say whether what is written to ``path`` is still there after this machine's end.

        Not in CI, nor on the root file system of a Docker container: both are thrown away. What is
        not there yet is judged by the directory that it would come to lie in.
        """
        if self.is_ci:
            return False
        if self.container != "docker":
            return True
        while path != os.path.dirname(path) and not os.path.exists(path):
            path = os.path.dirname(path)
        try:
            return os.stat(path).st_dev != os.stat(root).st_dev
        except OSError:
            return False


def python_version() -> str:
    """Write the interpreter's version by PEP 440, without the `+` of a build in between.

    The server refuses a request with any other form (measured on server 0.9.0).
    """
    info = sys.version_info
    level = _RELEASE_LEVELS[info.releaselevel]
    return f"{info.major}.{info.minor}.{info.micro}" + (f"{level}{info.serial}" if level else "")


def find_container(environ: Mapping[str, str], root: str) -> str:
    """Name the container around this process, as the server spells it."""
    # Apptainer first: it runs inside Docker on some services, never the other way round.
    if any(environ.get(name) for name in _APPTAINER_VARIABLES):
        return "apptainer"
    if os.path.exists(os.path.join(root, ".singularity.d")):
        return "apptainer"
    markers = (".dockerenv", os.path.join("run", ".containerenv"))
    if any(os.path.exists(os.path.join(root, marker)) for marker in markers):
        return "docker"
    # systemd's convention, which Podman follows: https://systemd.io/CONTAINER_INTERFACE
    return "docker" if environ.get("container") in ("docker", "podman", "oci") else "unknown"

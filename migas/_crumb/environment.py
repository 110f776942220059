"""The environment: the interpreter, the platform, the container and the CI service that we run in.

This module owns the signs by which each is known (variables, a few marker files, the root's mount),
and the rule that says which files are lost after this run. What may go wrong: a container or a
service that leaves none of these signs is not recognised. Then the breadcrumb says `unknown` or no
CI, and the agent assumes that the disk lasts.
"""

from __future__ import annotations

import os
import re
import sys

from migas._runtime.namedtuple import NamedTuple

from .mounts import find_mount, read_mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Variables by which the common CI services are known. Most of them set `CI`.
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

#: Apptainer sets these in its containers, and Singularity did, as it was called before.
_APPTAINER_VARIABLES = (
    "APPTAINER_CONTAINER",
    "APPTAINER_NAME",
    "SINGULARITY_CONTAINER",
    "SINGULARITY_NAME",
)

#: Set in each container of a service, by the service: Kubernetes, whose runtimes leave no marker
#: file (https://kubernetes.io/docs/concepts/containers/container-environment/), Cloud Run's
#: services and jobs (https://cloud.google.com/run/docs/container-contract), and Lambda.
_SERVICE_VARIABLES = ("KUBERNETES_SERVICE_HOST", "K_SERVICE", "CLOUD_RUN_JOB")
_LAMBDA_VARIABLE = "AWS_LAMBDA_FUNCTION_NAME"

#: The variables by which containers are known.
CONTAINER_VARIABLES = ("container", *_APPTAINER_VARIABLES, *_SERVICE_VARIABLES, _LAMBDA_VARIABLE)

#: Where Docker, containerd and Podman keep the layers of which a container's root is put together.
#: A container that is started without Kubernetes by containerd (`nerdctl run`) has no other sign.
_LAYERS = r"/docker/|/io\.containerd\.|/containers/storage/"

#: File systems that end with the container which sees them: those in memory, and those that are put
#: together of an image's layers and a directory for what is new.
_PASSING_KINDS = {"tmpfs", "ramfs", "overlay", "aufs", "fuse.fuse-overlayfs"}

#: The roots of volumes that end with their container: an `emptyDir` ends with the Kubernetes pod
#: (https://kubernetes.io/docs/concepts/storage/volumes/#emptydir), and an anonymous volume, which
#: Docker and Podman name by 64 random digits, belongs to one container
#: (https://docs.docker.com/engine/storage/volumes/#named-and-anonymous-volumes).
_PASSING_ROOTS = r"/kubernetes\.io~(empty-dir|git-repo)/|/[0-9a-f]{64}/_data(/|$)"

#: Lambda keeps what lies below this directory, where file systems of a network are mounted, and
#: nothing else: https://docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem.html.
_LAMBDA_MOUNTS = "/mnt/"

#: Values by which a variable says that there is no CI service.
_NOES = ("", "0", "false")

_RELEASE_LEVELS = {"alpha": "a", "beta": "b", "candidate": "rc", "final": ""}


class Environment(NamedTuple):
    """Where this process runs. The fields are those of a `Breadcrumb`, with the same names."""

    language: str
    language_version: str
    platform: str
    #: `docker`, `apptainer` or `unknown`. The server has no word for Podman: it counts as `docker`.
    container: str
    is_ci: bool

    @classmethod
    def detect(cls, environ: Mapping[str, str] = os.environ, root: str = "/") -> Environment:
        """Find out where this process runs.

        Parameters:
            environ: the variables to look at.
            root: the directory that holds the containers' marker files; `/` but in tests.
        """
        return cls(
            language="python",
            language_version=find_python_version(),
            platform=sys.platform,
            container=find_container(environ, root),
            is_ci=bool(find_ci(environ)),
        )


def find_ci(environ: Mapping[str, str]) -> str:
    """Return the variable by which a CI service is known, or `""`: there is no sign of one.

    Example:
        >>> find_ci({"CI": "false", "GITHUB_ACTIONS": "true"})
        'GITHUB_ACTIONS'
    """
    said = (name for name in CI_VARIABLES if environ.get(name, "").lower() not in _NOES)
    return next(said, "")


def find_python_version() -> str:
    """Return the interpreter's version in the form of PEP 440.

    `platform.python_version()` adds a `+` to a build between two releases, and the server refuses
    a request with any version that is not of that form (measured on server 0.9.0).

    Example:
        >>> find_python_version().startswith("3.")
        True
    """
    info = sys.version_info
    level = _RELEASE_LEVELS[info.releaselevel]
    return f"{info.major}.{info.minor}.{info.micro}" + (f"{level}{info.serial}" if level else "")


def find_container(environ: Mapping[str, str], root: str) -> str:
    """Return the kind of container that this process runs in, in the server's words.

    Returns:
        `apptainer`, `docker` (for Podman, Kubernetes and other OCI containers, and for services
        that run functions, too) or `unknown`.
    """
    return look_for_container(environ, root)[0]


def look_for_container(environ: Mapping[str, str], root: str = "/") -> tuple[str, str]:
    """Return the kind of container as `find_container` does, and the sign by which it is known.

    The sign is a variable's name, a file's path, or a few words; `""` if there is none.

    Example:
        >>> look_for_container({"APPTAINER_NAME": "image.sif"})
        ('apptainer', 'APPTAINER_NAME')
    """
    # Apptainer first: it runs inside Docker on some services, never the other way round.
    kinds = (
        ("apptainer", _APPTAINER_VARIABLES, (".singularity.d",)),
        ("docker", (), (".dockerenv", os.path.join("run", ".containerenv"))),
        ("docker", (*_SERVICE_VARIABLES, _LAMBDA_VARIABLE), ()),
    )
    for kind, variables, markers in kinds:
        for name in variables:
            if environ.get(name):
                return kind, name
        for marker in markers:
            if os.path.exists(path := os.path.join(root, marker)):
                return kind, path
    # systemd's convention, which Podman follows: https://systemd.io/CONTAINER_INTERFACE
    if environ.get("container") in ("docker", "podman", "oci"):
        return "docker", "container"
    mount = find_mount("/", read_mounts(root))
    if mount and re.search(_LAYERS, mount.options):
        return "docker", "the file system of its root"
    return "unknown", ""


def is_persistent(path: str, environ: Mapping[str, str] = os.environ, root: str = "/") -> bool:
    """Return False if a file at ``path`` is lost after this run, as in CI or in a container.

    In CI all is lost. In a container that is so for what lies in memory, in the container's own
    root or in a volume of that container alone. A volume that somebody has claimed lasts, and so
    does the home that Apptainer shows. If nobody can tell, nothing lasts there.

    Parameters:
        path: an absolute path, which need not exist; its links are followed. `""` stands for a user
            who has no such directory.
        environ: the variables to look at.
        root: the directory that holds the containers' marks; `/` but in tests.
    """
    environment = Environment.detect(environ, root)
    if environment.is_ci:
        return False
    if environment.container == "unknown":
        return True
    mount = find_mount(os.path.realpath(path), read_mounts(root)) if path else None
    if mount is None or mount.kind in _PASSING_KINDS or re.search(_PASSING_ROOTS, mount.root):
        return False
    if environ.get(_LAMBDA_VARIABLE) and not mount.point.startswith(_LAMBDA_MOUNTS):
        return False
    # Apptainer's own root may be a directory outside, which lasts (`--writable`).
    return mount.point != "/" or environment.container == "apptainer"

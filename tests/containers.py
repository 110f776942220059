"""What `/proc/self/mountinfo` says in containers of each kind, with a home at a place to be named.

The lines are those that the runtimes write, shortened to what a home may lie on. `{home}` is where
the home is mounted, and `{id}` 64 digits that each container has of its own.
"""

# ruff: noqa: E501  # the kernel writes no shorter lines

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Container(NamedTuple):
    """A container as a process sees it."""

    #: What its runtime sets.
    environ: dict[str, str]
    #: The mark that its runtime makes, or `""`.
    marker: str
    #: The text of the kernel's list.
    mounts: str
    #: Where the home is, if it can only lie there.
    home: str = ""

    def make(self, root: Path, home: Path, seed: str = "1") -> Path:
        """Make the marks below ``root``, of a container of its own for each ``seed``."""
        (root / "proc" / "self").mkdir(parents=True, exist_ok=True)
        if self.marker:
            (root / self.marker).parent.mkdir(parents=True, exist_ok=True)
            (root / self.marker).touch()
        digest = hashlib.sha256(seed.encode()).hexdigest()
        escaped = str(home).replace("\\", "\\134").replace(" ", "\\040")
        text = self.mounts.replace("{home}", escaped).replace("{id}", digest)
        (root / "proc" / "self" / "mountinfo").write_text(text)
        return root


_PROC = """\
660 655 0:58 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
661 655 0:59 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755,inode64
"""

_DOCKER = (
    """\
655 540 0:56 / / rw,relatime master:300 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/V3:/var/lib/docker/overlay2/l/WQ,upperdir=/var/lib/docker/overlay2/{id}/diff,workdir=/var/lib/docker/overlay2/{id}/work
"""
    + _PROC
    + """\
662 655 254:1 /var/lib/docker/containers/{id}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda1 rw
"""
)

_CONTAINERD = (
    """\
1655 1540 0:156 / / rw,relatime master:500 - overlay overlay rw,lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/31/fs,upperdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/88/fs,workdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/88/work
"""
    + _PROC
    + """\
1671 1655 259:1 /var/lib/kubelet/pods/0f3d/etc-hosts /etc/hosts rw,noatime - xfs /dev/nvme0n1p1 rw,attr2
1672 1655 0:140 / /run/secrets/kubernetes.io/serviceaccount ro,relatime - tmpfs tmpfs rw,size=3g
"""
)

_PODMAN = (
    """\
820 741 0:61 / / rw,relatime - overlay overlay rw,lowerdir=/home/jane/.local/share/containers/storage/overlay/l/4B,upperdir=/home/jane/.local/share/containers/storage/overlay/{id}/diff,userxattr
"""
    + _PROC
)

_APPTAINER = (
    """\
930 871 0:71 / / ro,nodev,relatime unbindable - overlay overlay ro,lowerdir=/var/lib/apptainer/mnt/session/overlay-lowerdir:/var/lib/apptainer/mnt/session/rootfs
931 930 0:5 / /dev rw,nosuid,relatime - devtmpfs udev rw,size=8g
"""
    + _PROC
)

_LAMBDA = """\
20 19 254:0 / / ro,nosuid,nodev,noatime - ext4 /dev/root ro
25 20 254:16 / /tmp rw,relatime - ext4 /dev/vdb rw,noload
28 20 254:48 / /var/task ro,nosuid,nodev - squashfs /dev/vdd ro
29 20 0:40 / /mnt/shared rw,relatime - nfs4 127.0.0.1:/ rw,vers=4.1,hard
"""

_CLOUD_RUN = """\
1 0 0:17 / / rw - 9p none rw,trans=fd,directfs
4 1 0:20 / /proc rw - proc none rw
5 1 0:21 / /tmp rw - tmpfs none rw
"""

_KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}

_VOLUME = "663 655 254:1 {root} {home} rw,relatime master:1 - ext4 /dev/vda1 rw,discard\n"


def _on_volume(root: str) -> str:
    return _VOLUME.replace("{root}", root)


#: Containers whose home ends with them.
PASSING: dict[str, Container] = {
    "Docker": Container({}, ".dockerenv", _DOCKER),
    "Docker, an anonymous volume": Container(
        {}, ".dockerenv", _DOCKER + _on_volume("/var/lib/docker/volumes/{id}/_data")
    ),
    "Docker on a disk of its own, an anonymous volume": Container(
        {}, ".dockerenv", _DOCKER + _on_volume("/volumes/{id}/_data/jane")
    ),
    "Docker, --tmpfs": Container(
        {}, ".dockerenv", _DOCKER + "663 655 0:80 / {home} rw,nosuid - tmpfs tmpfs rw,size=1g\n"
    ),
    "Docker, vfs": Container(
        {}, ".dockerenv", "655 1 254:1 /var/lib/docker/vfs/dir/{id} / rw - ext4 /dev/vda1 rw\n"
    ),
    "containerd": Container({}, "", _CONTAINERD),
    "nerdctl, an anonymous volume": Container(
        {}, "", _CONTAINERD + _on_volume("/var/lib/nerdctl/1935db59/volumes/default/{id}/_data")
    ),
    "Kubernetes": Container(_KUBERNETES, "", _CONTAINERD),
    "Kubernetes, emptyDir": Container(
        _KUBERNETES,
        "",
        _CONTAINERD + _on_volume("/var/lib/kubelet/pods/0f3d/volumes/kubernetes.io~empty-dir/home"),
    ),
    "Kubernetes, emptyDir on a disk of its own, subPath": Container(
        _KUBERNETES,
        "",
        _CONTAINERD + _on_volume("/pods/0f3d/volumes/kubernetes.io~empty-dir/home/jovyan"),
    ),
    "Kubernetes, emptyDir in memory": Container(
        _KUBERNETES, "", _CONTAINERD + "1680 1655 0:141 / {home} rw - tmpfs tmpfs rw,size=3g\n"
    ),
    "Kubernetes, Kata": Container(
        _KUBERNETES, "", "20 1 0:22 /{id}/rootfs / rw,relatime - virtiofs kataShared rw\n"
    ),
    "Podman": Container({"container": "podman"}, "run/.containerenv", _PODMAN),
    "Podman, fuse-overlayfs": Container(
        {"container": "podman"},
        "run/.containerenv",
        "820 741 0:61 / / rw - fuse.fuse-overlayfs fuse-overlayfs rw,user_id=0,group_id=0\n",
    ),
    "Podman, an anonymous volume": Container(
        {"container": "podman"},
        "run/.containerenv",
        _PODMAN + _on_volume("/jane/.local/share/containers/storage/volumes/{id}/_data"),
    ),
    "Apptainer, --contain": Container(
        {"APPTAINER_CONTAINER": "/images/app.sif"},
        "",
        _APPTAINER
        + "940 930 0:70 /home/jane {home} rw,nosuid,nodev - tmpfs tmpfs rw,size=64m,uid=1000\n",
    ),
    "Apptainer, --no-home": Container({"APPTAINER_CONTAINER": "/images/app.sif"}, "", _APPTAINER),
    "Lambda": Container({"AWS_LAMBDA_FUNCTION_NAME": "count"}, "", _LAMBDA),
    "Lambda, /tmp": Container(
        {"AWS_LAMBDA_FUNCTION_NAME": "count"}, "", _LAMBDA.replace(" /tmp ", " {home} ")
    ),
    "Cloud Run": Container({"K_SERVICE": "app", "K_REVISION": "app-1"}, "", _CLOUD_RUN),
    "a Cloud Run job, a volume in memory": Container(
        {"CLOUD_RUN_JOB": "app"}, "", _CLOUD_RUN + "9 1 0:30 / {home} rw - tmpfs none rw\n"
    ),
    "a sandbox that hides the mounts": Container({"container": "oci"}, "", ""),
}

#: Containers whose home somebody keeps, and machines.
LASTING: dict[str, Container] = {
    "a machine": Container(
        {},
        "",
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n28 27 0:9 / {home} rw - tmpfs t rw\n",
    ),
    "a node that boots from memory": Container(
        {}, "", "27 1 0:2 / / rw - overlay overlay rw,lowerdir=/run/image,upperdir=/run/rw/up\n"
    ),
    "a machine in a container": Container({"container": "lxc"}, "", "27 1 0:2 / / rw - zfs a rw\n"),
    "Docker, a named volume": Container(
        {}, ".dockerenv", _DOCKER + _on_volume("/var/lib/docker/volumes/homes/_data")
    ),
    "Docker, a directory outside": Container({}, ".dockerenv", _DOCKER + _on_volume("/home/jane")),
    "Docker, a subvolume": Container(
        {}, ".dockerenv", _DOCKER + "663 655 0:44 /@home/jane {home} rw - btrfs /dev/sda3 rw\n"
    ),
    "Kubernetes, a claimed disk": Container(
        _KUBERNETES, "", _CONTAINERD + "1680 1655 8:32 / {home} rw,relatime - ext4 /dev/sdc rw\n"
    ),
    "Kubernetes, a claimed share": Container(
        _KUBERNETES,
        "",
        _CONTAINERD
        + "1680 1655 0:190 /hub/jane {home} rw - nfs4 10.0.0.7:/export/hub/jane rw,vers=4.2\n",
    ),
    "Kubernetes, a claimed directory of the node": Container(
        _KUBERNETES, "", _CONTAINERD + _on_volume("/opt/local-path-provisioner/pvc-8f1e_hub_claim")
    ),
    "Podman, toolbox": Container(
        {"container": "podman"}, "run/.containerenv", _PODMAN + _on_volume("/home/jane")
    ),
    "Apptainer": Container(
        {"APPTAINER_CONTAINER": "/images/app.sif"},
        "",
        _APPTAINER + "940 930 0:44 /jane {home} rw,nosuid,nodev - nfs4 nas:/home rw,vers=4.2\n",
    ),
    "Apptainer, --writable": Container(
        {"APPTAINER_CONTAINER": "/images/app"},
        "",
        "930 871 254:1 /images/app / rw,nosuid,nodev,relatime - ext4 /dev/vda1 rw\n",
    ),
    "Lambda, a network's file system": Container(
        {"AWS_LAMBDA_FUNCTION_NAME": "count"}, "", _LAMBDA, "/mnt/shared/jane"
    ),
    "Cloud Run, a bucket": Container(
        {"K_SERVICE": "app"}, "", _CLOUD_RUN + "9 1 0:30 / {home} rw - fuse.gcsfuse bucket rw\n"
    ),
}

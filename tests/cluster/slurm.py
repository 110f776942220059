"""The workload manager: a real Slurm, with a daemon on each node."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from support import await_condition

from .network import LOGIN, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .network import Network

#: Processors that Slurm takes each node to have: jobs that it runs there at a time.
PROCESSORS = 4

#: Seconds after which jobs have failed to end; each test's take a tenth of it.
PATIENCE = 900.0

#: Seconds between a job's SIGTERM and its SIGKILL.
KILL_WAIT = 2

_CONFIG = """
ClusterName=migas
SlurmctldHost=login({login})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
SlurmctldPort=26817
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
{confinement}
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=200
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait={kill_wait}
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
MaxArraySize=1001
PartitionName=main Nodes={names} Default=YES MaxTime=INFINITE State=UP
"""

#: Whether Slurm can end what takes more memory than its job may.
CONFINES = Path("/sys/fs/cgroup/memory").is_dir()

_CONFINEMENT = """
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
"""

#: For systems of the second version of cgroups, where Slurm needs systemd to be there as well.
_NO_CONFINEMENT = """
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
"""

_NODE = (
    "NodeName={name} NodeHostname={name} NodeAddr={address} Port={port} CPUs={processors}"
    " Boards=1 SocketsPerBoard=1 CoresPerSocket={processors} ThreadsPerCore=1 RealMemory=4000\n"
)

_CGROUP = """
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
ConstrainCores=no
"""


class Slurm:
    """Runs jobs on the nodes of ``network``; its own files are below ``root``."""

    def __init__(self, network: Network, root: Path) -> None:
        self._root = root
        self._daemons: list[subprocess.Popen[bytes]] = []
        names = [node.name for node in network.nodes]
        config = _CONFIG.format(
            root=root,
            login=LOGIN,
            kill_wait=KILL_WAIT,
            names=",".join(names),
            confinement=_CONFINEMENT if CONFINES else _NO_CONFINEMENT,
        )
        for number, name in enumerate(names, 11):
            config += _NODE.format(
                name=name, address=f"10.77.0.{number}", port=26820, processors=PROCESSORS
            )
        self.config = root / "slurm.conf"
        self.config.write_text(config)
        (root / "cgroup.conf").write_text(_CGROUP)
        for directory in ("state", "jobs"):
            (root / directory).mkdir()
        key = root / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = {"key-file": key, "socket": root / "munge.socket", "log-file": root / "munged.log"}
        files |= {"pid-file": root / "munged.pid", "seed-file": root / "munged.seed"}
        munged = [f"--{option}={path}" for option, path in files.items()]
        self._start("munged", "--foreground", *munged)
        await_condition(files["socket"].exists)
        self._start("slurmctld", "-D", "-f", str(self.config))
        for node in network.nodes:
            (root / f"spool-{node.name}").mkdir()
            self._start(*node.command("slurmd", "-D", "-f", str(self.config), "-N", node.name))
        await_condition(lambda: self._ask("sinfo", "-h", "-o", "%T").strip() == "idle")

    def submit(self, script: str, *options: str, environ: Mapping[str, str] | None = None) -> str:
        """Queue a job that runs ``script``, and return its number."""
        given = f"#!/bin/sh\n{script}\n"
        done = subprocess.run(
            ["sbatch", "--parsable", "--chdir=/", f"--output={self._root}/jobs/%A-%a", *options],
            input=given,
            env=self._environ() | dict(environ or os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def await_end(self, *jobs: str) -> None:
        """Wait until nothing of ``jobs`` runs or waits any more."""
        deadline = time.monotonic() + PATIENCE
        while left := self._ask("squeue", "-h", "-o", "%A %T", "-j", ",".join(jobs)).strip():
            assert time.monotonic() < deadline, left
            time.sleep(0.2)

    def state(self, job: str) -> str:
        """Say what state a job is in, or has ended in."""
        found = re.search(r"JobState=(\S+)", self._ask("scontrol", "show", "job", "-o", job))
        assert found is not None
        return found[1]

    def cancel(self, job: str) -> None:
        """Have a job get SIGTERM, and SIGKILL a while after."""
        self._ask("scancel", job)

    def requeue(self, job: str) -> None:
        """Have a job that runs end, and run again from its beginning."""
        self._ask("scontrol", "requeue", job)

    def output(self, job: str) -> str:
        """Return what a job, or all tasks of an array, have printed."""
        return "".join(path.read_text() for path in self._root.glob(f"jobs/{job}-*"))

    def stop(self) -> None:
        """End the daemons."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait()

    def _start(self, *command: str) -> None:
        name = self._root / f"daemon-{len(self._daemons)}.log"
        with name.open("wb") as log:
            self._daemons.append(
                subprocess.Popen(
                    command, env=self._environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            )

    def _environ(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "SLURM_CONF": str(self.config)}

    def _ask(self, *command: str) -> str:
        return run(*command, environ=self._environ())

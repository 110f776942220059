"""The ancestors: asks Linux which processes this one comes from, and tells one from all others.

What may go wrong: another system, a hidden `/proc`, or a process of another user. Then nothing is
known of it, and the answer is None or False.
"""

from __future__ import annotations

import os

#: The flag of a process that was forked and has run no other program since: `PF_FORKNOEXEC` of
#: include/linux/sched.h, in /proc/PID/stat as of proc_pid_stat(5).
_FORKED = 0x40

#: How many processes one on top of the other are looked at.
_DEPTH = 64


class _Status:
    """What the kernel says of a process: the fields of proc_pid_stat(5), from the second on."""

    def __init__(self, name: str, fields: list[str]) -> None:
        self.name = name
        self.parent = int(fields[1])
        self.is_forked = bool(int(fields[6]) & _FORKED)
        #: Ticks since the machine's start. A process keeps it when it runs another program.
        self.start = fields[19]


def identify(pid: int) -> str | None:
    """Return a text that no other process has, on any machine and at any time."""
    status, boot, space = _read_status(pid), _read("/proc/sys/kernel/random/boot_id"), _read_space()
    if status is None or not boot or not space:
        return None
    return f"{pid} {status.start} {boot.decode().strip()} {space}"


def name_process(pid: int) -> str:
    """Return a text by which a process is known on its machine, also after it has executed anew."""
    status = _read_status(pid)
    return f"{pid}-{status.start}" if status else f"{pid}"


def is_forked() -> bool:
    """Return True if this process runs the program of its parent, which goes on as well.

    So do the workers of a server that forks them: gunicorn's, Apache's. A daemon whose parent has
    ended does not.
    """
    own, parent = _read_status(os.getpid()), _read_status(os.getppid())
    if own is None or parent is None or not own.is_forked:
        return False
    try:
        return os.readlink("/proc/self/exe") == os.readlink(f"/proc/{os.getppid()}/exe")
    except OSError:  # a parent that has kept more rights than this process
        return own.name == parent.name


def find_launcher(variable: str) -> int | None:
    """Return the nearest process above whose environment has no such variable: its id."""
    pid, name = os.getppid(), f"{variable}=".encode()
    for _ in range(_DEPTH):
        status = _read_status(pid)
        if status is None:
            return None
        # Another user's environment cannot be read: that is the launcher's, then.
        variables = (_read(f"/proc/{pid}/environ") or b"").split(b"\0")
        if not any(each.startswith(name) for each in variables):
            return pid
        pid = status.parent
    return None


def _read_status(pid: int) -> _Status | None:
    # The name is in brackets, and may hold anything.
    head, _, tail = (_read(f"/proc/{pid}/stat") or b"").decode("latin-1").rpartition(")")
    fields = tail.split()
    if len(fields) < 20:
        return None
    return _Status(head.partition("(")[2], fields)


def _read_space() -> str:
    """Return the name of this process's numbering of processes: a container has its own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except Exception:  # an audit hook of the host's may raise anything
        return None

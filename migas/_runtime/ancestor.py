"""The ancestors: asks Linux which processes this one comes from, and tells one from all others.

What may go wrong: another system, a hidden `/proc`, or a process of another user. Then nothing is
known of it, and the answer is None or False.
"""

from __future__ import annotations

import os

from .signals import reraise_from_handler

#: The flag of a process that was forked and has run no other program since: `PF_FORKNOEXEC` of
#: include/linux/sched.h, in /proc/PID/stat as of proc_pid_stat(5).
_FORKED = 0x40

#: How many processes one on top of the other are looked at.
_DEPTH = 64


#: Bytes of a file that are read at once: more than any but a large environment has.
_AT_ONCE = 65536


class _Status:
    """What the kernel says of a process: the fields of proc_pid_stat(5), from the third on."""

    def __init__(self, pid: int, name: str, fields: list[str]) -> None:
        self.pid = pid
        self.name = name
        self.parent = int(fields[1])
        #: The number of its session. A daemon begins one of its own.
        self.session = fields[3]
        self.is_forked = bool(int(fields[6]) & _FORKED)
        #: Ticks since the machine's start. A process keeps it when it executes another program.
        self.start = int(fields[19])
        #: Where its arguments lie, which no two programs that one process executes have in common.
        #: `"0"` for processes of others.
        self.image = fields[45]


def identify(pid: int) -> str | None:
    """Return a text that no other process has, on any machine and at any time. None: unknown."""
    status, boot = _read_status(pid), _read("/proc/sys/kernel/random/boot_id")
    space = _read_link("/proc/self/ns/pid")  # a container numbers its processes by itself
    if status is None or not boot or not space:
        return None
    return f"{pid} {status.start} {boot.decode().strip()} {space}"


def name_process(pid: int) -> tuple[str, str]:
    """Return a text that a process keeps as long as it lives, and one of the program in it.

    Both are empty where nothing is known.
    """
    status = _read_status(pid)
    return (f"{pid}-{status.start}", status.image) if status else ("", "")


def is_forked() -> bool:
    """Return True if this process runs the program of its parent, which goes on as well.

    So do the workers of a server that forks them: gunicorn's, Apache's. A daemon does not, whose
    parent has ended, or manages what it has started.
    """
    own, parent = _read_status(os.getpid()), _read_status(os.getppid())
    if own is None or parent is None or not own.is_forked or own.session != parent.session:
        return False
    return is_of_this_program(os.getppid(), unknown=own.name == parent.name)


def is_of_this_program(pid: int, *, unknown: bool = False) -> bool:
    """Return True if a process runs the file that this one does, the interpreter's.

    ``unknown`` is the answer for a process that has kept more rights than this one.
    """
    theirs = _read_link(f"/proc/{pid}/exe")
    return theirs == _read_link("/proc/self/exe") if theirs else unknown


def find_other_program() -> int | None:
    """Return the id of the nearest process above that runs another file than this one does."""
    pid: int | None = os.getppid()
    for _ in range(_DEPTH):
        status = _read_status(pid) if pid else None
        if status is None:
            return None
        if not is_of_this_program(status.pid):
            return status.pid
        pid = status.parent
    return None


def has_argument(pid: int, argument: str) -> bool:
    """Return True if a process was started with this argument."""
    return argument.encode() in (_read(f"/proc/{pid}/cmdline") or b"").split(b"\0")


def find_launcher(variable: str) -> int | None:
    """Return the nearest process above whose environment has no such variable: its id."""
    found = _find_launched(variable)
    return found and found[0]


def identify_launcher(variable: str) -> str | None:
    """Return what `identify` says of the process that `find_launcher` finds. None: unknown."""
    pid = find_launcher(variable)
    return identify(pid) if pid else None


def has_begun_late(variable: str, seconds: float) -> bool:
    """Return True if this process began so much later than the first that has the variable.

    That first one may be a shell, or what runs one program after another.
    """
    found = _find_launched(variable)
    if found is None:
        return False
    own, launched = found[1][0], found[1][-1]
    return own.start - launched.start > seconds * os.sysconf("SC_CLK_TCK")


def find_program(variable: str) -> tuple[str, str] | None:
    """Return what names this process's rank, and the program in it. Returns None if unknown.

    The rank is the process that was launched, which may be a shell that runs several programs. The
    program is the uppermost process below the launcher that runs the file which this one does.
    Both are the same text if that is the rank itself.

    Parameters:
        variable: that of the launcher, which tells its processes apart; `""`: there is none.
    """
    found = _find_launched(variable) if variable else None
    if found is None:
        return None
    own, *above = found[1]
    same = [own, *(status for status in above if is_of_this_program(status.pid))]
    rank, program = identify(found[1][-1].pid), identify(same[-1].pid)
    return (rank, program) if rank and program else None


def _find_launched(variable: str) -> tuple[int, list[_Status]] | None:
    """Return what `find_launcher` does, and the processes from this one up to the launched one."""
    own = _read_status(os.getpid())
    if own is None:
        return None
    pid, name, launched = os.getppid(), f"{variable}=".encode(), [own]
    for _ in range(_DEPTH):
        status = _read_status(pid)
        if status is None:
            return None
        variables = _read(f"/proc/{pid}/environ")
        # That of another user's cannot be read; nor one of this user's outside of a container.
        if variables is None and not _is_own(pid):
            return pid, launched
        if variables is not None and b"\0" + name not in b"\0" + variables:
            return pid, launched
        launched.append(status)
        pid = status.parent
    return None


def _read_status(pid: int) -> _Status | None:
    # The name is in brackets, and may hold anything.
    head, _, tail = (_read(f"/proc/{pid}/stat") or b"").decode("latin-1").rpartition(")")
    try:
        return _Status(pid, head.partition("(")[2], tail.split())
    except (ValueError, IndexError) as error:  # another kernel's, or nothing
        reraise_from_handler(error)
        return None


def _is_own(pid: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.getuid()
    except OSError as error:
        reraise_from_handler(error)
        return False


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError as error:
        reraise_from_handler(error)
        return ""


def _read(path: str) -> bytes | None:
    # A file object would ask for the size, the kind and the position of what has none.
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            content = b""
            while more := os.read(descriptor, _AT_ONCE):
                content += more
            return content
        finally:
            os.close(descriptor)
    except Exception as error:  # an audit hook of the host's may raise anything
        reraise_from_handler(error)
        return None

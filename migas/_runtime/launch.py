"""The launch: finds out with which other processes this one makes one run of one program.

A run is one use, with all its ranks and workers; a program that something else starts is a use of
its own. Three signs lead to one run: a parent that carries migas hands its session down; a launcher
says that it has started several processes side by side, and which this one is; or a parent that
does not carry migas runs the same program, as of a pool or a server.

The processes of a launch have something in common that no other launch has. Hashed with the user's
number, that is the launch's key; the session is made of it, so that no process has to ask another.
A carrier hands down the key of its launch as well. A process of that same launch was started by a
rank, and reports for itself. One of another launch is a rank, whatever session it has inherited.

What may go wrong: a launcher renames a variable, or nodes share nothing that is named here. Then
each process, or each node, is a run of its own. The key has what tells two launches apart even
where their names are the same, since a use that is counted twice is better than one that is lost.
"""

from __future__ import annotations

import os

from . import log, place
from .ancestor import has_begun_late, identify, identify_launcher, is_forked, name_process
from .identifier import derive_id, digest
from .imports import is_this_thread_importing
from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    #: Returns the launch that an environment tells of.
    Look: TypeAlias = Callable[[Mapping[str, str]], "Launch | None"]

#: The variable by which a carrier hands down its launch's key, or `none`, and which process it is.
LAUNCH = "MIGAS_LAUNCH"

_NONE = "none"

#: Seconds after which a program that a rank starts is one of its own, though the rank does not
#: carry migas: a pilot job or a person at a prompt starts one after the other.
_LATE = 300.0

#: How a parent and its workers know their pool.
_POOL = "its pool's, by the parent's process"

#: What tells batch systems' jobs apart.
_JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")

#: What tells a step of a Slurm job from all others, a requeued job's from those of its first try.
_SLURM = (
    *("SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_LAUNCH_NODE_IPADDR"),
    *("SLURM_RESTART_COUNT", "SLURM_JOB_START_TIME"),
)


class Launch:
    """Several processes that were started to run one program.

    Parameters:
        sign: how it is known, in words for a person.
        key: 32 hexadecimal digits, the same for all of its processes, and for no other launch's.
        rank: the variable that numbers processes which were started side by side. `""`: it is a
            pool, with its parent or without.
        inherits: True if this process has the session that it inherits, if it does.
    """

    #: True if nobody knows what the parent has forked this process for: to serve, say.
    is_forked = False

    def __init__(self, sign: str, key: str, rank: str = "", *, inherits: bool = False) -> None:
        self.sign = sign
        self.key = key
        self.rank = rank
        self.inherits = inherits


class Part:
    """The part that this process has in a run."""

    #: The run's session, inherited or made of the launch's key. None: a random one.
    session_id: str | None = None
    #: How the run is known, in words for a person.
    sign = "its own"
    #: The key under which the run's processes agree on who reports a use, or `""`: this one does.
    scope = ""
    #: The variable by which its launcher tells this process from others, see `find_program`.
    rank = ""
    #: True if what the parents have reported is not to be reported again.
    is_continued = False
    #: True if this is a program that has executed itself once more.
    is_executed = False
    #: True if ``scope`` holds only for what is reported while a module is imported: that is the
    #: program's own use. What a pool's task or a server's request reports is a use of its own.
    is_pool = False
    #: True if ``is_continued`` holds only for that as well: this process serves.
    is_server = False
    #: True if a reloader has started this server.
    is_reloaded = False
    #: What children inherit as `LAUNCH`.
    handed_down = ""

    def is_shared_now(self) -> bool:
        """Return True if what this thread reports now is a use of the whole run."""
        return not self.is_pool or self._is_starting()

    def is_continued_now(self) -> bool:
        """Return True if what the parents have reported is not to be reported again now."""
        return self.is_continued and (not self.is_server or self._is_starting())

    def notice_workers(self) -> None:
        """Share the run with workers that this process has started since its part was found.

        To be called before its first report: after `setup()` or a question it is found earlier.
        """
        if self.rank or self.is_pool:
            return
        if launch := _try_to_find_launch(os.environ, _look_for_workers):
            self.scope, self.is_pool = launch.key, True

    def _is_starting(self) -> bool:
        """Return True if what this thread does belongs to the program's start.

        A reloaded server's main thread only looks for changed files, while others serve.
        """
        if is_this_thread_importing():
            return True
        return self.is_reloaded and place.is_main_thread()


def find_part(environ: Mapping[str, str], inherited: str | None) -> Part:
    """Return the part that this process has in a run. Reads the environment, and `/proc` on Linux.

    To be called once a process, before it hands anything down: afterwards it would look as if it
    had executed its own program once more.

    Parameters:
        environ: the environment that this process was started with.
        inherited: the session that it names, if it names one.
    """
    part, launch = Part(), _try_to_find_launch(environ, find_launch)
    name, image = name_process(os.getpid())
    me = f"{name}-{place.name_program()}"
    key = launch.key if launch else _NONE
    above, _, carrier = environ.get(LAUNCH, "").partition(":")
    carrier, _, carriers_image = carrier.rpartition("-")
    part.handed_down = f"{key}:{me}-{image}"
    # A program that executes itself once more stays the process that it is.
    part.is_executed = bool(name) and carrier == me and carriers_image != image
    part.is_continued = part.is_executed or place.is_worker_process()
    if launch:
        part.rank, part.is_pool = launch.rank, not launch.rank
        part.is_reloaded = place.is_reloaded()
        part.is_server = launch.is_forked or part.is_reloaded
        if launch.is_forked:
            # What its parent inherited was told by another program.
            part.is_continued = carrier.startswith(f"{name_process(os.getppid())[0]}-")
        elif not launch.inherits and above != key:
            part.is_continued = False
        part.scope = key if above != key or part.is_continued or launch.inherits else ""
        part.session_id, part.sign = derive_id(bytes.fromhex(key)), launch.sign
    if inherited and (launch is None or launch.inherits or above in ("", key)):
        part.session_id, part.sign = inherited, "inherited, by MIGAS_SESSION_ID"
    return part


def _try_to_find_launch(environ: Mapping[str, str], look: Look) -> Launch | None:
    """Return the launch, or None if it cannot be found out: a use is reported nevertheless."""
    try:
        return look(environ)
    except Exception as error:  # a host's audit hook, a double of a test's
        reraise_from_handler(error)
        log.say(log.DEBUG, "whether this process is one of several is not known: %r", error)
        return None


def find_launch(environ: Mapping[str, str]) -> Launch | None:
    """Return the launch that this process belongs to, or None if it was started alone.

    The innermost are asked first. A launch of one process is none: `srun --pty bash`.

    Example:
        >>> find_launch({"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"})
    """
    looks: tuple[Look, ...] = (
        *(_look_for_ray, _look_for_spark, _look_for_torch, _look_for_open_mpi),
        *(_look_for_slurm, _look_for_mpich, _look_for_xdist, _look_for_parent),
    )
    return next(filter(None, (look(environ) for look in looks)), None)


def _look_for_torch(environ: Mapping[str, str]) -> Launch | None:
    """By torchrun's variables. Its own names of a run are used again by the next run."""
    size, rank = "WORLD_SIZE", "RANK"
    if not _is_one_of_many(environ, size, rank):
        return None
    run = environ.get("TORCHELASTIC_RUN_ID") or environ.get("MASTER_PORT")
    is_here = environ.get("LOCAL_WORLD_SIZE") == environ[size]
    places = _find_places(rank, _read_step(environ), is_here=is_here)
    return _make("torchrun's, by RANK", [run, environ.get("MASTER_ADDR"), *places], rank)


def _look_for_open_mpi(environ: Mapping[str, str]) -> Launch | None:
    """By the address of version 4's daemon, or by version 5's name of a launch.

    That is made of a host's name and a process's number, which may be the same again: in a
    container always. So what has started the ranks goes with it, or what tells jobs apart.
    """
    size, rank = "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"
    if not _is_one_of_many(environ, size, rank):
        return None
    names: list[str | None] = [environ.get("OMPI_MCA_orte_hnp_uri")]
    if not names[0]:
        is_here = environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == environ[size]
        jobs = [environ[name] for name in _JOBS if environ.get(name)]
        places = _find_places(rank, jobs, is_here=is_here)
        names = [environ.get("PMIX_NAMESPACE") or None, *places]
    return _make(f"Open MPI's, by {rank}", names, rank)


def _look_for_slurm(environ: Mapping[str, str]) -> Launch | None:
    """By Slurm's names of a step, unless it has only started another launcher's helpers."""
    if not (step := _read_step(environ)):
        return None
    ours = [environ.get(name) for name in ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID")]
    theirs = [environ.get(name) for name in ("PMI_SIZE", "PMI_RANK")]
    if any(theirs) and theirs != ours:
        return None
    return _make("a Slurm step's, by SLURM_PROCID", step, "SLURM_PROCID")


def _look_for_mpich(environ: Mapping[str, str]) -> Launch | None:
    """By the process that has started MPICH's ranks, which is another one on each node.

    Intel's launcher, which is made of MPICH's, has a name for each launch, the same on all nodes.
    """
    rank = "PMI_RANK"
    if not _is_one_of_many(environ, "PMI_SIZE", rank):
        return None
    if name := environ.get("I_MPI_HYDRA_UUID"):
        return _make(f"Intel MPI's, by {rank}", [name], rank)
    return _make(f"MPICH's, by {rank}", [identify_launcher(rank)], rank)


def _look_for_xdist(environ: Mapping[str, str]) -> Launch | None:
    rank, run = "PYTEST_XDIST_WORKER", environ.get("PYTEST_XDIST_TESTRUNUID") or None
    is_one = _is_one_of_many(environ, "PYTEST_XDIST_WORKER_COUNT", rank)
    return _make(f"pytest-xdist's, by {rank}", [run], rank) if is_one else None


def _look_for_ray(_environ: Mapping[str, str]) -> Launch | None:
    """By Ray's job: several drivers share the daemon that has started the workers."""
    job = place.find_ray_job()
    return _make("a Ray job's", [job], inherits=place.is_worker_process()) if job else None


def _look_for_spark(_environ: Mapping[str, str]) -> Launch | None:
    """By Spark's Java process, of a driver and its workers, wherever that was started."""
    pid = place.find_spark()
    return _make("a Spark program's", [identify(pid)], inherits=True) if pid else None


def _look_for_parent(_environ: Mapping[str, str]) -> Launch | None:
    """By the parent process, of which this one is a worker, or which has forked it.

    A parent whose workers were there before it reports anything has handed nothing down to them.
    """
    if place.is_worker_process():
        return _make(_POOL, [identify(place.find_parent())], inherits=True)
    if is_forked():
        launch = _make("its parent's, as a fork", [identify(os.getppid())], inherits=True)
        if launch:
            launch.is_forked = True
        return launch
    return _look_for_workers(_environ)


def _look_for_workers(_environ: Mapping[str, str]) -> Launch | None:
    if place.has_workers():
        return _make(_POOL, [identify(os.getpid())], inherits=True)
    return None


def _is_one_of_many(environ: Mapping[str, str], size: str, rank: str) -> bool:
    number = environ.get(size, "")  # first: most processes have none, and pay for each look
    if not number.isdecimal() or len(number) > 9 or int(number) < 2 or rank not in environ:
        return False
    return not has_begun_late(rank, _LATE)


def _read_step(environ: Mapping[str, str]) -> list[str]:
    """Return what names a step of a Slurm job, or `[]` if there is none of several tasks."""
    is_step = _is_one_of_many(environ, "SLURM_STEP_NUM_TASKS", "SLURM_PROCID")
    if not is_step or not environ.get("SLURM_JOB_ID"):
        return []
    return [environ.get(name, "") for name in _SLURM]


def _find_places(rank: str, job: list[str], *, is_here: bool) -> list[str | None]:
    """Return what tells a launch from others that have its names.

    What has started the ranks is another process on each node. So a launch that is not only here is
    told from others by its ``job``, if there is one, and so is one whose starter is not known.
    """
    starter = identify_launcher(rank) if is_here or not job else None
    return [starter] if starter or not job else [*job]


def _make(
    sign: str, parts: Iterable[str | None], rank: str = "", *, inherits: bool = False
) -> Launch | None:
    """Return the launch that has these parts in common. Returns None if one is not known."""
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    words = [user, sign]
    for part in parts:
        if part is None:
            return None
        words.append(part)
    return Launch(sign, digest(*words).hex(), rank, inherits=inherits)

"""The place: finds out in what kind of process, and of interpreter, this code runs.

It knows the marks that libraries leave in their worker processes, and imports none of these
libraries: one that is not loaded has not made this process.

What may go wrong: a library renames a mark. Then its workers count as ordinary processes. They
report a use that their parent has reported, and a kill loses what they noted just before.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading

from .ancestor import find_launcher, find_other_program, has_argument, is_of_this_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

#: The modules that Spark runs as the main module of its workers, or of their parent.
_SPARK = ("pyspark.daemon", "pyspark.worker")

#: Where Spark 4 and 3 have their `SparkContext`.
_SPARK_CONTEXTS = ("pyspark.core.context", "pyspark.context")

#: The main class of the Java program that a driver starts, or that starts a driver.
_SPARK_SUBMIT = "org.apache.spark.deploy.SparkSubmit"

#: The modes in which Ray's workers run, of `ray._private.worker`; 0 is a driver's, 2 a test's.
_RAY_MODES = (1, 3, 4)

#: The variables of the reloaders: of werkzeug, which is Flask's, and of Django.
_RELOADED = ("WERKZEUG_RUN_MAIN", "RUN_MAIN")

#: What the code is called that a program's first frame runs: a module's, or runpy's for `-m`.
FIRST = frozenset(("<module>", "_run_module_as_main"))


def is_worker_process() -> bool:
    """Return True if this is a worker process of a pool, whose parent has told it what to do.

    Such processes are known of `multiprocessing`, by any start method, and of what is built on it
    (loky, joblib, Dask, PyTorch); of billiard, which is Celery's; of Ray; of Spark; and of web
    servers that are started again when a file changes. A fork server counts as one: it may import
    the host for the workers' sake.
    """
    return (
        _is_child(sys.modules.get("multiprocessing.process"))
        or _is_child(sys.modules.get("billiard.process"))
        or _is_fork_server()
        or _is_of_ray()
        or _is_of_spark()
        or is_reloaded()
    )


def name_program() -> str:
    """Return a short name of the program that runs, whatever its arguments are."""
    first = (getattr(sys, "argv", None) or [])[:1]  # a program that embeds Python need not set it
    # While a module is looked for that `-m` names, that is all there is.
    program = sys.orig_argv if first in (["-c"], ["-m"]) else first
    # The hash of an integer is the same in each process.
    return f"{hash(int.from_bytes(repr(program).encode(errors='replace'), 'big')):x}"


def find_parent() -> int:
    """Return the id of the process whose worker this is; of any other one, of its parent.

    They differ in a child of `multiprocessing`'s fork server.
    """
    for package in ("multiprocessing", "billiard"):
        current_process = _get(f"{package}.process", "current_process")
        pid = current_process and getattr(current_process(), "_parent_pid", None)
        if isinstance(pid, int):
            return pid
    return os.getppid()


def find_ray_job() -> str | None:
    """Return what names the job of Ray (2.x) that this driver or worker belongs to, if any."""
    worker = _get("ray._private.worker", "global_worker")
    job = getattr(worker, "current_job_id", None)
    session = getattr(getattr(worker, "node", None), "session_name", None)
    if job is None or session is None or job.is_nil():
        return None
    return f"{session} {job.hex()}"


def find_spark() -> int | None:
    """Return the id of the Java process that this driver or worker of Spark (3 and 4) belongs to.

    It is the driver's own where Spark runs on one machine. Elsewhere a worker's is its executor.
    """
    if _is_of_spark():
        return find_other_program()
    for name in _SPARK_CONTEXTS:
        gateway = getattr(_get(name, "SparkContext"), "_gateway", None)
        pid = getattr(getattr(gateway, "proc", None), "pid", None)
        if isinstance(pid, int):
            return pid
    # By `spark-submit`, which starts the driver.
    is_driver = "PYSPARK_GATEWAY_PORT" in os.environ and has_argument(os.getppid(), _SPARK_SUBMIT)
    return os.getppid() if is_driver else None


def has_workers() -> bool:
    """Return True if this process has started workers of `multiprocessing` or billiard."""
    for package in ("multiprocessing", "billiard"):
        # A child that was forked by other means has its parent's.
        for child in tuple(_get(f"{package}.process", "_children") or ()):
            if getattr(child, "_parent_pid", None) == os.getpid():
                return True
    return False


def _get(module: str, name: str) -> Any:
    """Return an attribute of a module that is loaded, or None."""
    return getattr(sys.modules.get(module), name, None)


def _is_child(module: object) -> bool:
    """Return True if a module like `multiprocessing.process` says that this is a child of its.

    While a worker imports its parent's main module only private attributes say so: `_inheriting`,
    and a `_parent_pid` other than None (CPython 3.11 to 3.15, billiard 4).
    """
    current_process = getattr(module, "current_process", None)
    if current_process is None:
        return False
    current = current_process()
    if getattr(current, "_parent_pid", None) is not None:
        return True
    return bool(getattr(current, "_inheriting", False))


def is_reloaded() -> bool:
    """Return True in the process that Flask's or Django's reloader has started to do the work.

    What that process starts inherits the variable as well, and is none: its parent has it, too.
    Only Linux says what a parent has.
    """
    names = [name for name in _RELOADED if os.environ.get(name) == "true"]
    if not names:
        return False
    # A shell, or what builds a program, may set the variable for all that it starts.
    first = any(find_launcher(name) == os.getppid() for name in names)
    return first and is_of_this_program(os.getppid())


def _is_fork_server() -> bool:
    """Return True in the server of the start method `forkserver`, or a child that it has forked.

    Its command line is `python -c "from multiprocessing.forkserver import main; …"`, with more
    before that from Python 3.15 on: `ensure_running` in Lib/multiprocessing/forkserver.py.
    """
    if "multiprocessing.forkserver" not in sys.modules:
        return False
    _, is_command, rest = "\0".join(sys.orig_argv).partition("\0-c\0")
    return bool(is_command) and "multiprocessing.forkserver import main" in rest.partition("\0")[0]


def _is_of_ray() -> bool:
    """Return True if this process runs the tasks and actors of Ray (2.x)."""
    worker = _get("ray._private.worker", "global_worker")
    return getattr(worker, "mode", None) in _RAY_MODES


def _is_of_spark() -> bool:
    """Return True if this is a worker of PySpark, or the daemon that forks them (3 and 4).

    A site may name a main module of its own (`spark.python.daemon.module`), which imports Spark's.
    """
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return getattr(spec, "name", None) in _SPARK or _SPARK[1] in sys.modules


def find_outermost_frame(frame: FrameType | None = None) -> FrameType:
    """Return the frame in which this thread, or that of ``frame``, began to run Python code.

    On a program's main thread this is the frame of the module `__main__`, or of the code that runs
    it: runpy for `python -m`, the script for `coverage run`. `inspect` has a public way to this
    frame, but takes 10 ms to import.
    """
    frame = frame or sys._getframe()  # noqa: SLF001  # documented, though its name has an underscore
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


def is_main_thread() -> bool:
    """Return True on the main thread, or the main greenlet.

    `threading.current_thread()` would make an object for a thread that it does not know, one that a
    host's C code has started say, and keep it in its list.
    """
    return threading.get_ident() == threading.main_thread().ident


def is_main_interpreter() -> bool:
    """Return False in a subinterpreter, as of mod_wsgi: a thread at its end aborts the process.

    `_thread` says it from Python 3.12 on. Before that only a module of the standard library's does,
    which costs half a millisecond to import, once.
    """
    is_main = getattr(_thread, "_is_main_interpreter", None)
    if is_main is not None:
        return bool(is_main())
    if not _answers:
        _answers.append(_ask_interpreters())
    return _answers[0]


#: The answer before Python 3.12, once it is known. Each interpreter has a copy of this module.
_answers: list[bool] = []


def _ask_interpreters() -> bool:
    name = "_xxsubinterpreters"
    is_loaded = name in sys.modules
    try:
        module = __import__(name)
    except ImportError:  # another implementation of Python
        return True
    if not is_loaded:  # or `loading` would take the host for one that makes interpreters
        sys.modules.pop(name, None)
    return bool(module.get_current() == module.get_main())

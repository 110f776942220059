"""What the guard looks at; see `sitecustomize.py`.

Everything is read by the interpreter's own modules, since hosts replace functions of `os` and of
others; and nothing is imported that the host has not imported.
"""

from __future__ import annotations

import _contextvars
import _locale
import _signal  # type: ignore[import-not-found]  # typeshed leaves it out
import _thread
import _warnings
import builtins
import gc
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Variables by which what a program starts inherits server, user, run and reported uses (README).
HANDED_DOWN = (
    *(b"MIGAS_ENDPOINT", b"MIGAS_SESSION_ID", b"MIGAS_USER_ID", b"MIGAS_TOLD"),
    *(b"MIGAS_CACHE_DIR", b"MIGAS_LAUNCH"),
)

#: Signals that our threads do not block: those of their own faults, and two that nobody can block.
_UNBLOCKED = {
    getattr(_signal, f"SIG{name}", None)
    for name in ("SEGV", "BUS", "FPE", "ILL", "ABRT", "TRAP", "SYS", "KILL", "STOP")
}

#: What our threads block, as the system writes it: all signals but those of their own faults.
OWN_MASK = f"{sum(1 << (number - 1) for number in _signal.valid_signals() - _UNBLOCKED):016x}"


def read(path: str) -> str:
    """Return the first 100 kB of a file."""
    descriptor = posix.open(path, posix.O_RDONLY)
    try:
        return posix.read(descriptor, 100_000).decode(errors="replace")
    finally:
        posix.close(descriptor)


def loaded(name: str) -> Any:
    """Return a module that is loaded, or None."""
    return sys.modules.get(name)


def name_object(value: object) -> str:
    """Return what an object is known by; to keep it would keep it alive."""
    function = getattr(value, "__func__", value)
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{getattr(function, '__module__', '')}.{name}@{id(function):x}"


def count_our_threads() -> int:
    """Return how many threads of ours run, which are known by their masks alone."""
    return sum(is_ours(task, mask) for task, mask in read_masks().items())


def look_at_masks() -> dict[str, str]:
    """Return the signal masks of all threads but ours."""
    return {task: mask for task, mask in read_masks().items() if not is_ours(task, mask)}


def is_ours(task: str, mask: str) -> bool:
    """Return True for a thread with the mask of ours, but for the main thread."""
    return mask == OWN_MASK and int(task) != posix.getpid()


def read_masks() -> dict[str, str]:
    """Return the signal mask of each thread, by the system's number of it."""
    masks = {}
    for task in posix.listdir("/proc/self/task"):
        try:
            masks[task] = read_status("SigBlk", f"/proc/self/task/{task}/status")
        except OSError:  # the thread has ended
            continue
    return masks


def read_status(name: str, path: str = "/proc/self/status") -> str:
    """Return a field of what the system says of a thread; by default of the main one."""
    return read(path).partition(f"\n{name}:")[2].split(None, 1)[0]


def look_at_random() -> object:
    """Return the state of the host's generator, or None if there is none yet."""
    instance = getattr(loaded("random"), "_inst", None)
    return instance and hash(instance.getstate())


def look_at_numpy() -> object:
    """Return the same for NumPy's."""
    get_state = getattr(loaded("numpy.random"), "get_state", None)
    return get_state and repr(get_state())


def is_unused(name: str) -> bool:
    """Return True if a generator has not drawn a number yet. It makes 624 words at a time."""
    if name == "random":
        return bool(loaded("random")._inst.getstate()[1][-1] == 624)
    return bool(loaded("numpy.random").get_state()[2] == 624)


def look_at_handlers() -> dict[int, str]:
    """Return the handler of each signal."""
    handlers = {number: _signal.getsignal(number) for number in range(1, _signal.NSIG)}
    return {
        number: str(int(handler)) if isinstance(handler, int) else name_object(handler)
        for number, handler in handlers.items()
    }


def look_at_caught() -> list[str]:
    """Return what the kernel knows of handlers; signals 32 and 33 are the C library's own."""
    masks = [int(read_status(name), 16) for name in ("SigCgt", "SigIgn")]
    return [hex(mask & ~(0b11 << 31)) for mask in masks]


def look_at_hooks() -> dict[str, str]:
    """Return the functions by which hosts hear of something, and the standard streams."""
    places = [
        *("sys.excepthook", "sys.unraisablehook", "sys.displayhook", "sys.breakpointhook"),
        *("sys.exit", "sys.stdin", "sys.stdout", "sys.stderr", "builtins.__import__"),
        *("threading.excepthook", "warnings.showwarning", "warnings.formatwarning"),
        *("warnings.warn", "warnings.simplefilter", "os.fork", "os._exit", "socket.socket"),
    ]
    hooks = {}
    for place in places:
        module, _, name = place.partition(".")
        if hasattr(loaded(module), name):
            hooks[place] = name_object(getattr(loaded(module), name))
    # What stands in for it goes by its name.
    hooks["sys.exit"] += getattr(sys.exit, "__globals__", {}).get("__name__", "")
    hooks["sys.gettrace"] = name_object(sys.gettrace())
    hooks["sys.getprofile"] = name_object(sys.getprofile())
    hooks["gc.callbacks"] = str([name_object(each) for each in gc.callbacks])
    assert hooks["builtins.__import__"] == name_object(builtins.__import__)
    return hooks


def look_at_filters() -> list[object]:
    """Return the filters of warnings, and of which class that module is."""
    module = loaded("warnings")
    return [type(module or sys), *(module or _warnings).filters]


def look_at_logging() -> dict[str, object]:
    """Return each logger's settings, and those that all of them share."""
    logging = loaded("logging")
    if not hasattr(logging, "captureWarnings"):  # the last function of that module
        return {"root": (30, [], [], True, False), "disabled": 0}
    manager = logging.root.manager
    found: dict[str, object] = {"disabled": manager.disable}
    for logger in (logging.root, *list(manager.loggerDict.values())):
        if isinstance(logger, logging.Logger):
            found[logger.name] = (
                logger.level,
                [name_object(type(each)) for each in logger.handlers],
                [name_object(each) for each in logger.filters],
                logger.propagate,
                logger.disabled,
            )
    return found


def look_at_pickling() -> dict[str, str]:
    """Return how `multiprocessing` pickles objects of certain types."""
    pickler = getattr(loaded("multiprocessing.reduction"), "ForkingPickler", None)
    reducers = dict(getattr(pickler, "_extra_reducers", ()))
    return {name_object(each): name_object(reducer) for each, reducer in reducers.items()}


def look_at_descriptors() -> dict[int, str]:
    """Return the open descriptors, and what each of them is."""
    found = {}
    for number in posix.listdir("/proc/self/fd"):
        try:
            target = posix.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the one that has listed them
            continue
        if not target.endswith("/fd"):  # that one's number was given away meanwhile
            found[int(number)] = target
    return found


def look_at_contexts() -> dict[str, str]:
    """Return the main thread's context, and decimal's default. Raises on another thread."""
    decimal, threading = loaded("decimal"), loaded("threading")
    main = getattr(getattr(threading, "_main_thread", None), "ident", None)
    if main not in (None, _thread.get_ident()):
        raise LookupError("each thread has a context of its own")
    found = {each.name: repr(value) for each, value in _contextvars.copy_context().items()}
    if hasattr(decimal, "DefaultContext"):
        found["decimal.DefaultContext"] = repr(decimal.DefaultContext)
    return found


def look_at_interpreter() -> dict[str, object]:
    """Return settings that are numbers."""
    size = _thread.stack_size()  # which sets it to 0
    _thread.stack_size(size)
    sockets = loaded("_socket")
    return {
        "recursion limit": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "stack size": size,
        "dlopen flags": sys.getdlopenflags(),
        "socket timeout": sockets.getdefaulttimeout() if sockets else None,
    }


def look_at_environment() -> dict[bytes, bytes]:
    """Return the variables that are handed down, but for those that are documented."""
    environ = dict(loaded("os").environ._data)  # the dict that it keeps, in bytes
    for name in HANDED_DOWN:
        environ.pop(name, None)
    return environ


def look_at_path() -> list[str]:
    """Return what decides which files are imported."""
    finders = [*sys.meta_path, *sys.path_hooks]
    return [*sys.path, *map(str, sys.argv), *map(name_object, finders)]


LOOKS = {
    "random": look_at_random,
    "numpy": look_at_numpy,
    "masks": look_at_masks,
    "handlers": look_at_handlers,
    "caught": look_at_caught,
    "hooks": look_at_hooks,
    "filters": look_at_filters,
    "logging": look_at_logging,
    "pickling": look_at_pickling,
    "locale": lambda: _locale.setlocale(_locale.LC_ALL, None),
    "umask": lambda: read_status("Umask"),
    "cwd": posix.getcwd,
    "descriptors": look_at_descriptors,
    "contexts": look_at_contexts,
    "gc": lambda: (gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.get_freeze_count()),
    "interpreter": look_at_interpreter,
    "limits": lambda: read("/proc/self/limits"),
    "environment": look_at_environment,
    "path": look_at_path,
}


def look() -> dict[str, object]:
    """Return what the process is like now, as values that can be compared."""
    found: dict[str, object] = {}
    for name, function in LOOKS.items():
        try:
            found[name] = function()
        except Exception as error:  # the host has taken away what it takes to look
            found[name] = error
    return found

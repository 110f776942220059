"""The opt-out: finds out whether this user has switched telemetry off, by a variable or by a file.

This module owns the three variables and the place of the file. It only looks; `migas optout` and
`migas optin` write. It is asked whenever a breadcrumb is taken, written or sent, so an opt-out
counts from the next of these moments on.

A variable that the program was started with opts out until the program ends, whatever a host does
to its environment, and so do a file where that environment says, and a process's own flag, which
test runners set (`Hold`).

What may go wrong: the file lies in a home that may stop answering. So a caller's thread looks for
it once, and only threads of ours look again. And a host may set a variable in its own process, to
silence another package's telemetry: Linux alone can tell that from the user's opt-out. A program
that is started with a cleared environment cannot know what its parent was started with.

`import migas` loads this module, so it imports little that the interpreter has not loaded already.
"""

from __future__ import annotations

import os

from .native import time
from .signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

#: The variables that opt out. `MIGAS_OPTOUT` and `NO_ET` (etelemetry's) need only be set, to any
#: value. `DO_NOT_TRACK` opts out unless it is empty or `0`: https://consoledonottrack.com.
OPTOUT_VARIABLES = ("MIGAS_OPTOUT", "DO_NOT_TRACK", "NO_ET")

#: What `setup(enabled=False)` sets `MIGAS_OPTOUT` to, for what the process starts, and what answers
#: and `migas status` name. A host may take it back.
BY_HOST = "setup(enabled=False)"

#: How old what is known about the opt-out file may become, in seconds.
LOOK_AGAIN = 60.0

#: What `was_started_without` found out, by name.
_started_without: dict[str, bool] = {}


def was_started_without(name: str) -> bool:
    """Return True if this program certainly was started without the variable ``name``.

    Only Linux can tell. Elsewhere this returns False.
    """
    if name not in _started_without:
        _started_without[name] = _is_not_in_first_environ(os.fsencode(name))
    return _started_without[name]


def _is_not_in_first_environ(name: bytes) -> bool:
    """Return True if a variable is not in the block that the kernel gave this program.

    A program may overwrite that block to change its own title (setproctitle does). If the block
    shares no variable with the present environment that has happened, and nobody can tell.
    """
    block = _read_first_environ()
    now = {b"%s=%s" % item for item in os.environb.items()} if block else set()
    intact = not now.isdisjoint(block)
    return intact and not any(entry.startswith(name + b"=") for entry in block)


def _read_first_environ() -> list[bytes]:
    """Return the variables that the kernel gave this program, or `[]` if nobody can tell.

    See proc(5), "/proc/pid/environ".
    """
    if os.name != "posix":  # that path lies on some drive, and another program may have made it
        return []
    try:
        with open("/proc/self/environ", "rb") as file:
            return file.read().split(b"\0")
    except Exception as error:  # there is none; or whatever a host's own `open` raises
        reraise_from_handler(error)
        return []


class Hold:
    """What opts this process out whatever becomes of its environment. One for each process.

    That is a variable that the program was started with, a file where `HOME` and the XDG variables
    of that moment say, or a flag that was raised in it: `clear` or another dict in place of
    `os.environ` take none of them back. Where nobody can tell what a program was started with, what
    is set when migas is imported counts.

    Forked children inherit it. A child that is started with a cleared environment does not.
    """

    def __init__(self) -> None:
        # What is set at the import, in case that the kernel's block cannot be read later.
        self._imported = _pick_optouts(os.environ)
        # Where a file opts out by the environment at the import and, once somebody has looked, by
        # that at the program's start.
        self._files = list_optout_files(os.environ)
        # The variable that the program was started with, or ""; None: nobody has looked yet. Two
        # threads that look at the same moment come to the same end.
        self._started: str | None = None
        #: Opts this process out unless it is empty. Answers and `migas status` show it.
        self.flag = ""
        #: True to have nothing hold: for a test that reports to a local server.
        self.is_lifted = False
        #: True once a host has switched itself off. No test lifts that: it is what the host does.
        self.is_by_host = False

    def find(self) -> str:
        """Return the variable's name, the flag, or what fakes the disk; `""` if nothing holds."""
        if not isinstance(os, type(time)):
            # pyfakefs has replaced `os` here and in each module of ours. What we wrote there would
            # be lost, and what we import meanwhile it removes afterwards.
            return "pyfakefs"
        if self.is_by_host:
            return BY_HOST
        if self.is_lifted:
            return ""
        return self._look_back() or self.flag

    def list_files(self) -> list[str]:
        """Return each path at which a file opts out, wherever the environment leads by now."""
        self._look_back()
        return [] if self.is_lifted else self._files

    def _look_back(self) -> str:
        if self._started is None:
            self._started = self._find_started()
        return self._started

    def _find_started(self) -> str:
        entries = (os.fsdecode(entry).partition("=") for entry in _read_first_environ())
        first = {name: value for name, _, value in entries}
        self._files = [*self._files, *list_optout_files(first)]
        started = _pick_optouts(first)
        for name, value in self._imported.items():
            if not was_started_without(name):
                started.setdefault(name, value)
        return _find_variable(started)


def _pick_optouts(environ: Mapping[str, str]) -> dict[str, str]:
    """Return those of the variables that opt out which are set, with their values."""
    if not _names_any(environ):
        return {}
    return {name: environ[name] for name in OPTOUT_VARIABLES if name in environ}


def switch(environ: MutableMapping[str, str], *, on: bool) -> None:
    """Opt this process out, and what it starts, for a host; or take just that back.

    The process itself stays opted out if somebody clears its environment.

    Parameters:
        environ: the variables of this process.
        on: False to opt out. True removes the variable only if a host has set it.

    Example:
        >>> environ = {}
        >>> switch(environ, on=False)
        >>> environ
        {'MIGAS_OPTOUT': 'setup(enabled=False)'}
        >>> switch(environ, on=True)
        >>> environ
        {}
    """
    name = OPTOUT_VARIABLES[0]
    hold.is_by_host = not on
    if not on:
        environ.setdefault(name, BY_HOST)
    elif environ.get(name) == BY_HOST:
        del environ[name]


class OptoutFile:
    """Remembers whether the opt-out file was there, and for how long that may be believed.

    Any number of threads may use it. Two that look at the same moment do the same work twice, and
    come to the same end.

    Parameters:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # When to look again, and the file's path, or "" if it was not there; None: nobody has
        # looked yet. One object, since another thread must not see one without the other.
        self._last: tuple[float, str] | None = None

    def find(self, environ: Mapping[str, str]) -> str:
        """Return the file's path if it was there at the last look, or `""`.

        The first call looks, and is the only use of the disk on a caller's thread. After that only
        `look` does, on threads of ours: the home may have stopped answering.
        """
        last = self._last
        return self.look(environ) if last is None else last[1]

    def look(self, environ: Mapping[str, str]) -> str:
        """Return the file's path or `""`, and look again if the last look is `LOOK_AGAIN` old."""
        now, last = self._clock(), self._last
        if last is None or now >= last[0]:
            paths = list_optout_files(environ)
            found = next(filter(None, map(_look_at, paths)), "")
            # Of a home that was left, a file: one that is closed may be a former user's.
            held = dict.fromkeys(path for path in hold.list_files() if path not in paths)
            found = found or next(filter(os.path.lexists, held), "")
            self._last = last = (now + LOOK_AGAIN, found)
        return last[1]

    def forget(self) -> None:
        """Forget what the last look found, so that the next call looks."""
        self._last = None


def locate_optout(environ: Mapping[str, str]) -> str:
    """Return the path at which a person's own opt-out file is made; it need not exist."""
    home = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(home):  # then it counts as unset (XDG Base Directory Specification)
        home = os.path.join(_find_home(environ), ".config")
    return os.path.join(home, "migas", "optout")


def list_optout_files(environ: Mapping[str, str]) -> list[str]:
    """Return each path at which a file opts out: a person's own, and those of the whole site.

    A person's own are two where `XDG_CONFIG_HOME` is set, since a program that is started without
    it, by cron or sudo, knows the usual one alone.
    The site's are in each of `XDG_CONFIG_DIRS`, which is `/etc/xdg` if it names no absolute path.
    """
    own = [os.path.dirname(os.path.dirname(locate_optout(environ)))]
    own.append(os.path.join(_find_home(environ), ".config"))
    named = environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep)
    site = [place for place in named if os.path.isabs(place)] or ["/etc/xdg"]
    places = dict.fromkeys(place for place in (*own, *site) if os.path.isabs(place))
    return [os.path.join(place, "migas", "optout") for place in places]


def _find_home(environ: Mapping[str, str]) -> str:
    """Return the home of an environment that may be another than the present one."""
    home = "" if os.name == "nt" else environ.get("HOME", "")
    return home or os.path.expanduser("~")


def _look_at(path: str) -> str:
    """Return the path, and why it cannot be read, or `""` if there is certainly no such file.

    A no that cannot be read is a no. So is a link that leads nowhere: it is not followed.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:
        reraise_from_handler(error)
        if isinstance(error, ValueError):  # no file has a NUL in its name
            return ""
        return f"{path}, which cannot be read: {error.strerror}"
    return path


#: The opt-out file of this process's user.
lasting = OptoutFile()


def look_for_optout(environ: Mapping[str, str]) -> str:
    """Return what `find_optout` returns, after a look at the disk: only on threads of ours."""
    lasting.look(environ)
    return find_optout(environ)


def find_optout(
    environ: Mapping[str, str], started_without: Callable[[str], bool] = was_started_without
) -> str:
    """Return the name of the variable, the flag, or the path of the file that opts out, or `""`.

    Unlike settings this is not read once, but at every call: somebody may opt out at any time.

    Parameters:
        environ: the variables to look at.
        started_without: tells whether the program was started without a variable.

    Example:
        >>> find_optout({"DO_NOT_TRACK": "1"})
        'DO_NOT_TRACK'
    """
    named = _names_any(environ) and _find_variable(environ, started_without)
    return named or hold.find() or lasting.find(environ)


def _find_variable(
    environ: Mapping[str, str], started_without: Callable[[str], bool] = lambda _name: False
) -> str:
    """Return the name of the variable that opts out, or `""`."""
    if "MIGAS_OPTOUT" in environ:
        return "MIGAS_OPTOUT"
    if environ.get("DO_NOT_TRACK", "").strip() not in ("", "0"):
        return "DO_NOT_TRACK"
    # fMRIPrep, MRIQC, NiBabies, PETPrep and SDCFlows set it in their own process, to silence the
    # ping of nipype alone. It is the user's opt-out if the program was started with it.
    if "NO_ET" in environ and not started_without("NO_ET"):
        return "NO_ET"
    return ""


#: The variables' names as `os.environ` keeps them on POSIX.
_ENCODED = frozenset(map(os.fsencode, OPTOUT_VARIABLES))


def _names_any(environ: Mapping[str, str]) -> bool:
    """Return False if certainly none of the variables that opt out is set.

    Every call of a host's asks this. To look for an absent name in `os.environ` takes a microsecond
    and raises an exception inside. On POSIX CPython keeps a dict of bytes behind it, `_data`, which
    is faster. Where there is no such dict this returns True.
    """
    data = getattr(environ, "_data", None) if os.name == "posix" else None
    return data is None or not data.keys().isdisjoint(_ENCODED)


#: What opts this process out whatever becomes of its environment.
hold = Hold()

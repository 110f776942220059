"""The door to the disk: where the user's directories are, and which of them are ours to use.

Anything may lie where ours is expected: another user, a restored backup, a cleaner or a person may
have put it there. So each directory is opened first, and judged by what was opened before it is
used, even for reading. It has to be a real directory and this user's (git's `safe.directory` has
this rule), closed to others (OpenSSH's StrictModes), and a spool has to bear our mark. What is not
ours is never read, written, moved or removed. Modes are set where something is made, and in a spool
that bears our mark; to look changes nothing. What lies above is the site's business, unless
everybody may write there.

If the disk fails the error is an `OSError`. A `NoDiskError` is one that asking again cannot change.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat

import platformdirs

from migas._runtime.clock import read_clock
from migas._runtime.signals import reraise_from_handler

from .files import Directory, open_own, restore_mode
from .ownership import POSIX, ForeignError, NoDiskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Marks a spool, for backup tools as well: https://bford.info/cachedir. The first line is theirs.
TAG = "CACHEDIR.TAG"
_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
_MARK = (
    _SIGNATURE
    + b"""
# This directory is a cache of migas: usage records that wait to be sent.
# For information about cache directory tags see https://bford.info/cachedir/
"""
)
_LARGEST_TAG = 4096

#: Seconds after which an empty mark is one that nobody is about to write.
_UNFINISHED = 60.0

#: Files whose time and size are all that they say: see `stamp`; and the draft of a mark.
STAMP = (
    r"(?:backoff|retry-after|pace)-[A-Za-z0-9._-]{0,60}"
    r"|(?:old-server|dropped|refused|unanswered)-all|CACHEDIR\.TAG\.[0-9a-f]{8}"
)

#: The names in a spool. An earlier version's spool has no mark, and nothing else in it, either.
_OWN_NAMES = (
    rf"tmp|new|cur|old|aside|marks|sent(-earlier)?\.jsonl|CACHEDIR\.TAG|\.nfs[0-9a-f]+|{STAMP}"
)

#: The mark that this process has read in a spool, by the spool's path. A mark that is another file
#: by now is read again, since the directory may be another one as well.
_known: dict[str, tuple[int, int, int]] = {}


def find_home() -> str:
    """Return the absolute path of the user's home directory, or `""` if there is none.

    `/` is none: it is what a system names for users who have no home, such as those of a daemon.
    The directory need not exist.
    """
    home = os.path.expanduser("~")  # unchanged, if neither HOME nor the password database helps
    return home if os.path.isabs(home) and os.path.dirname(home) != home else ""


def find_cache() -> str:
    """Return the directory for what may be lost, or `""` if this user has none."""
    return _find(platformdirs.user_cache_dir, "XDG_CACHE_HOME", ".cache")


def find_config() -> str:
    """Return the directory for what should stay, or `""` if this user has none."""
    return _find(platformdirs.user_config_dir, "XDG_CONFIG_HOME", ".config")


def find_earlier_config() -> str:
    """Return the directory that earlier clients used on every system, or `""` without a home."""
    home = find_home()
    return os.path.join(home, ".config", "migas") if home else ""


def _find(find: Callable[..., str], variable: str, usual: str) -> str:
    # A relative path is to be ignored: https://specifications.freedesktop.org/basedir-spec/latest
    is_named = os.path.isabs(os.environ.get(variable, ""))
    home = find_home()
    if not home and not is_named:
        return ""
    try:
        path = find("migas", appauthor=False)
    except Exception as error:  # some releases of platformdirs fail without a passwd entry
        reraise_from_handler(error)
        return ""
    if os.path.isabs(path):
        return path
    return os.path.join(home, usual, "migas") if home else ""


def open_directory(
    path: str, *, makes: bool = False, marked: bool = True, mends: bool = False
) -> Directory:
    """Open a directory of ours for one batch of work; a context manager closes it.

    Parameters:
        path: the whole path; `""` stands for a user who has no such directory.
        makes: make it if it is absent, and mark it.
        marked: it is a spool, and has to bear our mark, unless it holds nothing but names of ours.
        mends: close it to others, as ``makes`` does: for an agent, and not for a person who looks.

    Raises:
        NoDiskError: what lies there is not ours, or nothing of ours may be made there.
        OSError: the disk fails; `FileNotFoundError` if it is absent and not to be made.

    Example:
        >>> with open_directory("/home/jane/.cache/migas/spool") as spool:  # doctest: +SKIP
        ...     spool.box("new").names()
        ['1800000000000-0123456789abcdef-0.json']
    """
    if not path:
        raise NoDiskError("there is no home directory")
    mends = mends or makes
    try:
        opened = open_own(path, path, None, mends=mends)
    except FileNotFoundError:
        if not makes:
            raise
        check_place(path)
        _make(path)
        opened = open_own(path, path, None, mends=mends)
    try:
        if marked:
            mends = _check_mark(opened, writes=makes)
        elif makes:
            check_place(path)
        opened.mends = mends
        if opened.mends:
            opened.close_to_others()
    except BaseException:
        opened.close()
        raise
    return opened


def check_place(path: str) -> str:
    """Return the nearest directory above ``path`` that exists.

    Raises `NoDiskError` if nothing of ours may lie at ``path``, even if it is there already.
    """
    home = find_home()
    above = os.path.dirname(path)
    while (status := _look(above)) is None and above != os.path.dirname(above):
        if above == home:
            raise NoDiskError(f"there is no home directory {home}")
        above = os.path.dirname(above)
    if status is None or not stat.S_ISDIR(status.st_mode):
        raise NoDiskError(f"{above} is no directory")
    if POSIX and status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise NoDiskError(f"everybody may write to {above}")
    if POSIX and os.geteuid() == 0 and home:
        owner = _look(home)
        if owner is not None and owner.st_uid != 0:
            raise NoDiskError(f"root leaves nothing in the home of another user, {home}")
    return above


def _look(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            raise NoDiskError(f"{path} is a link to nowhere") from None
        return None


def check_writable(path: str) -> None:
    """Raise `NoDiskError` if nothing of ours may lie at ``path``, or nothing can be written there.

    It asks for permissions and writes nothing, so a full disk is not noticed.
    """
    above = check_place(path)
    place = path if os.path.isdir(path) else above
    if not os.access(place, os.W_OK | os.X_OK):
        raise NoDiskError(f"{place} cannot be written")


def _make(path: str) -> None:
    """Make a directory for its owner alone, and what lacks above it."""
    # One by one, since os.makedirs() makes what lies on the way as the umask says: a daemon's is 0.
    above = os.path.dirname(path)
    if above != path and not os.path.isdir(above):
        _make(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:  # another process was faster, as on a network's disk at any moment
        return
    restore_mode(path, path, None)


def _check_mark(opened: Directory, *, writes: bool) -> bool:
    """Return True if a directory bears our mark; ``writes``: mark one that bears none.

    Raises `NoDiskError` if it is no spool.
    """
    try:
        status = opened.examine(TAG, _LARGEST_TAG)
        mark = status.st_dev, status.st_ino, status.st_mtime_ns
        if _known.get(opened.path) == mark:
            return True
        check_place(opened.path)
        text = opened.read(TAG, _LARGEST_TAG)
    except FileNotFoundError:
        status, text = None, b""
    # An empty one is no other program's: somebody may be about to write it, a loss of power leaves
    # such files, and a network's disk may show a new one as empty (seen on GlusterFS).
    if not text:
        _adopt(opened, status, writes=writes)
        return writes
    if not text.startswith(_SIGNATURE) or b"migas" not in text:
        raise ForeignError(f"{opened.path} is the cache of another program")
    _known[opened.path] = mark
    return True


def _adopt(opened: Directory, status: os.stat_result | None, *, writes: bool) -> None:
    """Take a directory without a mark for a spool if all in it is ours, as in an earlier one's.

    ``status`` is that of a mark which is empty; None if there is none at all.
    """
    check_place(opened.path)
    for name in opened.names():
        if re.fullmatch(_OWN_NAMES, name, re.ASCII) is None:
            raise ForeignError(f"{opened.path} holds files that migas has not made")
    if not writes:
        return
    if status is None:
        # Never over one that is there: what is replaced is stale for other nodes of a network's
        # disk, for a second and more (seen on GlusterFS), and their breadcrumbs find no spool.
        with contextlib.suppress(FileExistsError):  # another process has been faster
            opened.create(TAG, _MARK)
    elif abs(read_clock() - status.st_mtime) > _UNFINISHED:
        draft = f"{TAG}.{os.urandom(4).hex()}"
        opened.create(draft, _MARK)
        opened.publish(draft, opened, TAG)


def list_names(path: str) -> list[str]:
    """List the names in a directory that may be the site's; none if it cannot be read."""
    try:
        return os.listdir(path)
    except OSError:
        return []


def create_directory(path: str) -> None:
    """Make a directory that is no spool, for its owner alone, but never the home above it.

    Raises `OSError` if that cannot be, or if what is there is not this user's.
    """
    with open_directory(path, makes=True, marked=False):
        pass


def file_name(text: str) -> str:
    """Make ``text`` fit for a part of a file's name, on any system."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text)[-60:]


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner may read: an `opener` for `open`."""
    return os.open(path, flags, 0o600)

"""The home: whose it is, and the file by which its owner opts out.

Everything that migas keeps lies in the home of the user whom the process runs as. That can be
wrong in two ways. There may be no home: no `HOME`, no entry in the password database, or `/`. And
it may be somebody else's: `sudo` with `HOME` kept is root in the home of an ordinary user, where a
file that root makes is one that its owner's processes cannot change.
"""

from __future__ import annotations

import os

from migas._runtime.signals import reraise_from_handler

from .directory import create_directory, find_home, open_private

#: What the file of a lasting opt-out says. Only its name counts; it is never read.
_OPTOUT_TEXT = "Telemetry by migas is switched off. `migas optin` switches it on again.\n"


def is_foreign() -> bool:
    """Return True if this is root in the home of another user: nothing is to be made there.

    Only root is asked. An ordinary user cannot write to a stranger's home, and a container may
    well run as a user whose home belongs to another by intent (OpenShift gives each container a
    random user id: https://docs.openshift.com/container-platform/4.16/openshift_images/create-images.html).
    """
    return _find_other_owner() is not None


def name_owner() -> str:
    """Return the login of the user in whose home root is, or the number, or `""` if in its own."""
    owner = _find_other_owner()
    if owner is None:
        return ""
    import pwd  # root has it: Windows has no geteuid()

    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"user {owner}"


def write_optout(path: str) -> None:
    """Make the file of a lasting opt-out, for its owner alone. Raises `OSError`.

    Whatever stands there already is an opt-out, too, and is left as it is: a link leads to a file
    that is not ours to write, even if it leads nowhere.
    """
    _check_place(path)
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        create_directory(directory)
    try:
        with open(path, "x", encoding="utf-8", opener=open_private) as file:
            file.write(_OPTOUT_TEXT)
    except OSError:
        if not os.path.lexists(path):  # else it opts out, even without a text, as on a full disk
            raise


def remove_optout(path: str) -> None:
    """Remove the file of a lasting opt-out, if it is there. Raises `OSError`.

    Of a link the link itself is removed, and nothing that it leads to.
    """
    if not os.path.isabs(path):
        return  # there is no home, and so no such file
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return


def _find_other_owner() -> int | None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    home = find_home()
    if not home:
        return None
    try:
        owner = os.stat(home).st_uid
    except OSError as error:  # a home that is not there belongs to nobody
        reraise_from_handler(error)
        return None
    return owner or None


def _check_place(path: str) -> None:
    """Raise `FileNotFoundError` if ``path`` is where a user without a home would look."""
    home = os.path.expanduser("~")
    if not os.path.isabs(path) or (
        not find_home() and path.startswith(os.path.join(home, ".config"))
    ):
        raise FileNotFoundError("there is no home directory")

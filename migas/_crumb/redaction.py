"""The redaction: removes from a text what identifies a person, a machine or somebody's files.

It removes credentials, paths, file names, addresses, logins, host names, and the labels of subjects
and patients, and puts a word such as `<path>` in their place. This module knows the names of this
user, machine and home, which it looks up; `forms` knows what has the form of a path or an address,
`credentials` what is a secret, and `mentions` what a text calls a host, a user or a subject.

What may go wrong: a name that no variable holds, that has no such form and that no word announces
stays in.
"""

from __future__ import annotations

import contextlib
import os
import re

from .credentials import redact_credentials
from .forms import HINT, redact_forms
from .mentions import redact_mentions
from .words import HOST, SHARED_NAMES, USER

with contextlib.suppress(ImportError):  # Windows has none
    import pwd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: How many characters of each end of a long text are kept: far more than a breadcrumb holds.
MAX_END = 4_096

#: How often a text is searched. A replacement may complete the pattern of the next word, so the
#: search is repeated until nothing changes: twice for nearly every text.
_MAX_ROUNDS = 6

#: A name of at least so many characters, or with a digit, is removed with the longer word that it
#: begins: hardly any ordinary word begins with `jsmith`, but "annotation" begins with `ann`.
_MIN_PREFIX = 6

_USER_VARIABLES = ("USER", "LOGNAME", "LNAME", "USERNAME", "SUDO_USER")
_HOST_VARIABLES = ("HOSTNAME", "COMPUTERNAME", "SLURMD_NODENAME")

#: The directories whose entries bear the names of users.
_HOMES = r"[/\\](?:home|Users)[/\\]([^/\\]+)[/\\]?$"


class Redactor:
    """Removes what is private to one user of one machine.

    Parameters:
        users: logins of this user, without regard to case.
        hosts: names of this machine, without regard to case.
        homes: home directories, which become `~` before anything else is looked at.

    Names of one letter, and names that many systems share (`root`, `ubuntu`, `localhost`), are
    ignored: they identify nobody. A name is removed where it is a word, or a part of one in camel
    case (`janeData`), also with digits or `_` behind it. A name of six characters or more, or one
    with a digit, is also removed where a longer word begins with it.

    Example:
        >>> redactor = Redactor(users=["jane"], hosts=["lab7"], homes=["/home/jane"])
        >>> redactor.redact("jane@lab7 cannot read '/home/jane/my data.nii' at 10.0.0.7")
        "<email> cannot read '<path>' at <address>"
        >>> redactor.redact("host node017: no T1w of sub-01, token=ab12cd34")
        'host <host>: no T1w of sub-<id>, token=<secret>'
    """

    def __init__(
        self, users: Iterable[str] = (), hosts: Iterable[str] = (), homes: Iterable[str] = ()
    ) -> None:
        self._homes = _compile_homes(homes)
        self._users = _compile_names(users)
        self._hosts = _compile_names(hosts)

    @classmethod
    def detect(cls, environ: Mapping[str, str] = os.environ) -> Redactor:
        """Make a redactor for this user and machine.

        The logins come from the variables in ``environ`` and from the name of the home directory,
        or from the system if no variable is set; the host names from variables and the system.
        """
        users = [environ.get(name, "") for name in _USER_VARIABLES]
        hosts = [environ.get(name, "") for name in _HOST_VARIABLES]
        if hasattr(os, "uname"):
            hosts.append(os.uname().nodename)
        homes = [os.path.expanduser("~"), environ.get("USERPROFILE", "")]
        owners = [found[1] for home in homes if (found := re.search(_HOMES, home))]
        return cls(
            [*(users if any(users) else [_look_up_user()]), *owners],
            [*hosts, *(host.partition(".")[0] for host in hosts)],
            homes,
        )

    def redact(self, text: str) -> str:
        """Return a text without what is private.

        A text of more than ``2 * MAX_END`` characters is cut to its two ends first.
        """
        if len(text) > 2 * MAX_END:
            # Between two words: half of a name would not be recognised. And some words behind the
            # gap, since the word that announced a name among them is gone.
            head, tail = text[:MAX_END].rsplit(None, 1)[:1], text[-MAX_END:].split(None, 4)[-1:]
            text = " ... ".join([*head, *tail])
        for _ in range(_MAX_ROUNDS):
            before, text = text, self._redact_once(text)
            if text == before:
                break
        return text

    def _redact_once(self, text: str) -> str:
        """Search a text for secrets, homes, forms, what a word announces, and this user's names."""
        lowered = text.lower()
        text = redact_credentials(text, lowered)
        if self._homes:
            text = self._homes.sub("~", text)
        if re.search(HINT, text):
            text = redact_forms(text)
        text = redact_mentions(text, lowered)
        if self._users:
            text = self._users.sub(USER, text)
        return self._hosts.sub(HOST, text) if self._hosts else text


def _compile_homes(homes: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that matches each of ``homes``, or None if there is none."""
    known = {home for home in homes if len(home) > 1}
    if not known:
        return None
    start = r"(?<![^\W\d_])"
    return re.compile(f"{start}(?:{_join(known)})" + r"(?![\w-])", re.IGNORECASE)


def _compile_names(names: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that matches each of ``names`` in a text, or None if there is none.

    It does not match in a replacement of ours, such as `<user>`, nor after a letter, except for a
    new word in camel case. Digits and `_` may follow a name: `jane01` still identifies somebody.
    """
    known = {name for name in names if len(name) > 1 and name.lower() not in SHARED_NAMES}
    if not known:
        return None
    start = r"(?:(?<![^\W\d_])|(?-i:(?<=[a-z])(?=[A-Z])))(?<!<)"
    # A new word in camel case may follow: `janeX`, `janeData`.
    end = r"(?:\d+|(?-i:(?<=[a-z0-9])[A-Z][A-Za-z0-9]*))?(?![^\W\d_])"
    long = {name for name in known if len(name) >= _MIN_PREFIX or re.search(r"\d", name)}
    prefix = rf"|(?:{_join(long)})[^\W_]*" if long else ""
    return re.compile(f"{start}(?:(?:{_join(known)}){end}{prefix})", re.IGNORECASE)


def _join(names: Iterable[str]) -> str:
    """Return an alternation of names, longest first."""
    return "|".join(map(re.escape, sorted(names, key=lambda name: (-len(name), name))))


def _look_up_user() -> str:
    """Return this user's login, or `""` if there is none. On a cluster this may ask the network."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except (NameError, AttributeError, KeyError):  # Windows; or a container's user has no login
        return ""

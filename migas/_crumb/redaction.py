"""The redaction: removes from a text what identifies a person, a machine or somebody's files.

It removes paths, file names, logins, host names, e-mail and network addresses and credentials, and
puts a word such as `<path>` in their place. It knows two kinds of them: the names of this user,
machine and home, which it looks up, and everything that has the form of a path or an address.

What may go wrong: a form is a guess. If a text is ambiguous, the word is removed: one word too many
costs a developer little. A name that no variable holds and that has no such form stays in. An
unquoted file name with spaces may be removed only in part.
"""

from __future__ import annotations

import contextlib
import os
import re

with contextlib.suppress(ImportError):  # Windows has none
    import pwd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The words that replace what is removed.
PATH, USER, HOST, EMAIL, ADDRESS = "<path>", "<user>", "<host>", "<email>", "<address>"

#: How many characters of each end of a long text are kept: far more than a breadcrumb holds.
MAX_END = 4_096

#: How often a text is searched. A replacement may complete the pattern of the next word, so the
#: search is repeated until nothing changes: twice for nearly every text.
_MAX_ROUNDS = 6

_USER_VARIABLES = ("USER", "LOGNAME", "LNAME", "USERNAME", "SUDO_USER")
_HOST_VARIABLES = ("HOSTNAME", "COMPUTERNAME", "SLURMD_NODENAME")

#: URLs of these schemes keep their host: it names a service. In others it names a place of data.
_SERVICES = ("http", "https", "ws", "wss", "ftp", "ftps")

#: Words with a slash that are no paths.
_NO_PATHS = "n/a|i/o|and/or|input/output"

#: A word with one of these extensions is a file name. Those that are also common names of
#: attributes (`.data`, `.shape`) are not in the list: `image.shape` is no file.
_EXTENSIONS = (
    "annot|avi|bam|bat|bin|bmp|bval|bvec|bz2|cfg|cif|conf|csv|dat|dcm|dll|docx?|dtseries|edf|eeg"
    "|exe|fa|fastq|fif|gii?|gif|gz|h5|hdf5?|hdr|html?|img|ini|ipynb|jpe?g|json|jsonl|log|lta|m4a"
    "|mat|md|mgh|mgz|mif|mp[34]|mov|nc|nii|npy|npz|nwb|parquet|pdb|pdf|pem|pickle|pklz?|png|pptx?"
    "|pyc?|qz[av]|rdata|rtf|sav|sh|shp|sif|so|sqlite|stc|surf|svg|tar|tck|tfm|tgz|tiff?|toml|trk"
    "|tsv|txt|vcf|vhdr|vtk|wav|xfm|xlsx?|xml|xz|ya?ml|zip|zst"
)

#: Character classes: what ends an unquoted path, and what separates two words.
_STOP = r"\s'\"`<>|"
_BREAK = _STOP + r"=:,;()\[\]{}"
_PART = rf"[^{_BREAK}/\\]+"
_PATH = (
    rf"(?!(?i:{_NO_PATHS})(?![^{_BREAK}.]))(?:[A-Za-z]:(?=[/\\]))?"
    rf"(?:{_PART}[/\\]+[^{_STOP}]*|[/\\]+[^{_STOP}]+)"
)
_FILE = rf"[^{_BREAK}/\\]*\.(?:{_EXTENSIONS})(?![A-Za-z0-9])"

#: A text without a match of this one holds nothing that `_PRIVATE` could find. Most texts are
#: such, and to compile `_PRIVATE` takes milliseconds.
_HINT = r"[/\\@]|\.[A-Za-z0-9]|::|(?:[0-9A-Fa-f]{1,4}[:-]){5}"

# Everything of any length begins only at the start of a word, and a quotation is limited to 1,024
# characters: so the time to search grows with the length of the text, whatever it holds.
_PRIVATE = rf"""(?x)
    (?<![^\W_])(?P<quotation>
        (?P<opening>[bBfFrRuU]{{0,2}}(?P<mark>['"`])) (?P<quoted>[^\n]{{0,1024}}?) (?P=mark)
    )(?![^\W_])
    | (?<![^{_BREAK}])(?P<url>
        (?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^{_STOP}/?\#\\]*)
        (?P<rest>(?:[^{_STOP}]|{PATH})*)
    )
    | (?<![^{_BREAK}])(?P<email> [^{_BREAK}/\\@]+@[^{_BREAK}/\\]+ )(?![^{_BREAK}])
    | (?<![^{_BREAK}])(?P<path> {_PATH}
        # A name may hold spaces. The path goes on if one of the next four words holds a slash, or
        # if it has no extension yet and one of the next three words is a file name.
        (?: (?:[ ]{_PART}){{0,3}} [ ]{_PART}[/\\][^{_STOP}]* )*
        (?: (?<!\.\w)(?<!\.\w\w)(?<!\.\w\w\w)(?<!\.\w\w\w\w) (?:[ ]{_PART}){{0,2}} [ ]{_FILE} )?
    )
    | (?<![^{_BREAK}])(?P<file> {_FILE} )
    | (?<![\w:.])(?P<card> [0-9A-Fa-f]{{2}}(?:[:-][0-9A-Fa-f]{{2}}){{5,7}} )(?![\w:])
    | (?<![\w:.])(?P<ip6>
        (?=:*[0-9A-Fa-f])(?=[0-9A-Fa-f:]*::|(?:[0-9A-Fa-f]{{1,4}}:){{7}})
        (?:[0-9A-Fa-f]{{0,4}}:){{2,8}}[0-9A-Fa-f]{{0,4}}(?:(?:\.\d{{1,3}}){{3}})?(?:%[\w.-]+)?
    )(?!\w)
    | (?<![\w.])(?P<ip4> \d{{1,3}}(?:\.\d{{1,3}}){{3}} )(?!\.?\w)
"""
#: An argument after a space: a quoted text with one is a command, and is redacted word by word.
_ARGUMENT = r"\s(?:[/~-]|[A-Za-z]:[/\\])"


class Redactor:
    """Removes what is private to one user of one machine.

    Parameters:
        users: logins of this user, without regard to case.
        hosts: names of this machine, without regard to case.
        homes: home directories, which become `~` before anything else is looked at.

    Names of one letter, and `localhost`, are ignored.

    Example:
        >>> redactor = Redactor(users=["jane"], hosts=["lab7"], homes=["/home/jane"])
        >>> redactor.redact("jane@lab7 cannot read '/home/jane/my data.nii' at 10.0.0.7")
        "<email> cannot read '<path>' at <address>"
    """

    def __init__(
        self, users: Iterable[str] = (), hosts: Iterable[str] = (), homes: Iterable[str] = ()
    ) -> None:
        self._homes = _compile_names(homes, r"(?![\w-])")
        # A digit may follow a login or a host's name: `jane01` still identifies somebody.
        self._users = _compile_names(users, r"(?![^\W\d_])")
        self._hosts = _compile_names(hosts, r"(?![^\W\d_])")

    @classmethod
    def detect(cls, environ: Mapping[str, str] = os.environ) -> Redactor:
        """Make a redactor for this user and machine.

        The logins come from the variables in ``environ``, or from the system if none of these is
        set; the host names from both.
        """
        users = [environ.get(name, "") for name in _USER_VARIABLES]
        hosts = [environ.get(name, "") for name in _HOST_VARIABLES]
        if hasattr(os, "uname"):
            hosts.append(os.uname().nodename)
        return cls(
            users if any(users) else [_look_up_user()],
            [*hosts, *(host.partition(".")[0] for host in hosts)],
            [os.path.expanduser("~"), environ.get("USERPROFILE", "")],
        )

    def redact(self, text: str) -> str:
        """Return a text without what is private.

        A text of more than ``2 * MAX_END`` characters is cut to its two ends first.
        """
        if len(text) > 2 * MAX_END:
            # Between two words: half of a name would not be recognised.
            head, tail = text[:MAX_END].rsplit(None, 1)[:1], text[-MAX_END:].split(None, 1)[-1:]
            text = " ... ".join([*head, *tail])
        for _ in range(_MAX_ROUNDS):
            before, text = text, self._redact_once(text)
            if text == before:
                break
        return text

    def _redact_once(self, text: str) -> str:
        """Search a text for homes, forms, logins and host names, in this order."""
        if self._homes:
            text = self._homes.sub("~", text)
        if re.search(_HINT, text):
            text = _redact_patterns(text)
        if self._users:
            text = self._users.sub(USER, text)
        return self._hosts.sub(HOST, text) if self._hosts else text


def _compile_names(names: Iterable[str], end: str) -> re.Pattern[str] | None:
    """Return a pattern that matches each of ``names`` as a word, or None if there is none.

    The word must be followed by ``end``, a look-ahead. It must not be a replacement of ours, such
    as `<user>`: somebody's login may be `user`.
    """
    known = {name for name in names if len(name) > 1 and name.lower() != "localhost"}
    if not known:
        return None
    longest_first = sorted(known, key=lambda name: (-len(name), name))
    start = r"(?<![^\W\d_])(?<!<)"
    return re.compile(start + f"(?:{'|'.join(map(re.escape, longest_first))})" + end, re.IGNORECASE)


def _look_up_user() -> str:
    """Return this user's login, or `""` if there is none. On a cluster this may ask the network."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except (NameError, AttributeError, KeyError):  # Windows; or a container's user has no login
        return ""


def _redact_patterns(text: str) -> str:
    """Replace everything in a text that has the form of a path or an address."""
    return re.sub(_PRIVATE, _replace, text)


def _replace(match: re.Match[str]) -> str:
    """Return what replaces one match of `_PRIVATE`."""
    kind = str(match.lastgroup)
    if kind == "quotation":
        return f"{match['opening']}{_redact_quoted(match['quoted'])}{match['mark']}"
    if kind == "url":
        return _redact_url(match["scheme"], match["authority"], match["rest"])
    return {"email": EMAIL, "path": PATH, "file": PATH}.get(kind, ADDRESS)


def _redact_quoted(text: str) -> str:
    """Redact the text between two quotation marks. A path in it extends to the second one."""
    url = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)(.*)", text)
    if url:
        return _redact_url(*url.groups())
    whole = re.match(_PATH, text) or re.fullmatch(rf"[^/\\]*\.(?:{_EXTENSIONS})", text)
    if whole or (re.search(rf"(?<![^{_BREAK}]){_PATH}", text) and not re.search(_ARGUMENT, text)):
        return PATH
    return _redact_patterns(text)


def _redact_url(scheme: str, authority: str, rest: str) -> str:
    """Return a URL without credentials, port and path; only `<path>` if it is no service's."""
    if scheme.lower() not in _SERVICES:
        return PATH
    host = re.sub(r":\d*$", "", authority.rpartition("@")[2])
    return f"{scheme}://{_redact_patterns(host)}" + (f"/{PATH}" if rest.strip("/.,;)") else "")

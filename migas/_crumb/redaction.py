"""The redaction: what a text says of a person, a machine and their files is taken out of it.

Where a text leaves a doubt it is taken out: a word too many costs a developer little.
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

PATH, USER, HOST, EMAIL, ADDRESS = "<path>", "<user>", "<host>", "<email>", "<address>"

#: Characters of a longer text that are looked at, at each of its ends. Many times what is sent.
MAX_END = 4_096

#: What is put in a word's place may show another word's end. Two rounds do for nearly every text.
_MAX_ROUNDS = 6

_USER_VARIABLES = ("USER", "LOGNAME", "LNAME", "USERNAME", "SUDO_USER")
_HOST_VARIABLES = ("HOSTNAME", "COMPUTERNAME", "SLURMD_NODENAME")

#: Schemes whose host says where a service is, and not where somebody's data lie.
_SERVICES = ("http", "https", "ws", "wss", "ftp", "ftps")

#: What has a slash, and is no path.
_NO_PATHS = "n/a|i/o|and/or|input/output"

#: By these a word is known for a file's name. Left out are those that attributes are named by.
_EXTENSIONS = (
    "annot|avi|bam|bat|bin|bmp|bval|bvec|bz2|cfg|cif|conf|csv|dat|dcm|dll|docx?|dtseries|edf|eeg"
    "|exe|fa|fastq|fif|gii?|gif|gz|h5|hdf5?|hdr|html?|img|ini|ipynb|jpe?g|json|jsonl|log|lta|m4a"
    "|mat|md|mgh|mgz|mif|mp[34]|mov|nc|nii|npy|npz|nwb|parquet|pdb|pdf|pem|pickle|pklz?|png|pptx?"
    "|pyc?|qz[av]|rdata|rtf|sav|sh|shp|sif|so|sqlite|stc|surf|svg|tar|tck|tfm|tgz|tiff?|toml|trk"
    "|tsv|txt|vcf|vhdr|vtk|wav|xfm|xlsx?|xml|xz|ya?ml|zip|zst"
)

#: What ends a path that is not quoted, and, with that, what separates words.
_STOP = r"\s'\"`<>|"
_BREAK = _STOP + r"=:,;()\[\]{}"
_PART = rf"[^{_BREAK}/\\]+"
_PATH = (
    rf"(?!(?i:{_NO_PATHS})(?![^{_BREAK}.]))(?:[A-Za-z]:(?=[/\\]))?"
    rf"(?:{_PART}[/\\]+[^{_STOP}]*|[/\\]+[^{_STOP}]+)"
)
_FILE = rf"[^{_BREAK}/\\]*\.(?:{_EXTENSIONS})(?![A-Za-z0-9])"

#: Without any of these there is nothing to look for: the patterns below take long to compile.
_HINT = r"[/\\@]|\.[A-Za-z0-9]|::|(?:[0-9A-Fa-f]{1,4}[:-]){5}"

# What may run on begins where a word does, and a quotation is bounded, so that no text takes long.
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
        # An unquoted name with spaces goes on while a word with a slash is near, or up to a name
        # with an extension if there was none yet.
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
#: An argument, by which a quoted command is known, to be looked at word by word.
_ARGUMENT = r"\s(?:[/~-]|[A-Za-z]:[/\\])"


class Redactor:
    """Takes out what is private to one person at one machine.

    Example:
        >>> redactor = Redactor(users=["jane"], hosts=["lab7"], homes=["/home/jane"])
        >>> redactor.redact("jane@lab7 cannot read '/home/jane/my data.nii' at 10.0.0.7")
        "<email> cannot read '<path>' at <address>"
    """

    def __init__(
        self, users: Iterable[str] = (), hosts: Iterable[str] = (), homes: Iterable[str] = ()
    ) -> None:
        self._homes = _compile_names(homes, r"(?![\w-])")
        # A digit may follow: `jane01` names somebody, too.
        self._users = _compile_names(users, r"(?![^\W\d_])")
        self._hosts = _compile_names(hosts, r"(?![^\W\d_])")

    @classmethod
    def detect(cls, environ: Mapping[str, str] = os.environ) -> Redactor:
        """Take the names from ``environ``, and, where it tells none, from the system."""
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
        """Return ``text`` without what is private; of a very long one, only its ends."""
        if len(text) > 2 * MAX_END:
            # Cut between two words, so that no end shows half of one.
            head, tail = text[:MAX_END].rsplit(None, 1)[:1], text[-MAX_END:].split(None, 1)[-1:]
            text = " ... ".join([*head, *tail])
        for _ in range(_MAX_ROUNDS):
            before, text = text, self._redact_once(text)
            if text == before:
                break
        return text

    def _redact_once(self, text: str) -> str:
        if self._homes:
            text = self._homes.sub("~", text)
        if re.search(_HINT, text):
            text = _redact_patterns(text)
        if self._users:
            text = self._users.sub(USER, text)
        return self._hosts.sub(HOST, text) if self._hosts else text


def _compile_names(names: Iterable[str], end: str) -> re.Pattern[str] | None:
    """Match ``names`` as words; one letter is nobody's name, and `localhost` no machine's."""
    known = {name for name in names if len(name) > 1 and name.lower() != "localhost"}
    if not known:
        return None
    longest_first = sorted(known, key=lambda name: (-len(name), name))
    # Not what this module puts in their place itself: somebody's name is `user`.
    start = r"(?<![^\W\d_])(?<!<)"
    return re.compile(start + f"(?:{'|'.join(map(re.escape, longest_first))})" + end, re.IGNORECASE)


def _look_up_user() -> str:
    # Only where no variable tells: on a cluster it may ask the network.
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except (NameError, AttributeError, KeyError):  # Windows, or a container's user without a name
        return ""


def _redact_patterns(text: str) -> str:
    return re.sub(_PRIVATE, _replace, text)


def _replace(match: re.Match[str]) -> str:
    kind = str(match.lastgroup)
    if kind == "quotation":
        return f"{match['opening']}{_redact_quoted(match['quoted'])}{match['mark']}"
    if kind == "url":
        return _redact_url(match["scheme"], match["authority"], match["rest"])
    return {"email": EMAIL, "path": PATH, "file": PATH}.get(kind, ADDRESS)


def _redact_quoted(text: str) -> str:
    """Redact what stands between quotes: a path goes to the end of it, whatever it holds."""
    url = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)(.*)", text)
    if url:
        return _redact_url(*url.groups())
    whole = re.match(_PATH, text) or re.fullmatch(rf"[^/\\]*\.(?:{_EXTENSIONS})", text)
    if whole or (re.search(rf"(?<![^{_BREAK}]){_PATH}", text) and not re.search(_ARGUMENT, text)):
        return PATH
    return _redact_patterns(text)


def _redact_url(scheme: str, authority: str, rest: str) -> str:
    if scheme.lower() not in _SERVICES:
        return PATH
    host = re.sub(r":\d*$", "", authority.rpartition("@")[2])
    return f"{scheme}://{_redact_patterns(host)}" + (f"/{PATH}" if rest.strip("/.,;)") else "")

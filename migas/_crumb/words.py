"""The words that replace what the redaction removes, and the rules for names of hosts and accounts.

This module owns three decisions that the whole redaction shares: the replacements, which hosts are
public services or somebody's own, and which accounts and machines are nobody's. What may go wrong:
a service that is not in the list counts as somebody's own machine if a text calls it a host.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def make_set(words: str) -> frozenset[str]:
    """Return a set of the words in a text."""
    return frozenset(words.split())


#: The words that replace what is removed.
PATH, USER, HOST, EMAIL, ADDRESS = "<path>", "<user>", "<host>", "<email>", "<address>"
#: Replaces a password, a token, a key or a cookie.
SECRET = "<secret>"  # noqa: S105  # the replacement of a password, not a password
#: Replaces what identifies a subject, a patient, a session or a recording.
ID = "<id>"
#: All of them.
REPLACEMENTS = (PATH, USER, HOST, EMAIL, ADDRESS, SECRET, ID)

#: Words that are no value: "password: None", "--token is missing", "the host is down".
NO_VALUES = make_set(
    "a an and are argument as at authentication by error expected expired failed false flag for"
    " from given had has in invalid is it key missing must n/a nil no none not null of on option"
    " options or required requires the to too true unknown value was were with yes"
)

#: Makes capitals of ASCII small, and keeps the length of a text, which `str.lower` may not.
_SMALL = {capital: capital + 32 for capital in range(ord("A"), ord("Z") + 1)}

#: Names of accounts and machines that many systems share. They identify nobody, and some of them
#: are ordinary words, as in "missing from project root".
SHARED_NAMES = make_set(
    "admin administrator android app apache azureuser bin build builder centos ci circleci cloud"
    " codespace conda container coder daemon data debian default demo desktop dev developer docker"
    " ec2-user fedora fsl git github gitlab gitlab-runner gitpod guest home host jenkins jovyan"
    " kali laptop linux local localdomain localhost localhost.localdomain login macbook main"
    " mambauser master me mpiuser neuro nfsnobody nginx nobody node nonroot operator opc owner pc"
    " pi postgres public python raspberrypi ray root rocky rstudio run runner sagemaker-user server"
    " service slurm spark student system test tester testuser tmp travis ubuntu user username users"
    " vagrant vm vscode webserver windows work worker workstation www-data"
)

#: Domains of public services. A text may say which of them failed.
_PUBLIC_DOMAINS = tuple(
    f".{domain}"
    for domain in make_set(
        "amazonaws.com anaconda.com anaconda.org bitbucket.org brainlife.io conda.io"
        " dandiarchive.org datalad.org debian.org docker.com docker.io doi.org dropbox.com"
        " dropboxapi.com figshare.com g-node.org gcr.io ghcr.io github.com"
        " githubusercontent.com gitlab.com googleapis.com hf.co huggingface.co"
        " humanconnectome.org mamba.pm neurovault.org nih.gov nipreps.org nitrc.org npmjs.org"
        " openneuro.org osf.io prefix.dev pypi.org python.org pythonhosted.org pytorch.org"
        " quay.io sylabs.io templateflow.org ubuntu.com windows.net zenodo.org"
    )
)

#: Parts of a host's name that only a network's own machines have.
_INTERNAL = make_set("corp home int intern internal intra intranet lan local private")

#: Stores whose host names begin with the name of a bucket or an account.
_STORES = (
    ".amazonaws.com",
    ".core.windows.net",
    ".storage.googleapis.com",
    ".digitaloceanspaces.com",
    ".r2.cloudflarestorage.com",
)


def make_small(text: str) -> str:
    """Return a text of the same length with the capitals of ASCII made small."""
    return text.translate(_SMALL)


def replace_names(pattern: str, text: str, choose: Callable[[re.Match[str]], str | None]) -> str:
    r"""Replace each name that follows a word which announces it.

    Parameters:
        pattern: matches in lower case; its group `before` is the word, and `name` follows it.
        text: the text, in any case.
        choose: returns what replaces the name of a match, or None to leave it. Then the search goes
            on behind the word, since that name may announce another one.

    Example:
        >>> replace_names(r"(?P<before>host )(?P<name>\w+)", "Host merlin", lambda _: HOST)
        'Host <host>'
    """
    small, compiled = make_small(text), re.compile(pattern)
    pieces, done, at = [], 0, 0
    while match := compiled.search(small, at):
        replacement = choose(match)
        if replacement is None:
            at = max(match.end("before"), match.start() + 1)
            continue
        pieces += [text[done : match.end("before")], replacement]
        done = at = match.end()
    return "".join([*pieces, text[done:]])


def is_public(host: str) -> bool:
    """Return True if ``host`` is a public service, or the machine itself as `localhost`.

    Example:
        >>> is_public("api.github.com"), is_public("db.example.org")
        (True, False)
    """
    name = host.lower()
    return name == "localhost" or f".{name}".endswith(_PUBLIC_DOMAINS)


def hide_service(host: str) -> str:
    """Return the host of a service without what is private in it.

    A URL's host names a service, and stays. A name without a dot, or with a part such as `int` or
    `local`, is a machine of somebody's own network, and becomes `<host>`. So does the name of a
    bucket or an account before the domain of an object store.

    Example:
        >>> hide_service("zenodo.org"), hide_service("node017")
        ('zenodo.org', '<host>')
        >>> hide_service("scans.s3.amazonaws.com")
        '<host>.s3.amazonaws.com'
    """
    name = host.lower()
    if name == "localhost" or not name.strip("."):
        return host
    labels = name.split(".")
    if len(labels) == 1 or not _INTERNAL.isdisjoint(labels[1:]):
        return HOST
    for store in _STORES:
        # The last part before the domain is the service or its region: `s3`, `blob`.
        if name.endswith(store):
            return _hide_bucket(host, store)
    return host


def _hide_bucket(host: str, store: str) -> str:
    """Return a store's host with `<host>` in place of the bucket or the account, if it has one."""
    service = host[: -len(store)].split(".")[1:]
    is_bucket = store == ".storage.googleapis.com" or service
    return ".".join([HOST, *service]) + store if is_bucket else host

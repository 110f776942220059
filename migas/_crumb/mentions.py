r"""What a text calls a host, an account, a subject or a patient, by a word before it.

A name such as `merlin` or `MR4711` has no form of its own. This module owns the words that announce
one: `host merlin`, `user=jdoe`, `PatientID: 4711`; and the labels and identifiers that BIDS and
DICOM define. The word stays, and `<host>`, `<user>`, `<path>` or `<id>` replaces the name.

What may go wrong: many of these words are ordinary ones ("the host is down"). So after a mere space
only what looks like a name is removed, mostly what holds a digit; a name without one may stay.
"""

from __future__ import annotations

import re

from .words import (
    HOST,
    ID,
    NO_VALUES,
    PATH,
    USER,
    hide_service,
    is_public,
    make_set,
    replace_names,
)

# All patterns are for texts in lower case, since those that ignore the case take twice as long to
# compile. Each repetition has a bound, so that the time to search grows with the length alone.

#: What ends a value that stands in no quotation marks.
_END = r"\s'\"`,;&()\[\]{}<>|"
_OPEN = r"\\{0,2}[\"'`]?(?:<(?!(?:path|user|host|email|address|secret|id)>))?"
#: `=` or `:` after a key that may stand in quotation marks, and the mark that opens the value.
_EQUALS = rf"{_OPEN}\s{{0,3}}(?:=>|:=|=|:(?!:))\s{{0,12}}(?:[bu](?=[\"']))?{_OPEN}"

_LABELS = r"[a-z0-9_](?:[\w.-]{0,253}[a-z0-9_])?"
#: A list of Slurm's: https://slurm.schedmd.com/scontrol.html (hostlist), `cn[001-004,007]`.
_LIST = r"[a-z][\w.-]{0,63}\[[\d,-]{1,255}\](?:[\w.,-]|\[[\d,-]{1,255}\]){0,255}"

_HOSTS = rf"""(?x)(?<![^\W_])(?P<before>
    # The next word is a host, whatever it looks like.
    (?: (?:connect(?:ed|ing|ion)?|ssh|login)[ ]to[ ]host | resolve[ ]host(?:name)?(?:[ ]address)?:?
      | (?:translate|to)[ ]host[ ]name | permanently[ ]added
      | server[ ](?:at|on)(?=[ ]\\{{0,2}}["'`])
    )[ ]{{1,3}}{_OPEN}
  | (?:forwarding|-[lr])[ ]\d{{2,5}}:(?={_LABELS}:\d{{2,5}}(?!\w))
  | connect(?:ed|ing|ion)?[ ](?:to|with)[ ]{_OPEN}(?={_LABELS}(?:[ ]port[ ]\d|:\d\d))
  | (?: host(?:[ _-]?name)? | (?:computer|machine|server)[ _-]?name | node[_-]?(?:name|list)
      | exec[_-]?host | server(?==) ){_EQUALS}(?:tcp:)?
    # The next word is a host if it has a digit or a dot.
  | (?P<loose> host(?:s|name)? | nodelist | nodes | (?<!attribute[ ])lookup
      | server(?:[ ](?:at|on))?
      | (?:connect(?:ing|ed)?|connection)[ ]to | tcp[ ]to | resolve | hostid | at[ ]host | mounting
      | scheduler[ ]at )[ ]{_OPEN}
)(?P<name>{_LIST}|{_LABELS})"""

#: Words after "host" and the like that are no names.
_NO_HOSTS = make_set("address ip key keys localhost memory name number port proxy url")

#: A node of a cluster: `cn-1234`, `gpu12`, `r1i2n3`, also with a domain.
_NODES = rf"""(?x)(?<![^\W_])(?P<before>
    (?<!executing[ ])nodes?[ ]{_OPEN}
  | on[ ] | \[(?=[\w.-]{{1,255}}:\d{{2,9}}\]) | (?:srun|slurmstepd|mpirun|prun):[ ]error:[ ]
)(?P<name> {_LIST}
  | (?: ip-\d{{1,3}}(?:-\d{{1,3}}){{3}} | [a-z]{{1,16}}-?\d{{2,8}} | [a-z]{{1,16}}-\d{{1,8}}
      | (?:[a-z]{{1,8}}\d{{1,4}}){{2,4}} )
    (?:\.[a-z][\w-]{{0,62}}){{0,6}}(?![\w-])
)"""

#: What has the form of such a node, with the digits cut off, and is none.
_NO_NODES = make_set(
    "aarch amd arm attempt axis block centos complex cp cuda darwin debian echo float fsaverage"
    " batch channel channels chunk day epoch fold frame gcc gtx i index int iso latin layer level"
    " line macos mni page port py python rank rhel rtx run scan ses sha trial worker"
    " slice step sub task try ubuntu uint utf volume win x"
    " linux manylinux osx"
)

_USERS = rf"""(?x)(?<![^\W_])(?P<before>
    uid=\d{{1,10}}\(
  | (?: user(?:[ _-]?(?:name|id))? | login[ _-]?name | login(?=[=:]) | logname | uid | account
      | slurm_job_account | account[ _-]?name | owner | (?:partition|account)[ ]specified ){_EQUALS}
  | (?:users?|role)[ ]\\{{0,2}}["'`] | getpwnam\(\):[ ]name[ ]not[ ]found:[ ]\\{{0,2}}["'`]
  | user[ ](?=[\w.-]{{1,64}}[ ](?:does|is[ ]not|not|has[ ]no|unknown)(?!\w))
  | (?:for|as|by|from|unknown|msg=)[ ]?user[ ]{_OPEN} | invalid[ ]user[ ](?=\S{{1,255}}[ ]from)
  | permission[ ]to[ ][^\n]{{0,255}}[ ]denied[ ]to[ ]
  | --(?:user(?:name)?|login)[= ]["']? | (?<=\W)-u[ ](?=\S{{1,255}}[ ]-p)
)(?P<name>[^{_END}:=/\\]{{1,255}}(?::[\w.-]{{1,64}}(?=["']))?)"""

#: How words begin that follow "for user" and the like, and are no logins.
_NO_USERS = tuple(
    make_set(
        "% - 0x agent attribut can cannot choice code config data default defined did does error"
        " file function group id input install interact interrupt level mode name need option"
        " output provided request root session setting should site space specified supplied type"
        " want was were will would"
    )
)

#: Labels of BIDS, and those that workflows of nipype put into the names of their nodes:
#: https://bids-specification.readthedocs.io/en/stable/appendices/entities.html.
_LABELLED = (
    r"(?P<before>(?<![a-z0-9])(?:sub|ses)-"
    r"|(?<![a-z])(?:single_subject|sub|ses)_(?=[a-z0-9]{1,255}_(?:wf|ses_|task_)))"
    r"(?P<name>(?:[^\W_]|\+){1,255})"
)
#: How words begin that make one English word with `sub-`.
_ENGLISH = tuple(
    make_set(
        "acute agent arachnoid array band block carrier categor cell circuit class clinical"
        " command commit component cortical dataset dermal dir domain dural element entr event"
        " expression field folder frame function generator graph group image interval item key"
        " languag layer list matri menu mesh method micro milli model modul net object oid optim"
        " option pack page par path pattern phase pixel plot problem process program project quer"
        " question range record region resource routine sampl schema script second section select"
        " sequence set shell slice space stan state step stream string structur surface system"
        " task test thread threshold tile title topic tree typ unit url vector volum voxel window"
        " word workflow zero zone"
    )
)

_SUBJECTS = rf"""(?x)(?<![^\W_])(?P<before>
    (?:subject|participant|patient|session)s?(?:[ _-]?(?:labels?|ids?|names?|list))?{_EQUALS}
  | labels?(?:\(s\))?[ ](?:were[ ])?not[ ]found[ ]in[ ]the[ ]bids[ ](?:\w{{1,16}}[ ])?directory
    :[ ]["']?
  | (?:subject|participant|patient|session)(?:[ _-]?(?:label|id|name))?[ ]["'`]
      (?=[^'"`\n]{{0,255}}\d)
  | (?:subject|participant|patient|session)s?[ ](?=\[)
  | --?participant[-_]label[ =]
  | (?:subject|participant|patient|session)[ ](?=[\w.-]{{0,255}}\d)
      (?!\d{{1,6}}[ ]?(?:of|/|from)[ ]?\d)
  | (?:find|no[ ]such)[ ](?:subject|participant|session)s?[ ]
  | patient[ ](?=[a-z0-9.-]{{0,255}}_)
  | recon-all[^\n]{{0,255}}?[ ]-(?:s|subjid|subject)[ ]
)(?P<name> \[[^\]\n<]{{1,1024}}\]
    # The labels of BIDS apps' commonest option.
  | (?<=[-_]label[ =])[\w+-]{{1,64}}(?:[ ](?=[a-z+_]{{0,64}}\d)[\w+]{{1,64}}(?![^\s'"`,;])){{0,255}}
  | [^{_END}]{{1,255}}(?:,[ ]?(?=[a-z_-]{{0,64}}\d)[\w-]{{1,64}}(?![\w=:-])){{0,255}} )"""

#: A person's name of several words, after a word that says so.
_PERSONS = rf"""(?x)(?<![^\W_])(?P<before>
    (?:patient|physician|operator|participant)(?:'?s)?'?[ _]?(?:full[ _]?)?name
    [ ]{{0,3}}[=:][ ]{{0,3}}
)(?P<name>
    [^{_END}=:^]{{1,64}}(?:,?[ ](?![\w'\ ]{{1,64}}[=:])[^{_END}=:]{{1,64}}){{0,2}}(?![\w=:^])
)"""

#: Attributes of DICOM that identify somebody, and words for the same in other texts:
#: https://dicom.nema.org/medical/dicom/current/output/chtml/part15/chapter_E.html.
_PATIENTS = rf"""(?x)(?<![^\W_])(?P<before>
    (?: (?:other[ ]?)?patient(?:'?s)?[ _]?(?:names?|ids?|birth[ _]?(?:name|date|time)|sex|age|size
          |weight|address|comments|telephone\w{{0,16}}|mother\w{{0,16}})
      | accession[ _]?number | (?:study|series|acquisition|content|instance[ ]?creation)[ _]?date
      | study[ _]?id | physicians?[ ]?(?:name|of[ ]?record)? | \w{{4,16}}physicianname
      | operators?'?[ ]?name | institution(?:al)?[ ]?(?:name|address|department[ ]?name)
      | station[ _]?name | device[ ]?serial[ ]?number | medical[ ]record[ ]number | mrn
      | date[ ]of[ ]birth | birth[ ]?date
      | (?:study|series|sop[ ]?instance|frame[ ]?of[ ]?reference)[ _]?(?:instance[ ]?)?uid
    )\\{{0,2}}["']?(?:[ ]{{1,40}}[a-z]{{2}}(?=:))?
    (?: \s{{0,3}}[=:]\s{{0,3}} | [ ](?=[\w.-]{{0,64}}\d) )\\{{0,2}}["']?
    # As pydicom and dcmdump print the group of the patient.
  | \((?:0010,[ ]?[0-9a-f]{{4}}\)[ ] | 00(?:08|20|32|38|40),[ ]?[0-9a-f]{{4}}\)[ ]
      (?=[^\n:\[]{{0,64}}\b(?:da|dt|lo|pn|sh|st|tm)\b))[^\n:\[]{{0,64}}(?::[ ]?["']?|\[)
)(?P<name> (?<=["'])[^'"\n\\<]{{1,255}} | (?<=\[)[^\]\n<]{{1,255}} | [^{_END}\\]{{1,255}} )"""

#: A person's name in DICOM (`Mueller^Anna`), and an identifier of a study, series or image. Those
#: below 1.2.840.10008 are DICOM's own, as of transfer syntaxes, and say what failed.
_IDENTIFIERS = (
    r"(?P<before>)(?P<name>"
    r"(?<![^\W_])[^\W\d_]{2,64}(?:-[^\W\d_]{1,64})?\^[^\W\d_]{2,64}(?:\^[\w.-]{0,64}){0,3}"
    r"|(?<![\w.])(?!1\.2\.840\.10008\.)(?=[\d.]{20})[0-2](?:\.\d{1,64}){5,40}(?!\w))"
)

_BUCKETS = rf"""(?x)(?<![^\W_])(?P<before>
    (?:bucket|(?:bucket|container|object|blob)[ _-]?(?:name|key)){_EQUALS}
  | bucket[ ]{_OPEN}(?=[\w.-]{{0,63}}(?:\d|[.-]\w))
)(?P<name>[^{_END}]{{1,255}})"""


def redact_mentions(text: str, lowered: str) -> str:
    """Replace what a text calls a host, a user, a bucket, a subject or a patient.

    Parameters:
        text: the text, without the forms that need no such word.
        lowered: the text in lower case, as it was at first.

    Example:
        >>> text = "host merlin7: no T1w found for sub-01"
        >>> redact_mentions(text, text)
        'host <host>: no T1w found for sub-<id>'
    """
    has_digits = any(digit in lowered for digit in "0123456789")
    for hints, pattern, choose in _RULES:
        if any(hint in lowered for hint in hints) and (has_digits or pattern is not _NODES):
            text = replace_names(pattern, text, choose)
    return text


def _choose_host(match: re.Match[str]) -> str | None:
    """Return `<host>`, or None for a public service and for what is no name.

    The host of a pool of connections is a service's, as a URL's is.
    """
    before, name = match["before"], match["name"]
    if name in NO_VALUES or name in _NO_HOSTS or not re.search("[a-z]", name):
        return None
    if before.startswith("host=") and match.string.endswith("pool(", 0, match.start()):
        hidden = hide_service(name)
        return None if hidden == name else hidden
    if match["loose"] and not re.search(r"[\d.\[]", name):
        return None
    return None if is_public(name) or _is_call(match) else HOST


def _choose_node(match: re.Match[str]) -> str | None:
    """Return `<host>`, or None for what only has the form of a node, such as `python311`."""
    return None if re.split(r"[-\d.]", match["name"])[0] in _NO_NODES else HOST


def _choose_user(match: re.Match[str]) -> str | None:
    """Return `<user>`, or None for what is no login. `pip install --user numpy` names none."""
    name = match["name"]
    if name in NO_VALUES or name.isdigit() or name.startswith(_NO_USERS) or _is_call(match):
        return None
    is_option = match["before"].startswith("--") and "install" in match.string
    return None if is_option else USER


def _choose_label(match: re.Match[str]) -> str | None:
    """Return `<id>` for a label of BIDS, or None for an English word such as "sub-optimal"."""
    name = match["name"]
    is_word = match["before"] == "sub-" and name.startswith(_ENGLISH) and name.isalpha()
    return None if is_word else ID


def _choose_subject(match: re.Match[str]) -> str | None:
    """Return `<id>`, or None for what is no label, as the number in "subjects=12"."""
    name = match["name"]
    is_count = name.isdigit() and name[0] != "0" and re.search("s[^a-z]*$", match["before"])
    return None if is_count or name in NO_VALUES or _is_call(match) else ID


def _choose_bucket(match: re.Match[str]) -> str | None:
    """Return `<path>`, or None for what is no bucket's name."""
    return None if match["name"] in NO_VALUES else PATH


def _is_call(match: re.Match[str]) -> bool:
    """Return True for a line of code such as `session = requests.Session()`."""
    is_quoted = match["before"].endswith(('"', "'", "`"))
    followed = match.string.startswith(("(", "["), match.end())
    return followed and not is_quoted and ("." in match["name"] or match["name"].startswith("get"))


# As narrow as can be: common words, as "study" or "object", would have a pattern compiled in vain.
_GAPS = ("", " ", "_", "-")
_DATED = ("study", "series", "acquisition", "content", "creation")
_STORED = ("container", "object", "blob")
_HOST_HINTS = (
    *("host", "nodes ", "server", "connect", "lookup", "resolve", "permanently", "mounting"),
    *("computer", "machine", "tcp to", "forwarding", "-l ", "-r "),
    *(f"node{gap}{key}" for gap in _GAPS for key in ("name", "list")),
)
_PATIENT_HINTS = (
    *("patient", "accession", "physician", "operator", "institution", "station", "mrn", "birth"),
    *("serial", "record number", "(0010,", "(0008,", "(0020,", "(0032,", "(0038,", "(0040,"),
    *(f"{word}{gap}date" for word in _DATED for gap in _GAPS),
    *(f"{word}{gap}uid" for word in ("instance", "reference", "study", "series") for gap in _GAPS),
    *(f"study{gap}id" for gap in _GAPS),
)
_BUCKET_HINTS = (
    "bucket",
    *(f"{word}{gap}{key}" for word in _STORED for gap in _GAPS for key in ("name", "key")),
)
_USER_HINTS = (
    *("user", "login", "logname", "uid", "account", "owner", "partition", "-u ", "denied to "),
    *("role ", "getpwnam"),
)

#: What a text in lower case must hold for each pattern, and what chooses the replacement.
_RULES = (
    (("physician", "operator", "patient", "participant"), _PERSONS, _choose_subject),
    (_PATIENT_HINTS, _PATIENTS, _choose_subject),
    (("^", "1.2.", "1.3.", "2.25."), _IDENTIFIERS, lambda _: ID),
    (("sub-", "ses-", "sub_", "ses_", "single_subject_"), _LABELLED, _choose_label),
    (
        ("subject", "participant", "patient", "session", "recon-all", "bids directory"),
        _SUBJECTS,
        _choose_subject,
    ),
    (_BUCKET_HINTS, _BUCKETS, _choose_bucket),
    (_HOST_HINTS, _HOSTS, _choose_host),
    (("node", "on ", "[", "srun", "slurmstepd", "mpirun", "prun"), _NODES, _choose_node),
    (_USER_HINTS, _USERS, _choose_user),
)

"""Nothing of a person, a machine or their files is left in a text about a run."""

from __future__ import annotations

import doctest
import ipaddress
import re
import string
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migas._crumb import credentials, forms, mentions, words
from migas._crumb.redaction import MAX_END, Redactor

if TYPE_CHECKING:
    from types import ModuleType

USER, HOST, HOME = "jdoe", "lab7.uni.example", "/home/jdoe"
REDACTOR = Redactor([USER], [HOST, "lab7"], [HOME])

#: A name of a file or directory that nothing else in a text could be taken for.
NAME = st.text(string.ascii_letters + string.digits + "_-éß", min_size=6, max_size=12).map(
    lambda text: f"q{text}"
)
NAMES = st.lists(NAME, min_size=2, max_size=5)
#: What may stand around it.
AROUND = st.sampled_from(
    [
        "{}",
        "cannot read {}",
        "cannot read {} at all",
        "{}: no such file",
        "in={}",
        "--in={} --out",
        "({})",
        "[{}, 1]",
        "cannot read {}.",
        "first\n{}\nlast",
        "it isn't {}",
        "FileNotFoundError: [Errno 2] No such file or directory: {}",
    ]
)
QUOTES = st.sampled_from(['"{}"', "'{}'", "`{}`", "b'{}'", "<{}>"])
#: How the names of directories come together as a path.
PATHS = st.sampled_from(
    [
        ("/", "/"),
        ("//", "//"),
        ("", "/"),
        ("./", "/"),
        ("../", "/"),
        ("~/", "/"),
        ("$HOME/", "/"),
        ("C:\\", "\\"),
        ("C:\\\\", "\\\\"),
        ("C:/", "/"),
        ("\\\\server\\", "\\"),
        ("", "\\"),
        ("%USERPROFILE%\\", "\\"),
        ("file:///", "/"),
        ("file://host/", "/"),
        ("s3://", "/"),
        ("jdoe@lab7:/", "/"),
        (f"{HOME}/", "/"),
    ]
)


def left(text: str, names: list[str]) -> list[str]:
    """What of ``names`` is left in what becomes of ``text``, which has to stay as it is then."""
    redacted = REDACTOR.redact(text)
    assert REDACTOR.redact(redacted) == redacted, "it is not done at once"
    return [name for name in names if name in redacted]


@pytest.mark.slow
@given(NAMES, PATHS, AROUND)
def test_a_path_leaves(names: list[str], form: tuple[str, str], around: str) -> None:
    """Absolute, relative, Windows', UNC, a URL: not a name of it is left."""
    start, separator = form
    assert left(around.format(start + separator.join(names)), names) == []


@pytest.mark.slow
@given(
    st.lists(st.lists(NAME, min_size=1, max_size=3), min_size=2, max_size=6), PATHS, AROUND, QUOTES
)
def test_a_quoted_path_leaves_with_its_spaces(
    names: list[list[str]], form: tuple[str, str], around: str, quotes: str
) -> None:
    """A quoted path is removed up to its second quotation mark, whatever it holds."""
    start, separator = form
    path = start + separator.join(" ".join(words) for words in names)
    text = around.format(quotes.format(path)) if quotes != "<{}>" else f'"{path}"'
    assert left(text, [name for words in names for name in words]) == []


@pytest.mark.slow
@given(NAMES, NAMES, st.sampled_from([".nii.gz", ".txt", ".json", "/"]), AROUND)
def test_a_path_with_spaces_leaves_without_quotes_where_it_shows(
    names: list[str], words: list[str], end: str, around: str
) -> None:
    """An unquoted name with spaces is removed if a word with a slash or an extension follows."""
    path = f"/{'/'.join(names)} {' '.join(words[:3])}{end}"
    assert left(around.format(path), [*names, *words[:3]]) == []


@given(NAME, st.sampled_from(["nii", "nii.gz", "csv", "mat", "py", "h5"]), AROUND)
def test_a_files_name_leaves(name: str, extension: str, around: str) -> None:
    """Even without a directory: it may bear a patient's."""
    assert left(around.format(f"{name}.{extension}"), [name]) == []


@pytest.mark.slow
@given(st.ip_addresses(), AROUND)
def test_an_address_leaves(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, around: str
) -> None:
    """Network addresses of both versions are removed, of any machine."""
    if str(address) == "::":
        return  # nobody's
    assert left(around.format(address), [str(address)]) == []


@given(NAME, st.sampled_from(["uni.example", "lab7", "localhost"]), AROUND)
def test_a_mail_address_leaves(name: str, domain: str, around: str) -> None:
    """And what looks like one, as of a login."""
    assert left(around.format(f"{name}@{domain}"), [name]) == []


@pytest.mark.slow
@given(NAME, NAME, NAMES, AROUND, st.sampled_from(["http", "https", "ftp"]))
def test_what_a_url_knows_leaves(
    user: str, password: str, names: list[str], around: str, scheme: str
) -> None:
    """Credentials, path and query; where the service is stays, for its developers."""
    url = f"{scheme}://{user}:{password}@api.example.org:8080/{'/'.join(names)}?token={password}"
    text = around.format(url)
    assert left(text, [user, password, *names]) == []
    assert f"{scheme}://api.example.org/<path>" in REDACTOR.redact(text)


@given(st.sampled_from([USER, USER.upper(), HOST, "lab7", HOME, f"{USER}01"]), AROUND)
def test_the_persons_and_the_machines_names_leave(name: str, around: str) -> None:
    """In any case, and with a number behind."""
    assert left(around.format(name).casefold(), [USER, "lab7", "uni.example"]) == []


@pytest.mark.slow
@given(st.text(max_size=200))
def test_any_text_is_redacted_once_and_for_all(text: str) -> None:
    """What is left of it is found to be clean, so that nothing is changed twice."""
    assert left(text, []) == []


@given(st.text(" /\\'\"`:.@<>~ab1é\n", max_size=60))
def test_a_tangle_of_separators_is_redacted_once_and_for_all(text: str) -> None:
    """The same, where it is hardest."""
    assert left(text, []) == []


@pytest.mark.parametrize(
    "text",
    [
        "workflow start",
        "a suffix such as .nii.gz or '.DCM' is missing",
        "annotation of the project root by a tester, trained",
        "Completed after 1:02:03",
        "at step3 on epoch12, on channel12 and on frame7",
        "The volume has 3 dimensions, not 4 (n/a).",
        "[Errno 5] Input/output error",
        "module 'numpy' has no attribute 'float'",
        "'numpy.ndarray' object has no attribute 'append'; use self.key and/or np.append(a, b)",
        "invalid literal for int() with base 10: '3.5'",
        "std::bad_alloc at 0x7f3a2c, 12:30:45, version 1.2.3",
        "<frozen importlib._bootstrap> and <urllib3.connection.HTTPConnection object at 0x7f>",
    ],
)
def test_what_is_of_use_stays(text: str) -> None:
    """A developer can still read what has happened."""
    assert REDACTOR.redact(text) == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (
            "Command 'bet /home/jdoe/in.nii out.nii -f 0.5' returned non-zero exit status 1.",
            "Command 'bet <path> <path> -f 0.5' returned non-zero exit status 1.",
        ),
        (
            "Command '['mri_convert', '/data/my study/T1.mgz']' died with <Signals.SIGKILL: 9>.",
            "Command '['mri_convert', '<path>']' died with <Signals.SIGKILL: 9>.",
        ),
        (
            "HTTPConnectionPool(host='10.0.0.1', port=80): Max retries exceeded with url: /a?key=b",
            "HTTPConnectionPool(host='<address>', port=80): Max retries exceeded with url: <path>",
        ),
        ("disk of jdoe on lab7.uni.example is full", "disk of <user> on <host> is full"),
        ("aa:bb:cc:dd:ee:ff and fe80::1%eth0", "<address> and <address>"),
        ("moved /home/jdoe/a.nii to the dir /data/out", "moved <path> to the dir <path>"),
        ("see http://192.168.0.7:8080/", "see http://<address>/"),
        ("wrote http://node017:8080/x to s3://anna/x", "wrote http://<host>/<path> to <path>"),
        ("GET https://api.example.org/?sig=ab12", "GET https://api.example.org/<path>"),
        ("ERROR: password=hunter2, user: 'bob'", "ERROR: password=<secret>, user: '<user>'"),
        ("no T1w for sub-01 on host cn-12", "no T1w for sub-<id> on host <host>"),
        ("no T1w for sub-Müller2", "no T1w for sub-<id>"),
        ("--participant-label 01 K02 --nthreads 8", "--participant-label <id> --nthreads 8"),
        ("--participant_label 03 failed", "--participant_label <id> failed"),
        ("getpwnam(): name not found: 'bob'", "getpwnam(): name not found: '<user>'"),
    ],
)
def test_a_message_is_still_readable(text: str, redacted: str) -> None:
    """The replacement names the kind of what was removed."""
    assert REDACTOR.redact(text) == redacted


def test_of_a_very_long_text_the_ends_are_kept() -> None:
    """Nothing that is far from both can be sent anyway."""
    text = "first " + "word " * MAX_END + "/data/x last"
    redacted = REDACTOR.redact(text)
    assert redacted.startswith("first ")
    assert redacted.endswith("word <path> last")
    assert len(redacted) < 3 * MAX_END
    assert not REDACTOR.redact(" " * 3 * MAX_END).strip()


@pytest.mark.parametrize(
    "piece",
    [
        *("'a ", '"', "/", "a/", " a/b", "1:", "/a b ", "'`\"", "a@", "1.", "x.nii ", "a.b.c:12"),
        *(
            "password=",
            "password='",
            "token ",
            "authorization: bearer ",
            "cookie: ",
            "--token",
            "sk-",
        ),
        *("eyJa.", "-----BEGIN KEY-----", "mysql -p", "-u a:", "sub-", "sub_a_", "host=", "cn[1],"),
        *("on a1", "[a:1", "for user ", "permission to a denied to", "subject=[", "recon-all -s"),
        *(
            "patient name: a ",
            "(0010,0010) ",
            "a^",
            "bucket=",
            "connect to a",
            "jdoe",
            "\\",
            "<path>",
        ),
    ],
)
def test_no_text_takes_more_steps_than_its_length_allows(piece: str) -> None:
    """The host stands still while a text is redacted, so the time is bounded for any text."""
    text = (piece * MAX_END)[:MAX_END]
    assert left(text, []) == []


def test_names_are_those_of_this_person_and_machine() -> None:
    """From the environment, as it is on every system."""
    environ = {
        "USERNAME": "jane",
        "COMPUTERNAME": "DESKTOP-7",
        "USERPROFILE": "C:\\Users\\Jane Doe",
    }
    redactor = Redactor.detect(environ)
    text = "JANE's desktop-7 lacks C:\\Users\\Jane Doe"
    assert redactor.redact(text) == "<user>'s <host> lacks ~"


@pytest.mark.skipif(sys.platform == "win32", reason="no such data base of users")
def test_where_no_variable_tells_the_system_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service has no USER."""
    entry = SimpleNamespace(pw_name="jsmith")
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: entry)
    assert Redactor.detect({}).redact("jsmith is here") == "<user> is here"


def test_the_home_directory_names_its_owner() -> None:
    """A login may differ from the directory, and no variable holds that name."""
    redactor = Redactor.detect({"USERNAME": "jdoe", "USERPROFILE": "C:\\Users\\Jane Doe"})
    assert redactor.redact("no rights for Jane Doe") == "no rights for <user>"


@pytest.mark.parametrize("name", ["janeX", "jane2", "JANE_data", "janeData2", "runByJane", "jane"])
def test_a_login_is_found_in_a_longer_word(name: str) -> None:
    """In camel case and before digits, whatever its length; no letter of it is left."""
    assert "jane" not in Redactor(["jane"]).redact(f"{name} failed").lower()


@pytest.mark.parametrize(
    ("login", "word", "redacted"),
    [
        ("ann", "annotation", "annotation"),
        ("mark", "MARKER", "MARKER"),
        ("jsmith", "jsmithlab", "<user>"),
        ("ab12", "ab12lab", "<user>"),
        ("jsmith", "bjsmith", "bjsmith"),
        ("root", "root", "root"),
        ("admin", "admin1", "admin1"),
        ("test", "testX", "testX"),
    ],
)
def test_a_login_spares_ordinary_words(login: str, word: str, redacted: str) -> None:
    """A short one begins many words, and a shared account's name identifies nobody."""
    assert Redactor([login], [login]).redact(f"the {word} failed") == f"the {redacted} failed"


SECRET = st.text(string.ascii_letters + string.digits + "_-+/", min_size=6, max_size=40).map(
    lambda text: f"q7{text}Z"
)


@pytest.mark.slow
@given(
    SECRET,
    st.sampled_from(
        [
            "password={}",
            "DB_PASSWORD: {}",
            "passwd='{}'",
            '{{"password": "{}"}}',
            '{{\\"api_key\\": \\"{}\\"}}',
            "client_secret={}&x=1",
            "--password {}",
            "['--token', '{}']",
            "Authorization: Bearer {}",
            "authorization='Basic {}'",
            "Cookie: a={}; b=1",
            "/x?access_token={}",
            "https://a.example.org/x?X-Amz-Signature={}",
            "https://user:{}@a.example.org/x",
            "ghp_{0}{0}{0}",
            "hf_{0}{0}{0}",
        ]
    ),
    AROUND,
)
def test_a_secret_leaves(secret: str, form: str, around: str) -> None:
    """Whatever announces it, and wherever it stands in a sentence."""
    if form.startswith(("ghp_", "hf_")):  # these hold letters and digits only
        secret = "".join(filter(str.isalnum, secret))
    assert left(around.format(form.format(secret)), [secret]) == []


@pytest.mark.slow
@given(
    st.text(string.ascii_letters + string.digits, min_size=3, max_size=12).map("Q9{}".format),
    st.sampled_from(
        [
            "sub-{}",
            "ses-{} of it",
            "sub-01_ses-{}_bold",
            "subject={}",
            "{{'participant_label': '{}'}}",
            "single_subject_{}_wf.bet",
            "PatientID: {}",
            "PatientName={}^Anna",
            "on host {}",
            "ssh: connect to host {} port 22",
            "Could not resolve host: {}",
            "connection to {}:5432 failed",
            "nodelist {}[001-004]",
            "user={}",
            "for user '{}'",
        ]
    ),
    AROUND,
)
def test_what_a_word_announces_leaves(name: str, form: str, around: str) -> None:
    """Labels of subjects, patients, other machines and other users."""
    assert left(around.format(form.format(name)), [name]) == []


WORDS = st.sampled_from(
    [
        *("password=", "token: ", "Bearer ", "Cookie: ", "--token ", "sk-", "-----BEGIN KEY-----"),
        *("host ", "host=", "node ", "on ", "connect to ", "user=", "for user ", "sub-", "ses_"),
        *("subject ", "PatientName=", "(0010,0010) PN [", "a^", "1.2.", "bucket ", "http://", "@"),
        *("<path>", "<", "'", '"', "/", " ", "cn[01]", "x.nii", "jdoe", "lab7", "ab12", "é", "\n"),
    ]
)


@pytest.mark.slow
@given(st.lists(WORDS, max_size=12).map("".join))
def test_a_tangle_of_words_is_redacted_once_and_for_all(text: str) -> None:
    """What replaces one name never announces, or completes, another one later."""
    assert left(text, []) == []


@pytest.mark.parametrize(
    "text",
    ["workflow start", "Completed after 1:02:03", "index 3 is out of bounds", "KeyError: it"],
)
def test_an_ordinary_text_compiles_no_pattern(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To compile them all takes thirty milliseconds, and most breadcrumbs need none."""
    broken = "("  # to compile it raises
    monkeypatch.setattr(forms, "_FORMS", broken)
    for module in (credentials, mentions):
        rules = tuple((hints, broken, *rest) for hints, _, *rest in module._RULES)
        monkeypatch.setattr(module, "_RULES", rules)
    monkeypatch.setattr(credentials, "_TOKENS", broken)
    assert REDACTOR.redact(text) == text
    with pytest.raises(re.error):
        REDACTOR.redact("/data")


def test_a_name_behind_the_gap_of_a_long_text_leaves() -> None:
    """The word that announced it was cut off with the middle of the text."""
    tail = "merlin7 and more " + "word " * (MAX_END // 5)
    text = "first " + "word " * MAX_END + "host " + tail[: MAX_END - 3]
    assert "merlin7" not in REDACTOR.redact(text)


@pytest.mark.parametrize("module", [credentials, forms, mentions, words], ids=lambda m: m.__name__)
def test_the_docstrings_examples_run(module: ModuleType) -> None:
    """As they stand there."""
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0

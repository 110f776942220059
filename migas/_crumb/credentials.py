r"""The credentials in a text: passwords, tokens, keys, signatures and cookies.

This module owns the words that announce a secret (`password=`, `--token`, `Authorization:`), and
the forms of tokens that are known without such a word (`ghp_…`, `AKIA…`). The word stays, so that a
developer sees what was wrong, and `<secret>` replaces the value.

What may go wrong: a secret of no known form that no word announces stays in. A value that no
quotation mark encloses ends at a space, `;` or `&`.
"""

from __future__ import annotations

import re

from .words import NO_VALUES, REPLACEMENTS, SECRET, replace_names

# All patterns but that of tokens are for texts in lower case, since those that ignore the case take
# twice as long to compile. Each repetition has a bound, so that the time to search grows with the
# length of the text only.

#: A value up to the second quotation mark, or up to a space; not what is replaced already.
_VALUE = (
    r"""(?P<name>(?<=")[^"\n]{1,1024}(?=")|(?<=')[^'\n]{1,1024}(?=')"""
    r"""|(?!<[a-z]{2,7}>)[^\s'"&;]{0,1024}[^\s'"&;,.:)\]}>\\])"""
)
_OPEN = r"""\\{0,2}["']?"""

#: Forms of tokens, by who issues them. Most have a prefix for scanners like this one:
#: https://github.blog/engineering/behind-githubs-new-authentication-token-formats.
_TOKENS = r"""(?x)(?<![A-Za-z0-9])(?:
    gh[pousr]_[A-Za-z0-9]{20,255} | github_pat_\w{20,255}            # GitHub
    | gl(?:pat|ptt|dt|rt|cbt|soat|ft|imt|agent)-[\w.-]{16,255}       # GitLab
    | xox[a-z]-[\w-]{10,255} | xapp-[\w-]{10,255}                    # Slack
    | sk-(?!ecdsa|ssh)(?=[\w-]{0,128}\d)[\w-]{16,255}               # OpenAI
    | [spr]k_(?:live|test)_\w{10,255}                               # Stripe
    | (?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16} | AIza[\w-]{30,64} | ya29\.[\w.-]{20,255}  # AWS, Google
    | hf_[A-Za-z0-9]{20,255} | npm_[A-Za-z0-9]{30,255} | pypi-[\w-]{40,255} | dckr_pat_[\w-]{20,255}
    | eyJ[\w-]{8,2048}(?:\.[\w-]{0,2048}){0,4}                       # a JSON web token
    | AAAA[A-E]3Nza[A-Za-z0-9+/=]{20,2048} | SHA256:[A-Za-z0-9+/]{43}   # SSH's keys, their prints
)"""
_TOKEN_HINTS = (
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glptt-", "gldt-", "glrt-"),
    *("glcbt-", "glsoat-", "glft-", "glimt-", "glagent-", "xox", "xapp-", "sk-", "k_live_"),
    *("k_test_", "akia", "asia", "aroa", "aida", "aiza", "ya29.", "hf_", "npm_", "pypi-"),
    *("dckr_pat_", "eyj", "3nza", "sha256:"),
)

#: A private key or a certificate, up to its end or the end of the text: RFC 7468.
_ARMOUR = (
    r"(?s)(?P<before>)(?P<name>"
    r"-----begin [a-z0-9 ]{0,40}(?:key|certificate|message)[a-z ]{0,10}-----"
    r".*?(?:-----end [a-z0-9 ]{0,40}-----|\Z)"
    # The rest of one whose beginning was cut off.
    r"|(?<!\S)(?:[a-z0-9+/=]{16,128}\s{1,4}){1,64}-----end [a-z0-9 ]{0,40}-----)"
)

#: Words for what is always a secret, and words that are so only before a value with a digit.
_STRONG = (
    r"passw(?:or)?d|passwort|passphrase|passcode|(?<![a-z])pwd|[_-]pass|secret"
    r"|(?:api|access|account|private|secret|auth|shared|license|encryption|storage|master)[_-]?key"
    r"|access[_-]?key[_-]?id|(?:access|auth|refresh|(?<![a-z])id|bearer|api|security|session|private"
    r"|deploy|csrf|xsrf|github|gitlab|hf)[_-]?token|x-amz-(?:signature|credential)"
)
_WEAK = (
    r"(?<![a-z])(?:token|signature|sig|credentials?|auth|jwt|nonce|otp|sid|session[_-]?key"
    r"|j?sessionid)"
)
_EQUALS = rf"""(?:\\{{0,2}}["'])?\s{{0,3}}(?:=>|:=|=|:(?!:))[ \t]{{0,4}}(?:[bu](?=["']))?{_OPEN}"""
_KEYED = rf"(?P<before>(?:{_STRONG}){_EQUALS}){_VALUE}"
_WEAKLY_KEYED = (
    rf"(?P<before>{_WEAK}{_EQUALS})(?P<name>(?=[\w+/=.%~-]{{0,256}}\d)[\w+/=.%~-]{{8,2048}})"
)

#: After a space only what looks random is a value: "session key 0123…".
_LONG = (
    r"(?P<before>(?<![a-z])(?:key|token|secret|signature|password)s?"
    r"(?: |\s{0,3}[=:]\s{0,3})['\"]?)"
    r"(?P<name>(?=[\w+/=-]{0,256}\d)(?:[0-9a-f]{20,2048}|[\w+/=-]{24,2048})(?![\w-])"
    # A password that stands in a sentence: one with a digit and a letter.
    r"|(?<=password )(?=\S{0,64}[a-z])(?=\S{0,64}\d)[^\s'\"),;]{5,255})"
)

#: https://www.rfc-editor.org/rfc/rfc9110#name-authentication-and-authoriz: a scheme, then a value.
_SCHEMES = r"(?:bearer|basic|token|negotiate|apikey|ntlm)\s"
_HEADER = (
    r"(?P<before>(?<![a-z])(?:proxy-)?authorization\\{0,2}[\"']?\s{0,3}[:=]\s{0,3}(?:b(?=[\"']))?"
    rf"{_OPEN}(?:{_SCHEMES}{{1,3}})?)(?P<name>(?!{_SCHEMES})"
    r"(?:(?:digest|aws4-hmac-sha256)\s[^\n]{1,2048}|[^\s'\"\\]{1,2048}))"
)
_BEARER = r"(?P<before>(?<![a-z])bearer\s{1,3})(?P<name>(?=[\w.~+/=-]{0,256}\d)[\w.~+/=-]{8,2048})"
_COOKIE = (
    rf"(?P<before>(?<![a-z])(?:set-)?cookie\\{{0,2}}[\"']?\s{{0,3}}[:=]\s{{0,3}}{_OPEN})"
    r"(?P<name>[^'\"\n\\]{1,4096})"
)

_OPTION = (
    r"(?P<before>(?<![\w-])--?[\w-]{0,32}(?:password|passwd|pass|passphrase|token|secret|api-?key"
    r"|access-key|secret-key|private-key|credentials?)(?:=|[\"']?,? {1,3})[\"']?)"
    r"(?P<name>(?!-)[^\s'\",;)\]]{1,1024})"
)
#: The short options by which some programs take a password.
_SHORT_OPTION = (
    r"(?P<before>(?<!\w)(?:docker|podman|apptainer|helm|oras|sshpass|mysql|mysqldump|smbclient)"
    r"\b[^\n]{0,128}? (?:-p ?|-p[\"'],? [\"']))"
    r"(?P<name>(?![:\d])[^\s'\",:/=-][^\s'\",:/]{3,1024}(?![^\s'\",]))"
)
_USER_INFO = (
    r"(?P<before>(?<!\S)(?:-u|--user)[ =]['\"]?)"
    r"(?P<name>(?!\d{1,9}:\d)[^\s:/'\"]{1,255}:[^\s'\"]{1,255})"
)

#: Not "key" alone, as in `KeyError`.
_KEY_HINTS = (
    *("pass", "pwd", "secret", "token", "x-amz-", "_key", "-key", "apikey", "accesskey"),
    *("accountkey", "privatekey", "authkey", "sharedkey", "licensekey", "encryptionkey"),
)
#: What a text in lower case must hold for each pattern: most texts hold nothing of it, and then no
#: pattern is compiled.
_RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("-----begin ", "-----end "), _ARMOUR),
    (("authorization",), _HEADER),
    (("bearer ",), _BEARER),
    (("cookie",), _COOKIE),
    (_KEY_HINTS, _KEYED),
    (
        ("token", "sig", "credential", "auth", "jwt", "nonce", "otp", "sid", "session"),
        _WEAKLY_KEYED,
    ),
    (("key ", "keys ", "key=", "key:", "token", "secret", "signature", "password"), _LONG),
    (("--", "-pass"), _OPTION),
    ((" -p", "'-p"), _SHORT_OPTION),
    (("-u ", "--user"), _USER_INFO),
)


def redact_credentials(text: str, lowered: str) -> str:
    """Replace each secret in a text by `<secret>`.

    Parameters:
        text: the text.
        lowered: the same text in lower case.

    Example:
        >>> text = "login with --user anna password=hunter2 failed"
        >>> redact_credentials(text, text)
        'login with --user anna password=<secret> failed'
    """
    if any(hint in lowered for hint in _TOKEN_HINTS):
        text = re.sub(_TOKENS, SECRET, text)
    for hints, pattern in _RULES:
        if any(hint in lowered for hint in hints):
            text = replace_names(pattern, text, _choose)
    return text


def _choose(match: re.Match[str]) -> str | None:
    """Return `<secret>`, or None for what is no value or is replaced already."""
    name = match["name"]
    return None if name in NO_VALUES or name.startswith(REPLACEMENTS) else SECRET

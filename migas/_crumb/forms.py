r"""The forms by which private words are known without any context: paths, files, URLs, addresses.

This module owns the pattern of these forms and what replaces each. What may go wrong: a form is a
guess. If a text is ambiguous the word is removed. An unquoted file name with spaces may be removed
only in part.
"""

from __future__ import annotations

import re

from .words import ADDRESS, EMAIL, HOST, PATH, hide_service, is_public, make_set

#: URLs of these schemes keep their host: it names a service. In others it names a place of data.
_SERVICES = ("http", "https", "ws", "wss", "ftp", "ftps")

#: Words with a slash that are no paths.
_NO_PATHS = (
    "n/a|i/o|and/or|input/output|key/value|read/write|yes/no|true/false|on/off|username/password"
    r"|user/group|client/server|tcp/ip|gnu/linux|http/[\d.]+|\d{1,4}(?:/\d{1,4}){1,2}|[a-z]{1,4}/s(?:ec)?"
    r"|\\(?:x[\da-f]{2}|u[\da-f]{4,8}|[abfnrtv0])+"
)

#: A word with one of these extensions, in any case, is a file name. Those that are also common
#: names of attributes (`.data`, `.shape`) are not in the list: `image.shape` is no file.
EXTENSIONS = make_set(
    # Images, signals, surfaces and transforms of the field.
    "annot bdf bfloat bhdr brik bval bvec cnt con ctf dcm ds dtseries dlabel dscalar ecat ecat7"
    " edf eeg fdt fib fif gii head hdr ima img lta mat mef mff mgh mgz mif mih minc mnc mrd ncs nev"
    " nhdr nii nrrd nrs ns5 ns6 nwb obj par parrec plx ply ptseries rec sdt set smr snirf spm sqd"
    " stc stl surf tck tfm trc trk trx tt vhdr vmr vmrk vtc vtk vtp warp xdf xfm zarr"
    # Tables, archives, documents, programs, keys.
    " 7z avi bak bam bat bib bin bmp bz2 cer cfg cif conf crt csv dat db dll doc docx egg err exe"
    " fa fastq feather flac gif gz h5 hdf hdf5 heic htm html ini ipynb jpeg jpg json jsonl kdbx"
    " lmdb log lz4 m4a md mkv mov mp3 mp4 nc npy npz odp ods odt ogg out p12 parquet pdb pdf pem"
    " pickle pkl pklz png ppt pptx ps1 py pyc pyd qza qzv rar rda rdata rds rtf sas7bdat sav sh shp"
    " sif so sql sqlite sqlite3 svg tar tbz tbz2 tex tgz tif tiff tmp toml tsv txt txz vcf wav webp"
    " whl xls xlsx xml xz yaml yml zip zst"
)

#: Those of them that are also attributes: only the end of a word is meant, and `log(` is code.
_AMBIGUOUS = make_set(
    "bin cfg con conf dat db ds err head html img json log mat obj out par pdf rec rep set so sql"
    " tar tex tmp trc warp xml zip"
)

#: Those that no attribute has.
_TELLING = EXTENSIONS - _AMBIGUOUS

#: A word that begins with one of these and a dot, and ends like an attribute, is code: `np.log`.
_CODE = make_set(
    "asyncio ax bids builtins cls collections dask df dipy h5py http importlib io itertools jnp"
    " json logging math matplotlib mne multiprocessing nib nibabel nilearn nipype np numpy nx os"
    " pandas pd pkgutil plt pybids pydicom re requests resp response scipy self sklearn skimage"
    " socket sqlalchemy subprocess sys tf tomllib torch traits urllib urllib3 yaml"
)

#: So is one that ends with the name of an exception: `pymysql.err.OperationalError`.
_CLASSES = ("Error", "Exception", "Warning", "Interrupt", "Timeout", "Exit")

#: A quoted word after one of these is code.
_BEFORE_CODE = ("module ", "module named ", "attribute ", "function ", "class ")

#: Character classes: what ends an unquoted path, and what separates two words.
_STOP = r"\s'\"`<>|"
_BREAK = _STOP + r"=:,;()\[\]{}"
_PART = rf"[^{_BREAK}/\\]+"
#: What a path or a URL may hold, with what has been replaced in it before.
_OURS = "<[a-z]{2,7}>"
_TAIL = rf"(?:[^{_STOP}]|{_OURS})*"
_PATH = (
    rf"(?!(?i:{_NO_PATHS})(?![^{_BREAK}.]))(?:[A-Za-z]:(?=[/\\]))?"
    rf"(?:{_PART}[/\\]+{_TAIL}|[/\\]+[^{_STOP}]{_TAIL})"
)
_PATH_WORD = rf"(?<![^{_BREAK}]){_PATH}"
_IP4 = r"\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w)"
#: A word with an extension; `_is_file` decides which extensions are meant. A pattern with all of
#: them would take twice as long to compile.
_FILE = rf"[^{_BREAK}/\\]*\.[A-Za-z0-9]+(?:[^{_BREAK}/\\]*[^{_BREAK}/\\.])?"

#: A text without a match of this one holds nothing that `_FORMS` could find. Most texts are such,
#: and to compile `_FORMS` takes milliseconds.
HINT = r"[/\\@]|\.[A-Za-z0-9]|::|(?:[0-9A-Fa-f]{1,4}[:-]){5}"

# Everything of any length begins only at the start of a word, and a quotation is limited to 1,024
# characters: so the time to search grows with the length of the text, whatever it holds.
_FORMS = rf"""(?x)
    (?<![^\W_])(?P<quotation>
        (?P<opening>[bBfFrRuU]{{0,2}}(?P<mark>['"`])) (?P<quoted>[^\n]{{0,1024}}?) (?P=mark)
    )(?![^\W_])
    | (?<![^{_BREAK}])(?P<url>
        (?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>(?:[^{_STOP}/?\#\\]|{_OURS})*)
        (?P<rest>{_TAIL})
    )
    | (?<![^{_BREAK}])(?P<arn> arn:aws{_TAIL} )
    | (?<![^{_BREAK}])(?P<email>
        (?:[^{_BREAK}/\\@]+:)?[^{_BREAK}/\\@]+@[^{_BREAK}/\\]+ )(?![^{_BREAK}])
    # A path on another machine, which has a digit or a dot in its name: `filer02:/export`.
    | (?<![^{_BREAK}])(?P<remote> (?=[\w-]{{0,63}}[\d.])[\w.-]{{1,255}}:(?=/(?!/)) )
    | (?<![^{_BREAK}])(?P<path> {_PATH}
        # A name may hold spaces. The path goes on if one of the next four words holds a slash, or
        # if it has no extension yet and one of the next three words is a file name.
        (?: (?:[ ]{_PART}){{0,3}} [ ]{_PART}[/\\]{_TAIL} )*
        (?P<more> (?<!\.\w)(?<!\.\w\w)(?<!\.\w\w\w)(?<!\.\w\w\w\w)
            (?:[ ]{_PART}){{0,2}} [ ]{_FILE} )?
    )
    | (?<![^{_BREAK}@])(?P<port>
        (?:[A-Za-z0-9-]{{1,63}}\.){{2,9}}[A-Za-z][A-Za-z0-9-]{{1,62}}(?=:\d\d) )
    | (?<![\w:.])(?P<card> [0-9A-Fa-f]{{2}}(?:[:-][0-9A-Fa-f]{{2}}){{5,7}}
        | [0-9A-Fa-f]{{4}}\.[0-9A-Fa-f]{{4}}\.[0-9A-Fa-f]{{4}} )(?!\.?[\w:])
    | (?<![\w:.])(?P<ip6>
        (?=:*[0-9A-Fa-f])(?=[0-9A-Fa-f:]*::|(?:[0-9A-Fa-f]{{1,4}}:){{7}})
        (?:[0-9A-Fa-f]{{0,4}}:){{2,8}}[0-9A-Fa-f]{{0,4}}(?:(?:\.\d{{1,3}}){{3}})?(?:%[\w.-]+)?
    )(?!\w)
    | (?<![\w.])(?P<ip4> {_IP4} )
    | (?<![^{_BREAK}])(?P<file> {_FILE} )
"""
#: An argument after a space: a quoted text with one is a command, and is redacted word by word.
_ARGUMENT = r"\s(?:[/~-]|[A-Za-z]:[/\\])"


def redact_forms(text: str) -> str:
    """Replace everything in a text that has the form of a path or an address.

    Example:
        >>> redact_forms("anna.NII.GZ is not at https://zenodo.org/records/4711")
        '<path> is not at https://zenodo.org/<path>'
    """
    return re.sub(_FORMS, _replace, text)


def _replace(match: re.Match[str]) -> str:
    """Return what replaces one match of `_FORMS`."""
    kind = str(match.lastgroup)
    if kind == "quotation":
        return f"{match['opening']}{_redact_quoted(match)}{match['mark']}"
    if kind == "url":
        return _redact_url(match["scheme"], match["authority"], match["rest"])
    if kind == "file":
        return _redact_file(match[0], is_called=match.string.startswith("(", match.end()))
    if kind == "path":
        return PATH + _redact_rest(match["more"] or "")
    if kind == "port" and (is_public(match[0]) or match[0].partition(".")[0] in _CODE):
        return match[0]
    return {"port": HOST, "email": EMAIL, "arn": PATH, "remote": f"{HOST}:"}.get(kind, ADDRESS)


def _is_file(word: str) -> bool:
    """Return True if a word has a known extension and is no code."""
    first, *others = word.lower().split(".")
    if not others:
        return False
    if word.endswith(_CLASSES) and others[-1] not in EXTENSIONS:
        return False
    # A suffix may follow the extension: `T1.nii.gz~`, `scan.dcm-old`.
    known = [re.match(r"[a-z0-9]*", part)[0] for part in others]  # type: ignore[index]
    if not first and EXTENSIONS.issuperset(known):
        return False  # nothing but extensions: "must end with .nii.gz"
    is_code = word.startswith(f"{first}.") and first in _CODE
    return (others[-1] in EXTENSIONS and not is_code) or not _TELLING.isdisjoint(known)


def _redact_file(word: str, *, is_called: bool) -> str:
    """Return `<path>` for a file name. Any other word keeps its form, without an address in it."""
    if _is_file(word) and not (is_called and word.rpartition(".")[2] in _AMBIGUOUS):
        return PATH
    return re.sub(rf"(?<![\w.]){_IP4}", ADDRESS, word)


def _redact_rest(text: str) -> str:
    """Return what is left of the words after a path, once the file name that ends it is removed."""
    words = text.split(" ")
    while len(words) > 1 and not _is_file(words[-1]):
        words.pop()
    return redact_forms(text[len(" ".join(words)) :]) if len(words) > 1 else redact_forms(text)


def _redact_quoted(match: re.Match[str]) -> str:
    """Redact the text between two quotation marks. A path in it extends to the second one."""
    text = match["quoted"]
    url = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)(.*)", text)
    if url:
        return _redact_url(*url.groups())
    if re.match(_PATH_WORD, text):
        return PATH
    if not re.search(r"[/\\]", text):
        name = text.rpartition(".")[2].lower()
        if name in EXTENSIONS and name != text.lower():
            is_code = match.string.endswith(_BEFORE_CODE, 0, match.start()) or not _is_file(text)
            return text if is_code else PATH
    elif re.search(_PATH_WORD, text) and not re.search(_ARGUMENT, text):
        return PATH
    return redact_forms(text)


def _redact_url(scheme: str, authority: str, rest: str) -> str:
    """Return a URL without credentials, port and path; only `<path>` if it is no service's."""
    if scheme.lower() not in _SERVICES:
        return PATH
    host = re.sub(r":\d*$", "", authority.rpartition("@")[2])
    name = re.match(r"[\w.-]*", host)[0]  # type: ignore[index]  # it matches anything
    if name == host.rstrip(":,;)]}") and not re.fullmatch(r"[\d.]*", name):
        host = hide_service(name.rstrip(".")) + host[len(name.rstrip(".")) :]
    else:
        host = redact_forms(host)
    return f"{scheme}://{host}" + (f"/{PATH}" if rest.strip("/.,;)") else rest)

"""The identifier: a UUID (RFC 9562), made at random or from a digest, and read in any form.

`import migas` loads this module, and does without `uuid`, which takes some milliseconds to import,
and without `hashlib`: what a first call imports on the host's thread could be half imported in a
child that another thread forks at that moment, and then the child's own call would never return.
"""

from __future__ import annotations

import _imp
import os

_DIGITS = frozenset("0123456789abcdef")


def make_id() -> str:
    """Return a random identifier.

    Example:
        >>> parse_id(make_id()) == make_id()
        False
    """
    return _format(os.urandom(16))


def derive_id(digest: bytes) -> str:
    """Return an identifier made of the first 16 bytes of ``digest``: the same one for the same."""
    return _format(digest[:16])


def digest(*words: str) -> bytes:
    """Return 16 bytes that are the same for the same words, and tell nothing of them.

    By SipHash with two keys, which each interpreter has for its own compiled files (PEP 552).
    """
    data = "\0".join(words).encode(errors="surrogatepass")
    return b"".join(_imp.source_hash(key, data) for key in (1, 2))


def parse_id(text: str) -> str:
    """Return the canonical form of a UUID, in any form that `uuid.UUID` reads.

    Raises:
        ValueError: ``text`` is no UUID.

    Example:
        >>> parse_id("{3F0C6E2A5D394F0E9A370F6B3C5D7E11}")
        '3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11'
    """
    digits = text.strip().lower().replace("urn:", "").replace("uuid:", "")
    digits = digits.strip("{}").replace("-", "")
    if len(digits) != 32 or not _DIGITS.issuperset(digits):
        raise ValueError("no UUID")
    return _hyphenate(digits)


def _format(random: bytes) -> str:
    # Version 4 and variant 10, as in RFC 9562, 5.4.
    version, variant = random[6] & 0x0F | 0x40, random[8] & 0x3F | 0x80
    whole = (*random[:6], version, random[7], variant, *random[9:])
    return _hyphenate(bytes(whole).hex())


def _hyphenate(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

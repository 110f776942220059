"""The reason: says in plain words why a request failed.

It goes by the classes of an exception and of what caused it, and by their numbers, never by their
texts: addresses, and a proxy's password, stand in those.
"""

from __future__ import annotations

import http.client
import socket
import ssl

import requests
from urllib3 import exceptions
from urllib3.connection import CertificateError  # type: ignore[attr-defined]

from .connection import TooLongError
from .dialer import NO_ROUTE
from .progress import Progress, StoppedError

#: Causes of causes that are looked at. `requests` wraps what it catches three or four times.
_MOST_CAUSES = 30

#: Alerts of TLS about a client's certificate, by OpenSSL's names, and what they mean.
_REFUSALS = ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE")
_NO_CERTIFICATE = "the server wants a certificate from its clients"

#: X.509's verdicts on a certificate, by OpenSSL's numbers (`X509_V_ERR_…`).
_CERTIFICATE = {
    9: "the server's certificate is not valid yet: is this machine's clock right?",
    10: "the server's certificate has expired",
    62: "the server's certificate is for another name",
    64: "the server's certificate is for another address",
}

_HUNG_UP = (
    ConnectionResetError,  # `http.client.RemoteDisconnected` is one
    ConnectionAbortedError,
    BrokenPipeError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    http.client.IncompleteRead,
    exceptions.IncompleteRead,
)

_NO_ADDRESS = (
    exceptions.LocationValueError,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    UnicodeError,  # a label of more than 63 letters
)

_STOPPED = "the request was stopped before it left"

#: What holds for a class of causes; the first class that any of the causes belongs to counts.
_WORDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (StoppedError, _STOPPED),
    (MemoryError, "there is not enough memory"),
    (requests.exceptions.InvalidProxyURL, "the proxy's address makes no sense"),
    (
        (requests.exceptions.InvalidSchema, exceptions.ProxySchemeUnknown),
        "there is no support for this kind of proxy",
    ),
    (socket.gaierror, "the server's name is not known"),
    (ConnectionRefusedError, "the server refused the connection"),
    (CertificateError, "the server's certificate is for another name"),
    (TooLongError, "the answer is too long"),
    (_HUNG_UP, "the server hung up"),
    ((ssl.SSLError, exceptions.SSLError), "no secure connection could be made"),
    (_NO_ADDRESS, "no such address can be"),
    ((http.client.HTTPException, exceptions.InvalidHeader), "the answer is no HTTP"),
    (exceptions.NewConnectionError, "no connection could be made"),
)


def explain(error: BaseException, progress: Progress) -> str:
    """Return why a request failed, in words.

    Parameters:
        error: what was raised.
        progress: how far the request had come.

    Example:
        >>> explain(socket.gaierror(-2, "Name or service not known"), Progress())
        "the server's name is not known"
    """
    causes = _find_causes(error)
    if progress.proxied and not progress.whole and progress.status != 200:
        return _blame_proxy(causes, progress.status)
    for cause in causes:
        if words := _blame_certificate(cause):
            return words
        if isinstance(cause, OSError) and cause.errno in NO_ROUTE:
            return "there is no route to the server"
    if any(isinstance(cause, (TimeoutError, exceptions.ReadTimeoutError)) for cause in causes):
        return "no answer came in time" if progress.whole else "the server was not reached in time"
    for kind, words in _WORDS:
        if any(isinstance(cause, kind) for cause in causes):
            return words
    return f"it failed with {type(causes[-1]).__name__}"


def wants_certificate(error: BaseException) -> bool:
    """Return whether the server has ended TLS's handshake for want of a client's certificate.

    With TLS 1.3 the client hears of that when its request is on its way, and no application has
    read any of it (RFC 8446, 4.4.2.4 and 6.2).
    """
    return any(_blame_certificate(cause) == _NO_CERTIFICATE for cause in _find_causes(error))


def is_hang_up(error: BaseException) -> bool:
    """Return whether the other side, or the way to it, ended the connection; never raises."""
    return any(isinstance(cause, _HUNG_UP) for cause in _find_causes(error))


def _blame_certificate(cause: BaseException) -> str:
    """Return what is wrong with the server's certificate or the client's, or `""`."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        # Without a number it is of urllib3's own making, which compares names alone.
        code = getattr(cause, "verify_code", 62)
        return _CERTIFICATE.get(code, "the server's certificate is not trusted")
    if isinstance(cause, ssl.SSLError) and getattr(cause, "reason", None) in _REFUSALS:
        return _NO_CERTIFICATE
    return ""


def _blame_proxy(causes: list[BaseException], status: int | None) -> str:
    """Return why no connection through a proxy came about."""
    if any(isinstance(cause, StoppedError) for cause in causes):
        return _STOPPED
    if status == 407:
        return "the proxy wants credentials"
    return f"the proxy answered {status}" if status else "the proxy was not reached"


def _find_causes(error: BaseException) -> list[BaseException]:
    """Return ``error`` and what caused it, from the outermost in.

    What was being handled when it was raised (`__context__`) is no cause of it: that may be the
    host's own trouble.
    """
    causes = [error]
    for cause in causes:
        known = set(map(id, causes))
        found = [x for x in _look_into(cause) if isinstance(x, BaseException)]
        causes += [x for x in found if id(x) not in known][: _MOST_CAUSES - len(causes)]
    return causes


def _look_into(error: BaseException) -> tuple[object, ...]:
    """Return what may hold an exception's cause."""
    try:
        return (*error.args, getattr(error, "reason", None), error.__cause__)
    except Exception:  # its class may be anybody's, and so may its attributes
        return ()

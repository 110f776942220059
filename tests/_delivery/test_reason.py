"""Why a request failed is said in words that hold, by the classes of its causes alone."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from typing import NoReturn

import pytest
import requests
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st

from migas._delivery.connection import TooLongError
from migas._delivery.progress import Progress, StoppedError
from migas._delivery.reason import explain, is_hang_up

SECRET = "http://user:secret@proxy.example"


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    """What OpenSSL says of a certificate."""
    error = ssl.SSLCertVerificationError(1, SECRET)
    error.verify_code = code
    return error


CAUSES: dict[str, tuple[Exception, str]] = {
    "name": (socket.gaierror(socket.EAI_AGAIN, SECRET), "the server's name is not known"),
    "refused": (ConnectionRefusedError(111, SECRET), "the server refused the connection"),
    "no route": (OSError(errno.ENETUNREACH, SECRET), "there is no route to the server"),
    "no host": (OSError(errno.EHOSTUNREACH, SECRET), "there is no route to the server"),
    "not trusted": (certificate_error(20), "the server's certificate is not trusted"),
    "self-signed": (certificate_error(18), "the server's certificate is not trusted"),
    "expired": (certificate_error(10), "the server's certificate has expired"),
    "early": (
        certificate_error(9),
        "the server's certificate is not valid yet: is this machine's clock right?",
    ),
    "other name": (certificate_error(62), "the server's certificate is for another name"),
    "other address": (certificate_error(64), "the server's certificate is for another address"),
    "other name by urllib3": (
        ssl.CertificateError(SECRET),
        "the server's certificate is for another name",
    ),
    "no TLS": (ssl.SSLError(1, SECRET), "no secure connection could be made"),
    "timed out": (TimeoutError(SECRET), "the server was not reached in time"),
    "system's time-out": (OSError(errno.ETIMEDOUT, SECRET), "the server was not reached in time"),
    "hung up": (http.client.RemoteDisconnected(SECRET), "the server hung up"),
    "reset": (ConnectionResetError(104, SECRET), "the server hung up"),
    "broken pipe": (BrokenPipeError(32, SECRET), "the server hung up"),
    "end in the middle of TLS": (ssl.SSLEOFError(8, SECRET), "the server hung up"),
    "short": (http.client.IncompleteRead(b""), "the server hung up"),
    "too long": (TooLongError(SECRET), "the answer is too long"),
    "no HTTP": (http.client.BadStatusLine(SECRET), "the answer is no HTTP"),
    "memory": (MemoryError(SECRET), "there is not enough memory"),
    "no address": (requests.exceptions.InvalidURL(SECRET), "no such address can be"),
    "no name": (UnicodeError(SECRET), "no such address can be"),
    "SOCKS": (
        requests.exceptions.InvalidSchema(SECRET),
        "there is no support for this kind of proxy",
    ),
    "proxy's address": (
        requests.exceptions.InvalidProxyURL(SECRET),
        "the proxy's address makes no sense",
    ),
    "disk": (OSError(errno.EIO, SECRET), "it failed with OSError"),
    "no claim": (FileNotFoundError(errno.ENOENT, SECRET), "it failed with FileNotFoundError"),
    "other": (RecursionError(SECRET), "it failed with RecursionError"),
}


def as_an_argument(cause: Exception) -> Exception:
    """As `requests` wraps what `urllib3` raises."""
    pool = urllib3.HTTPConnectionPool("migas.example")
    inner = urllib3.exceptions.MaxRetryError(pool, SECRET, cause)
    return requests.ConnectionError(inner)


def as_a_cause(cause: Exception) -> Exception:
    """As `urllib3` wraps what a socket raises, and `requests` that."""
    outer = requests.ConnectionError(SECRET)
    outer.__cause__ = urllib3.exceptions.ProtocolError(SECRET, cause)
    return outer


@pytest.mark.parametrize("wrap", [lambda cause: cause, as_an_argument, as_a_cause])
@pytest.mark.parametrize(("cause", "words"), CAUSES.values(), ids=CAUSES)
def test_a_cause_is_named(cause: Exception, words: str, wrap: type[Exception]) -> None:
    """However deep it lies; and no text of any exception is shown."""
    assert explain(wrap(cause), Progress()) == words


def test_after_the_last_byte_time_runs_out_for_the_answer() -> None:
    """Nobody says then that the server was not reached."""
    progress = Progress()
    progress.finish_sending()
    assert explain(TimeoutError(), progress) == "no answer came in time"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "the proxy was not reached"),
        (407, "the proxy wants credentials"),
        (502, "the proxy answered 502"),
    ],
)
def test_a_proxy_is_blamed(status: int | None, words: str) -> None:
    """But for what happens once there is a way through it."""
    progress = Progress()
    progress.proxied, progress.status = True, status
    assert explain(as_an_argument(ConnectionRefusedError()), progress) == words
    assert explain(StoppedError(), progress) == "the request was stopped before it left"
    progress.status = 200
    assert explain(certificate_error(10), progress) == "the server's certificate has expired"
    progress.finish_sending()
    assert explain(ConnectionResetError(), progress) == "the server hung up"


def test_the_hosts_own_trouble_is_no_cause() -> None:
    """A question may be asked while the host handles an exception of its own."""
    error = ValueError()
    error.__context__ = ConnectionRefusedError()
    assert explain(error, Progress()) == "it failed with ValueError"


class SpitefulError(Exception):
    """An exception that cannot be looked at."""

    @property
    def reason(self) -> NoReturn:
        raise MemoryError


def test_an_exception_that_cannot_be_looked_at_is_named() -> None:
    """A library's class may be anything."""
    assert explain(SpitefulError(), Progress()) == "it failed with SpitefulError"


KINDS = st.sampled_from([Exception, OSError, requests.ConnectionError, ssl.SSLError, SpitefulError])


@pytest.mark.slow
@given(st.lists(KINDS, min_size=1, max_size=60), st.data())
def test_any_tangle_of_causes_comes_to_an_end(
    kinds: list[type[Exception]], data: st.DataObject
) -> None:
    """Causes may go round in circles."""
    errors = [kind() for kind in kinds]
    for error in errors:
        error.args = tuple(data.draw(st.lists(st.sampled_from(errors), max_size=3)))
        error.__cause__ = data.draw(st.none() | st.sampled_from(errors))
    assert explain(errors[0], Progress())
    is_hang_up(errors[0])

"""The redirect: says where an answer sends a request, if the same server may have it there.

What may go wrong: two parsers read one address as two hosts, and a breadcrumb goes to a stranger.
"""

from __future__ import annotations

from urllib.parse import urljoin

from urllib3.util import parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    import requests

#: Redirects that keep the method (RFC 9110, 15.4.8 and 15.4.9).
_REDIRECTS = (307, 308)


def find_redirect(response: requests.Response, url: str) -> str | None:
    """Return where the same server wants a request instead, or None.

    No other server gets the request: scheme, host and port have to be those of ``url``, as the
    library that connects reads both. Whatever the parsers make of the rest, what is returned
    begins as ``url`` does.
    """
    location = response.headers.get("Location", "")
    if response.status_code not in _REDIRECTS or not _is_plain(location):
        return None
    try:
        old, new = parse_url(url), parse_url(urljoin(url, location))
        defaults = {"http": 80, "https": 443}
        ports = [each.port or defaults.get(each.scheme or "") for each in (old, new)]
    except ValueError:  # no address
        return None
    if (old.scheme, old.host, ports[0]) != (new.scheme, new.host, ports[1]):
        return None
    return old._replace(path=new.path or "/", query=new.query, fragment=None).url


def _is_plain(location: str) -> bool:
    """Return whether a redirect's target has one reading only.

    That is visible ASCII, as any address (RFC 3986), without the backslash, which some programs
    read as a slash, and without the `@` of credentials. A parser may drop a tab or a line break
    before it compares hosts.
    """
    visible = location.isascii() and location.isprintable()
    return bool(location) and visible and not {" ", "\\", "@"} & set(location)

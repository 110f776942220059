"""Where a redirect may lead."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from migas._delivery.redirect import find_redirect

PARTS = [*"/\\@:?#.[]%0x\t\r\n é", "http:", "https:", "//", "migas.example", "other.example", "%2f"]
LOCATIONS = st.lists(st.sampled_from(PARTS), max_size=9).map("".join)


@example("http", "//migas.example")
@given(st.sampled_from(["http", "https"]), LOCATIONS)
def test_no_location_leads_elsewhere(scheme: str, location: str) -> None:
    """By any parser's reading."""
    url = f"{scheme}://migas.example/graphql"
    response = requests.Response()
    response.status_code = 307
    response.headers["Location"] = location
    target = find_redirect(response, url)
    if target is not None:
        assert target.startswith(f"{scheme}://migas.example/")
        request = requests.Request("POST", target).prepare()
        for found in (parse_url(target), urlsplit(target), urlsplit(request.url)):
            assert (found.scheme, found.hostname, found.port) == (scheme, "migas.example", None)


def test_a_port_may_be_named_or_not() -> None:
    """It is the scheme's own either way."""
    for url, location in (
        ("https://migas.example/graphql", "https://migas.example:443/x"),
        ("https://migas.example:443/graphql", "https://migas.example/x"),
    ):
        response = requests.Response()
        response.status_code = 308
        response.headers["Location"] = location
        assert find_redirect(response, url) == url.replace("graphql", "x")

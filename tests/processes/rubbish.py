"""Rubbish that a server may answer, each kind with what it means for a request's breadcrumbs."""

from __future__ import annotations

import contextlib
import gzip
import json
import string
from typing import TYPE_CHECKING, Any, NamedTuple

from wire import GOOD, SIGNED, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from wire import Connection

#: Meanings: it is clear that nothing was taken; nobody knows; it is one of these two; the
#: application's own word; and its word that it will never take what is alone in a request.
CLEAR, UNKNOWN, EITHER, WORD, REFUSAL = "clear", "unknown", "either", "word", "refusal"

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n" + SIGNED + b"\r\n"
BOMB = gzip.compress(gzip.compress(b" " * 100_000_000))


class Answer(NamedTuple):
    """What a server does with a request."""

    kind: str
    meaning: str
    pieces: bytes = b""
    #: Sent after that until the client hangs up.
    endless: bytes = b""
    #: How the connection ends: `close`, `reset`, `hang` until the client hangs up, or `keep`.
    end: str = "close"
    #: Whether the request is read, and whether its breadcrumbs are stored.
    reads: bool = True
    stores: bool = False
    #: It redirects to the same server.
    redirects: bool = False
    #: Seconds for which the server asks for no further requests.
    demand: float = 0.0

    def suit(self, *, alone: bool) -> Answer:
        """Return the answer to a request that asks for news, or does not.

        Where an operation fails that looks something up, the other form goes at once.
        """
        return self._replace(meaning=WORD) if alone and self.kind == "operation failed" else self

    def play(self, connection: Connection, good: bytes) -> None:
        """Answer; ``good`` is the good answer, where the request was stored."""
        if self.meaning == WORD and self.stores:
            connection.send(write(good))
        connection.send(self.pieces)
        while self.endless:
            connection.send(self.endless)
        if self.end == "reset":
            connection.reset()
        elif self.end == "hang":
            with contextlib.suppress(OSError):
                while connection.sock.recv(65536):
                    pass


def _text(dice: Random) -> str:
    letters = string.ascii_letters + string.digits + " é中\\\"'<>{}[]:,"
    return "".join(dice.choice(letters) for _ in range(dice.randrange(40)))


def _json(dice: Random, depth: int = 3) -> Any:
    """Return any value that JSON can say, and nothing that GraphQL says."""
    if depth == 0 or dice.random() < 0.4:
        number = dice.choice([0, -1, 2**70, 0.5, 1e300])
        return dice.choice([None, True, False, number, _text(dice)])
    if dice.random() < 0.5:
        return [_json(dice, depth - 1) for _ in range(dice.randrange(4))]
    return {f"_{_text(dice)}": _json(dice, depth - 1) for _ in range(dice.randrange(4))}


def _body(dice: Random) -> bytes:
    """Return a body that nobody should look at."""
    text = json.dumps({"data": {"a0": {"success": True}}, "errors": [_json(dice)]}).encode()
    return dice.choice([b"", dice.randbytes(dice.randrange(3000)), b"<html>no</html>", text, GOOD])


def _head(dice: Random) -> bytes:
    """Return headers that change nothing."""
    lines = [
        b"Set-Cookie: a=b; expires=Wed, 99 Foo 9999 99:99:99 GMT; max-age=" + b"9" * 5000,
        b"Content-Type: " + dice.choice([b"text/html; charset=", b"x" * 999, b"application/json"]),
        b"Via: 1.1 " + _text(dice).replace(":", "").encode(),
        b"Link: </x>; rel=preload",
        b'Alt-Svc: h3=":443"; ma=9',
        b"Keep-Alive: timeout=" + b"9" * dice.choice([1, 5000]),
        b"X-Filler: " + b"x" * dice.randrange(5000),
    ]
    return b"".join(line + b"\r\n" for line in dice.sample(lines, dice.randrange(4)))


def _graphql(dice: Random, **error: object) -> bytes:
    """Return an answer with one error."""
    errors = [{"message": f"_{_text(dice)}", **error}]
    more = {"extensions": _json(dice)} if dice.random() < 0.3 else {}
    return json.dumps({"data": None, "errors": errors, **more}).encode()


def _page(dice: Random) -> bytes:
    return b"\n <html>" + _text(dice).encode() + b"</html>" * dice.randrange(1000)


def _unread(dice: Random) -> bytes:
    """Return a body that comes whole and cannot be read, from one that has signed it."""
    return dice.choice(
        [
            b"",
            _page(dice),
            b"OK",
            GOOD + b"<script></script>",
            json.dumps([_json(dice)]).encode(),
            json.dumps({"status": _json(dice)}).encode(),
            b'{"data": null}',
            b'{"errors": []}',
            b'{"errors": ["Invalid project"]}',
            b"[" * dice.randrange(200, 60_000),
            b'{"data": {"a0": ' + b"1" * 5000 + b"}}",
            b'{"data": {"a0": 1e999}}',
            b'{"data": {"a0": "\\ud800"}}',
            '{"data": {}}'.encode("utf-16"),
            b"\xff" + dice.randbytes(100),
            GOOD,  # it says nothing of any breadcrumb
        ]
    )


def _busy(dice: Random) -> Answer:
    status = dice.choice([408, 425, 429, 500, 502, 503, 504, 599])
    wait = dice.choice([b"3", b"0", b"", b"-1", b"soon"])
    demand = float(wait) if wait.isdigit() else 60.0 * (status == 429)
    head = _head(dice) + dice.choice([b"", SIGNED]) + b"Retry-After: " + wait + b"\r\n"
    pieces = write(_body(dice), head, b"%d Busy" % status)
    return Answer(f"busy {status}", CLEAR, pieces, demand=demand)


def _stranger(dice: Random) -> Answer:
    signed = dice.random() < 0.3
    others = [401, 403, 404, 405, 410, 418, 451]
    status = dice.choice(others if signed else [*others, 301, 302, 303, 400, 407, 413, 422])
    head = _head(dice) + (SIGNED if signed else b"Location: /h0/graphql\r\n")
    return Answer("another status", CLEAR, write(_body(dice), head, b"%d No" % status))


def _elsewhere(dice: Random) -> Answer:
    locations = [
        *(b"http://127.0.0.1:9/", b"https://127.0.0.1/", b"//127.0.0.1:9/x", b"ftp://127.0.0.1/"),
        *(b"http://127.0.0.1:9\\@127.0.0.1/", b"http://[::1", b"", b"http://x:" + b"1" * 5000),
    ]
    head = b"Location: " + dice.choice(locations) + b"\r\n"
    return Answer("redirect elsewhere", CLEAR, write(_body(dice), head, b"307 Moved"))


def _same(dice: Random) -> Answer:
    head = b"Location: " + dice.choice([b"?again", b"graphql#part"]) + b"\r\n"
    pieces = write(b"", head, dice.choice([b"307 Moved", b"308 Moved"]))
    return Answer("redirect", CLEAR, pieces, end="keep", redirects=True)


def _garble(dice: Random) -> Answer:
    """Change some bytes of a page; the application's name does not come about so."""
    pieces = bytearray(write(_page(dice), _head(dice)))
    for _ in range(dice.randrange(1, 20)):
        pieces[dice.randrange(min(len(pieces), 400))] = dice.randrange(256)
    return Answer("garbled page", EITHER, bytes(pieces))


def _endless(dice: Random) -> Answer:
    begins, goes_on = dice.choice(
        [
            (OK + b"\r\n{", b" " * 4096),
            (b"HTTP/1.1 200 ", b"OK" * 2048),
            (OK, b"X-Filler: nothing\r\n"),
            (OK + b"X-Filler: ", b"x" * 4096),
            (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
            (CHUNKED + b"2;", b"x" * 4096),
            (CHUNKED, b"1;" + b"x" * 200 + b"\r\n \r\n"),
            (CHUNKED + b"0\r\n", b"X-Filler: nothing\r\n"),
        ]
    )
    return Answer("endless", UNKNOWN, begins, goes_on)


def _no_http(dice: Random) -> Answer:
    rubbish = b"\x00" + dice.randbytes(dice.randrange(2000))
    pieces = dice.choice([rubbish, b"SSH-2.0-OpenSSH_9.2\r\n", OK + b"Content-", OK[:9]])
    return Answer("no HTTP", UNKNOWN, pieces)


def _cut(dice: Random) -> Answer:
    whole = write(_graphql(dice), SIGNED)
    return Answer("cut off", UNKNOWN, whole[: -dice.randrange(1, 20)])


def _no_content(dice: Random) -> Answer:
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" * dice.randrange(3)
    status = dice.choice([b"204 No Content", b"202 Accepted", b"206 Part", b"201 Made"])
    return Answer("no answer", UNKNOWN, interim + write(b"", dice.choice([b"", SIGNED]), status))


def _packed(dice: Random) -> Answer:
    head = b"Content-Encoding: " + dice.choice([b"gzip", b"gzip, gzip", b"br", b"x"]) + b"\r\n"
    body = dice.choice([BOMB, GOOD, gzip.compress(_graphql(dice))])
    return Answer("packed", UNKNOWN, write(body, head + dice.choice([b"", SIGNED])))


def _other_json(dice: Random) -> Answer:
    content = json.dumps(_json(dice)).encode()
    return Answer("other JSON", CLEAR, write(content, _head(dice)))


def _refuse(dice: Random) -> Answer:
    places = [{"line": 1, "column": dice.randrange(9)}]
    status = dice.choice([b"400 Bad", b"413 Large", b"422 No"])
    pieces = dice.choice(
        [
            write(_graphql(dice, locations=places)),
            write(_graphql(dice).replace(b'"_', b'"Syntax Error: ', 1)),
            write(_body(dice), SIGNED, status),
        ]
    )
    return Answer("refused", REFUSAL, pieces)


def _old(dice: Random) -> Answer:
    words = "Cannot query field 'add_breadcrumb' on type 'Mutation'."
    content = json.dumps({"data": None, "errors": [{"message": words}]}).encode()
    return Answer("an old server's", WORD, write(content, _head(dice)))


def _failed(dice: Random) -> Answer:
    content = _graphql(dice, path=["a0"], locations=[{"line": 1, "column": 1}])
    return Answer("operation failed", CLEAR, write(content))


#: By weight.
KINDS: dict[Callable[[Random], Answer], int] = {
    _busy: 10,
    _stranger: 6,
    _elsewhere: 2,
    _same: 2,
    lambda dice: Answer("page", CLEAR, write(_page(dice), _head(dice))): 4,
    lambda dice: Answer("text", CLEAR, write(b"_" + _text(dice).encode(), b"")): 2,
    _other_json: 4,
    lambda dice: Answer("another's error", CLEAR, write(_graphql(dice), _head(dice))): 4,
    lambda dice: Answer("its own trouble", CLEAR, write(_graphql(dice))): 6,
    _failed: 3,
    lambda _dice: Answer("hung up", UNKNOWN): 4,
    lambda _dice: Answer("reset", UNKNOWN, end="reset"): 4,
    lambda _dice: Answer("silent", UNKNOWN, end="hang"): 2,
    lambda _dice: Answer("stored and silent", UNKNOWN, end="hang", stores=True): 1,
    lambda dice: _cut(dice)._replace(kind="stored and cut off", stores=True): 2,
    _no_http: 4,
    _cut: 4,
    _endless: 4,
    _no_content: 3,
    _packed: 3,
    lambda dice: Answer("not understood", UNKNOWN, write(_unread(dice), _head(dice) + SIGNED)): 8,
    lambda _dice: Answer("unread", EITHER, end="reset", reads=False): 2,
    lambda dice: Answer("too early", EITHER, write(_body(dice), b"", b"503 No"), reads=False): 1,
    _garble: 4,
    lambda _dice: Answer("taken", WORD, end="keep", stores=True): 8,
    _refuse: 4,
    _old: 1,
}


def choose(dice: Random) -> Answer:
    """Return what is answered next."""
    [make] = dice.choices(list(KINDS), list(KINDS.values()))
    return make(dice)

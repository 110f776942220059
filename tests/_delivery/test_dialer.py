"""One of a name's addresses answers, whatever the others do."""

from __future__ import annotations

import contextlib
import errno
import gc
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import PATIENCE, need
from wire import Wire, post, resolve_to, say, write

from migas._delivery import dialer
from migas._delivery.dialer import dial, interleave
from migas._delivery.parcel import Outcome
from migas._runtime import daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from support import Host

TCP = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")


def local(port: int, family: int = socket.AF_INET) -> dialer.Address:
    """An address of this machine, as a resolver gives it."""
    target = ("127.0.0.1", port) if family == socket.AF_INET else ("::1", port, 0, 0)
    return (family, *TCP, target)


def within(seconds: float) -> Callable[[], float]:
    """Return a clock that runs down in so many seconds."""
    end = time.monotonic() + seconds

    def remaining() -> float:
        if time.monotonic() >= end:
            raise TimeoutError
        return end - time.monotonic()

    return remaining


@pytest.fixture
def alive() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def alive_too() -> Iterator[int]:
    """A port of IPv6's on which somebody listens."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        yield listener.getsockname()[1]


@pytest.fixture
def refusing() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
def dead() -> Iterator[int]:
    """A port that says nothing to those who knock, as an address that leads nowhere.

    Linux drops who comes to a listener whose queue is full.
    """
    if sys.platform != "linux":
        pytest.skip("only Linux drops what a full queue has no room for")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        while True:
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0.2)
            try:
                sock.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        yield port


def test_a_dead_address_holds_nobody_up(alive: int, dead: int) -> None:
    """It goes on being tried beside the next, which wins and waits for as long as is left."""
    addresses = [local(dead), local(dead), local(alive)]
    with dial(addresses, within(PATIENCE)) as sock:
        assert sock.getpeername() == ("127.0.0.1", alive)
        assert 0 < (sock.gettimeout() or 0) < PATIENCE


def test_the_first_address_that_answers_is_used(alive: int, refusing: int) -> None:
    """Nothing is tried beside it, and one that refuses makes way at once."""
    assert dialer.ATTEMPT_DELAY < PATIENCE
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(dialer, "ATTEMPT_DELAY", PATIENCE)
        began = time.monotonic()
        with dial([local(refusing), local(alive), local(refusing)], within(3600)) as sock:
            assert sock.getpeername() == ("127.0.0.1", alive)
        assert time.monotonic() - began < PATIENCE


def test_little_time_is_shared_by_all(alive: int, dead: int) -> None:
    """With two dead addresses and less than two quarters of a second the third is reached."""
    with dial([local(dead), local(dead), local(alive)], within(0.4)) as sock:
        assert sock.getpeername() == ("127.0.0.1", alive)


def test_the_time_is_for_all_addresses_together(dead: int) -> None:
    """Not for each, as with urllib3."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        dial([local(dead)] * 200, within(0.5))
    assert 0.5 <= time.monotonic() - began < PATIENCE


def test_the_most_telling_failure_is_raised(refusing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """That this machine has no IPv6 says nothing; that the server refuses does."""
    connect = socket.socket.connect

    def lose(self: socket.socket, address: tuple[str, int]) -> None:
        if address[1] != refusing:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", lose)
    with pytest.raises(ConnectionRefusedError):
        dial([local(1), local(refusing), local(1)], within(PATIENCE))
    with pytest.raises(OSError, match="unreachable"):
        dial([local(1)], within(PATIENCE))
    with pytest.raises(OSError, match="no address"):
        dial([], within(PATIENCE))


def test_a_family_that_the_system_lacks_is_passed_over(alive: int) -> None:
    """No socket can even be made for it."""
    unknown = (12345, *TCP, ("127.0.0.1", alive))
    with dial([unknown, local(alive)], within(PATIENCE)) as sock:
        assert sock.getpeername() == ("127.0.0.1", alive)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, TimeoutError, MemoryError])
def test_no_socket_is_left(alive: int, dead: int, ending: type[BaseException]) -> None:
    """However it ends: a socket that is left would be told of as a ResourceWarning."""
    calls = iter([1.0, 1.0, 1.0])

    def remaining() -> float:
        try:
            return next(calls)
        except StopIteration:
            raise ending from None

    addresses = [local(dead)] * 9
    with pytest.raises(ending):
        dial(addresses, remaining)
    calls = iter([1.0, 1.0])
    with pytest.raises(ending):
        dial([local(alive)], remaining)
    gc.collect()


def test_the_other_family_is_next(
    alive_too: int, refusing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one family leads nowhere, the rest of its addresses do not come first."""
    connect, tried = socket.socket.connect, []

    def note(self: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[:2])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", note)
    addresses = [local(refusing), local(refusing + 1), local(alive_too, socket.AF_INET6)]
    dial(addresses, within(PATIENCE)).close()
    assert tried == [("127.0.0.1", refusing), ("::1", alive_too)]


def test_options_are_set_before_it_connects(alive: int) -> None:
    """As urllib3 does, which has small packets leave at once."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    with dial([local(alive)], within(PATIENCE), options) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_no_thread_is_started(dead: int, alive: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One selector watches all: threads of a patched host may be no threads."""

    def start(*_args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(daemon, "start_new_thread", start)
    dial([local(dead), local(alive)], within(PATIENCE)).close()


def test_a_descriptor_above_1023_is_watched(alive: int, dead: int) -> None:
    """A host may have many open, and `select` would take no more."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 2048:
        pytest.skip("this system allows fewer")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, limits[1]))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        while stack.enter_context(socket.socket()).fileno() < 1100:
            pass
        with dial([local(dead), local(alive)], within(PATIENCE)) as sock:
            assert sock.fileno() > 1023


ADDRESSES = st.lists(st.tuples(st.sampled_from([2, 10, 12]), st.integers(0, 5)))


@given(ADDRESSES)
def test_families_take_turns(found: list[tuple[int, int]]) -> None:
    """Each address comes once, the first first, and each family in its own order."""
    addresses: list[dialer.Address] = [(family, *TCP, target) for family, target in found]
    turns = interleave(addresses)
    assert sorted(turns) == sorted(set(addresses))
    assert turns[:1] == addresses[:1]
    for family in {address[0] for address in addresses}:
        own = [address for address in turns if address[0] == family]
        assert own == list(dict.fromkeys(a for a in addresses if a[0] == family))
    count = len({address[0] for address in turns})
    assert len({address[0] for address in turns[:count]}) == count


def test_a_request_takes_the_address_that_answers(
    dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its name, which may be one of the local network's, with the port of its address."""
    with Wire(say(write())) as server:
        asked = resolve_to(monkeypatch, [("127.0.0.1", dead), ("127.0.0.1", server.port)])
        began = time.monotonic()
        reply = post("http://migas.local:8000/graphql")
        assert time.monotonic() - began < PATIENCE
        assert reply.outcome is Outcome.DELIVERED
        assert asked == [("migas.local", 8000)]
        assert b"\r\nHost: migas.local:8000\r\n" in server.requests[0]


def test_a_slow_resolver_takes_nobodys_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it finds is tried, though by then the time to connect would be over."""
    with Wire(say(write())) as server:
        resolve_to(monkeypatch, [("127.0.0.1", server.port)])
        look_up = socket.getaddrinfo

        def look_up_slowly(*args: Any, **kwargs: Any) -> Any:
            time.sleep(1.0)
            return look_up(*args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
        assert post("http://migas.test/graphql", 0.9).outcome is Outcome.DELIVERED


GREEN = """
import gevent, gevent.monkey
gevent.monkey.patch_all()
import socket, sys, threading
from migas._delivery.transport import Transport
dead, alive, away = map(int, sys.argv[1:])
def look_up(name, port, *args, **kwargs):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', ('127.0.0.1', p)) for p in (dead, alive)]
socket.getaddrinfo = look_up
def send():
    transport = Transport('http://migas.test/graphql')
    replies.append(transport.send(b'{}', 30.0))
    transport.close()
replies = []
if away:
    gevent.get_hub().threadpool.apply(send)
else:
    send()
assert threading.active_count() == 1
print(replies[0].outcome.name)
"""


@pytest.mark.slow
@pytest.mark.parametrize("away", [0, 1], ids=["a greenlet", "a thread"])
def test_a_host_that_patches_its_sockets_is_served(host: Host, dead: int, away: int) -> None:
    """Under gevent, on its main greenlet and on a thread of the system's; no thread is added."""
    need("gevent")
    with Wire(say(write())) as server:
        arguments = ["-c", GREEN, str(dead), str(server.port), str(away)]
        ended = host.run("", arguments=arguments)
        assert (ended.status, ended.out) == (0, "DELIVERED\n"), ended

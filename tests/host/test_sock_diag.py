"""Which ports are listened on: what the kernel tells of sockets of the test's own."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from rootlessnet.errors import RootlessnetError
from rootlessnet.host import sock_diag
from rootlessnet.host.sock_diag import ListeningPorts, Port
from tests.conftest import find_free_port

EPHEMERAL = range(61_100, 61_200)  # as if the kernel gave these away, which it does not


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def asking(stack: ExitStack) -> socket.socket:
    return stack.enter_context(
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, sock_diag.PROTOCOL)
    )


def found(asking: socket.socket, *numbers: int, own: frozenset[int] = frozenset()) -> set[Port]:
    """What a fresh look tells of these ports."""
    ports = ListeningPorts(asking, EPHEMERAL, own).read()
    assert ports is not None
    return {port for port in ports if port.number in numbers}


def bind(
    stack: ExitStack, kind: int, address: str, port: int, v6only: bool = False
) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    one = stack.enter_context(socket.socket(family, kind))
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
    one.bind((address, port))
    if kind == socket.SOCK_STREAM:
        one.listen()
    return one


@pytest.mark.parametrize(
    ("address", "is_loopback"),
    [
        ("0.0.0.0", False),
        ("::", False),
        ("127.0.0.1", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
    ],
)
def test_servers(
    stack: ExitStack, asking: socket.socket, free_port: int, address: str, is_loopback: bool
) -> None:
    assert found(asking, free_port) == set()
    bind(stack, socket.SOCK_STREAM, address, free_port)
    assert found(asking, free_port) == {Port("tcp", free_port, is_loopback)}
    bind(stack, socket.SOCK_DGRAM, address, free_port)
    assert found(asking, free_port) == {
        Port("tcp", free_port, is_loopback),
        Port("udp", free_port, is_loopback),
    }


def test_one_that_everybody_reaches_beside_one_of_the_loopback(
    stack: ExitStack, asking: socket.socket, free_port: int
) -> None:
    bind(stack, socket.SOCK_STREAM, "127.0.0.1", free_port)
    bind(stack, socket.SOCK_STREAM, "::", free_port, v6only=True)
    assert found(asking, free_port) == {Port("tcp", free_port, is_loopback=False)}


def test_what_is_no_server(stack: ExitStack, asking: socket.socket) -> None:
    """A port without a listener, connections, clients over UDP, a group, and sockets of ours."""
    listening = bind(stack, socket.SOCK_STREAM, "127.0.0.1", find_free_port())
    client = stack.enter_context(socket.create_connection(listening.getsockname()))
    stack.enter_context(listening.accept()[0])
    unused = stack.enter_context(socket.socket())
    unused.bind(("127.0.0.1", 0))
    connected = bind(stack, socket.SOCK_DGRAM, "127.0.0.1", find_free_port())
    connected.connect(("127.0.0.1", 9))
    group = bind(stack, socket.SOCK_DGRAM, "224.0.0.251", find_free_port())
    ours = bind(stack, socket.SOCK_DGRAM, "127.0.0.1", find_free_port())
    everybody = (listening, client, unused, connected, group, ours)
    numbers = {one.getsockname()[1] for one in everybody}
    own = frozenset({os.fstat(ours.fileno()).st_ino})
    assert found(asking, *numbers, own=own) == {Port("tcp", listening.getsockname()[1], True)}


def test_udp_ports_that_the_kernel_gives_away_are_those_of_clients(
    stack: ExitStack, asking: socket.socket
) -> None:
    """TCP servers may listen on whatever was free."""
    for port in EPHEMERAL:
        try:
            with ExitStack() as trial:
                bind(trial, socket.SOCK_STREAM, "0.0.0.0", port)
                bind(trial, socket.SOCK_DGRAM, "0.0.0.0", port)
                stack.push(trial.pop_all())
            break
        except OSError:
            continue
    assert found(asking, port) == {Port("tcp", port, is_loopback=False)}


def test_more_than_one_piece(stack: ExitStack, asking: socket.socket) -> None:
    """The kernel tells of some hundred sockets at a time."""
    many = {bind(stack, socket.SOCK_STREAM, "127.0.0.1", 0).getsockname()[1] for _ in range(800)}
    assert {port.number for port in found(asking, *many)} == many


def test_nothing_new_is_told_as_such(stack: ExitStack, asking: socket.socket) -> None:
    ports = ListeningPorts(asking, EPHEMERAL, frozenset())
    with ExitStack() as later:
        one = bind(later, socket.SOCK_STREAM, "127.0.0.1", 0)
        number = one.getsockname()[1]
        first = ports.read()
        assert first is not None
        assert number in {port.number for port in first}
    second = ports.read()
    assert second is not None
    assert number not in {port.number for port in second}


def test_a_kernel_that_does_not_tell(
    asking: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sock_diag._PROTOCOLS, "udp", (socket.IPPROTO_ICMPV6, 0))
    with pytest.raises(RootlessnetError, match=r"which UDP ports .* modprobe udp_diag"):
        ListeningPorts(asking, EPHEMERAL, frozenset()).read()


def test_very_many_are_heard_of_bit_by_bit(
    stack: ExitStack, asking: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that listens everywhere holds up nobody; what has come by then is told anew."""
    monkeypatch.setattr(sock_diag, "_PIECES", 1)
    many = {bind(stack, socket.SOCK_STREAM, "127.0.0.1", 0).getsockname()[1] for _ in range(800)}
    ports = ListeningPorts(asking, EPHEMERAL, frozenset())
    pieces = [ports.read()]
    while pieces[-1] is None:
        pieces.append(ports.read())
    assert many <= {port.number for port in pieces[-1]}
    assert len(pieces) > len(sock_diag._QUESTIONS)
    late = bind(stack, socket.SOCK_STREAM, "127.0.0.1", find_free_port()).getsockname()[1]
    while (told := ports.read()) is None:
        pass
    assert {*many, late} <= {port.number for port in told}


def test_of_very_many_the_first_count(
    stack: ExitStack, asking: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sock_diag, "_KEPT", 1)
    many = {bind(stack, socket.SOCK_STREAM, "127.0.0.1", 0).getsockname()[1] for _ in range(800)}
    assert 0 < len(found(asking, *many)) < len(many)

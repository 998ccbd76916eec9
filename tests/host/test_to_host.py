"""Ports of the host at the guest's loopback; here both are the same, with other numbers."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from rootlessnet.bounds import Bounds
from rootlessnet.host import listener as listener_module
from rootlessnet.host.to_host import WaysToHost
from rootlessnet.to_host import ToHost
from tests.conftest import find_free_port
from tests.host.test_faults import report
from tests.host.world import (
    LOOPBACK,
    LOOPBACK_6,
    FarEnd,
    HostWorld,
    descriptors,
    is_readable,
    no_descriptor_left,
    port_of,
    reset,
)
from tests.stack import world as stack_world


class Ways:
    """A TCP port of the guest's loopback that leads to `host_port`."""

    def __init__(self, world: HostWorld, far_end: FarEnd) -> None:
        self.reactor = world.reactor
        self.far_end = far_end
        self.host_port = find_free_port()
        made = far_end.listen()
        made.setblocking(False)
        self.guest_port = port_of(made)
        way = ToHost(self.guest_port, self.host_port)
        self.ways = WaysToHost(world.reactor, world.host, (way,), [made], stack_world.BOUNDS)
        self.table = world.host.splices_to_host

    def call(self) -> socket.socket:
        """A client's end, in the guest."""
        return self.far_end.connect(LOOPBACK, self.guest_port)

    def accept(self, listening: socket.socket) -> socket.socket:
        self.reactor.wait(lambda: is_readable(listening), "a connection")
        return self.far_end.accept(listening)

    def hear(self, one: socket.socket) -> bytes:
        """What one end receives next; nothing at the end."""
        self.reactor.wait(lambda: is_readable(one), "something to read")
        return one.recv(1 << 16)


@pytest.fixture
def ways(world: HostWorld, far_end: FarEnd) -> Iterator[Ways]:
    made = Ways(world, far_end)
    yield made
    made.ways.close()


@pytest.mark.parametrize("address", [LOOPBACK, LOOPBACK_6])
def test_there_and_back(ways: Ways, far_end: FarEnd, address: str) -> None:
    """To the one of the host's loopback addresses that takes it."""
    listening = far_end.listen(address, ways.host_port)
    client = ways.call()
    server = ways.accept(listening)
    assert server.getpeername()[0] == address
    client.sendall(b"request")
    assert ways.hear(server) == b"request"
    client.shutdown(socket.SHUT_WR)
    assert ways.hear(server) == b""
    server.sendall(b"response")
    server.close()
    assert ways.hear(client) == b"response"
    assert ways.hear(client) == b""


def test_the_report_counts_them(world: HostWorld, ways: Ways, far_end: FarEnd) -> None:
    listening = far_end.listen(LOOPBACK, ways.host_port)
    ways.call()
    ways.accept(listening)
    assert report(world)[0] == "flows: 0 tcp, 0 udp, 0 echo, 1 spliced"


def test_nobody_listens(ways: Ways) -> None:
    client = ways.call()
    with pytest.raises(ConnectionResetError):
        ways.hear(client)


@pytest.mark.parametrize("who", ["the client", "the server"])
def test_a_reset(ways: Ways, far_end: FarEnd, who: str) -> None:
    listening = far_end.listen(LOOPBACK, ways.host_port)
    client = ways.call()
    server = ways.accept(listening)
    one, other = (client, server) if who == "the client" else (server, client)
    reset(one)
    with pytest.raises(ConnectionResetError):
        ways.hear(other)


def test_what_the_guest_has_left_to_say(world: HostWorld, ways: Ways, far_end: FarEnd) -> None:
    """Until its FIN has arrived, or else its command's end would cut it short."""
    listening = far_end.listen(LOOPBACK, ways.host_port)
    assert world.host.unfinished() == {}
    client = ways.call()
    server = ways.accept(listening)
    (before,) = world.host.unfinished().values()
    client.sendall(b"request")
    assert ways.hear(server) == b"request"
    (after,) = world.host.unfinished().values()
    assert after != before
    server.shutdown(socket.SHUT_WR)  # the host's FIN is not what counts
    assert ways.hear(client) == b""
    assert len(world.host.unfinished()) == 1
    client.shutdown(socket.SHUT_WR)
    assert ways.hear(server) == b""
    ways.reactor.wait(lambda: not world.host.unfinished(), "the end")


def test_what_a_client_has_left_before_anybody_looked(
    world: HostWorld, ways: Ways, far_end: FarEnd
) -> None:
    """It connected, spoke and ended; so did many, and none of them is forgotten."""
    listening = far_end.listen(LOOPBACK, ways.host_port)
    for number in range(100):
        with ways.call() as client:
            client.sendall(b"%d" % number)
    ways.ways.read_all()
    assert len(world.host.unfinished()) == 100
    heard = {ways.hear(ways.accept(listening)) for _ in range(100)}
    assert heard == {b"%d" % number for number in range(100)}
    ways.reactor.wait(lambda: not world.host.unfinished(), "the end")


def test_a_server_that_does_not_answer_yet(world: HostWorld, ways: Ways, far_end: FarEnd) -> None:
    """Its queue is full: the client may have spoken meanwhile."""
    listening = far_end.listen(LOOPBACK, ways.host_port)
    listening.listen(0)
    far_end.connect(LOOPBACK, ways.host_port)
    client = ways.call()
    client.sendall(b"request")
    client.close()
    ways.ways.read_all()
    assert list(world.host.unfinished().values()) == [(0, 0)]
    listening.listen()
    ways.accept(listening)  # that in the queue
    assert ways.hear(ways.accept(listening)) == b"request"


def test_clients_wait_where_there_is_no_room(
    world: HostWorld, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "_ACCEPTS", 1)
    monkeypatch.setattr(stack_world, "BOUNDS", Bounds(to_host_splices=1))
    ways = Ways(world, far_end)
    listening = far_end.listen(LOOPBACK, ways.host_port)
    first = ways.call()
    server = ways.accept(listening)
    second = ways.call()
    second.sendall(b"I wait")
    ways.reactor.let_run()
    assert not is_readable(listening)
    first.close()
    server.close()
    ways.reactor.wait(lambda: not ways.table, "the end of the first")
    ways.reactor.time_is_up()
    assert ways.hear(ways.accept(listening)) == b"I wait"
    ways.ways.close()


def test_descriptors_are_used_up(ways: Ways, far_end: FarEnd) -> None:
    """A client that cannot be accepted waits."""
    listening = far_end.listen(LOOPBACK, ways.host_port)
    client = ways.call()
    ways.reactor.starve()
    assert ways.reactor.time_is_up() == 1
    client.sendall(b"request")
    assert ways.hear(ways.accept(listening)) == b"request"


def test_descriptors_are_used_up_when_the_guest_ends(ways: Ways, far_end: FarEnd) -> None:
    """Who waits already is served all the same, once there are some."""
    listening = far_end.listen(LOOPBACK, ways.host_port)
    ways.call().sendall(b"request")
    ways.reactor.starve()
    with no_descriptor_left():
        ways.ways.read_all()
    assert ways.reactor.time_is_up() == 1
    assert ways.hear(ways.accept(listening)) == b"request"


def test_a_connection_outlives_the_port(ways: Ways, far_end: FarEnd) -> None:
    listening = far_end.listen(LOOPBACK, ways.host_port)
    client = ways.call()
    server = ways.accept(listening)
    ways.ways.close()
    with pytest.raises(ConnectionRefusedError):
        ways.call()
    client.sendall(b"request")
    assert ways.hear(server) == b"request"


def test_each_socket_has_its_way(world: HostWorld, far_end: FarEnd) -> None:
    """By its protocol and its port, both families of the guest's loopback for one."""
    port, listening, server = find_free_port(), far_end.listen(), far_end.udp()
    tcp, udp = ToHost(port, port_of(listening)), ToHost(port, port_of(server), "udp")
    with ExitStack() as stack:
        bound = [
            far_end.udp(LOOPBACK, port),
            far_end.listen(LOOPBACK_6, port),
            far_end.udp(LOOPBACK_6, port),
            far_end.listen(LOOPBACK, port),
        ]
        for one in bound:
            one.setblocking(False)
        stack.callback(WaysToHost(world.reactor, world.host, (tcp, udp), bound).close)
        for address in (LOOPBACK, LOOPBACK_6):
            far_end.connect(address, port)
            world.reactor.wait(lambda: is_readable(listening), "a connection")
            far_end.accept(listening)
            far_end.udp(address).sendto(address.encode(), (address, port))
            world.reactor.wait(lambda: is_readable(server), "a datagram")
            assert server.recv(100) == address.encode()


def test_it_leaves_nothing(world: HostWorld, far_end: FarEnd) -> None:
    before = len(descriptors())
    ways = Ways(world, far_end)
    listening = far_end.listen(LOOPBACK, ways.host_port)
    with listening, ways.call(), ways.accept(listening):
        ways.ways.close()
        ways.ways.close()
        world.host.close()
    assert len(descriptors()) == before

"""UDP from the guest's loopback to the host's; here both are the same."""

import socket
from collections.abc import Iterator

import pytest

from rootlessnet.bounds import Bounds
from rootlessnet.host.datagram_relay import DatagramRelay
from rootlessnet.stack.datagram_flows import ONE_WAY_TIMEOUT, TWO_WAY_TIMEOUT
from rootlessnet.stack.host import SocketAddress
from tests.host.world import (
    LOOPBACK,
    LOOPBACK_6,
    FarEnd,
    HostWorld,
    address_of,
    closed_port,
    descriptors,
    is_readable,
)
from tests.stack import world as stack_world


class Relaying:
    """A port of the guest's, the relay behind it, and the server on the host."""

    def __init__(self, world: HostWorld, far_end: FarEnd, address: str = LOOPBACK) -> None:
        self.reactor = world.reactor
        self.server = far_end.udp()
        bound = far_end.udp(address)
        self.port = address_of(bound)
        self.relay = DatagramRelay(
            world.reactor,
            world.host,
            bound,
            address_of(self.server),
            stack_world.BOUNDS.to_host_udp,
        )

    def receive(self, receiver: socket.socket) -> tuple[bytes, SocketAddress]:
        self.reactor.wait(lambda: is_readable(receiver), "a datagram")
        data, address = receiver.recvfrom(1 << 16)
        return data, address[:2]

    def ask(self, client: socket.socket, question: bytes) -> SocketAddress:
        """From where the server hears the client's question."""
        client.sendto(question, self.port)
        heard, source = self.receive(self.server)
        assert heard == question
        return source


@pytest.fixture
def relaying(world: HostWorld, far_end: FarEnd) -> Iterator[Relaying]:
    made = Relaying(world, far_end)
    yield made
    made.relay.close()


@pytest.mark.parametrize("address", [LOOPBACK, LOOPBACK_6])
def test_there_and_back(world: HostWorld, far_end: FarEnd, address: str) -> None:
    """Each client for itself, whatever its family is."""
    relaying = Relaying(world, far_end, address)
    one, other = far_end.udp(address), far_end.udp(address)
    sources = [relaying.ask(one, b"1"), relaying.ask(other, b""), relaying.ask(one, b"3" * 60_000)]
    assert sources[0] == sources[2] != sources[1]
    relaying.server.sendto(b"for the other", sources[1])
    relaying.server.sendto(b"for the one", sources[0])
    assert relaying.receive(one) == (b"for the one", relaying.port)
    assert relaying.receive(other) == (b"for the other", relaying.port)
    relaying.relay.close()


def test_nobody_else_answers(relaying: Relaying, far_end: FarEnd) -> None:
    client = far_end.udp()
    source = relaying.ask(client, b"question")
    far_end.udp().sendto(b"forged", source)
    relaying.server.sendto(b"answer", source)
    assert relaying.receive(client) == (b"answer", relaying.port)


def test_what_a_client_has_left_before_anybody_looked(relaying: Relaying, far_end: FarEnd) -> None:
    far_end.udp().sendto(b"question", relaying.port)
    relaying.reactor.run(relaying.relay.read)
    assert relaying.server.recv(100) == b"question"


def test_nobody_listens_on_the_host(world: HostWorld, far_end: FarEnd) -> None:
    """The client goes on, and is served once somebody does."""
    target, bound, client = closed_port(), far_end.udp(), far_end.udp()
    port = address_of(bound)
    relay = DatagramRelay(world.reactor, world.host, bound, target)
    for _ in range(3):
        client.sendto(b"question", port)
        world.reactor.let_run()
    server = far_end.udp(*target)
    client.sendto(b"again", port)
    world.reactor.wait(lambda: is_readable(server), "the question")
    relay.close()


def test_clients_end(relaying: Relaying, far_end: FarEnd) -> None:
    """After their time, which is longer for who has an answer."""
    silent, answered = far_end.udp(), far_end.udp()
    relaying.ask(silent, b"1")
    relaying.server.sendto(b"answer", relaying.ask(answered, b"2"))
    relaying.receive(answered)
    for client in relaying.relay._clients.values():
        client.active -= (ONE_WAY_TIMEOUT + TWO_WAY_TIMEOUT) / 2
    assert relaying.reactor.time_is_up() == 1
    clients = relaying.relay._clients
    relaying.reactor.wait(lambda: len(clients) == 1, "the end of the silent one")
    assert list(clients) == [address_of(answered)]
    for client in relaying.relay._clients.values():
        client.active -= TWO_WAY_TIMEOUT
    assert relaying.reactor.time_is_up() == 1
    relaying.reactor.wait(lambda: not clients, "the end of the other")
    assert relaying.reactor.time_is_up() == 0  # nothing is left to look at


def test_the_longest_idle_gives_way(
    world: HostWorld, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_world, "BOUNDS", Bounds(to_host_udp=2))
    relaying = Relaying(world, far_end)
    one, two, three = (far_end.udp() for _ in range(3))
    relaying.ask(one, b"1")
    relaying.ask(two, b"2")
    relaying.ask(one, b"3")
    relaying.ask(three, b"4")
    assert set(relaying.relay._clients) == {address_of(one), address_of(three)}
    relaying.relay.close()


def test_descriptors_are_used_up(relaying: Relaying, far_end: FarEnd) -> None:
    """A datagram is lost, and nothing else."""
    client = far_end.udp()
    client.sendto(b"lost", relaying.port)
    relaying.reactor.starve()
    assert relaying.ask(client, b"found")


def test_it_leaves_nothing(world: HostWorld, far_end: FarEnd) -> None:
    before = len(descriptors())
    relaying = Relaying(world, far_end)
    relaying.ask(far_end.udp(), b"question")
    relaying.relay.close()
    assert relaying.reactor.time_is_up() == 0
    assert len(descriptors()) == before + 2  # the server and the client

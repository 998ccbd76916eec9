"""Echo through the host: a ping socket an identifier, which is the guest's again on return."""

import errno

import pytest
from scapy.layers.inet import ICMP, IP, IPerror
from scapy.packet import Packet, Raw

from rootlessnet.stack import echo_flows
from tests.stack.world import (
    GATEWAY,
    GUEST,
    REMOTE,
    FakeDatagram,
    World,
    assert_unreachable,
    echo,
    reassembled,
)

HOST_IDENTIFIER = 4321  # the kernel's choice
OTHER = "192.0.2.9"


def replied(request: bytes, data: bytes | None = None) -> bytes:
    """What a ping socket receives for what it sent."""
    packet = ICMP(request)
    reply = ICMP(type=0, id=HOST_IDENTIFIER, seq=packet.seq)
    return bytes(reply / Raw(bytes(packet.payload) if data is None else data))


def pinging(world: World, packet: Packet) -> FakeDatagram:
    """The socket through which the guest's first echo request left."""
    world.send(packet)
    return world.host.echo[-1]


def test_there_and_back() -> None:
    world = World()
    ping = pinging(world, echo(b"some data", identifier=77, sequence=5))
    ((request, remote, segment),) = ping.sent
    assert (ICMP(request).type, ICMP(request).seq) == (8, 5)
    assert (remote, segment) == ((REMOTE, 0), 0)

    world.receive(ping, replied(request), (REMOTE, 0))
    answer = world.heard_one()
    assert (answer[IP].src, answer[IP].dst) == (REMOTE, GUEST)
    assert (answer[ICMP].type, answer[ICMP].id, answer[ICMP].seq) == (0, 77, 5)
    assert bytes(answer[ICMP].payload) == b"some data"


def test_one_socket_for_each_identifier() -> None:
    world = World()
    for identifier, destination in ((1, REMOTE), (1, OTHER), (2, REMOTE), (1, REMOTE)):
        world.send(echo(dst=destination, identifier=identifier))
    first, second = world.host.echo
    assert [remote for _, remote, _ in first.sent] == [(REMOTE, 0), (OTHER, 0), (REMOTE, 0)]
    assert [remote for _, remote, _ in second.sent] == [(REMOTE, 0)]
    assert len(world.gateway.echo) == 3

    world.receive(second, replied(second.sent[0][0]), (REMOTE, 0))
    assert world.heard_one()[ICMP].id == 2


@pytest.mark.parametrize(
    ("message", "remote"),
    [
        (bytes(ICMP(type=0) / b"data"), (OTHER, 0)),  # of one that was not asked
        (bytes(ICMP(type=8) / b"data"), (REMOTE, 0)),  # no reply
        (b"short", (REMOTE, 0)),
    ],
)
def test_what_does_not_concern_the_guest(message: bytes, remote: tuple[str, int]) -> None:
    world = World()
    world.receive(pinging(world, echo()), message, remote)
    assert world.heard() == []


def test_a_large_echo_is_in_fragments() -> None:
    world, data = World(), bytes(range(256)) * 40
    ping = pinging(world, echo())
    world.receive(ping, bytes(ICMP(type=0, seq=1) / Raw(data)), (REMOTE, 0))
    assert bytes(reassembled(world.heard())[ICMP].payload) == data


def test_only_requests_of_the_guest_are_answered() -> None:
    world = World()
    for kind in (0, 3, 5, 13):
        world.send(IP(src=GUEST, dst=GATEWAY) / ICMP(type=kind) / Raw(bytes(40)))
    assert world.heard() == []
    assert world.host.echo == []


def test_an_error_on_the_way() -> None:
    world, packet = World(), echo(b"probe", identifier=77, sequence=3)
    ping = pinging(world, packet)
    kernel_s = bytes(ICMP(type=8, id=HOST_IDENTIFIER, seq=3) / Raw(b"probe"))
    ping.receiver.failed(kernel_s, (REMOTE, 0), 11, 0, "198.51.100.1", 0)
    answer = world.heard_one()
    assert (answer[IP].src, answer[ICMP].type, answer[ICMP].code) == ("198.51.100.1", 11, 0)
    assert (answer[IPerror].src, answer[IPerror].dst) == (GUEST, REMOTE)
    assert bytes(answer[IPerror].payload) == bytes(packet[ICMP])  # its own identifier, and checksum


def test_an_error_of_the_host_itself_comes_from_the_gateway() -> None:
    world = World()
    ping = pinging(world, echo(bytes(1472)))
    ping.receiver.failed(bytes(ICMP() / Raw(bytes(1472))), (REMOTE, 0), 3, 4, "0.0.0.0", 1400)
    answer = world.heard_one()
    assert (answer[IP].src, answer[ICMP].code, answer[ICMP].nexthopmtu) == (GATEWAY, 4, 1400)


def test_the_host_s_kernel_refuses_to_send() -> None:
    world, packet = World(), echo(b"probe")
    ping = pinging(world, packet)
    ping.receiver.refused(bytes(packet[ICMP]), (REMOTE, 0), errno.ENETUNREACH)
    assert_unreachable(world.heard_one(), packet, code=0)


@pytest.mark.parametrize(("payload", "remote"), [(b"", (REMOTE, 0)), (bytes(ICMP()), (OTHER, 0))])
def test_errors_that_cannot_be_told(payload: bytes, remote: tuple[str, int]) -> None:
    world = World()
    pinging(world, echo()).receiver.failed(payload, remote, 3, 1, REMOTE, 0)
    assert world.heard() == []


def test_ping_sockets_that_the_host_forbids() -> None:
    world, packet = World(), echo()
    world.host.failure = errno.EACCES
    assert_unreachable(world.ask(packet), packet, code=13)
    world.host.failure = None
    world.send(packet)  # may work the next time
    assert len(world.host.echo) == 1


def test_flows_end_and_a_new_one_begins() -> None:
    world = World()
    ping = pinging(world, echo())
    world.pass_time(29)
    assert not world.host.echo[0].closed
    world.pass_time(6)
    assert ping.closed
    assert len(world.gateway.echo) == 0
    assert pinging(world, echo()) is not ping


def test_at_the_bound_the_oldest_goes() -> None:
    world = World()
    for identifier in range(echo_flows.MAX_FLOWS):
        world.now += 0.01
        world.send(echo(identifier=identifier))
    world.now += 0.01
    world.send(echo(identifier=0))  # so it is not the oldest any more
    world.send(echo(identifier=9999))
    assert len(world.gateway.echo) == echo_flows.MAX_FLOWS
    assert [ping.closed for ping in world.host.echo[:3]] == [False, True, False]

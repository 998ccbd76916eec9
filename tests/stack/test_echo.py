"""Echo through the host: a ping socket an identifier, which is the guest's again on return."""

import errno
from struct import unpack_from

import pytest
from scapy.layers.inet import IP
from scapy.packet import Packet, Raw

from rootlessnet.bounds import DEFAULTS
from rootlessnet.wire.icmp import Reason
from tests.stack.side import Side
from tests.stack.world import FakeDatagram, World, assert_unreachable, packet, reassembled

HOST_IDENTIFIER = 4321  # the kernel's choice


def pinging(world: World, packet: Packet) -> FakeDatagram:
    """The socket through which the guest's first echo request left."""
    world.send(packet)
    return world.host.echo[-1]


def said(message: bytes) -> tuple[int, int, int, bytes]:
    """Type, identifier, sequence number and data."""
    kind, _code, _checksum, identifier, sequence = unpack_from("!BBHHH", message)
    return kind, identifier, sequence, message[8:]


def test_there_and_back(side: Side) -> None:
    world = World()
    ping = pinging(world, side.echo(b"some data", identifier=77, sequence=5))
    ((request, remote, segment),) = ping.sent
    assert (said(request)[0], said(request)[2]) == (side.echo_types[0], 5)
    assert (remote, segment) == ((side.remote, 0), 0)

    reply = side.ping(b"some data", HOST_IDENTIFIER, 5, reply=True)
    world.receive(ping, reply, (side.remote, 0))
    answer = world.heard_one()
    assert (answer[side.ip].src, answer[side.ip].dst) == (side.remote, side.guest)
    message = bytes(answer[side.ip].payload)
    assert said(message) == (side.echo_types[1], 77, 5, b"some data")


def test_one_socket_for_each_identifier(side: Side) -> None:
    world = World()
    remote, other = side.remote, side.other
    for identifier, destination in ((1, remote), (1, other), (2, remote), (1, remote)):
        world.send(side.echo(dst=destination, identifier=identifier))
    first, second = world.host.echo
    assert [remote for _, remote, _ in first.sent] == [(remote, 0), (other, 0), (remote, 0)]
    assert [remote for _, remote, _ in second.sent] == [(remote, 0)]
    assert len(world.gateway.echo) == 3

    world.receive(second, side.ping(b"data", HOST_IDENTIFIER, 1, reply=True), (remote, 0))
    assert said(bytes(world.heard_one()[side.ip].payload))[1] == 2


def test_what_does_not_concern_the_guest(side: Side) -> None:
    world = World()
    reply, request = (side.ping(b"data", 1, 1, reply=is_reply) for is_reply in (True, False))
    for message, remote in (
        (reply, side.other),  # of one that was not asked
        (request, side.remote),  # no reply
        (b"short", side.remote),
    ):
        world.receive(pinging(world, side.echo()), message, (remote, 0))
        assert world.heard() == []


def test_a_large_echo_is_in_fragments(side: Side) -> None:
    world, data = World(), bytes(range(256)) * 40
    ping = pinging(world, side.echo())
    world.receive(ping, side.ping(data, 1, 1, reply=True), (side.remote, 0))
    assert bytes(reassembled(world.heard())[side.ip].payload)[8:] == data


@pytest.mark.parametrize("kind", [0, 3, 5, 13, 1, 2, 4, 127, 129, 138, 255])
def test_only_requests_of_the_guest_are_answered(side: Side, kind: int) -> None:
    world = World()
    message = bytes([kind]) + bytes(47)
    header = packet(side.gateway)
    header.setfieldval("proto" if side.ip is IP else "nh", side.echo_protocol)
    world.send(header / Raw(message))
    assert world.heard() == []
    assert world.host.echo == []


def test_an_error_on_the_way(side: Side) -> None:
    world, request = World(), side.echo(b"probe", identifier=77, sequence=3)
    ping = pinging(world, request)
    kernel_s = side.ping(b"probe", HOST_IDENTIFIER, 3)
    error = side.errors[Reason.HOP_LIMIT_EXCEEDED]
    ping.receiver.failed(kernel_s, (side.remote, 0), *error, side.router, 0)
    answer = world.heard_one()
    assert (answer[side.ip].src, side.error(answer)) == (side.router, error)
    quote = side.quote(answer)
    assert (quote.src, quote.dst) == (side.guest, side.remote)
    # Its own identifier, and checksum.
    assert bytes(quote.payload) == bytes(side.ip(bytes(request)).payload)


def test_an_error_of_the_host_itself_comes_from_the_gateway(side: Side) -> None:
    world = World()
    ping = pinging(world, side.echo(bytes(1400)))
    error = side.errors[Reason.TOO_BIG]
    message = side.ping(bytes(1400), HOST_IDENTIFIER, 1)
    ping.receiver.failed(message, (side.remote, 0), *error, "0.0.0.0", 1300)
    answer = world.heard_one()
    assert (answer[side.ip].src, side.error(answer)) == (side.gateway, error)
    assert side.info(answer) == 1300


def test_the_host_s_kernel_refuses_to_send(side: Side) -> None:
    world, request = World(), side.echo(b"probe")
    ping = pinging(world, request)
    message = side.ping(b"probe", 77, 1)
    ping.receiver.refused(message, (side.remote, 0), errno.ENETUNREACH)
    assert_unreachable(world.heard_one(), request, side.errors[Reason.NO_ROUTE][1])


def test_errors_that_cannot_be_told(side: Side) -> None:
    world = World()
    receiver = pinging(world, side.echo()).receiver
    error = side.errors[Reason.HOST_UNREACHABLE]
    for payload, remote in ((b"", side.remote), (side.ping(b"", 1, 1), side.other)):
        receiver.failed(payload, (remote, 0), *error, side.remote, 0)
        assert world.heard() == []


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(errno.EACCES, Reason.PROHIBITED), (errno.EAFNOSUPPORT, Reason.NO_ROUTE)],
)
def test_ping_sockets_that_the_host_forbids(side: Side, failure: int, reason: Reason) -> None:
    world, request = World(), side.echo()
    world.host.failure = failure
    assert_unreachable(world.ask(request), request, side.errors[reason][1])
    world.host.failure = None
    world.send(request)  # may work the next time
    assert len(world.host.echo) == 1


def test_flows_end_and_a_new_one_begins(side: Side) -> None:
    world = World()
    ping = pinging(world, side.echo())
    world.pass_time(29)
    assert not world.host.echo[0].closed
    world.pass_time(6)
    assert ping.closed
    assert len(world.gateway.echo) == 0
    assert pinging(world, side.echo()) is not ping


def test_at_the_bound_the_oldest_goes(side: Side) -> None:
    world = World()
    for identifier in range(DEFAULTS.echo_flows):
        world.now += 0.01
        world.send(side.echo(identifier=identifier))
    world.now += 0.01
    world.send(side.echo(identifier=0))  # so it is not the oldest any more
    world.send(side.echo(identifier=9999))
    assert len(world.gateway.echo) == DEFAULTS.echo_flows
    assert [ping.closed for ping in world.host.echo[:3]] == [False, True, False]

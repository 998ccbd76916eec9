"""UDP of the guest's: one host socket for each of its ports, whatever the remote (RFC 4787 REQ-1),
answers only from those it has sent to (REQ-8), and an end to every flow (REQ-5).
"""

import errno
import random
from itertools import groupby

import pytest
from scapy.layers.inet import IP, UDP, UDPerror
from scapy.packet import Packet

from rootlessnet.bounds import Bounds
from rootlessnet.stack.datagram_flows import TWO_WAY_TIMEOUT
from rootlessnet.wire import ip, vnet
from rootlessnet.wire.icmp import Reason
from tests.stack import world as world_module
from tests.stack.side import Side
from tests.stack.world import (
    GUEST,
    GUEST_6,
    World,
    assert_unreachable,
    fragment_of,
    head,
    reassembled,
)

USO = vnet.HEADER.pack(vnet.NEEDS_CSUM, vnet.GSO_UDP_L4, 42, 1200, 34, 6)


def assert_datagram(
    packet: Packet, payload: bytes, source: tuple[str, int], port: int = 4000
) -> None:
    assert (head(packet).src, packet[UDP].sport) == source
    guest = GUEST_6 if ":" in source[0] else GUEST
    assert (head(packet).dst, packet[UDP].dport) == (guest, port)
    assert bytes(packet[UDP].payload) == payload


@pytest.mark.parametrize("payload", [b"", b"a", b"question", bytes(1452)], ids=len)
def test_there_and_back(side: Side, payload: bytes) -> None:
    world = World()
    world.send(side.udp(payload))
    (socket,) = world.host.udp
    assert socket.sent == [(payload, (side.remote, 7000), 0)]
    world.receive(socket, payload, (side.remote, 7000))
    assert_datagram(world.heard_one(), payload, (side.remote, 7000))
    world.receive(socket, b"\xff\xff", (side.remote, 7000))  # by the same flow, of another length
    assert_datagram(world.heard_one(), b"\xff\xff", (side.remote, 7000))


def test_one_socket_for_each_port_of_the_guest(side: Side) -> None:
    world = World()
    world.send(side.udp(b"1"))
    world.send(side.udp(b"2", dport=7001))
    world.send(side.udp(b"3", dst=side.other))
    world.send(side.udp(b"4", sport=4001))
    world.send(side.udp(b"5", src=side.other_guest))
    first, second, third = world.host.udp
    assert first.sent == [
        (b"1", (side.remote, 7000), 0),
        (b"2", (side.remote, 7001), 0),
        (b"3", (side.other, 7000), 0),
    ]
    assert second.sent == [(b"4", (side.remote, 7000), 0)]
    assert third.sent == [(b"5", (side.remote, 7000), 0)]
    assert len(world.gateway.udp) == 5

    world.receive(first, b"answer", (side.other, 7000))
    assert_datagram(world.heard_one(), b"answer", (side.other, 7000))
    world.receive(second, b"answer", (side.remote, 7000))
    assert_datagram(world.heard_one(), b"answer", (side.remote, 7000), port=4001)


def test_strangers_are_not_heard(side: Side) -> None:
    world = World()
    world.send(side.udp())
    for stranger in ((side.other, 7000), (side.remote, 7001)):
        world.receive(world.host.udp[0], b"let me in", stranger)
        assert world.heard() == []


def test_the_host_s_loopback_answers_as_the_gateway(side: Side) -> None:
    world = World(host_loopback=True)
    loopback = "127.0.0.1" if side.ip is IP else "::1"
    world.send(side.udp(dst=side.gateway))
    world.receive(world.host.udp[0], b"answer", (loopback, 7000))
    assert_datagram(world.heard_one(), b"answer", (side.gateway, 7000))


# ── super-datagrams ──────────────────────────────────────────────────────────────────────────────


def test_a_super_datagram_of_the_guest_stays_one(side: Side) -> None:
    world = World()
    world.send(side.udp(bytes(3000)), USO)
    world.send(side.udp(b"plain"))
    assert world.host.udp[0].sent == [
        (bytes(3000), (side.remote, 7000), 1200),
        (b"plain", (side.remote, 7000), 0),
    ]


@pytest.mark.parametrize(
    ("length", "segment", "gso_type"),
    [
        (3000, 1200, vnet.GSO_UDP_L4),
        (1201, 1200, vnet.GSO_UDP_L4),
        (2904, 1452, vnet.GSO_UDP_L4),  # as large as the MTU allows, over IPv6
        (1200, 1200, vnet.GSO_NONE),  # one is no burst
        (700, 1200, vnet.GSO_NONE),
    ],
)
def test_a_burst_of_the_remote_stays_one(
    side: Side, length: int, segment: int, gso_type: int
) -> None:
    world = World()
    world.send(side.udp())
    world.receive(world.host.udp[0], bytes(length), (side.remote, 7000), segment)
    ((frame, payload),) = world.link.written
    start = 14 + side.header_size
    sizes = (start + 8, segment) if gso_type else (0, 0)
    assert vnet.HEADER.unpack_from(frame) == (1, gso_type, *sizes, start, 6)
    assert payload == bytes(length)
    assert_datagram(world.heard_one(), payload, (side.remote, 7000))


@pytest.mark.parametrize(("segment", "lengths"), [(1400, [64_400, 1_600]), (40_000, [40_000] * 2)])
def test_a_burst_that_no_frame_can_hold(side: Side, segment: int, lengths: list[int]) -> None:
    """Hosts may join more than 64 KB: ip link set lo gro_max_size 131072."""
    world = World(mtu=65520)
    world.send(side.udp())
    payload = random.Random(3).randbytes(sum(lengths))
    world.receive(world.host.udp[0], payload, (side.remote, 7000), segment)
    heard = [bytes(one[UDP].payload) for one in world.heard()]
    assert ([len(one) for one in heard], b"".join(heard)) == (lengths, payload)


@pytest.mark.parametrize("segment", [1473, 1480, 2000])
def test_a_burst_of_datagrams_above_the_mtu(side: Side, segment: int) -> None:
    """No offload cuts what must be cut twice: each leaves in fragments of its own."""
    world, payload = World(), bytes(range(256)) * 18
    world.send(side.udp())
    world.receive(world.host.udp[0], payload, (side.remote, 7000), segment)
    assert all(frame[1] == vnet.GSO_NONE for frame, _ in world.link.written)
    fragments = world.heard()
    assert max(len(one[side.ip]) for one in fragments) <= 1500
    datagrams = [
        reassembled(list(group)) for _, group in groupby(fragments, lambda one: fragment_of(one)[3])
    ]
    assert b"".join(bytes(one[UDP].payload) for one in datagrams) == payload
    assert all(len(one[UDP].payload) == segment for one in datagrams[:-1])


# ── errors ───────────────────────────────────────────────────────────────────────────────────────


def test_an_error_on_the_way(side: Side) -> None:
    world, packet = World(), side.udp(b"probe")
    world.send(packet)
    receiver = world.host.udp[0].receiver
    error = side.errors[Reason.PORT_UNREACHABLE]
    receiver.failed(b"probe", (side.remote, 7000), *error, side.remote, 0)
    answer = world.heard_one()
    assert_unreachable(answer, packet, code=error[1], source=side.remote)
    assert bytes(answer[UDPerror].payload) == b"probe"
    assert answer[UDPerror].len == 13

    error = side.errors[Reason.HOP_LIMIT_EXCEEDED]
    receiver.failed(b"probe", (side.remote, 7000), *error, side.router, 0)
    answer = world.heard_one()
    assert (answer[side.ip].src, side.error(answer)) == (side.router, error)

    error = side.errors[Reason.TOO_BIG]
    receiver.failed(b"probe", (side.remote, 7000), *error, "0.0.0.0", 1400)
    answer = world.heard_one()
    assert (answer[side.ip].src, side.error(answer)) == (side.gateway, error)
    assert side.info(answer) == 1400

    receiver.failed(b"probe", (side.other, 7000), *error, side.other, 0)
    assert world.heard() == []


REFUSALS = [
    (errno.ENETUNREACH, Reason.NO_ROUTE),
    (errno.EHOSTUNREACH, Reason.HOST_UNREACHABLE),
    (errno.EACCES, Reason.PROHIBITED),
    (errno.EPERM, Reason.PROHIBITED),
]


@pytest.mark.parametrize(("failure", "reason"), REFUSALS)
def test_the_host_s_kernel_refuses_to_send(side: Side, failure: int, reason: Reason) -> None:
    world, packet = World(), side.udp(b"probe")
    world.send(packet)
    world.host.udp[0].receiver.refused(b"probe", (side.remote, 7000), failure)
    assert_unreachable(world.heard_one(), packet, side.errors[reason][1])


def test_a_datagram_that_is_lost_on_the_host_is_just_lost(side: Side) -> None:
    world = World()
    world.send(side.udp())
    world.host.udp[0].receiver.refused(b"payload", (side.remote, 7000), errno.ENOBUFS)
    assert world.heard() == []


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (errno.EMFILE, Reason.HOST_UNREACHABLE),
        (errno.EAFNOSUPPORT, Reason.NO_ROUTE),
        *REFUSALS[2:],
    ],
)
def test_sockets_that_the_host_does_not_give(side: Side, failure: int, reason: Reason) -> None:
    world, packet = World(), side.udp()
    world.host.failure = failure
    assert_unreachable(world.ask(packet), packet, side.errors[reason][1])
    world.host.failure = None
    world.send(packet)
    assert len(world.host.udp[0].sent) == 1


# ── time and bounds ──────────────────────────────────────────────────────────────────────────────

SWEEP = 5.1  # seconds by which the end of a flow may be late


def test_a_flow_without_an_answer_ends_after_30_seconds(side: Side) -> None:
    world = World()
    world.send(side.udp())
    (socket,) = world.host.udp
    world.pass_time(20)
    world.send(side.udp())  # begins anew
    world.pass_time(29)
    assert not world.host.udp[0].closed
    world.pass_time(1 + SWEEP)
    assert socket.closed
    assert len(world.gateway.udp) == 0
    assert world.gateway.next_deadline() == float("inf")
    world.send(side.udp())
    assert len(world.host.udp) == 2


def test_a_flow_with_an_answer_ends_after_120_seconds(side: Side) -> None:
    world = World()
    world.send(side.udp())
    (socket,) = world.host.udp
    world.pass_time(20)
    world.receive(socket, b"answer", (side.remote, 7000))
    world.pass_time(119)
    assert not socket.closed
    world.pass_time(1 + SWEEP)
    assert socket.closed


def test_a_socket_lives_as_long_as_its_last_flow(side: Side) -> None:
    world = World()
    world.send(side.udp())
    world.pass_time(20)
    world.send(side.udp(dst=side.other))
    (socket,) = world.host.udp
    world.pass_time(10 + SWEEP)
    assert (len(world.gateway.udp), socket.closed) == (1, False)
    world.receive(socket, b"too late", (side.remote, 7000))
    assert world.heard() == []
    world.pass_time(20)
    assert (len(world.gateway.udp), socket.closed) == (0, True)


@pytest.fixture
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(udp_flows=3))


@pytest.mark.usefixtures("small_table")
def test_at_the_bound_the_oldest_goes(side: Side) -> None:
    world = World()
    for sport in (1, 2, 3, 1, 4):  # 1 is heard of again: 2 is the oldest
        world.now += 1
        world.send(side.udp(sport=sport))
    assert [socket.closed for socket in world.host.udp] == [False, True, False, False]
    assert len(world.gateway.udp) == 3
    assert world.host.full_tables == ["udp_flows"]


@pytest.mark.usefixtures("small_table")
def test_the_socket_of_the_oldest_flow_may_be_the_one_of_the_newest(side: Side) -> None:
    world = World()
    for sport, dport in ((1, 7000), (2, 7000), (3, 7000), (1, 7001)):
        world.now += 1
        world.send(side.udp(sport=sport, dport=dport))
    first = world.host.udp[0]
    assert [remote for _, remote, _ in first.sent] == [(side.remote, 7000), (side.remote, 7001)]
    world.receive(first, b"answer", (side.remote, 7001))
    assert_datagram(world.heard_one(), b"answer", (side.remote, 7001), port=1)
    world.pass_time(200)
    assert all(socket.closed for socket in world.host.udp)


def test_two_ports_of_the_gateway_lead_to_one_of_the_host(side: Side) -> None:
    """A socket of the guest's has the answers of the one that it spoke to last."""
    world = World(to_host={(ip.UDP, 7000): 53, (ip.UDP, 7001): 53})
    for port in (7000, 7001, 7000):
        world.send(side.udp(b"question", side.gateway, port))
        (socket,) = world.host.udp
        (*_, (_, target, _)) = socket.sent
        world.receive(socket, b"answer", target)
        assert_datagram(world.heard_one(), b"answer", (side.gateway, port))
        assert len(world.gateway.udp) == 1
    world.pass_time(TWO_WAY_TIMEOUT + 10)
    assert len(world.gateway.udp) == 0
    assert socket.closed

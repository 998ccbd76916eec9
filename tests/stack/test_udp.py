"""UDP of the guest's: one host socket for each of its ports, whatever the remote (RFC 4787 REQ-1),
answers only from those it has sent to (REQ-8), and an end to every flow (REQ-5).
"""

import errno
import random
from itertools import groupby

import pytest
from scapy.layers.inet import ICMP, IP, UDP, UDPerror
from scapy.packet import Packet

from rootlessnet.stack import udp_flows
from rootlessnet.wire import vnet
from tests.stack.world import GATEWAY, GUEST, REMOTE, World, assert_unreachable, reassembled, udp

OTHER = "192.0.2.9"
USO = vnet.HEADER.pack(vnet.NEEDS_CSUM, vnet.GSO_UDP_L4, 42, 1200, 34, 6)


def assert_datagram(
    packet: Packet, payload: bytes, source: tuple[str, int], port: int = 4000
) -> None:
    assert (packet[IP].src, packet[UDP].sport) == source
    assert (packet[IP].dst, packet[UDP].dport) == (GUEST, port)
    assert bytes(packet[UDP].payload) == payload


@pytest.mark.parametrize("payload", [b"", b"a", b"question", bytes(1472)], ids=len)
def test_there_and_back(payload: bytes) -> None:
    world = World()
    world.send(udp(payload))
    (socket,) = world.host.udp
    assert socket.sent == [(payload, (REMOTE, 7000), 0)]
    world.receive(socket, payload, (REMOTE, 7000))
    assert_datagram(world.heard_one(), payload, (REMOTE, 7000))
    world.receive(socket, b"\xff\xff", (REMOTE, 7000))  # by the same flow, of another length
    assert_datagram(world.heard_one(), b"\xff\xff", (REMOTE, 7000))


def test_one_socket_for_each_port_of_the_guest() -> None:
    world = World()
    world.send(udp(b"1"))
    world.send(udp(b"2", dport=7001))
    world.send(udp(b"3", dst=OTHER))
    world.send(udp(b"4", sport=4001))
    world.send(udp(b"5", src="10.0.2.50"))
    first, second, third = world.host.udp
    assert first.sent == [
        (b"1", (REMOTE, 7000), 0),
        (b"2", (REMOTE, 7001), 0),
        (b"3", (OTHER, 7000), 0),
    ]
    assert second.sent == [(b"4", (REMOTE, 7000), 0)]
    assert third.sent == [(b"5", (REMOTE, 7000), 0)]
    assert len(world.gateway.udp) == 5

    world.receive(first, b"answer", (OTHER, 7000))
    assert_datagram(world.heard_one(), b"answer", (OTHER, 7000))
    world.receive(second, b"answer", (REMOTE, 7000))
    assert_datagram(world.heard_one(), b"answer", (REMOTE, 7000), port=4001)


@pytest.mark.parametrize("stranger", [(OTHER, 7000), (REMOTE, 7001)])
def test_strangers_are_not_heard(stranger: tuple[str, int]) -> None:
    world = World()
    world.send(udp())
    world.receive(world.host.udp[0], b"let me in", stranger)
    assert world.heard() == []


def test_the_host_s_loopback_answers_as_the_gateway() -> None:
    world = World(host_loopback=True)
    world.send(udp(dst=GATEWAY))
    world.receive(world.host.udp[0], b"answer", ("127.0.0.1", 7000))
    assert_datagram(world.heard_one(), b"answer", (GATEWAY, 7000))


# ── super-datagrams ──────────────────────────────────────────────────────────────────────────────


def test_a_super_datagram_of_the_guest_stays_one() -> None:
    world = World()
    world.send(udp(bytes(3000)), USO)
    world.send(udp(b"plain"))
    assert world.host.udp[0].sent == [
        (bytes(3000), (REMOTE, 7000), 1200),
        (b"plain", (REMOTE, 7000), 0),
    ]


@pytest.mark.parametrize(
    ("length", "segment", "header"),
    [
        (3000, 1200, (1, vnet.GSO_UDP_L4, 42, 1200, 34, 6)),
        (1201, 1200, (1, vnet.GSO_UDP_L4, 42, 1200, 34, 6)),
        (2944, 1472, (1, vnet.GSO_UDP_L4, 42, 1472, 34, 6)),  # as large as the MTU allows
        (1200, 1200, (1, vnet.GSO_NONE, 0, 0, 34, 6)),  # one is no burst
        (700, 1200, (1, vnet.GSO_NONE, 0, 0, 34, 6)),
    ],
)
def test_a_burst_of_the_remote_stays_one(
    length: int, segment: int, header: tuple[int, ...]
) -> None:
    world = World()
    world.send(udp())
    world.receive(world.host.udp[0], bytes(length), (REMOTE, 7000), segment)
    ((frame, payload),) = world.link.written
    assert vnet.HEADER.unpack_from(frame) == header
    assert payload == bytes(length)
    assert_datagram(world.heard_one(), payload, (REMOTE, 7000))


@pytest.mark.parametrize(("segment", "lengths"), [(1400, [64_400, 1_600]), (40_000, [40_000] * 2)])
def test_a_burst_that_no_frame_can_hold(segment: int, lengths: list[int]) -> None:
    """Hosts may join more than 64 KB: ip link set lo gro_max_size 131072."""
    world = World(mtu=65520)
    world.send(udp())
    payload = random.Random(3).randbytes(sum(lengths))
    world.receive(world.host.udp[0], payload, (REMOTE, 7000), segment)
    heard = [bytes(one[UDP].payload) for one in world.heard()]
    assert ([len(one) for one in heard], b"".join(heard)) == (lengths, payload)


@pytest.mark.parametrize("segment", [1473, 1480, 2000])
def test_a_burst_of_datagrams_above_the_mtu(segment: int) -> None:
    """No offload cuts what must be cut twice: each leaves in fragments of its own."""
    world, payload = World(), bytes(range(256)) * 18
    world.send(udp())
    world.receive(world.host.udp[0], payload, (REMOTE, 7000), segment)
    assert all(frame[1] == vnet.GSO_NONE for frame, _ in world.link.written)
    fragments = world.heard()
    assert max(len(one[IP]) for one in fragments) <= 1500
    datagrams = [
        reassembled(list(group)) for _, group in groupby(fragments, lambda one: one[IP].id)
    ]
    assert b"".join(bytes(one[UDP].payload) for one in datagrams) == payload
    assert all(len(one[UDP].payload) == segment for one in datagrams[:-1])


# ── errors ───────────────────────────────────────────────────────────────────────────────────────


def test_an_error_on_the_way() -> None:
    world, packet = World(), udp(b"probe")
    world.send(packet)
    receiver = world.host.udp[0].receiver
    receiver.failed(b"probe", (REMOTE, 7000), 3, 3, REMOTE, 0)
    answer = world.heard_one()
    assert_unreachable(answer, packet, code=3, source=REMOTE)
    assert bytes(answer[UDPerror].payload) == b"probe"
    assert answer[UDPerror].len == 13

    receiver.failed(b"probe", (REMOTE, 7000), 11, 0, "198.51.100.1", 0)
    answer = world.heard_one()
    assert (answer[IP].src, answer[ICMP].type) == ("198.51.100.1", 11)

    receiver.failed(b"probe", (REMOTE, 7000), 3, 4, "0.0.0.0", 1400)
    answer = world.heard_one()
    assert (answer[IP].src, answer[ICMP].code, answer[ICMP].nexthopmtu) == (GATEWAY, 4, 1400)

    receiver.failed(b"probe", (OTHER, 7000), 3, 3, OTHER, 0)
    assert world.heard() == []


REFUSALS = [
    (errno.ENETUNREACH, 0),
    (errno.EHOSTUNREACH, 1),
    (errno.EACCES, 13),
    (errno.EPERM, 13),
]


@pytest.mark.parametrize(("failure", "code"), REFUSALS)
def test_the_host_s_kernel_refuses_to_send(failure: int, code: int) -> None:
    world, packet = World(), udp(b"probe")
    world.send(packet)
    world.host.udp[0].receiver.refused(b"probe", (REMOTE, 7000), failure)
    assert_unreachable(world.heard_one(), packet, code)


def test_a_datagram_that_is_lost_on_the_host_is_just_lost() -> None:
    world = World()
    world.send(udp())
    world.host.udp[0].receiver.refused(b"payload", (REMOTE, 7000), errno.ENOBUFS)
    assert world.heard() == []


@pytest.mark.parametrize(
    ("failure", "code"), [(errno.EMFILE, 1), (errno.EACCES, 13), (errno.EPERM, 13)]
)
def test_sockets_that_the_host_does_not_give(failure: int, code: int) -> None:
    world, packet = World(), udp()
    world.host.failure = failure
    assert_unreachable(world.ask(packet), packet, code)
    world.host.failure = None
    world.send(packet)
    assert len(world.host.udp[0].sent) == 1


# ── time and bounds ──────────────────────────────────────────────────────────────────────────────

SWEEP = 5.1  # seconds by which the end of a flow may be late


def test_a_flow_without_an_answer_ends_after_30_seconds() -> None:
    world = World()
    world.send(udp())
    (socket,) = world.host.udp
    world.pass_time(20)
    world.send(udp())  # begins anew
    world.pass_time(29)
    assert not world.host.udp[0].closed
    world.pass_time(1 + SWEEP)
    assert socket.closed
    assert len(world.gateway.udp) == 0
    assert world.gateway.next_deadline() == float("inf")
    world.send(udp())
    assert len(world.host.udp) == 2


def test_a_flow_with_an_answer_ends_after_120_seconds() -> None:
    world = World()
    world.send(udp())
    (socket,) = world.host.udp
    world.pass_time(20)
    world.receive(socket, b"answer", (REMOTE, 7000))
    world.pass_time(119)
    assert not socket.closed
    world.pass_time(1 + SWEEP)
    assert socket.closed


def test_a_socket_lives_as_long_as_its_last_flow() -> None:
    world = World()
    world.send(udp())
    world.pass_time(20)
    world.send(udp(dst=OTHER))
    (socket,) = world.host.udp
    world.pass_time(10 + SWEEP)
    assert (len(world.gateway.udp), socket.closed) == (1, False)
    world.receive(socket, b"too late", (REMOTE, 7000))
    assert world.heard() == []
    world.pass_time(20)
    assert (len(world.gateway.udp), socket.closed) == (0, True)


@pytest.fixture
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp_flows, "MAX_FLOWS", 3)


@pytest.mark.usefixtures("small_table")
def test_at_the_bound_the_oldest_goes() -> None:
    world = World()
    for sport in (1, 2, 3, 1, 4):  # 1 is heard of again: 2 is the oldest
        world.now += 1
        world.send(udp(sport=sport))
    assert [socket.closed for socket in world.host.udp] == [False, True, False, False]
    assert len(world.gateway.udp) == 3


@pytest.mark.usefixtures("small_table")
def test_the_socket_of_the_oldest_flow_may_be_the_one_of_the_newest() -> None:
    world = World()
    for sport, dport in ((1, 7000), (2, 7000), (3, 7000), (1, 7001)):
        world.now += 1
        world.send(udp(sport=sport, dport=dport))
    first = world.host.udp[0]
    assert [remote for _, remote, _ in first.sent] == [(REMOTE, 7000), (REMOTE, 7001)]
    world.receive(first, b"answer", (REMOTE, 7001))
    assert_datagram(world.heard_one(), b"answer", (REMOTE, 7001), port=1)
    world.pass_time(200)
    assert all(socket.closed for socket in world.host.udp)

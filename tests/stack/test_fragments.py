"""Fragments made and put together, whatever their order; never more than the bounds allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw

from rootlessnet.stack import fragments as bounds
from tests.stack.world import DNS, GATEWAY, REMOTE, World, echo, reassembled, tcp, udp
from tests.wire.oracle import fragment, patient

LARGEST = 65507  # bytes of a UDP datagram over IPv4


def some_bytes(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def pieces(packet: Packet, identification: int = 1, size: int = 1480) -> list[Packet]:
    packet[IP].id = identification
    return fragment(IP(bytes(packet)), size)


def arrived(world: World) -> list[bytes]:
    return [payload for socket in world.host.udp for payload, _, _ in socket.sent]


def send_all(world: World, *packets: Packet) -> None:
    for packet in packets:
        world.send(packet)


# ── put together ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [1473, 2952, 9000, LARGEST])
def test_a_datagram_of_the_guest(length: int) -> None:
    world, payload = World(), some_bytes(length)
    cut = pieces(udp(payload))
    send_all(world, *cut[:-1])
    assert arrived(world) == []
    world.send(cut[-1])
    assert arrived(world) == [payload]


@given(st.permutations(range(5)), st.lists(st.integers(0, 4), max_size=4))
@patient
def test_order_and_repeats_do_not_matter(order: list[int], repeats: list[int]) -> None:
    world, payload = World(), some_bytes(40)
    cut = pieces(udp(payload), size=10)  # of 8 bytes each, and 8 more for the header
    assert len(cut) == 6
    send_all(world, *(cut[index] for index in order + repeats))
    assert arrived(world) == []
    world.send(cut[5])
    assert arrived(world) == [payload]


def test_datagrams_are_told_apart() -> None:
    """By addresses, protocol and identification."""
    world = World()
    first, second = pieces(udp(b"1" * 20), size=16), pieces(udp(b"2" * 20), 2, size=16)
    third = pieces(udp(b"3" * 20, dst="192.0.2.9"), size=16)
    fourth = pieces(echo(b"4" * 20), size=16)
    for parts in zip(first, second, third, fourth, strict=True):
        send_all(world, *parts)
    assert arrived(world) == [b"1" * 20, b"2" * 20, b"3" * 20]
    assert ICMP(world.host.echo[0].sent[0][0]).load == b"4" * 20


def test_the_first_fragment_may_have_options() -> None:
    packet = udp(some_bytes(40))
    packet[IP].options = b"\x01\x01\x01\x01"
    world = World()
    send_all(world, *pieces(packet, size=16))
    assert arrived(world) == [some_bytes(40)]


def test_a_segment_in_fragments() -> None:
    world = World()
    send_all(world, *pieces(tcp("S"), size=16))
    assert world.host.tcp[0].remote == (REMOTE, 80)


def test_fragments_of_a_foreign_source_are_not_kept() -> None:
    world = World()
    foreign = pieces(udp(some_bytes(40), src="192.0.2.5"), size=16)
    send_all(world, *foreign)
    assert world.gateway.dropped["foreign source"] == len(foreign)


def test_what_is_put_together_is_judged_as_a_whole() -> None:
    world = World()
    unknown = IP(src="10.0.2.100", dst=REMOTE, proto=200) / Raw(some_bytes(40))
    send_all(world, *pieces(unknown, size=16))
    assert world.heard_one()[ICMP].code == 2


# ── what no honest kernel sends ──────────────────────────────────────────────────────────────────

F = tuple[int, int, bool]  # offset and length in bytes, and whether more follow


@pytest.mark.parametrize(
    "parts",
    [
        [(0, 16, True), (8, 16, True)],
        [(0, 16, True), (8, 16, True), (24, 8, False)],
        [(8, 16, True), (0, 16, True), (24, 8, False)],
        [(0, 16, True), (0, 24, True)],  # the same offset, another length
        [(0, 16, True), (24, 8, False), (16, 16, True)],
        [(0, 8, True), (8, 16, False), (16, 16, False)],  # two ends
        [(8, 8, False), (24, 8, True), (0, 8, True)],  # more behind the end
        [(0, 8, True), (16, 8, True), (16, 16, True), (24, 8, False)],
        [(0, 8, True), (4096, 0, False)],  # an empty one
        [(0, 9, True)],  # not a multiple of 8
        [(65512, 8, False)],  # above 65,535 with its header
        [(65528, 1000, False)],  # "ping of death"
    ],
)
def test_an_impossible_datagram_is_condemned(parts: list[F]) -> None:
    world = World()
    for offset, length, more in parts:
        packet = IP(src="10.0.2.100", dst=REMOTE, id=1, frag=offset // 8, flags=int(more), proto=17)
        world.send(packet / Raw(b"\x00" * length))
    assert arrived(world) == []
    assert world.gateway.dropped["malformed"] >= 1
    world.send(udp(b"the next"))
    assert arrived(world) == [b"the next"]


def test_a_repeat_with_other_bytes_is_an_overlap() -> None:
    world = World()
    cut = pieces(udp(b"a" * 40), size=16)
    forged = cut[1].copy()
    forged.load = b"b" * 16
    del forged.chksum
    send_all(world, cut[0], cut[1], forged, *cut[2:])
    assert arrived(world) == []
    assert world.gateway.dropped["malformed"] == 1


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────


def test_a_fragment_waits_30_seconds_for_the_others() -> None:
    world = World()
    in_time, late = pieces(udp(b"1" * 20), 1, size=16), pieces(udp(b"2" * 20), 2, size=16)
    send_all(world, late[0])
    world.pass_time(0.1)
    send_all(world, in_time[0])
    world.pass_time(29.9)
    send_all(world, late[1], in_time[1])
    assert arrived(world) == [b"1" * 20]


def test_of_too_many_datagrams_the_oldest_goes() -> None:
    world = World()
    cut = [pieces(udp(b"%04d" % n * 5), n, size=16) for n in range(bounds.MAX_DATAGRAMS + 1)]
    send_all(world, *(first for first, _ in cut))
    send_all(world, *(second for _, second in cut[1:]))
    assert arrived(world) == [b"%04d" % n * 5 for n in range(1, len(cut))]
    send_all(world, cut[0][1])
    assert len(arrived(world)) == len(cut) - 1


def test_a_datagram_that_never_ends() -> None:
    """Every other fragment of 8 bytes: no more is kept of it than an honest one may have."""
    world = World()
    for offset in range(0, 8188, 2):
        world.send(IP(src="10.0.2.100", dst=REMOTE, frag=offset, flags="MF") / Raw(bytes(8)))
    assert world.gateway.dropped["malformed"] == 3  # of 1,025 fragments each
    assert arrived(world) == []


# ── made ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mtu", [576, 1500, 9000, 65520])
@pytest.mark.parametrize("length", [1472, 1473, 9001, 65493, LARGEST])
def test_a_datagram_for_the_guest(length: int, mtu: int) -> None:
    world, payload = World(mtu=mtu), some_bytes(length)
    world.send(udp(b"question"))
    world.receive(world.host.udp[0], payload, (REMOTE, 7000))
    packets = world.heard()
    assert all(len(one[IP]) <= mtu for one in packets)
    assert (len(packets) == 1) == (length + 28 <= mtu)
    assert bytes(reassembled(packets)[UDP].payload) == payload


def test_a_checksum_of_zero_in_fragments() -> None:
    """RFC 768: it is sent as 0xFFFF."""
    world = World()
    world.send(udp(b"query", dst=DNS, dport=53))
    ((_, answer),) = world.host.queries
    answer(bytes(1600))
    total = 0xFFFF - reassembled(world.heard())[UDP].chksum
    answer((0xFFFF - total).to_bytes(2, "big") + bytes(1598))
    assert reassembled(world.heard())[UDP].chksum == 0xFFFF


def test_each_datagram_has_an_identification_of_its_own() -> None:
    world = World()
    world.send(udp(b"question"))
    for _ in range(3):
        world.receive(world.host.udp[0], bytes(2000), (REMOTE, 7000))
    identifications = [one[IP].id for one in world.heard()]
    assert identifications == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("length", [1472, 1473, LARGEST])
def test_an_echo_of_any_size_to_the_gateway(length: int) -> None:
    world, data = World(), some_bytes(length)
    send_all(world, *pieces(echo(data, GATEWAY)))
    answer = reassembled(world.heard())
    assert answer[ICMP].type == 0
    assert bytes(answer[ICMP].payload) == data


def test_the_largest_packet_is_not_above_65535_bytes() -> None:
    world = World(mtu=65521)
    world.send(tcp("S"))
    world.host.tcp[0].connection.accept(world.now)
    mss = dict(world.heard_one()[TCP].options[:1])["MSS"]
    assert mss == 65521 - 40

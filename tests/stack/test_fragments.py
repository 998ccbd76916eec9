"""Fragments made and put together, whatever their order; never more than the bounds allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6ParamProblem,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    PadN,
)
from scapy.packet import Packet, Raw

from rootlessnet.bounds import DEFAULTS
from rootlessnet.wire.icmp import Reason
from tests.stack.side import Side
from tests.stack.world import (
    REMOTE_6,
    World,
    fragment_of,
    head,
    packet,
    reassembled,
    udp,
)
from tests.wire.oracle import fragment, patient

LARGEST = 65507  # bytes of a UDP datagram over IPv4; IPv6 has 20 more


def some_bytes(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def pieces(packet: Packet, identification: int = 1, size: int = 1480) -> list[Packet]:
    """The fragments, with at most `size` bytes of the payload each."""
    if IPv6 not in packet:
        packet[IP].id = identification
        return fragment(IP(bytes(packet)), size)
    header = IPv6(bytes(packet)[:40])
    payload = bytes(IPv6(bytes(packet)))[40:]
    step = size & ~7
    return [
        IPv6(src=header.src, dst=header.dst, hlim=header.hlim)
        / IPv6ExtHdrFragment(
            nh=header.nh, id=identification, offset=at // 8, m=at + step < len(payload)
        )
        / Raw(payload[at : at + step])
        for at in range(0, len(payload), step)
    ]


def arrived(world: World) -> list[bytes]:
    return [payload for socket in world.host.udp for payload, _, _ in socket.sent]


def send_all(world: World, *packets: Packet) -> None:
    for one in packets:
        world.send(one)


# ── put together ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [1473, 2952, 9000, LARGEST])
def test_a_datagram_of_the_guest(side: Side, length: int) -> None:
    world, payload = World(), some_bytes(length)
    cut = pieces(side.udp(payload))
    send_all(world, *cut[:-1])
    assert arrived(world) == []
    world.send(cut[-1])
    assert arrived(world) == [payload]


@given(st.permutations(range(5)), st.lists(st.integers(0, 4), max_size=4))
@patient
def test_order_and_repeats_do_not_matter(side: Side, order: list[int], repeats: list[int]) -> None:
    world, payload = World(), some_bytes(40)
    cut = pieces(side.udp(payload), size=10)  # of 8 bytes each, and 8 more for the header
    assert len(cut) == 6
    send_all(world, *(cut[index] for index in order + repeats))
    assert arrived(world) == []
    world.send(cut[5])
    assert arrived(world) == [payload]


def test_datagrams_are_told_apart(side: Side) -> None:
    """By addresses and identification, and in IPv4 by protocol."""
    world = World()
    first, second = pieces(side.udp(b"1" * 20), size=16), pieces(side.udp(b"2" * 20), 2, size=16)
    third = pieces(side.udp(b"3" * 20, dst=side.other), size=16)
    fourth = pieces(side.echo(b"4" * 20), 1 if side.ip is IP else 3, size=16)
    for parts in zip(first, second, third, fourth, strict=True):
        send_all(world, *parts)
    assert arrived(world) == [b"1" * 20, b"2" * 20, b"3" * 20]
    assert world.host.echo[0].sent[0][0][8:] == b"4" * 20


def test_the_first_fragment_may_have_options() -> None:
    packet = udp(some_bytes(40))
    packet[IP].options = b"\x01\x01\x01\x01"
    world = World()
    send_all(world, *pieces(packet, size=16))
    assert arrived(world) == [some_bytes(40)]


def test_a_segment_in_fragments(side: Side) -> None:
    world = World()
    send_all(world, *pieces(side.tcp("S"), size=16))
    assert world.host.tcp[0].targets == ((side.remote, 80),)


def test_fragments_of_a_foreign_source_are_not_kept(side: Side) -> None:
    world = World()
    foreign = pieces(side.udp(some_bytes(40), src=side.other), size=16)
    send_all(world, *foreign)
    assert world.gateway.dropped["foreign source"] == len(foreign)


def test_what_is_put_together_is_judged_as_a_whole(side: Side) -> None:
    world = World()
    unknown = packet(side.remote)
    unknown.setfieldval("proto" if side.ip is IP else "nh", 200)
    send_all(world, *pieces(unknown / Raw(some_bytes(40)), size=16))
    answer = world.heard_one()
    assert side.error(answer) == side.errors[Reason.PROTOCOL_UNREACHABLE]
    assert side.info(answer) == (0 if side.ip is IP else 6)  # the octet that names it


def test_extension_headers_in_front_of_the_fragments() -> None:
    """They are judged with each fragment, and those behind with the whole packet."""
    inner = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]) / bytes(udp(b"p" * 40)[UDP])
    inner.nh = 17
    payload = bytes(inner)
    world = World()
    for at in (16, 0):
        part = IPv6ExtHdrFragment(nh=60, id=5, offset=at // 8, m=at == 0)
        data = Raw(payload[at:] if at else payload[:16])
        world.send(packet(REMOTE_6) / IPv6ExtHdrDestOpt() / part / data)
    assert arrived(world) == [b"p" * 40]


def test_the_protocol_is_that_of_the_first_fragment() -> None:
    """RFC 8200 4.5."""
    world = World()
    first, second = pieces(udp(b"p" * 20, dst=REMOTE_6), size=16)
    second[IPv6ExtHdrFragment].nh = 200
    send_all(world, second, first)
    assert arrived(world) == [b"p" * 20]


def test_a_fragment_that_is_the_whole_packet() -> None:
    """RFC 6946: it has nothing to do with others of the same identification."""
    world = World()
    first, second = pieces(udp(b"1" * 20, dst=REMOTE_6), size=16)
    (atomic,) = pieces(udp(b"atomic", dst=REMOTE_6))
    assert atomic[IPv6ExtHdrFragment].id == first[IPv6ExtHdrFragment].id
    send_all(world, first, atomic, second)
    assert arrived(world) == [b"atomic", b"1" * 20]


def test_what_the_whole_packet_asks_for_may_be_refused() -> None:
    """An unknown option behind the fragment header: the sender hears of it."""
    world = World()
    payload = b"\x11\x00\xc2\x04" + bytes(4) + bytes(40)
    for at in (0, 24):
        part = IPv6ExtHdrFragment(nh=60, id=5, offset=at // 8, m=at == 0)
        world.send(packet(REMOTE_6) / part / Raw(payload[at : at + 24]))
    answer = world.heard_one()
    assert (answer[ICMPv6ParamProblem].code, answer[ICMPv6ParamProblem].ptr) == (2, 42)
    assert world.gateway.dropped["malformed"] == 1


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
        [(65528, 8, False)],  # above 65,535
        [(65528, 1000, False)],  # "ping of death"
    ],
)
def test_an_impossible_datagram_is_condemned(side: Side, parts: list[F]) -> None:
    world = World()
    for offset, length, more in parts:
        one = packet(side.remote)
        if side.ip is IP:
            one.id, one.frag, one.flags, one.proto = 1, offset // 8, int(more), 17
        else:
            one /= IPv6ExtHdrFragment(id=1, offset=offset // 8, m=more, nh=17)
        world.send(one / Raw(b"\x00" * length))
    assert arrived(world) == []
    assert world.gateway.dropped["malformed"] >= 1
    world.send(side.udp(b"the next"))
    assert arrived(world) == [b"the next"]


def test_a_repeat_with_other_bytes_is_an_overlap(side: Side) -> None:
    world = World()
    cut = pieces(side.udp(b"a" * 40), size=16)
    forged = cut[1].copy()
    forged.lastlayer().load = b"b" * 16
    if side.ip is IP:
        del forged.chksum
    send_all(world, cut[0], cut[1], forged, *cut[2:])
    assert arrived(world) == []
    assert world.gateway.dropped["malformed"] == 1


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────


def test_a_fragment_waits_30_seconds_for_the_others(side: Side) -> None:
    world = World()
    in_time, late = pieces(side.udp(b"1" * 20), 1, size=16), pieces(side.udp(b"2" * 20), 2, size=16)
    send_all(world, late[0])
    world.pass_time(0.1)
    send_all(world, in_time[0])
    world.pass_time(29.9)
    send_all(world, late[1], in_time[1])
    assert arrived(world) == [b"1" * 20]


def test_of_too_many_datagrams_the_oldest_goes(side: Side) -> None:
    world = World()
    cut = [pieces(side.udp(b"%04d" % n * 5), n, size=16) for n in range(DEFAULTS.fragmented + 1)]
    send_all(world, *(first for first, _ in cut))
    send_all(world, *(second for _, second in cut[1:]))
    assert arrived(world) == [b"%04d" % n * 5 for n in range(1, len(cut))]
    send_all(world, cut[0][1])
    assert len(arrived(world)) == len(cut) - 1


def test_a_datagram_that_never_ends(side: Side) -> None:
    """Every other fragment of 8 bytes: no more is kept of it than an honest one may have."""
    world = World()
    for offset in range(0, 8188, 2):
        if side.ip is IP:
            world.send(IP(src=side.guest, dst=side.remote, frag=offset, flags="MF") / Raw(bytes(8)))
        else:
            world.send(
                packet(side.remote) / IPv6ExtHdrFragment(offset=offset, m=1, nh=17) / Raw(bytes(8))
            )
    assert world.gateway.dropped["malformed"] == 3  # of 1,025 fragments each
    assert arrived(world) == []


# ── made ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mtu", [1280, 1500, 9000, 65520])
@pytest.mark.parametrize("length", [1472, 1473, 9001, 65493, LARGEST])
def test_a_datagram_for_the_guest(side: Side, length: int, mtu: int) -> None:
    world, payload = World(mtu=mtu), some_bytes(length)
    world.send(side.udp(b"question"))
    world.receive(world.host.udp[0], payload, (side.remote, 7000))
    packets = world.heard()
    assert all(len(one[side.ip]) <= mtu for one in packets)
    assert (len(packets) == 1) == (length + side.header_size + 8 <= mtu)
    assert bytes(reassembled(packets)[UDP].payload) == payload


def test_fragments_that_are_full_to_the_last(side: Side) -> None:
    world = World()
    overhead = side.header_size if side.ip is IP else side.header_size + 8
    step = (1500 - overhead) // 8 * 8
    world.send(side.udp(b"question"))
    world.receive(world.host.udp[0], bytes(3 * step - 8), (side.remote, 7000))
    packets = world.heard()
    assert [len(fragment_of(one)[2]) for one in packets] == 3 * [step]
    reassembled(packets)


def test_a_checksum_of_zero_in_fragments(side: Side) -> None:
    """RFC 768: it is sent as 0xFFFF."""
    world = World()
    world.send(side.udp(b"query", dst=side.dns, dport=53))
    ((_, answer),) = world.host.queries
    answer(bytes(1600))
    total = 0xFFFF - reassembled(world.heard())[UDP].chksum
    answer((0xFFFF - total).to_bytes(2, "big") + bytes(1598))
    assert reassembled(world.heard())[UDP].chksum == 0xFFFF


def test_each_datagram_has_an_identification_of_its_own(side: Side) -> None:
    world = World()
    world.send(side.udp(b"question"))
    for _ in range(3):
        world.receive(world.host.udp[0], bytes(2000), (side.remote, 7000))
    assert [fragment_of(one)[3] for one in world.heard()] == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("length", [1452, 1473, LARGEST])
def test_an_echo_of_any_size_to_the_gateway(side: Side, length: int) -> None:
    world, data = World(), some_bytes(length)
    send_all(world, *pieces(side.echo(data, side.gateway)))
    message = head(reassembled(world.heard())).payload
    assert message.type == side.echo_types[1]
    assert bytes(message)[8:] == data


def test_the_largest_packet_is_not_above_65535_bytes(side: Side) -> None:
    world = World(mtu=65521)
    world.send(side.tcp("S"))
    world.host.tcp[0].connection.accept(world.now)
    mss = dict(world.heard_one()[TCP].options[:1])["MSS"]
    assert mss == 65521 - side.header_size - 20

"""Against scapy in both directions; extension headers one by one, as RFC 8200 4 has them."""

from socket import AF_INET6, inet_ntop

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    IPv6ExtHdrSegmentRouting,
    Jumbo,
    Pad1,
    PadN,
    RouterAlert,
)
from scapy.packet import Packet, Raw

from rootlessnet.wire import MalformedError, ethernet, ip, ipv4, ipv6
from rootlessnet.wire.ipv6 import RefusedError
from tests.wire.oracle import addresses_6, from_guest, patient, u8, u32

# No protocol that scapy would look into, and no extension header.
protocols = u8.filter(lambda number: 145 < number < 253)
labels = st.integers(0, 2**20 - 1)
PROTOCOL = 200
START = ethernet.PAYLOAD


def parsed(packet: Packet) -> ip.Packet:
    result = ip.Packet()
    ipv6.parse(from_guest(packet), START, result)
    return result


def payload_of(packet: Packet) -> bytes:
    result = parsed(packet)
    return bytes(from_guest(packet)[result.start : result.end])


def refusal(packet: Packet) -> tuple[int, int, bool]:
    """Code and pointer of the parameter problem, and whether a multicast sender hears of it."""
    result = ip.Packet()
    with pytest.raises(RefusedError) as caught:
        ipv6.parse(from_guest(packet), START, result)
    assert result.addresses == bytes(packet)[8:40]
    assert result.header_start == START
    assert result.end == START + len(packet)
    return caught.value.code, caught.value.pointer, caught.value.also_to_many


def option(kind: int, size: int = 0) -> HBHOptUnknown:
    return HBHOptUnknown(otype=kind, optdata=bytes(size))


@given(addresses_6, addresses_6, protocols, u8, st.binary(max_size=50))
@patient
def test_scapy_reads_what_we_build(
    src: bytes, dst: bytes, protocol: int, hop_limit: int, payload: bytes
) -> None:
    header = ipv6.build(src + dst, protocol, len(payload), hop_limit)
    packet = IPv6(header + payload)
    assert bytes(packet)[8:40] == src + dst
    assert (packet.nh, packet.hlim, packet.tc, packet.fl) == (protocol, hop_limit, 0, 0)
    assert bytes(packet.payload) == payload
    del packet.plen
    assert bytes(packet) == header + payload


@given(addresses_6, addresses_6, protocols, u8, u8, labels, st.binary(max_size=50))
@patient
def test_we_read_what_scapy_builds(
    src: bytes,
    dst: bytes,
    protocol: int,
    hop_limit: int,
    traffic_class: int,
    label: int,
    payload: bytes,
) -> None:
    packet = IPv6(nh=protocol, hlim=hop_limit, tc=traffic_class, fl=label) / Raw(payload)
    packet.src, packet.dst = inet_ntop(AF_INET6, src), inet_ntop(AF_INET6, dst)
    frame, result = from_guest(packet), parsed(packet)
    assert (result.source, result.destination) == (src, dst)
    assert (result.protocol, result.hop_limit, result.is_fragment) == (protocol, hop_limit, False)
    assert (result.header_start, result.protocol_at, result.dont_fragment) == (START, 6, False)
    assert bytes(frame[result.start : result.end]) == payload


def test_nothing_is_left_of_the_packet_before() -> None:
    result = ip.Packet()
    ipv4.parse(from_guest(IP(id=7, flags="DF+MF", frag=3) / Raw(bytes(8))), START, result)
    assert (result.identification, result.fragment_offset) == (7, 24)
    ipv6.parse(from_guest(IPv6() / Raw(bytes(8))), START, result)
    assert (result.identification, result.fragment_offset) == (0, 0)
    assert (result.dont_fragment, result.is_fragment) == (False, False)


@pytest.mark.parametrize(
    "chain",
    [
        IPv6ExtHdrHopByHop(),
        IPv6ExtHdrHopByHop(options=[RouterAlert()]),
        IPv6ExtHdrHopByHop(options=[option(0x3E, 6), Pad1(), PadN(optdata=b"\0")]),
        IPv6ExtHdrDestOpt(options=[option(0x1E, 20)]),
        IPv6ExtHdrRouting(type=0, segleft=0, addresses=["2001:db8::9"]),
        IPv6ExtHdrRouting(type=77, segleft=0),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(segleft=0),
        IPv6ExtHdrFragment(offset=0, m=0, id=9),  # RFC 6946
        IPv6ExtHdrFragment(offset=0, m=0, id=9) / IPv6ExtHdrDestOpt(),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment() / IPv6ExtHdrDestOpt(),
    ],
    ids=lambda chain: chain.summary(),
)
def test_extension_headers_are_stepped_over(chain: Packet) -> None:
    chain = chain.copy()
    chain.lastlayer().nh = PROTOCOL
    packet = IPv6() / chain / Raw(b"behind")
    result = parsed(packet)
    assert payload_of(packet) == b"behind"
    assert (result.protocol, result.is_fragment) == (PROTOCOL, False)
    assert bytes(packet)[result.protocol_at] == PROTOCOL


def test_nothing_follows() -> None:
    packet = IPv6() / IPv6ExtHdrDestOpt(nh=59) / Raw(b"ignored")
    assert parsed(packet).protocol == ipv6.NO_NEXT_HEADER


@given(u32, st.integers(0, 0x1FFE), st.booleans())
@patient
def test_fragments(identification: int, offset: int, more: bool) -> None:
    header = IPv6ExtHdrFragment(nh=PROTOCOL, id=identification, offset=offset, m=more)
    packet = IPv6() / header / Raw(b"12345678")
    result = parsed(packet)
    assert result.is_fragment == (more or offset > 0)
    assert (result.protocol, payload_of(packet)) == (PROTOCOL, b"12345678")
    if result.is_fragment:
        assert (result.fragment_offset, result.more_fragments) == (offset * 8, more)
        assert result.datagram == result.addresses + identification.to_bytes(4, "big")


@given(addresses_6, protocols, u32, st.integers(0, 0x1FFF), st.booleans(), st.binary(max_size=50))
@patient
def test_a_fragment_we_build(
    address: bytes, protocol: int, identification: int, offset: int, more: bool, part: bytes
) -> None:
    header = ipv6.build_fragment(2 * address, protocol, len(part), identification, offset * 8, more)
    packet = IPv6(header + part)
    found = packet[IPv6ExtHdrFragment]
    assert (packet.plen, packet.nh, packet.hlim) == (8 + len(part), 44, 64)
    assert (found.nh, found.id, found.offset, found.m) == (protocol, identification, offset, more)
    assert bytes(found.payload) == part


# ── what the sender has to hear of ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("chain", "code", "pointer"),
    [
        (IPv6ExtHdrRouting(type=0, segleft=1, addresses=["2001:db8::9"]), 0, 42),  # RFC 5095
        (IPv6ExtHdrSegmentRouting(segleft=1, addresses=["2001:db8::9"] * 2), 0, 42),
        (IPv6ExtHdrRouting(type=99, segleft=3), 0, 42),
        (IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop(), 1, 40),
        (IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(segleft=0) / IPv6ExtHdrHopByHop(), 1, 48),
        (IPv6ExtHdrHopByHop(options=[option(0xC1)]), 2, 42),
        (IPv6ExtHdrDestOpt(options=[option(0x1E, 4), option(0xC2, 4)]), 2, 48),
        (IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=70000)]), 2, 42),
        (IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt(options=[option(0xFF)]), 2, 50),
        (IPv6ExtHdrFragment(m=1, nh=PROTOCOL) / Raw(bytes(9)), 0, 4),
        (IPv6ExtHdrFragment(offset=8191, nh=PROTOCOL) / Raw(bytes(8)), 0, 42),
        (IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(offset=8191) / Raw(bytes(8)), 0, 50),
        (IPv6ExtHdrFragment(m=1, nh=60) / Raw(b"\x3c\x01" + bytes(6)), 3, 0),  # RFC 7112
        (IPv6ExtHdrFragment(m=1, nh=60) / Raw(bytes([60, 0]) + bytes(6)), 3, 0),
        (IPv6ExtHdrFragment(m=1, nh=60) / Raw(bytes([PROTOCOL, 1]) + bytes(6)), 3, 0),
    ],
    ids=lambda value: value.summary() if isinstance(value, Packet) else str(value),
)
def test_refused(chain: Packet, code: int, pointer: int) -> None:
    assert refusal(IPv6() / chain / Raw(b"")) == (code, pointer, False)


def test_an_option_that_members_of_a_group_hear_of() -> None:
    assert refusal(IPv6(dst="ff02::1") / IPv6ExtHdrDestOpt(options=[option(0x81)])) == (2, 42, True)


def test_the_first_fragment_may_have_all_headers() -> None:
    inner = IPv6ExtHdrDestOpt(nh=PROTOCOL) / Raw(bytes(8))
    result = parsed(IPv6() / IPv6ExtHdrFragment(m=1, nh=60) / inner)
    assert (result.protocol, result.is_fragment) == (60, True)


# ── malformed ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "packet",
    [
        IPv6(version=4),
        IPv6(plen=1),  # more than the frame has
        Raw(bytes(IPv6())[:39]),
        IPv6(nh=60),  # no extension header
        IPv6(nh=44) / Raw(bytes(7)),
        IPv6(nh=60) / Raw(b"\xc8\x01" + bytes(13)),  # cut off
        IPv6(nh=60) / Raw(b"\xc8\x00\x1e\x05" + bytes(4)),  # an option that is larger
        IPv6(nh=60) / Raw(b"\xc8\x00\x01\x03" + bytes(3) + b"\x1e"),  # one without length
        IPv6() / IPv6ExtHdrDestOpt(options=[option(0x41)]),  # to be dropped in silence
    ],
    ids=[
        *("version", "longer", "cut", "no extension", "fragment cut", "extension cut"),
        *("option too large", "option cut", "silent"),
    ],
)
def test_malformed(packet: Packet) -> None:
    with pytest.raises(MalformedError) as caught:
        parsed(packet)
    assert not isinstance(caught.value, RefusedError)


def extensions(count: int) -> Packet:
    packet = IPv6()
    for _ in range(count):
        packet /= IPv6ExtHdrDestOpt()
    packet.lastlayer().nh = PROTOCOL
    return packet / Raw(b"behind")


@pytest.mark.parametrize(
    ("most", "one_more"),
    [
        (extensions(8), extensions(9)),
        *(
            tuple(
                IPv6() / IPv6ExtHdrDestOpt(nh=PROTOCOL, options=[option] * count) / Raw(b"behind")
                for count in counts
            )
            for option, counts in ((option(0x1E, 2), (8, 9)), (Pad1(), (6, 14)))
        ),
    ],
    ids=["headers", "options", "padding"],
)
def test_bounds(most: Packet, one_more: Packet) -> None:
    assert payload_of(most) == b"behind"
    with pytest.raises(MalformedError, match="too many"):
        parsed(one_more)


def test_a_bomb_of_headers_costs_no_more_than_the_bound() -> None:
    bomb = IPv6(nh=60) / Raw((b"\x3c\x00\x01\x04" + bytes(4)) * 8000)
    looked_at: list[int] = []

    class Watched:
        """A frame that counts how often it is looked at."""

        def __init__(self, frame: memoryview) -> None:
            self._frame = frame

        def __getitem__(self, place: int) -> int:
            looked_at.append(place)
            return self._frame[place]

    result = parsed(extensions(1))
    result.protocol, result.header_start, result.start = 60, START, START + ipv6.SIZE
    result.end = START + len(bomb)
    with pytest.raises(MalformedError):
        ipv6._parse_extensions(Watched(from_guest(bomb)), result)  # type: ignore[arg-type]
    assert len(looked_at) < 100


# ── quotes ───────────────────────────────────────────────────────────────────────────────────────


@given(addresses_6, addresses_6, protocols, st.binary(min_size=8, max_size=50))
@patient
def test_a_quote(src: bytes, dst: bytes, protocol: int, head: bytes) -> None:
    quote = memoryview(ipv6.build(src + dst, protocol, 1000) + head)
    found = ipv6.parse_quote(quote)
    assert (found[0], found[1], bytes(found[2])) == (protocol, src + dst, head)
    with pytest.raises(MalformedError):
        ipv6.parse_quote(quote[:47])


def test_there_is_no_checksum() -> None:
    assert ipv6.header_sum(bytes(range(32)), 6) == 0

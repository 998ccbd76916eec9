"""Against scapy in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, IPOption
from scapy.packet import Packet, Raw
from scapy.utils import inet_aton, inet_ntoa

from rootlessnet.wire import MalformedError, checksum, ethernet, ip, ipv4
from tests.wire.oracle import addresses, from_guest, patient, u8, u16

# No protocol that scapy would look into.
protocols = u8.filter(lambda number: 140 < number < 253)


def parsed(packet: Packet) -> ip.Packet:
    result = ip.Packet()
    ipv4.parse(from_guest(packet), ethernet.PAYLOAD, result)
    return result


@given(addresses, addresses, protocols, u8, u16, st.binary(max_size=50))
@patient
def test_scapy_reads_what_we_build(
    src: str, dst: str, protocol: int, ttl: int, identification: int, payload: bytes
) -> None:
    pair = inet_aton(src) + inet_aton(dst)
    header = ipv4.build(pair, protocol, len(payload), ttl, identification)
    packet = IP(header + payload)
    assert (packet.src, packet.dst, packet.proto) == (src, dst, protocol)
    assert (packet.ttl, packet.id, packet.flags, packet.frag) == (ttl, identification, "DF", 0)
    assert bytes(packet.payload) == payload
    del packet.chksum, packet.len
    assert bytes(packet) == header + payload


@given(addresses, addresses, protocols, u8, st.binary(max_size=50))
@patient
def test_we_read_what_scapy_builds(
    src: str, dst: str, protocol: int, ttl: int, payload: bytes
) -> None:
    packet = IP(src=src, dst=dst, proto=protocol, ttl=ttl, flags="DF") / Raw(payload)
    frame, result = from_guest(packet), parsed(packet)
    assert inet_ntoa(result.source) == src
    assert inet_ntoa(result.destination) == dst
    assert (result.protocol, result.hop_limit, result.is_fragment) == (protocol, ttl, False)
    assert result.header_start == ethernet.PAYLOAD
    assert bytes(frame[result.start : result.end]) == payload


@given(u16, st.integers(0, 0x1FFF), st.booleans())
@patient
def test_fragments(identification: int, offset: int, more: bool) -> None:
    result = parsed(
        IP(id=identification, frag=offset, flags="MF" if more else 0) / Raw(b"12345678")
    )
    assert result.is_fragment == (more or offset > 0)
    if result.is_fragment:
        found = (result.identification, result.fragment_offset, result.more_fragments)
        assert found == (identification, offset * 8, more)


@given(u16, st.sampled_from([0, "DF", "evil", "DF+evil"]))
@patient
def test_flags(identification: int, flags: int | str) -> None:
    result = parsed(IP(id=identification, flags=flags))
    assert (result.identification, result.is_fragment) == (identification, False)
    assert result.dont_fragment == ("DF" in str(flags))


def test_a_fragment_we_build() -> None:
    packet = IP(ipv4.build(bytes(8), 17, 8, identification=7, fragment=ipv4.MORE_FRAGMENTS | 185))
    assert (packet.flags, packet.frag, packet.id, packet.len) == ("MF", 185, 7, 28)


def test_options_are_stepped_over() -> None:
    packet = IP(options=[IPOption(b"\x94\x04\x00\x00")], proto=200) / Raw(b"behind")  # router alert
    frame, result = from_guest(packet), parsed(packet)
    assert bytes(frame[result.start : result.end]) == b"behind"


def test_padding_behind_the_packet_is_no_payload() -> None:
    frame = memoryview(bytes(from_guest(IP(proto=200) / Raw(b"short"))) + bytes(20))
    result = ip.Packet()
    ipv4.parse(frame, ethernet.PAYLOAD, result)
    assert bytes(frame[result.start : result.end]) == b"short"


@pytest.mark.parametrize(
    "packet",
    [
        IP(version=6),
        IP(ihl=4),
        IP(ihl=6),  # options, where the packet ends
        IP(len=19),
        IP(len=21),  # more than the frame has
        Raw(bytes(IP())[:19]),
    ],
    ids=["version", "too small", "no room for options", "length", "longer", "cut"],
)
def test_malformed(packet: Packet) -> None:
    with pytest.raises(MalformedError):
        parsed(packet)


@given(addresses, addresses, u8, u8, st.integers(0, 65515))
@patient
def test_header_sum_needs_only_the_length(
    src: str, dst: str, protocol: int, ttl: int, length: int
) -> None:
    pair = inet_aton(src) + inet_aton(dst)
    total = ipv4.header_sum(pair, protocol, ttl) + ipv4.SIZE + length
    header = ipv4.build(pair, protocol, length, ttl)
    assert checksum.checksum(total) == int.from_bytes(header[10:12], "big")


def test_addresses_swap() -> None:
    assert ip.swapped(b"srcedest") == b"destsrce"
    assert ip.swapped(bytes(16) + b"\xff" * 16) == b"\xff" * 16 + bytes(16)

"""Software segmentation against scapy, which checks every checksum and length of every segment."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from rootlessnet.wire import segmentation, vnet
from rootlessnet.wire.checksum import pseudo_header_sum
from tests.wire.oracle import (
    NO_OFFLOAD,
    VNET_SIZE,
    addresses_of,
    dissected,
    patient,
    u8,
    u32,
)

CHECKSUM_OFFSETS = {TCP: 16, UDP: 6}
HEAD_4 = IP(src="192.0.2.1", dst="10.0.2.100", flags="DF", id=0)
HEAD_6 = IPv6(src="2001:db8::1", dst="fd00::100")
both = pytest.mark.parametrize("head", [HEAD_4, HEAD_6], ids=["ipv4", "ipv6"])


def some_bytes(length: int) -> bytes:
    return bytes(i % 251 for i in range(length))


def cut(packet: Packet, gso_type: int, size: int) -> list[Packet]:
    """The segments of a packet that was handed over with its checksum left partial."""
    kind = type(packet.payload)
    payload = bytes(packet[kind].payload)
    frame = bytearray(bytes(Ether(dst="02:00:00:00:00:64", src="52:55:0a:00:02:02") / packet))
    start = len(frame) - len(packet.payload)  # of the transport header
    field = start + CHECKSUM_OFFSETS[kind]
    protocol = 6 if kind is TCP else 17
    partial = pseudo_header_sum(addresses_of(packet), protocol, len(frame) - start)
    frame[field : field + 2] = partial.to_bytes(2, "big")
    split = len(frame) - len(payload)
    header = pack("<BBHHHH", vnet.NEEDS_CSUM, gso_type, split, size, start, field - start)
    return [dissected(one) for one in segmentation.segments(header + frame[:split], payload)]


def whole(head: Packet, *layers: Packet) -> Packet:
    """A packet with all its lengths and checksums."""
    packet = head.copy()
    for layer in layers:
        packet /= layer
    return type(head)(bytes(packet))


@both
@given(u32, u8, st.integers(1, 300), st.integers(0, 40), st.sampled_from([[], [("MSS", 99)]]))
@patient
def test_tcp(
    head: Packet, seq: int, flags: int, size: int, more: int, options: list[tuple[str, int]]
) -> None:
    payload = some_bytes(size * more // 7)
    header = TCP(sport=80, dport=40000, seq=seq, ack=9, flags=flags, window=77, options=options)
    gso_type = vnet.GSO_TCPV4 if head is HEAD_4 else vnet.GSO_TCPV6
    segments = cut(whole(head, header, Raw(payload)), gso_type, size)
    assert b"".join(bytes(one[TCP].payload) for one in segments) == payload
    lengths = [len(one[TCP].payload) for one in segments]
    assert all(found == size for found in lengths[:-1])
    assert lengths[-1] <= size
    for number, one in enumerate(segments):
        assert one[TCP].seq == (seq + number * size) % 2**32
        assert (one[TCP].ack, one[TCP].window) == (9, 77)
        assert one[TCP].options == options
        assert (one[TCP].sport, one[TCP].dport) == (80, 40000)
        at_the_end = 0 if one is segments[-1] else 0x09  # PSH and FIN belong to the last byte
        assert one[TCP].flags == flags & ~at_the_end


@both
@given(st.integers(1, 300), st.integers(0, 40))
@patient
def test_udp(head: Packet, size: int, more: int) -> None:
    payload = some_bytes(size * more // 7)
    datagram = whole(head, UDP(sport=53, dport=5353), Raw(payload))
    segments = cut(datagram, vnet.GSO_UDP_L4, size)
    assert b"".join(bytes(one[UDP].payload) for one in segments) == payload
    assert all(len(one[UDP].payload) == size for one in segments[:-1])
    assert {(one[UDP].sport, one[UDP].dport) for one in segments} == {(53, 5353)}


@pytest.mark.parametrize(("gso_type", "size"), [(vnet.GSO_NONE, 0), (vnet.GSO_NONE, 8)])
@pytest.mark.parametrize("header", [TCP(seq=7, flags="FPA"), UDP()], ids=["tcp", "udp"])
@pytest.mark.parametrize("payload", [b"", b"odd", bytes(1400)], ids=len)
@both
def test_a_checksum_alone(
    head: Packet, header: TCP | UDP, payload: bytes, gso_type: int, size: int
) -> None:
    packet = whole(head, header, Raw(payload))
    (only,) = cut(packet, gso_type, size)
    assert bytes(only[type(head)]) == bytes(packet)


@both
def test_a_udp_checksum_is_never_zero(head: Packet) -> None:
    """RFC 768: zero means that there is none."""
    total = 0xFFFF - whole(head, UDP())[UDP].chksum
    for_zero = (0xFFFF - total - 4) % 0xFFFF  # the payload's two bytes count twice in the lengths
    packet = whole(head, UDP(), Raw(for_zero.to_bytes(2, "big")))
    (only,) = cut(packet, vnet.GSO_NONE, 0)
    assert only[UDP].chksum == 0xFFFF


def test_a_frame_that_asks_for_nothing() -> None:
    frame = bytes(Ether(dst="02:00:00:00:00:64") / ARP())
    header, payload = NO_OFFLOAD + frame[:30], memoryview(frame)[30:]
    assert list(segmentation.segments(header, payload)) == [(NO_OFFLOAD + frame)[VNET_SIZE:]]

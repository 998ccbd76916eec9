"""Software segmentation against scapy, which checks every checksum and length of every segment."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from rootlessnet.wire import segmentation, vnet
from rootlessnet.wire.checksum import pseudo_header_sum
from tests.wire.oracle import NO_OFFLOAD, VNET_SIZE, dissected, patient, u8, u32

TRANSPORT = 34  # from the Ethernet header on
CHECKSUM_OFFSETS = {TCP: 16, UDP: 6}


def some_bytes(length: int) -> bytes:
    return bytes(i % 251 for i in range(length))


def cut(packet: IP, gso_type: int, size: int) -> list[Packet]:
    """The segments of a packet that was handed over with its checksum left partial."""
    kind = type(packet.payload)
    payload = bytes(packet[kind].payload)
    frame = bytearray(bytes(Ether(dst="02:00:00:00:00:64", src="52:55:0a:00:02:02") / packet))
    field = TRANSPORT + CHECKSUM_OFFSETS[kind]
    partial = pseudo_header_sum(bytes(frame[26:34]), packet.proto, len(frame) - TRANSPORT)
    frame[field : field + 2] = partial.to_bytes(2, "big")
    split = len(frame) - len(payload)
    header = pack("<BBHHHH", vnet.NEEDS_CSUM, gso_type, split, size, TRANSPORT, field - TRANSPORT)
    return [dissected(one) for one in segmentation.segments(header + frame[:split], payload)]


@given(u32, u8, st.integers(1, 300), st.integers(0, 40), st.sampled_from([[], [("MSS", 99)]]))
@patient
def test_tcp(seq: int, flags: int, size: int, more: int, options: list[tuple[str, int]]) -> None:
    payload = some_bytes(size * more // 7)
    whole = (
        IP(src="192.0.2.1", dst="10.0.2.100", proto=6, flags="DF", id=0)
        / TCP(sport=80, dport=40000, seq=seq, ack=9, flags=flags, window=77, options=options)
        / Raw(payload)
    )
    segments = cut(IP(bytes(whole)), vnet.GSO_TCPV4, size)
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


@given(st.integers(1, 300), st.integers(0, 40))
@patient
def test_udp(size: int, more: int) -> None:
    payload = some_bytes(size * more // 7)
    whole = IP(src="192.0.2.1", dst="10.0.2.100", proto=17) / UDP(sport=53, dport=5353)
    segments = cut(IP(bytes(whole / Raw(payload))), vnet.GSO_UDP_L4, size)
    assert b"".join(bytes(one[UDP].payload) for one in segments) == payload
    assert all(len(one[UDP].payload) == size for one in segments[:-1])
    assert {(one[UDP].sport, one[UDP].dport) for one in segments} == {(53, 5353)}


@pytest.mark.parametrize(("gso_type", "size"), [(vnet.GSO_NONE, 0), (vnet.GSO_NONE, 8)])
@pytest.mark.parametrize("header", [TCP(seq=7, flags="FPA"), UDP()], ids=["tcp", "udp"])
@pytest.mark.parametrize("payload", [b"", b"odd", bytes(1400)], ids=len)
def test_a_checksum_alone(header: TCP | UDP, payload: bytes, gso_type: int, size: int) -> None:
    whole = IP(src="192.0.2.1", dst="10.0.2.100") / header / Raw(payload)
    (only,) = cut(IP(bytes(whole)), gso_type, size)
    assert bytes(only[IP]) == bytes(whole)


def test_a_udp_checksum_is_never_zero() -> None:
    """RFC 768: zero means that there is none."""
    whole = IP(src="192.0.2.1", dst="10.0.2.100") / UDP()
    total = 0xFFFF - UDP(bytes(whole)[20:]).chksum
    for_zero = (0xFFFF - total - 4) % 0xFFFF  # the payload's two bytes count twice in the lengths
    (only,) = cut(IP(bytes(whole / Raw(for_zero.to_bytes(2, "big")))), vnet.GSO_NONE, 0)
    assert only[UDP].chksum == 0xFFFF


def test_a_frame_that_asks_for_nothing() -> None:
    frame = bytes(Ether(dst="02:00:00:00:00:64") / ARP())
    header, payload = NO_OFFLOAD + frame[:30], memoryview(frame)[30:]
    assert list(segmentation.segments(header, payload)) == [(NO_OFFLOAD + frame)[VNET_SIZE:]]

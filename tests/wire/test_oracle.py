"""The second opinion itself, where two ways to write a packet are right."""

from struct import pack

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from rootlessnet.wire import vnet
from rootlessnet.wire.checksum import pseudo_header_sum
from tests.wire.oracle import GATEWAY_MAC, GUEST_MAC, addresses_of, kernel_view

HEAD_4 = IP(src="192.0.2.1", dst="10.0.2.100")
HEAD_6 = IPv6(src="2001:db8::1", dst="fd00::100")


def summed(packet: Packet, kind: type[Packet]) -> int:
    """Its checksum, as scapy has it."""
    found: int = type(packet)(bytes(packet))[kind].chksum
    return found


@pytest.mark.parametrize("head", [HEAD_4, HEAD_6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize(("kind", "offset", "seen"), [(TCP, 16, 0), (UDP, 6, 0xFFFF)])
def test_a_checksum_of_zero(head: Packet, kind: type[Packet], offset: int, seen: int) -> None:
    """One packet in 65536 has it."""
    packet = head / kind(sport=80, dport=40000) / Raw(bytes(2))
    packet[Raw].load = summed(packet, kind).to_bytes(2, "big")
    assert summed(packet, kind) == seen
    frame = bytearray(bytes(Ether(src=GATEWAY_MAC, dst=GUEST_MAC) / packet))
    start = len(frame) - len(packet.payload)
    field = start + offset
    protocol = 6 if kind is TCP else 17
    partial = pseudo_header_sum(addresses_of(packet), protocol, len(frame) - start)
    frame[field : field + 2] = partial.to_bytes(2, "big")
    header = pack("<BBHHHH", vnet.NEEDS_CSUM, vnet.GSO_NONE, 0, 0, start, offset)
    assert kernel_view(header, bytes(frame))[kind].chksum == seen

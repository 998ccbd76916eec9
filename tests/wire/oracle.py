"""The second opinion on every byte: scapy, and the virtio-net header as the kernel reads it.

Read: scapy's documentation of Packet; linux/virtio_net.h and skb_checksum_help() for `kernel_view`.
"""

from collections.abc import Callable
from struct import unpack_from

from hypothesis import settings, strategies
from scapy.layers import inet, inet6
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, _ICMPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import checksum

VNET_SIZE = 10
NO_OFFLOAD = bytes(VNET_SIZE)
_UDP_CHECKSUM = 6  # where the field stands in the header
_IPV6_PAYLOAD = 14 + 40  # bytes of headers in front of it
GATEWAY_MAC = "52:55:0a:00:02:02"
GUEST_MAC = "02:00:00:00:00:64"

patient = settings(deadline=None)  # a machine with other work to do is no failure

u8, u16, u32 = (strategies.integers(0, 2**bits - 1) for bits in (8, 16, 32))
addresses = strategies.binary(min_size=4, max_size=4).map(lambda octets: ".".join(map(str, octets)))
addresses_6 = strategies.binary(min_size=16, max_size=16)


def addresses_of(packet: Packet) -> bytes:
    """Both addresses of a packet of either family, as they stand in its header."""
    header = bytes(packet)
    return header[12:20] if header[0] >> 4 == 4 else header[8:40]


def fragment(packet: Packet, size: int) -> list[Packet]:
    """The fragments of `packet`, of at most `size` bytes behind the IP header each."""
    make: Callable[[Packet, int], list[Packet]] = inet.fragment  # which has no types
    return make(packet, size)


def from_guest(packet: Packet, vnet: bytes = NO_OFFLOAD, mac: str = GUEST_MAC) -> memoryview:
    """The frame in which the guest's kernel hands over `packet`, which a node with `mac` sent."""
    return memoryview(vnet + bytes(Ether(src=mac, dst=GATEWAY_MAC) / packet))


def dissected(frame: bytes) -> Packet:
    """A plain frame, once scapy agrees with every length and every checksum in it.

    It is built again with those fields left to scapy, and must come out the same. What travels in
    fragments is judged by its network header; put it together to judge the rest.
    """
    packet = Ether(frame)
    again = packet.copy()
    if IP in again or IPv6 in again:
        header = again[IP if IP in again else IPv6]
        for name in ("len", "chksum") if IP in again else ("plen",):
            header.delfieldval(name)
        is_fragment = IPv6ExtHdrFragment in again or (IP in again and header.flags.MF | header.frag)
        transport = header.payload
        if is_fragment:
            pass
        elif isinstance(transport, _ICMPv6) and transport.type < 128:
            # An error; scapy may write what it quotes in another way.
            message = frame[_IPV6_PAYLOAD:]
            without = message[:2] + bytes(2) + message[4:]
            sum_of: Callable[[int, Packet, bytes], int] = inet6.in6_chksum  # which has no types
            assert sum_of(header.nh, packet[IPv6], without) == transport.cksum
            header.remove_payload()
            header.add_payload(Raw(message))
        elif isinstance(transport, _ICMPv6):
            transport.delfieldval("cksum")
        elif isinstance(transport, TCP | UDP | ICMP):
            transport.delfieldval("chksum")
            if isinstance(transport, UDP):
                assert packet[UDP].chksum, "the datagram has no checksum"
                transport.delfieldval("len")
    assert bytes(again) == frame
    return packet


def kernel_view(header: bytes, payload: bytes) -> Packet:
    """The frame as one packet, its partial checksum completed as a kernel does it."""
    flags, gso_type, _, gso_size, start, offset = unpack_from("<BBHHHH", header)
    frame = bytearray(header[VNET_SIZE:] + payload)
    assert flags in (0, 1)
    assert bool(gso_type) == bool(gso_size)
    assert flags or not gso_type, "segmentation without a checksum to complete is dropped"
    if flags:
        total = checksum(bytes(frame[start:]))  # the field holds the pseudo-header's sum
        # The kernel writes 0 as 0xFFFF. Only UDP needs that, where 0 means none: over TCP both say
        # the same, and scapy has 0.
        if not total and offset == _UDP_CHECKSUM:
            total = 0xFFFF
        frame[start + offset : start + offset + 2] = total.to_bytes(2, "big")
    return dissected(bytes(frame))

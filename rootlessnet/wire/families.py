"""The two families of addresses, as values: what differs between them, so that nothing else does.

The family of a packet or flow follows from the size of its addresses. Read: RFC 791, RFC 8200.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rootlessnet.wire import ethernet, icmpv4, icmpv6, ipv4, ipv6, vnet
from rootlessnet.wire.icmp import Dialect
from rootlessnet.wire.ip import Packet


@dataclass(frozen=True, slots=True)
class Family:
    """Sizes and lengths are in bytes, places are counted from the network header on."""

    version: int
    ethertype: int
    address_size: int
    header_size: int
    addresses_at: int  # source, then destination
    length_at: int
    length_of_header: int  # as much of it as the length counts
    checksum_at: int  # 0: there is none
    fragment_overhead: int  # what a fragment has before its part of the payload
    max_payload: int
    min_mtu: int  # what every link carries unfragmented
    tcp_segments: int  # of a virtio-net header
    icmp: Dialect

    # The frame, where its network header lies, and what to fill. Raises MalformedError.
    parse: Callable[[memoryview, int, Packet], None]
    # The packet that an ICMP error quotes: protocol, addresses, transport header.
    parse_quote: Callable[[memoryview], tuple[int, bytes, memoryview]]
    # Headers for addresses, protocol, payload length and hop limit; the second of a packet that was
    # in fragments.
    build: Callable[[bytes, int, int, int], bytes]
    build_whole: Callable[[bytes, int, int, int], bytes]
    # ... for addresses, protocol, payload length, identification, offset, and whether more follow.
    build_fragment: Callable[[bytes, int, int, int, int, bool], bytes]
    # The sum of the words of a header for addresses and protocol, but for its length.
    header_sum: Callable[[bytes, int], int]


IPV4 = Family(
    version=4,
    ethertype=ethernet.TYPE_IPV4,
    address_size=4,
    header_size=ipv4.SIZE,
    addresses_at=12,
    length_at=2,
    length_of_header=ipv4.SIZE,
    checksum_at=10,
    fragment_overhead=ipv4.SIZE,
    max_payload=ipv4.MAX_PAYLOAD,
    min_mtu=ipv4.MIN_MTU,
    tcp_segments=vnet.GSO_TCPV4,
    icmp=icmpv4.DIALECT,
    parse=ipv4.parse,
    parse_quote=ipv4.parse_quote,
    build=ipv4.build,
    build_whole=ipv4.build_whole,
    build_fragment=ipv4.build_fragment,
    header_sum=ipv4.header_sum,
)

IPV6 = Family(
    version=6,
    ethertype=ethernet.TYPE_IPV6,
    address_size=16,
    header_size=ipv6.SIZE,
    addresses_at=8,
    length_at=4,
    length_of_header=0,
    checksum_at=0,
    fragment_overhead=ipv6.SIZE + ipv6.FRAGMENT_HEADER.size,
    max_payload=ipv6.MAX_PAYLOAD,
    min_mtu=ipv6.MIN_MTU,
    tcp_segments=vnet.GSO_TCPV6,
    icmp=icmpv6.DIALECT,
    parse=ipv6.parse,
    parse_quote=ipv6.parse_quote,
    build=ipv6.build,
    build_whole=ipv6.build,
    build_fragment=ipv6.build_fragment,
    header_sum=ipv6.header_sum,
)

OF_VERSION = {family.version: family for family in (IPV4, IPV6)}
_BY_SIZE = {
    size: family
    for family in (IPV4, IPV6)
    for size in (family.address_size, 2 * family.address_size)
}


def of(addresses: bytes) -> Family:
    """The family of an address, or of the two of a packet."""
    return _BY_SIZE[len(addresses)]

"""UDP headers. Read: RFC 768."""

from struct import Struct

from rootlessnet.wire import MalformedError, checksum, ip
from rootlessnet.wire.checksum import Buffer

HEADER = Struct("!HHHH")
SIZE = HEADER.size  # 8
CHECKSUM_OFFSET = 6
DHCP_SERVER, DHCP_CLIENT, DHCPV6_CLIENT, DHCPV6_SERVER = 67, 68, 546, 547  # ports
PORT = Struct("!H")
MAX_PAYLOAD = 65507  # over IPv4: 65535 - 20 - 8


def parse(frame: memoryview, start: int, end: int) -> tuple[int, int, memoryview]:
    """Source port, destination port and payload of the datagram in `frame[start:end]`."""
    if end - start < SIZE:
        raise MalformedError("UDP header is too short")
    source, destination, length, _ = HEADER.unpack_from(frame, start)
    if not SIZE <= length <= end - start:
        raise MalformedError("UDP length does not fit its packet")
    return source, destination, frame[start + SIZE : start + length]


def build(addresses: bytes, ports: bytes, payload: Buffer) -> bytes:
    """A datagram for these addresses and ports, source first, its checksum complete."""
    length = SIZE + len(payload)
    head = ports + length.to_bytes(2, "big")
    total = checksum.pseudo_header_sum(addresses, ip.UDP, length)
    total += checksum.word_sum(head) + checksum.word_sum(payload)
    check = checksum.checksum(total) or 0xFFFF  # RFC 768: 0 is none
    return head + check.to_bytes(2, "big") + payload

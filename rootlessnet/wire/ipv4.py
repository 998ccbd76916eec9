"""IPv4 headers. Options are stepped over. Checksums of received headers are not verified: the link
is memory and cannot corrupt. Read: RFC 791, RFC 6864 (the identification of atomic datagrams).
"""

from struct import Struct
from struct import error as StructError

from rootlessnet.wire import MalformedError, checksum
from rootlessnet.wire.ip import DEFAULT_HOP_LIMIT, Packet

HEADER = Struct("!BBHHHBBH8s")
SIZE = HEADER.size  # 20
_FIELDS = Struct("!BxHHHBBxx8s")

DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
_OFFSET_MASK = 0x1FFF
MAX_LENGTH = 0xFFFF
MAX_PAYLOAD = MAX_LENGTH - SIZE
QUOTED = 8  # bytes that an ICMP error quotes behind the header, at least (RFC 792)
NOBODY, BROADCAST = bytes(4), b"\xff" * 4  # RFC 1122 3.2.1.3: both on this link alone
MIN_MTU = 68  # RFC 791 3.2: what every link carries unfragmented


def parse(frame: memoryview, start: int, packet: Packet) -> None:
    """Fill `packet` from the header at `start`, or raise MalformedError."""
    try:
        version_ihl, length, identification, fragment, ttl, protocol, addresses = (
            _FIELDS.unpack_from(frame, start)
        )
    except StructError:
        raise MalformedError("IPv4 header is too short") from None
    header_size = (version_ihl & 0x0F) * 4
    end = start + length
    if version_ihl >> 4 != 4 or not SIZE <= header_size <= length or end > len(frame):
        raise MalformedError("IPv4 header does not fit its packet")
    packet.addresses = addresses
    packet.protocol = protocol
    packet.hop_limit = ttl
    packet.header_start = start
    packet.start = start + header_size
    packet.end = end
    packet.identification = identification
    packet.dont_fragment = fragment & DONT_FRAGMENT != 0
    packet.is_fragment = fragment & (MORE_FRAGMENTS | _OFFSET_MASK) != 0
    if packet.is_fragment:
        packet.more_fragments = fragment & MORE_FRAGMENTS != 0
        packet.fragment_offset = (fragment & _OFFSET_MASK) * 8
        packet.datagram = addresses + bytes((protocol,)) + identification.to_bytes(2, "big")


def parse_quote(quote: memoryview) -> tuple[int, bytes, memoryview]:
    """Protocol, addresses and transport header of a packet that an ICMP error quotes in part."""
    header_size = (quote[0] & 0x0F) * 4 if len(quote) else 0
    if header_size < SIZE or len(quote) < header_size + QUOTED:
        raise MalformedError("quoted packet is too short")
    return quote[9], bytes(quote[12:SIZE]), quote[header_size:]


def header_sum(addresses: bytes, protocol: int, hop_limit: int = DEFAULT_HOP_LIMIT) -> int:
    """The sum of the words of a header but its length, for atomic packets of one flow."""
    return checksum.word_sum(
        HEADER.pack(0x45, 0, 0, 0, DONT_FRAGMENT, hop_limit, protocol, 0, addresses)
    )


def build(
    addresses: bytes,
    protocol: int,
    payload_length: int,
    hop_limit: int = DEFAULT_HOP_LIMIT,
    identification: int = 0,
    fragment: int = DONT_FRAGMENT,
) -> bytes:
    """A header. `fragment` is the word of flags and offset (in units of 8 bytes)."""
    length = SIZE + payload_length
    fields = (0x45, 0, length, identification, fragment, hop_limit, protocol)
    header = HEADER.pack(*fields, 0, addresses)
    return HEADER.pack(*fields, checksum.checksum(checksum.word_sum(header)), addresses)


def build_fragment(
    addresses: bytes,
    protocol: int,
    payload_length: int,
    identification: int,
    offset: int,
    more: bool,
) -> bytes:
    """The header of a fragment. `offset` is in bytes, a multiple of 8."""
    fragment = offset // 8 | (MORE_FRAGMENTS if more else 0)
    return build(
        addresses,
        protocol,
        payload_length,
        identification=identification & 0xFFFF,
        fragment=fragment,
    )


def build_whole(addresses: bytes, protocol: int, payload_length: int, hop_limit: int) -> bytes:
    """The header of a packet that was in fragments, and may be so again."""
    return build(addresses, protocol, payload_length, hop_limit, fragment=0)

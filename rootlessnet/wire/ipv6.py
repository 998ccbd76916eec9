"""IPv6 headers and their extension headers.

Extension headers are read in the order in which they stand. Options that may be skipped are; what
may not, and what only a router or a far host could do something about, raises `RefusedError`, which
says what RFC 8200 wants the sender to hear. There are no more of them than honest senders make, so
that no packet costs much more time than another. A fragment that is all of its packet is none (RFC
6946). Read: RFC 8200 4, RFC 5095 (routing headers of type 0), RFC 7112 (the first fragment has all
headers), RFC 8504 5.3 (limits).
"""

from struct import Struct
from struct import error as StructError

from rootlessnet.wire import MalformedError, icmpv6
from rootlessnet.wire.ip import DEFAULT_HOP_LIMIT, Packet

HEADER = Struct("!IHBB32s")  # version, class and label; payload length; next header; hop limit
SIZE = HEADER.size  # 40
MAX_PAYLOAD = 0xFFFF
QUOTED = 8  # bytes behind the header that an ICMP error has to quote, to be of use
MIN_MTU = 1280  # RFC 8200 5

_VERSION = 6 << 28
NEXT_HEADER_AT = 6
HOP_BY_HOP, ROUTING, FRAGMENT, NO_NEXT_HEADER, DESTINATION_OPTIONS = 0, 43, 44, 59, 60
EXTENSIONS = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS))
_MAX_EXTENSIONS = 8  # of a packet; RFC 8200 4.1 recommends up to six
_MAX_OPTIONS = 8  # of an extension header, as Linux has it
_MAX_PADDING = 7  # bytes between two options

FRAGMENT_HEADER = Struct("!BBHI")  # next header, reserved, offset and M, identification
_MORE = 1
_PAD1, _PADN = 0, 1


class RefusedError(MalformedError):
    """A parameter problem: its code, and the octet at fault counted from the IPv6 header on.

    `also_to_many`: the sender hears of it when it sent to a multicast group, too.
    """

    def __init__(self, code: int, pointer: int, *, also_to_many: bool = False) -> None:
        super().__init__(f"IPv6 parameter problem {code} at octet {pointer}")
        self.code = code
        self.pointer = pointer
        self.also_to_many = also_to_many


def parse(frame: memoryview, start: int, packet: Packet) -> None:
    """Fill `packet` from the header at `start` and those that extend it, or raise MalformedError.

    When that is a RefusedError, `packet` has the addresses and where the packet ends.
    """
    try:
        version, length, protocol, hop_limit, addresses = HEADER.unpack_from(frame, start)
    except StructError:
        raise MalformedError("IPv6 header is too short") from None
    payload = start + SIZE
    end = payload + length
    if version >> 28 != 6 or end > len(frame):
        raise MalformedError("IPv6 header does not fit its packet")
    packet.addresses = addresses
    packet.protocol = protocol
    packet.protocol_at = NEXT_HEADER_AT
    packet.hop_limit = hop_limit
    packet.header_start = start
    packet.start = payload
    packet.end = end
    packet.identification = 0
    packet.dont_fragment = False
    packet.is_fragment = False
    packet.fragment_offset = 0
    if protocol in EXTENSIONS:
        _parse_extensions(frame, packet)


def _parse_extensions(frame: memoryview, packet: Packet) -> None:
    """Step over the extension headers, up to the payload or a fragment of it."""
    for number in range(_MAX_EXTENSIONS):
        kind = packet.protocol
        if kind not in EXTENSIONS:
            return
        start, end = packet.start, packet.end
        if start + 8 > end:
            raise MalformedError("IPv6 extension header is cut off")
        if kind == FRAGMENT:
            if _parse_fragment(frame, packet):
                return
            continue
        size = 8 + frame[start + 1] * 8
        if start + size > end:
            raise MalformedError("IPv6 extension header does not fit its packet")
        if kind == ROUTING:
            if frame[start + 3]:  # segments left, and none of them is ours to go to
                raise _refused(packet, icmpv6.ERRONEOUS_FIELD, start + 2)
        else:
            if kind == HOP_BY_HOP and number:
                raise RefusedError(icmpv6.UNKNOWN_NEXT_HEADER, packet.protocol_at)
            _parse_options(frame, packet, start + 2, start + size)
        _step(frame, packet, size)
    if packet.protocol in EXTENSIONS:
        raise MalformedError("too many IPv6 extension headers")


def _step(frame: memoryview, packet: Packet, size: int) -> None:
    """Go on behind an extension header of `size` bytes."""
    packet.protocol = frame[packet.start]
    packet.protocol_at = packet.start - packet.header_start
    packet.start += size


def _parse_fragment(frame: memoryview, packet: Packet) -> bool:
    """Step over a fragment header; whether the packet is a fragment."""
    start = packet.start
    _, _, place, identification = FRAGMENT_HEADER.unpack_from(frame, start)
    offset, more = place & ~7, place & _MORE != 0
    _step(frame, packet, FRAGMENT_HEADER.size)
    if not offset and not more:
        return False
    length = packet.end - packet.start
    if more and length % 8:
        raise RefusedError(icmpv6.ERRONEOUS_FIELD, 4)  # the payload length
    if offset + length > MAX_PAYLOAD:
        raise _refused(packet, icmpv6.ERRONEOUS_FIELD, start + 2)
    packet.is_fragment = True
    packet.fragment_offset = offset
    packet.more_fragments = more
    packet.datagram = packet.addresses + identification.to_bytes(4, "big")
    if not offset and packet.protocol in EXTENSIONS:
        _check_chain(frame, packet)
    return True


def _check_chain(frame: memoryview, packet: Packet) -> None:
    """A first fragment has all headers. What is in them is judged with the whole packet."""
    protocol, at = packet.protocol, packet.start
    for _ in range(_MAX_EXTENSIONS):
        if protocol not in EXTENSIONS:
            break
        if at + 8 > packet.end:
            raise RefusedError(icmpv6.INCOMPLETE_CHAIN, 0)
        size = 8 if protocol == FRAGMENT else 8 + frame[at + 1] * 8
        protocol = frame[at]
        at += size
    if at > packet.end:
        raise RefusedError(icmpv6.INCOMPLETE_CHAIN, 0)


def _parse_options(frame: memoryview, packet: Packet, start: int, end: int) -> None:
    """Look through the options in `frame[start:end]` for those that may not be skipped."""
    at, options, padding = start, 0, 0
    while at < end:
        kind = frame[at]
        # One that lacks its length does not fit either, whatever stands in place of it.
        size = 1 if kind == _PAD1 else 2 + frame[min(at + 1, end - 1)]
        if at + size > end:
            raise MalformedError("IPv6 option does not fit its header")
        if kind in (_PAD1, _PADN):
            padding += size
        else:
            padding = 0
            options += 1
            action = kind >> 6  # RFC 8200 4.2
            if action == 1:
                raise MalformedError("IPv6 option that is not to be skipped")
            if action:
                code = icmpv6.UNKNOWN_OPTION
                raise _refused(packet, code, at, also_to_many=action == 2)
        if options > _MAX_OPTIONS or padding > _MAX_PADDING:
            raise MalformedError("too many IPv6 options")
        at += size


def _refused(packet: Packet, code: int, at: int, *, also_to_many: bool = False) -> RefusedError:
    """`at` is the place in the frame."""
    return RefusedError(code, at - packet.header_start, also_to_many=also_to_many)


def parse_quote(quote: memoryview) -> tuple[int, bytes, memoryview]:
    """Protocol, addresses and transport header of a packet that an ICMP error quotes in part."""
    if len(quote) < SIZE + QUOTED:
        raise MalformedError("quoted packet is too short")
    return quote[NEXT_HEADER_AT], bytes(quote[8:SIZE]), quote[SIZE:]


def header_sum(_addresses: bytes, _protocol: int) -> int:
    """There is no checksum."""
    return 0


def build(
    addresses: bytes, protocol: int, payload_length: int, hop_limit: int = DEFAULT_HOP_LIMIT
) -> bytes:
    """A header without extensions."""
    return HEADER.pack(_VERSION, payload_length, protocol, hop_limit, addresses)


def build_fragment(
    addresses: bytes,
    protocol: int,
    payload_length: int,
    identification: int,
    offset: int,
    more: bool,
) -> bytes:
    """The header and fragment header of a fragment. `offset` is in bytes, a multiple of 8."""
    return build(addresses, FRAGMENT, FRAGMENT_HEADER.size + payload_length) + FRAGMENT_HEADER.pack(
        protocol, 0, offset | more, identification
    )

"""ICMP for IPv4: echo and errors. Read: RFC 792, RFC 1122 3.2.2 (what an error carries)."""

from struct import Struct

from rootlessnet.wire import MalformedError, checksum
from rootlessnet.wire.checksum import Buffer

HEADER = Struct("!BBHHH")
SIZE = HEADER.size  # 8

ECHO_REPLY = 0
DESTINATION_UNREACHABLE = 3
ECHO_REQUEST = 8
TIME_EXCEEDED = 11
PARAMETER_PROBLEM = 12

NET_UNREACHABLE = 0
HOST_UNREACHABLE = 1
PROTOCOL_UNREACHABLE = 2
PORT_UNREACHABLE = 3
FRAGMENTATION_NEEDED = 4
NET_PROHIBITED = 9
HOST_PROHIBITED = 10
ADMIN_PROHIBITED = 13

TTL_EXCEEDED = 0

# What became of a packet. The other two, source quench and redirect, are advice to the sender.
DELIVERY_ERRORS = (DESTINATION_UNREACHABLE, TIME_EXCEEDED, PARAMETER_PROBLEM)
_ERRORS = (*DELIVERY_ERRORS, 4, 5)

MAX_QUOTE = 548  # RFC 1812 4.3.2.3: as much as fits a message of 576 bytes


def parse_echo(frame: memoryview, start: int, end: int) -> tuple[int, int, int, memoryview]:
    """Type, identifier, sequence number and data of an ICMP message."""
    if end - start < SIZE:
        raise MalformedError("ICMP header is too short")
    kind, _code, _checksum, identifier, sequence = HEADER.unpack_from(frame, start)
    return kind, identifier, sequence, frame[start + SIZE : end]


def parse_unreachable(frame: memoryview, start: int, end: int) -> tuple[int, memoryview] | None:
    """Code and quoted packet of an ICMP message that says "unreachable"; None: it does not."""
    if end - start < SIZE:
        raise MalformedError("ICMP header is too short")
    kind, code, _checksum, _unused, _mtu = HEADER.unpack_from(frame, start)
    return (code, frame[start + SIZE : end]) if kind == DESTINATION_UNREACHABLE else None


def build_echo(kind: int, identifier: int, sequence: int, data: Buffer) -> bytes:
    """An echo request or reply with its checksum."""
    return _summed(kind, 0, identifier, sequence, bytes(data))


def is_error(frame: memoryview, start: int, end: int) -> bool:
    """Whether an ICMP message tells of an error."""
    return start < end and frame[start] in _ERRORS


def with_identifier(message: bytes, identifier: int) -> bytes:
    """An echo message, or its beginning, under another identifier. Its checksum is changed by the
    difference (RFC 1624), and so is right for all of the message.
    """
    kind, code, check, before, sequence = HEADER.unpack_from(message)
    check = checksum.checksum((check ^ 0xFFFF) + (before ^ 0xFFFF) + identifier)
    return HEADER.pack(kind, code, check, identifier, sequence) + message[SIZE:]


def build_error(kind: int, code: int, packet: Buffer, info: int = 0) -> bytes:
    """An error about `packet` (from its network header on). `info` is the MTU of the next hop for
    FRAGMENTATION_NEEDED, and for PARAMETER_PROBLEM the octet at fault.
    """
    high, low = (info << 8, 0) if kind == PARAMETER_PROBLEM else (0, info)
    return _summed(kind, code, high, low, bytes(packet[:MAX_QUOTE]))


def _summed(kind: int, code: int, high: int, low: int, data: bytes) -> bytes:
    header = HEADER.pack(kind, code, 0, high, low)
    total = checksum.word_sum(header) + checksum.word_sum(data)
    return HEADER.pack(kind, code, checksum.checksum(total), high, low) + data

"""ICMP of either family: echo and errors.

The messages are built alike; what differs are the numbers, how much of a packet an error quotes,
and whether the checksum covers the addresses. That is a `Dialect`: `icmpv4` and `icmpv6` have one
each. What the stack itself has to say is a `Reason`, which a dialect puts in numbers; what others
have said is passed on in theirs. Read: RFC 792, RFC 4443, RFC 1122 3.2.2 (what an error carries).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from struct import Struct

from rootlessnet.wire import MalformedError, checksum
from rootlessnet.wire.checksum import Buffer

HEADER = Struct("!BBHI")  # type, code, checksum, and what depends on the type
SIZE = HEADER.size  # 8
_ECHO = Struct("!BBHHH")


class Reason(Enum):
    """Why a packet went no further."""

    NO_ROUTE = auto()
    HOST_UNREACHABLE = auto()
    PROTOCOL_UNREACHABLE = auto()
    PORT_UNREACHABLE = auto()
    PROHIBITED = auto()
    TOO_BIG = auto()
    HOP_LIMIT_EXCEEDED = auto()
    BEYOND_SCOPE = auto()  # of its source address


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a family says it. An error is a type and a code."""

    protocol: int  # in the network header
    echo_request: int
    echo_reply: int
    numbers: Mapping[Reason, tuple[int, int]]
    errors: frozenset[int]  # all types
    deliveries: frozenset[int]  # of them, what became of a packet; others are advice to its sender
    refusals: frozenset[tuple[int, int]]  # those that end a connection (RFC 1122 4.2.3.9)
    link_messages: frozenset[int]  # types about the link: routers, neighbours, group members
    parameter_problem: int
    pointer_shift: int  # where a parameter problem has the octet at fault
    max_quote: int  # bytes of a packet
    sums_addresses: bool

    def is_error(self, frame: memoryview, start: int, end: int) -> bool:
        """Whether a message tells of an error."""
        return start < end and frame[start] in self.errors

    def parse_error(
        self, frame: memoryview, start: int, end: int
    ) -> tuple[tuple[int, int], memoryview] | None:
        """The error and the quoted packet of a message; None: it is no error. Or MalformedError."""
        if end - start < SIZE:
            raise MalformedError("ICMP header is too short")
        kind, code = frame[start], frame[start + 1]
        return ((kind, code), frame[start + SIZE : end]) if kind in self.errors else None

    def build_echo(
        self, kind: int, identifier: int, sequence: int, data: Buffer, addresses: bytes
    ) -> bytes:
        """An echo request or reply with its checksum."""
        return self._summed(kind, 0, identifier << 16 | sequence, bytes(data), addresses)

    def build_error(
        self, error: tuple[int, int], packet: Buffer, addresses: bytes, info: int = 0
    ) -> bytes:
        """An error about `packet` (from its network header on) for these addresses. `info` is the
        MTU of the next hop for TOO_BIG, for a parameter problem the octet at fault, else ignored.
        """
        kind, code = error
        if kind == self.parameter_problem:
            info <<= self.pointer_shift
        elif error != self.numbers[Reason.TOO_BIG]:
            info = 0
        return self._summed(kind, code, info, bytes(packet[: self.max_quote]), addresses)

    def with_identifier(self, message: bytes, identifier: int, addresses: bytes) -> bytes:
        """An echo message, or its beginning, under another identifier and between these addresses.

        Where the checksum covers no addresses it is changed by the difference (RFC 1624), and so is
        right for all of the message; else for what there is of it.
        """
        kind, code, check, before, sequence = _ECHO.unpack_from(message)
        if self.sums_addresses:
            rest = identifier << 16 | sequence
            return self._summed(kind, code, rest, message[SIZE:], addresses)
        check = checksum.checksum((check ^ 0xFFFF) + (before ^ 0xFFFF) + identifier)
        return _ECHO.pack(kind, code, check, identifier, sequence) + message[SIZE:]

    def _summed(self, kind: int, code: int, rest: int, data: bytes, addresses: bytes) -> bytes:
        total = checksum.word_sum(HEADER.pack(kind, code, 0, rest)) + checksum.word_sum(data)
        if self.sums_addresses:
            total += checksum.pseudo_header_sum(addresses, self.protocol, SIZE + len(data))
        return HEADER.pack(kind, code, checksum.checksum(total), rest) + data


def parse_echo(frame: memoryview, start: int, end: int) -> tuple[int, int, int, memoryview]:
    """Type, identifier, sequence number and data of a message of either family."""
    if end - start < SIZE:
        raise MalformedError("ICMP header is too short")
    kind, _code, _checksum, identifier, sequence = _ECHO.unpack_from(frame, start)
    return kind, identifier, sequence, frame[start + SIZE : end]

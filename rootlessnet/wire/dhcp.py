"""DHCP for IPv4: what clients ask and a server answers.

`parse` reads a client's message and raises `MalformedError` for what is none: options that do not
fit, fields of a wrong size, another link than Ethernet. An option that comes several times is one
in parts (RFC 3396), also where it is continued in the header's fields for names (overload). An
absent end option is let pass. Read: RFC 2131 2 (the header), RFC 2132, RFC 3396, RFC 6842.
"""

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from rootlessnet.wire import MalformedError
from rootlessnet.wire.ipv4 import NOBODY

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)

SUBNET_MASK = 1
ROUTER = 3
NAMESERVERS = 6
DOMAIN_NAME = 15
INTERFACE_MTU = 26
BROADCAST_ADDRESS = 28
REQUESTED_ADDRESS = 50
LEASE_TIME = 51
MESSAGE_TYPE = 53
SERVER_IDENTIFIER = 54
PARAMETER_REQUEST_LIST = 55
MAX_MESSAGE_SIZE = 57
CLIENT_IDENTIFIER = 61
DOMAIN_SEARCH = 119
CLASSLESS_ROUTES = 121

MIN_MAX_SIZE = 576  # bytes of an IP datagram that every client takes (RFC 2132 9.10)

_HEADER = Struct("!BBBBIHH4s4s4s4s6s10x64s128s4s")
SIZE = _HEADER.size  # 240, the magic cookie included
ROOM_NEEDED = SIZE + 4  # bytes of an answer besides the options that its sender chooses
_MIN_SIZE = 300  # of a BOOTP message (RFC 1542 2.1)
_COOKIE = b"\x63\x82\x53\x63"
_BOOT_REQUEST, _BOOT_REPLY = 1, 2
_ETHERNET, _MAC_SIZE = 1, 6
_BROADCAST = 0x8000
_PAD, _OVERLOAD, _END = 0, 52, 255
_FILE_HAS_OPTIONS, _NAME_HAS_OPTIONS = 1, 2
_PART = 255  # bytes of an option's value in one piece

# The size of the options a server looks at: exact, or None for any but none.
_SIZES: dict[int, int | None] = {
    REQUESTED_ADDRESS: 4,
    LEASE_TIME: 4,
    _OVERLOAD: 1,
    MESSAGE_TYPE: 1,
    SERVER_IDENTIFIER: 4,
    PARAMETER_REQUEST_LIST: None,
    MAX_MESSAGE_SIZE: 2,
    CLIENT_IDENTIFIER: None,
}


class Message(NamedTuple):
    """A client's message. Addresses are 4 bytes; Zeros, or None for an option, are unsaid.

    `kind` 0 is a message of BOOTP. `wanted` are the options the client asks for, None for whatever
    there is. `lease_time` is in seconds, `max_size` in bytes of the IP datagram.
    """

    kind: int
    transaction: int
    broadcast: bool
    client: bytes
    relay: bytes
    mac: bytes
    client_identifier: bytes
    requested: bytes | None
    server: bytes | None
    wanted: bytes | None
    lease_time: int | None
    max_size: int


def parse(data: memoryview) -> Message:
    """The message in a datagram, or MalformedError."""
    if len(data) < SIZE:
        raise MalformedError("DHCP message is too short")
    operation, hardware, size, _hops, transaction, _secs, flags, *fields = _HEADER.unpack_from(data)
    client, _yours, _server, relay, mac, name, file, cookie = fields
    if (operation, hardware, size) != (_BOOT_REQUEST, _ETHERNET, _MAC_SIZE):
        raise MalformedError("DHCP message is not from a client on Ethernet")
    if cookie != _COOKIE:
        raise MalformedError("BOOTP message has no options of DHCP's")
    options: dict[int, bytearray] = {}
    _collect(data[SIZE:], options)
    overload = _value(options, _OVERLOAD)
    in_fields = overload[0] if overload else 0
    if in_fields & _FILE_HAS_OPTIONS:
        _collect(memoryview(file), options)
    if in_fields & _NAME_HAS_OPTIONS:
        _collect(memoryview(name), options)
    kind = _value(options, MESSAGE_TYPE)
    lease_time = _value(options, LEASE_TIME)
    max_size = _value(options, MAX_MESSAGE_SIZE) or b""
    return Message(
        kind[0] if kind else 0,
        transaction,
        flags & _BROADCAST != 0,
        client,
        relay,
        mac,
        _value(options, CLIENT_IDENTIFIER) or b"",
        _value(options, REQUESTED_ADDRESS),
        _value(options, SERVER_IDENTIFIER),
        _value(options, PARAMETER_REQUEST_LIST),
        None if lease_time is None else int.from_bytes(lease_time, "big"),
        max(int.from_bytes(max_size, "big"), MIN_MAX_SIZE),
    )


def build_reply(
    to: Message, kind: int, address: bytes, options: Iterable[tuple[int, bytes]]
) -> bytes:
    """An answer of this kind that gives the client `address`, with the options in this order."""
    client = NOBODY if kind == NAK else to.client
    flags = _BROADCAST if to.broadcast else 0
    head = (_BOOT_REPLY, _ETHERNET, _MAC_SIZE, 0, to.transaction, 0, flags)
    message = _HEADER.pack(*head, client, address, NOBODY, to.relay, to.mac, b"", b"", _COOKIE)
    message += encode_option(MESSAGE_TYPE, bytes((kind,)))
    message += b"".join(encode_option(code, value) for code, value in options) + bytes((_END,))
    return message.ljust(_MIN_SIZE, b"\0")


def encode_option(code: int, value: bytes) -> bytes:
    """An option, in parts if it is long."""
    parts = (value[start : start + _PART] for start in range(0, max(len(value), 1), _PART))
    return b"".join(bytes((code, len(part))) + part for part in parts)


def encode_route(prefix: bytes, length: int, router: bytes) -> bytes:
    """A route in the form of RFC 3442: as many bytes of the prefix as are significant."""
    return bytes((length,)) + prefix[: (length + 7) // 8] + router


def _collect(data: memoryview, options: dict[int, bytearray]) -> None:
    """Add the options in `data`, each to its earlier parts."""
    place, end = 0, len(data)
    while place < end and data[place] != _END:
        code = data[place]
        place += 1
        if code == _PAD:
            continue
        if place == end or place + 1 + data[place] > end:
            raise MalformedError("option of DHCP does not fit")
        after = place + 1 + data[place]
        options.setdefault(code, bytearray()).extend(data[place + 1 : after])
        place = after


def _value(options: dict[int, bytearray], code: int) -> bytes | None:
    """What an option says; None when it is absent."""
    value = options.get(code)
    if value is None:
        return None
    if not value or len(value) != (_SIZES[code] or len(value)):
        raise MalformedError("option of DHCP has a wrong size")
    return bytes(value)

"""DHCP for IPv6: what clients ask and a server answers, without relays between them.

`parse` reads a client's message and raises `MalformedError` for options that do not fit, that are
there twice, or that a message of its kind must have or must not. Options may hold options: an
identity association has addresses, an address may have a status. Read: RFC 8415 8 and 21 (formats),
16 (validity); RFC 3646 (DNS).
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple

from rootlessnet.wire import MalformedError

SOLICIT, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE = range(1, 10)
INFORMATION_REQUEST = 11

CLIENT_IDENTIFIER = 1
SERVER_IDENTIFIER = 2
IDENTITY_ASSOCIATION = 3  # for non-temporary addresses
ADDRESS = 5
OPTION_REQUEST = 6
STATUS = 13
RAPID_COMMIT = 14
NAMESERVERS = 23
DOMAIN_SEARCH = 24
INFORMATION_REFRESH_TIME = 32

SUCCESS, NO_ADDRESSES, NO_BINDING, NOT_ON_LINK = 0, 2, 3, 4

_OPTION = Struct("!HH")
_ASSOCIATION = Struct("!4sII")  # its identifier, T1, T2; its options follow
_ADDRESS = Struct("!16sII")  # with preferred and valid lifetime; its options follow
_STATUS = Struct("!H")
_SECONDS = Struct("!I")
_HEADER_SIZE = 4
_LINK_LAYER_DUID = b"\0\3\0\1"  # RFC 8415 11.4: a hardware address, of Ethernet
_DUID_SIZES = range(3, 131)  # RFC 8415 11.1
_MAX_ASSOCIATIONS, _MAX_ADDRESSES = 8, 8  # of one: there is one address for each

_SINGLE = (CLIENT_IDENTIFIER, SERVER_IDENTIFIER, OPTION_REQUEST, RAPID_COMMIT)  # that are read
_FOR_ONE_SERVER = (REQUEST, RENEW, RELEASE, DECLINE)
_FOR_ANY_SERVER = (SOLICIT, CONFIRM, REBIND)
KINDS = (*_FOR_ONE_SERVER, *_FOR_ANY_SERVER, INFORMATION_REQUEST)


class Association(NamedTuple):
    """What a client calls one of its addresses (4 bytes), and the addresses it knows for it."""

    identifier: bytes
    addresses: tuple[bytes, ...]


class Message(NamedTuple):
    """A client's message. Identifiers are b"" where there are none; `wanted` are option codes."""

    kind: int
    transaction: bytes
    client: bytes
    server: bytes
    associations: tuple[Association, ...]
    wanted: frozenset[int]
    rapid_commit: bool


def parse(data: memoryview) -> Message:
    """The message in a datagram, or MalformedError."""
    if len(data) < _HEADER_SIZE:
        raise MalformedError("DHCPv6 message is too short")
    kind = data[0]
    if kind not in KINDS:
        raise MalformedError("DHCPv6 message is not a client's")
    single: dict[int, memoryview] = {}
    associations: list[Association] = []
    for code, value in _options(data[_HEADER_SIZE:]):
        if code == IDENTITY_ASSOCIATION:
            associations.append(_parse_association(value))
        elif code in _SINGLE:
            if code in single:
                raise MalformedError("option of DHCPv6 is there twice")
            single[code] = value
    if len(associations) > _MAX_ASSOCIATIONS:
        raise MalformedError("DHCPv6 client wants too many addresses")
    client, server = _identifier(single, CLIENT_IDENTIFIER), _identifier(single, SERVER_IDENTIFIER)
    if (
        (kind in _FOR_ONE_SERVER and not server)
        or (kind in _FOR_ANY_SERVER and server)
        or (kind != INFORMATION_REQUEST and not client)
        or (kind == INFORMATION_REQUEST and associations)
    ):
        raise MalformedError("DHCPv6 message lacks an option, or has one too many")
    wanted = single.get(OPTION_REQUEST, memoryview(b""))
    if len(wanted) % 2:
        raise MalformedError("list of DHCPv6 options has a wrong size")
    return Message(
        kind,
        bytes(data[1:_HEADER_SIZE]),
        client,
        server,
        tuple(associations),
        frozenset(
            int.from_bytes(wanted[place : place + 2], "big") for place in range(0, len(wanted), 2)
        ),
        RAPID_COMMIT in single,
    )


def link_layer_identifier(mac: bytes) -> bytes:
    """The identifier (DUID) of whoever has this hardware address."""
    return _LINK_LAYER_DUID + mac


def build_reply(to: Message, kind: int, options: Iterable[bytes]) -> bytes:
    """An answer of this kind, with these encoded options."""
    return bytes((kind,)) + to.transaction + b"".join(options)


def encode_option(code: int, value: bytes) -> bytes:
    """Any option."""
    return _OPTION.pack(code, len(value)) + value


def encode_association(identifier: bytes, t1: int, t2: int, *options: bytes) -> bytes:
    """An association with encoded options; T1 and T2, when to renew it, are in seconds."""
    value = _ASSOCIATION.pack(identifier, t1, t2) + b"".join(options)
    return encode_option(IDENTITY_ASSOCIATION, value)


def encode_address(address: bytes, preferred: int, valid: int) -> bytes:
    """An address of an association, with its lifetimes in seconds."""
    return encode_option(ADDRESS, _ADDRESS.pack(address, preferred, valid))


def encode_status(code: int) -> bytes:
    """What became of a request, without words."""
    return encode_option(STATUS, _STATUS.pack(code))


def encode_seconds(code: int, seconds: int) -> bytes:
    """An option that is a time."""
    return encode_option(code, _SECONDS.pack(seconds))


def _options(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    place, end = 0, len(data)
    while place < end:
        if end - place < _OPTION.size:
            raise MalformedError("option of DHCPv6 is cut off")
        code, size = _OPTION.unpack_from(data, place)
        place += _OPTION.size
        if size > end - place:
            raise MalformedError("option of DHCPv6 does not fit")
        yield code, data[place : place + size]
        place += size


def _parse_association(value: memoryview) -> Association:
    if len(value) < _ASSOCIATION.size:
        raise MalformedError("association of DHCPv6 is too short")
    addresses = []
    for code, inner in _options(value[_ASSOCIATION.size :]):
        if code == ADDRESS:
            if len(inner) < _ADDRESS.size:
                raise MalformedError("address of DHCPv6 is too short")
            addresses.append(bytes(inner[:16]))
    if len(addresses) > _MAX_ADDRESSES:
        raise MalformedError("association of DHCPv6 has too many addresses")
    return Association(bytes(value[:4]), tuple(addresses))


def _identifier(options: dict[int, memoryview], code: int) -> bytes:
    value = options.get(code)
    if value is None:
        return b""
    if len(value) not in _DUID_SIZES:
        raise MalformedError("identifier of DHCPv6 has a wrong size")
    return bytes(value)

"""Neighbour discovery: how a guest finds its neighbours, its router, and the prefix of its link.

Parsers take a packet whose IPv6 header was read, and raise `MalformedError` for what the RFC calls
invalid; but for the checksum, which is not looked at: the link is memory and cannot corrupt. They
return what the gateway needs to know. Builders return the whole ICMPv6 message, checksum included.
A gateway asks nobody, and believes no router and no advertisement: those directions are missing.

Read: RFC 4861 4 (formats), 6.1 and 7.1 (validity); RFC 8106 (RDNSS, DNSSL); RFC 4291 2.7.1.
"""

from struct import Struct
from typing import NamedTuple

from rootlessnet.wire import MalformedError, checksum, ip
from rootlessnet.wire.ip import Packet

ROUTER_SOLICITATION = 133
ROUTER_ADVERTISEMENT = 134
NEIGHBOR_SOLICITATION = 135
NEIGHBOR_ADVERTISEMENT = 136

ALL_NODES = b"\xff\x02" + bytes(13) + b"\1"
UNSPECIFIED = bytes(16)
HOP_LIMIT = 255  # of every message: a router lowers it, so what has it comes from this link

_ROUTER_SOLICITATION_SIZE = 8  # bytes before its options
_NEIGHBOR = Struct("!BBHB3x16s")  # type, code, checksum, flags, target
_ROUTER = Struct("!BBHBBHII")  # ..., hop limit, flags, lifetime, reachable time, retransmission
_ROUTER_FLAG, _SOLICITED, _OVERRIDE = 0x80, 0x40, 0x20
_MANAGED, _OTHER = 0x80, 0x40

_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER, _PREFIX, _MTU, _RDNSS, _DNSSL = 1, 2, 3, 5, 25, 31
_LINK_LAYER_OPTION = Struct("!BB6s")
_PREFIX_OPTION = Struct("!BBBBII4x16s")
_MTU_OPTION = Struct("!BB2xI")
_DNS_OPTION = Struct("!BB2xI")  # before the addresses or names
_ON_LINK, _AUTONOMOUS = 0x80, 0x40
_UNIT = 8  # bytes: what the length of an option counts


class NeighborSolicitation(NamedTuple):
    """Who has `target`? `source_mac` None: from a node that does not have its address yet."""

    target: bytes
    source_mac: bytes | None


class NeighborAdvertisement(NamedTuple):
    """The sender has `target`, at `target_mac`."""

    target: bytes
    target_mac: bytes
    router: bool = False
    solicited: bool = False
    override: bool = False


class PrefixInformation(NamedTuple):
    """A prefix of the link. Lifetimes are in seconds, 0xFFFFFFFF is for ever."""

    prefix: bytes
    length: int
    valid: int
    preferred: int
    on_link: bool
    autonomous: bool


class RouterAdvertisement(NamedTuple):
    """What a router says of itself and the link. Lifetimes are in seconds.

    `managed`: DHCPv6 has addresses, `other`: DHCPv6 has the rest. `domains` are the search domains
    as `wire.domain_names` encodes them, of 2032 bytes at most.
    """

    hop_limit: int
    managed: bool
    other: bool
    lifetime: int
    source_mac: bytes
    mtu: int
    prefixes: tuple[PrefixInformation, ...]
    nameservers: tuple[bytes, ...]
    domains: bytes
    dns_lifetime: int


def solicited_node(address: bytes) -> bytes:
    """The multicast address at which the owner of `address` is asked for."""
    return b"\xff\x02" + bytes(9) + b"\1\xff" + address[13:]


def parse_neighbor_solicitation(frame: memoryview, packet: Packet) -> NeighborSolicitation:
    """Raises MalformedError (RFC 4861 7.1.1)."""
    _check_header(frame, packet, _NEIGHBOR.size)
    *_, target = _NEIGHBOR.unpack_from(frame, packet.start)
    if target[0] == 0xFF:
        raise MalformedError("neighbour's address is one of many")
    mac = _source_link_layer(frame, packet, _NEIGHBOR.size)
    if packet.source == UNSPECIFIED and (
        mac is not None or packet.destination != solicited_node(target)
    ):
        raise MalformedError("solicitation for duplicates is not as it must be")
    return NeighborSolicitation(target, mac)


def parse_router_solicitation(frame: memoryview, packet: Packet) -> bytes | None:
    """The sender's hardware address, if it says so. Raises MalformedError (RFC 4861 6.1.1)."""
    _check_header(frame, packet, _ROUTER_SOLICITATION_SIZE)
    mac = _source_link_layer(frame, packet, _ROUTER_SOLICITATION_SIZE)
    if mac is not None and packet.source == UNSPECIFIED:
        raise MalformedError("router solicitation of a node without address has a sender")
    return mac


def build_neighbor_advertisement(addresses: bytes, message: NeighborAdvertisement) -> bytes:
    """The message for these addresses, source first."""
    flags = (
        message.router * _ROUTER_FLAG
        | message.solicited * _SOLICITED
        | message.override * _OVERRIDE
    )
    body = _NEIGHBOR.pack(NEIGHBOR_ADVERTISEMENT, 0, 0, flags, message.target)
    return _summed(
        addresses, body + _LINK_LAYER_OPTION.pack(_TARGET_LINK_LAYER, 1, message.target_mac)
    )


def build_router_advertisement(addresses: bytes, message: RouterAdvertisement) -> bytes:
    """The message for these addresses, source first."""
    flags = message.managed * _MANAGED | message.other * _OTHER
    body = _ROUTER.pack(
        ROUTER_ADVERTISEMENT, 0, 0, message.hop_limit, flags, message.lifetime, 0, 0
    )
    body += _LINK_LAYER_OPTION.pack(_SOURCE_LINK_LAYER, 1, message.source_mac)
    body += _MTU_OPTION.pack(_MTU, 1, message.mtu)
    for one in message.prefixes:
        flags = one.on_link * _ON_LINK | one.autonomous * _AUTONOMOUS
        lifetimes = one.valid, one.preferred
        body += _PREFIX_OPTION.pack(_PREFIX, 4, one.length, flags, *lifetimes, one.prefix)
    body += _dns_option(_RDNSS, message.dns_lifetime, b"".join(message.nameservers))
    body += _dns_option(_DNSSL, message.dns_lifetime, message.domains)
    return _summed(addresses, body)


def _check_header(frame: memoryview, packet: Packet, size: int) -> None:
    if packet.hop_limit != HOP_LIMIT:
        raise MalformedError("neighbour discovery from beyond the link")
    if packet.end - packet.start < size:
        raise MalformedError("neighbour discovery is too short")
    if frame[packet.start + 1]:
        raise MalformedError("neighbour discovery has a code")


def _source_link_layer(frame: memoryview, packet: Packet, size: int) -> bytes | None:
    """The sender's hardware address, of the first option that has it; every option behind `size`
    bytes is looked at.
    """
    found: bytes | None = None
    place, end = packet.start + size, packet.end
    while place < end:
        if end - place < _UNIT:
            raise MalformedError("option of neighbour discovery is cut off")
        length = frame[place + 1] * _UNIT
        if not 0 < length <= end - place:
            raise MalformedError("option of neighbour discovery does not fit")
        if frame[place] == _SOURCE_LINK_LAYER and found is None:
            if length != _LINK_LAYER_OPTION.size:
                raise MalformedError("neighbour's hardware address is not Ethernet's")
            found = bytes(frame[place + 2 : place + _UNIT])
        place += length
    return found


def _dns_option(kind: int, lifetime: int, data: bytes) -> bytes:
    """Padded to whole units: a name of no labels ends the names (RFC 8106 5.2). b"" if empty."""
    if not data:
        return b""
    data += bytes(-len(data) % _UNIT)
    return _DNS_OPTION.pack(kind, 1 + len(data) // _UNIT, lifetime) + data


def _summed(addresses: bytes, message: bytes) -> bytes:
    total = checksum.pseudo_header_sum(addresses, ip.ICMPV6, len(message))
    check = checksum.checksum(total + checksum.word_sum(message))
    return message[:2] + check.to_bytes(2, "big") + message[4:]

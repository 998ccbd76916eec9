"""Against scapy in both directions, and what RFC 4861 6.1 and 7.1 call invalid."""

from collections.abc import Callable
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDNSSL,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
)
from scapy.packet import Packet
from scapy.utils import mac2str
from scapy.utils6 import in6_getnsma, in6_getnsmac

from rootlessnet.wire import MalformedError, domain_names, ethernet, ip, ndp
from tests.wire.oracle import patient, u8, u16, u32

MAC = "02:00:00:00:00:64"
GUEST, GATEWAY, TARGET = "fd00::64", "fd00::2", "fd00::3"

addresses = st.binary(min_size=16, max_size=16)
unicast = addresses.filter(lambda address: address[0] != 0xFF)
macs = st.binary(min_size=6, max_size=6)


def packed(*texts: str) -> bytes:
    return b"".join(IPv6Address(text).packed for text in texts)


def read(datagram: Packet) -> tuple[memoryview, ip.Packet]:
    """The packet as the gateway has it: within a frame, with its IPv6 header read."""
    data = bytes(datagram)
    packet = ip.Packet()
    packet.addresses = data[8:40]
    packet.hop_limit = data[7]
    packet.start, packet.end = 42, 2 + len(data)
    return memoryview(b"??" + data + b"??"), packet


def solicitation(*, target: str = TARGET, hlim: int = 255, code: int = 0) -> Packet:
    return IPv6(src=GUEST, dst=GATEWAY, hlim=hlim) / ICMPv6ND_NS(tgt=target, code=code)


def checked(source_and_destination: bytes, message: bytes) -> Packet:
    """The message, once scapy has come to the same lengths and checksum."""
    source = str(IPv6Address(source_and_destination[:16]))
    destination = str(IPv6Address(source_and_destination[16:]))
    head = bytes(IPv6(src=source, dst=destination, hlim=255, nh=58, plen=len(message)))
    again = IPv6(head + message)
    del again.payload.cksum
    assert bytes(again) == head + message
    return IPv6(head + message).payload


@given(unicast, macs | st.none())
@patient
def test_a_neighbour_solicitation(target: bytes, mac: bytes | None) -> None:
    packet = solicitation(target=str(IPv6Address(target)))
    if mac is not None:
        packet /= ICMPv6NDOptSrcLLAddr(lladdr=mac.hex(":"))
    assert ndp.parse_neighbor_solicitation(*read(packet)) == (target, mac)


@given(unicast, macs, st.booleans(), st.booleans(), st.booleans())
@patient
def test_a_neighbour_advertisement(
    target: bytes, mac: bytes, router: bool, solicited: bool, override: bool
) -> None:
    message = ndp.NeighborAdvertisement(target, mac, router, solicited, override)
    route = packed(GATEWAY, GUEST)
    packet = checked(route, ndp.build_neighbor_advertisement(route, message))
    assert isinstance(packet, ICMPv6ND_NA)
    flags = packet.R, packet.S, packet.O
    assert (packed(packet.tgt), flags) == (target, (router, solicited, override))
    assert mac2str(packet[ICMPv6NDOptDstLLAddr].lladdr) == mac


def test_a_router_solicitation() -> None:
    bare = IPv6(src="fe80::1", dst="ff02::2", hlim=255) / ICMPv6ND_RS()
    assert ndp.parse_router_solicitation(*read(bare)) is None
    told = bare / ICMPv6NDOptSrcLLAddr(lladdr=MAC)
    assert ndp.parse_router_solicitation(*read(told)) == mac2str(MAC)


def advertisement(domains: bytes = b"") -> ndp.RouterAdvertisement:
    return ndp.RouterAdvertisement(64, True, False, 1800, mac2str(MAC), 65520, (), (), domains, 600)


@given(u8, st.booleans(), st.booleans(), u16, macs, u32, u32)
@patient
def test_a_router_advertisement(
    hop_limit: int,
    managed: bool,
    other: bool,
    lifetime: int,
    mac: bytes,
    seconds: int,
    mtu: int,
) -> None:
    prefix = ndp.PrefixInformation(packed("fd00::"), 64, seconds, seconds // 2, other, managed)
    nameservers = (packed("fd00::3"), packed("fd00::4"))
    domains = domain_names.encode_list(["corp.example", "example.org"])
    message = ndp.RouterAdvertisement(
        hop_limit,
        managed,
        other,
        lifetime,
        mac,
        mtu,
        (prefix,),
        nameservers,
        domains,
        seconds,
    )
    route = packed("fe80::2", "ff02::1")
    packet = checked(route, ndp.build_router_advertisement(route, message))
    assert isinstance(packet, ICMPv6ND_RA)
    assert (packet.chlim, packet.M, packet.O, packet.routerlifetime) == (
        hop_limit,
        managed,
        other,
        lifetime,
    )
    assert (packet.code, packet.H, packet.prf, packet.P, packet.res) == (0, 0, 0, 0, 0)
    assert (packet.reachabletime, packet.retranstimer) == (0, 0)
    assert mac2str(packet[ICMPv6NDOptSrcLLAddr].lladdr) == mac
    assert packet[ICMPv6NDOptMTU].mtu == mtu
    option = packet[ICMPv6NDOptPrefixInfo]
    assert (option.prefix, option.prefixlen, option.L, option.A) == ("fd00::", 64, other, managed)
    assert (option.R, option.res1) == (0, 0)
    assert (option.validlifetime, option.preferredlifetime) == (seconds, seconds // 2)
    assert packet[ICMPv6NDOptRDNSS].dns == ["fd00::3", "fd00::4"]
    assert packet[ICMPv6NDOptRDNSS].lifetime == seconds
    names = [name for name in packet[ICMPv6NDOptDNSSL].searchlist if name != "."]
    assert names == ["corp.example.", "example.org."]
    assert packet[ICMPv6NDOptDNSSL].lifetime == seconds
    assert ICMPv6NDOptUnknown not in packet


def test_a_router_without_names_says_nothing_of_names() -> None:
    route = packed("fe80::2", "ff02::1")
    packet = checked(route, ndp.build_router_advertisement(route, advertisement()))
    for absent in (ICMPv6NDOptPrefixInfo, ICMPv6NDOptRDNSS, ICMPv6NDOptDNSSL):
        assert absent not in packet


@pytest.mark.parametrize("length", range(1, 20))
def test_names_are_padded(length: int) -> None:
    name = "n" * length
    route = packed("fe80::2", "ff02::1")
    encoded = domain_names.encode(name)
    assert encoded is not None
    ours = ndp.build_router_advertisement(route, advertisement(encoded))
    packet = checked(route, ours)
    assert packet[ICMPv6NDOptDNSSL].searchlist[0] == f"{name}."
    assert len(ours) % 8 == 0


@given(addresses)
@patient
def test_the_group_in_which_a_neighbour_is_asked_for(address: bytes) -> None:
    assert ndp.solicited_node(address) == in6_getnsma(address)
    assert ethernet.multicast_mac(ndp.solicited_node(address)) == mac2str(
        in6_getnsmac(in6_getnsma(address))
    )


def test_a_search_for_duplicates() -> None:
    group = str(IPv6Address(ndp.solicited_node(packed(TARGET))))
    good = IPv6(src="::", dst=group, hlim=255) / ICMPv6ND_NS(tgt=TARGET)
    assert ndp.parse_neighbor_solicitation(*read(good)) == (packed(TARGET), None)
    for bad in (
        IPv6(src="::", dst=TARGET, hlim=255) / ICMPv6ND_NS(tgt=TARGET),
        good / ICMPv6NDOptSrcLLAddr(lladdr=MAC),
    ):
        with pytest.raises(MalformedError):
            ndp.parse_neighbor_solicitation(*read(bad))


@pytest.mark.parametrize(
    "bad",
    [
        solicitation(hlim=254),
        solicitation(code=1),
        solicitation(target="ff02::1"),
        solicitation() / ICMPv6NDOptSrcLLAddr(len=0),
        solicitation() / ICMPv6NDOptSrcLLAddr(len=2),
        solicitation() / ICMPv6NDOptUnknown(type=200, len=3, data=bytes(6)),
        solicitation() / b"\1",
        solicitation() / ICMPv6NDOptSrcLLAddr(len=2) / bytes(8),
        IPv6(src=GUEST, dst=GATEWAY, hlim=255, nh=58) / bytes(ICMPv6ND_NS())[:23],
    ],
)
def test_invalid(bad: Packet) -> None:
    with pytest.raises(MalformedError):
        ndp.parse_neighbor_solicitation(*read(bad))


def test_unknown_options_are_stepped_over() -> None:
    packet = solicitation() / ICMPv6NDOptUnknown(type=200, len=2, data=bytes(14))
    told = packet / ICMPv6NDOptSrcLLAddr(lladdr=MAC) / ICMPv6NDOptSrcLLAddr()
    assert ndp.parse_neighbor_solicitation(*read(told)).source_mac == mac2str(MAC)


def test_who_has_no_address_cannot_be_told_of() -> None:
    bad = IPv6(src="::", dst="ff02::2", hlim=255) / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=MAC)
    with pytest.raises(MalformedError):
        ndp.parse_router_solicitation(*read(bad))


PARSERS: list[tuple[Callable[[memoryview, ip.Packet], object], Packet]] = [
    (ndp.parse_neighbor_solicitation, ICMPv6ND_NS(tgt=TARGET)),
    (ndp.parse_router_solicitation, ICMPv6ND_RS()),
]


@pytest.mark.parametrize(("parse", "message"), PARSERS)
@given(data=st.binary(max_size=64), keep=st.integers(0, 40))
@patient
def test_any_bytes(
    parse: Callable[[memoryview, ip.Packet], object], message: Packet, data: bytes, keep: int
) -> None:
    """They are read, or refused as malformed."""
    frame, packet = read(
        IPv6(src=GUEST, dst=GATEWAY, hlim=255, nh=58) / (bytes(message)[:keep] + data)
    )
    try:
        parse(frame, packet)
    except MalformedError:
        return
    assert packet.end - packet.start >= 8

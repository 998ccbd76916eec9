"""The invariant of the room: whatever the bytes, a parser reads them or raises MalformedError."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP
from scapy.packet import Raw

from rootlessnet.wire import MalformedError, arp, ethernet, icmp, ip, ipv4, ipv6, tcp, udp
from tests.wire.oracle import from_guest, patient

Parser = Callable[[memoryview], object]

IP_PAYLOAD = ethernet.PAYLOAD + ipv4.SIZE


def parse_tcp(frame: memoryview) -> None:
    segment = tcp.Segment()
    tcp.parse(frame, IP_PAYLOAD, len(frame), segment)
    assert len(segment.options) + len(segment.payload) + IP_PAYLOAD + tcp.SIZE == len(frame)
    mss, scale = tcp.parse_options(segment.options)
    assert 0 < mss <= 0xFFFF
    assert scale is None or 0 <= scale <= tcp.MAX_WINDOW_SCALE


def parse_ipv4(frame: memoryview) -> None:
    packet = ip.Packet()
    ipv4.parse(frame, ethernet.PAYLOAD, packet)
    assert packet.header_start + ipv4.SIZE <= packet.start <= packet.end <= len(frame)


def parse_ipv6(frame: memoryview) -> None:
    packet = ip.Packet()
    ipv6.parse(frame, ethernet.PAYLOAD, packet)
    assert packet.header_start + ipv6.SIZE <= packet.start <= packet.end <= len(frame)


EXTENSIONS = IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(nh=200)

PARSERS: dict[str, tuple[Parser, bytes]] = {
    "arp": (arp.parse, bytes(from_guest(ARP()))),
    "ipv4": (parse_ipv4, bytes(from_guest(IP(proto=200) / Raw(b"payload")))),
    "ipv6": (parse_ipv6, bytes(from_guest(IPv6() / EXTENSIONS / Raw(b"payload")))),
    "tcp": (parse_tcp, bytes(from_guest(IP() / TCP(options=[("MSS", 1), ("WScale", 1)])))),
    "udp": (
        lambda frame: udp.parse(frame, IP_PAYLOAD, len(frame)),
        bytes(from_guest(IP() / UDP() / Raw(b"payload"))),
    ),
    "icmp": (
        lambda frame: icmp.parse_echo(frame, IP_PAYLOAD, len(frame)),
        bytes(from_guest(IP() / ICMP() / Raw(b"payload"))),
    ),
}


@pytest.fixture(params=PARSERS, scope="module")
def parser(request: pytest.FixtureRequest) -> tuple[Parser, bytes]:
    return PARSERS[request.param]


@given(data=st.binary(max_size=100))
@patient
def test_random_bytes(parser: tuple[Parser, bytes], data: bytes) -> None:
    parse, _ = parser
    with suppress(MalformedError):
        parse(memoryview(data))


@given(cut=st.integers(0, 80), changes=st.dictionaries(st.integers(0, 79), st.integers(0, 255)))
@patient
def test_damaged_frames(parser: tuple[Parser, bytes], cut: int, changes: dict[int, int]) -> None:
    parse, good = parser
    frame = bytearray(good)
    for place, value in changes.items():
        frame[place % len(frame)] = value
    with suppress(MalformedError):
        parse(memoryview(frame)[: len(frame) - cut % len(frame)])


def test_the_frames_were_good(parser: tuple[Parser, bytes]) -> None:
    parse, good = parser
    parse(memoryview(good))

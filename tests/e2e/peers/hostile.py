"""A guest without manners: `hostile.py ADDRESS PORT`, as root in a guest.

It says `ready` once a connection to the echo server at ADDRESS and PORT stands; for the next line
it floods, in every way of `FLOODS` one after the other, and says which it was each time. After each
burst that connection has an exchange, so with a gateway that stops, or forgets it, a flood never
ends. It ends by itself when standard input does. Read: packet(7).
"""

import random
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count, islice
from pathlib import Path

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

INTERFACE, GATEWAY, GUEST, DNS, NOBODY = "tap0", "10.0.2.2", "10.0.2.100", "10.0.2.3", "10.0.2.77"
PREFIX_6 = "fd72:6c6e:6574::"
PATIENCE = 20.0  # seconds
BURST = 500  # frames, and then an exchange of the well-behaved connection
SOURCE_AT, PORT_AT = 14 + 12, 14 + 20  # in a frame of IPv4 without options
PACKET_VNET_HDR = 15  # linux/if_packet.h
VNET_HEADER = struct.Struct("<BBHHHH")

Frames = Iterator[bytes]


class Link:
    """The guest's interface, or another for what goes to its gateway. With `with_header`, each
    frame begins with a virtio-net header.
    """

    def __init__(
        self, target: str, port: int, *, with_header: bool = False, interface: str = INTERFACE
    ) -> None:
        self.target, self.port = target, port
        self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        if with_header:
            self.raw.setsockopt(263, PACKET_VNET_HDR, 1)  # SOL_PACKET
        self.raw.bind((interface, 0))
        entries = [line.split() for line in Path("/proc/net/arp").read_text().splitlines()]
        gateway = next(entry[3] for entry in entries if entry[0] == GATEWAY)
        self.ethernet = Ether(src=self.raw.getsockname()[4].hex(":"), dst=gateway)

    def send(self, frame: bytes) -> None:
        with suppress(OSError):  # the queue is full, or the kernel thinks it odd
            self.raw.send(frame)

    def frame(self, packet: Packet) -> bytearray:
        return bytearray(bytes(self.ethernet / packet))

    def numbered(self, packet: Packet, at: int, size: int = 2) -> Frames:
        """Frames that differ in one field, without end."""
        frame = self.frame(packet)
        for number in count(1):
            frame[at : at + size] = (number & (1 << 8 * size) - 1).to_bytes(size, "big")
            yield bytes(frame)


# ── floods: frames without end ───────────────────────────────────────────────────────────────────


def datagrams_from_every_port(link: Link) -> Frames:
    packet = IP(src=GUEST, dst=link.target) / UDP(sport=1, dport=9) / Raw(b"?" * 40)
    return link.numbered(packet, PORT_AT)


def pings_of_every_identifier(link: Link) -> Frames:
    return link.numbered(IP(src=GUEST, dst=link.target) / ICMP(id=1), PORT_AT + 4)


def dns_queries(link: Link) -> Frames:
    query = b"\0\1\1\0\0\1\0\0\0\0\0\0\7example\3org\0\0\1\0\1"
    return link.numbered(IP(src=GUEST, dst=DNS) / UDP(sport=1, dport=53) / Raw(query), PORT_AT)


def syns_that_nobody_completes(link: Link) -> Frames:
    """Of an address that no node has: the answers are lost."""
    packet = IP(src=NOBODY, dst=link.target) / TCP(sport=1, dport=link.port, flags="S")
    return link.numbered(packet, PORT_AT)


def syns_from_everywhere(link: Link) -> Frames:
    packet = IP(src="198.18.0.1", dst=link.target) / TCP(dport=link.port, flags="S")
    return link.numbered(packet, SOURCE_AT, 4)


def syns_from_every_port(link: Link) -> Frames:
    packet = IP(src=GUEST, dst=link.target) / TCP(sport=1, dport=link.port + 1, flags="S")
    return link.numbered(packet, PORT_AT)


def segments_of_no_connection(link: Link) -> Frames:
    packet = IP(src=GUEST, dst=link.target) / TCP(sport=1, dport=9, flags="A", ack=1)
    return link.numbered(packet, PORT_AT)


def fragments_without_end(link: Link) -> Frames:
    packet = IP(src=GUEST, dst=link.target, proto=17, flags="MF", id=1) / Raw(bytes(1400))
    return link.numbered(packet, 14 + 4)


def fragments_that_overlap(link: Link) -> Frames:
    for identification in count():
        for offset in (0, 100, 50, 8100, 8190):
            header = IP(src=GUEST, dst=link.target, proto=17, flags="MF", id=identification & 7)
            header.frag = offset
            yield bytes(link.frame(header / Raw(bytes(1400))))


def fragments_of_ipv6(link: Link) -> Frames:
    header = IPv6(src=f"{PREFIX_6}100", dst="2001:db8::1")
    packet = header / IPv6ExtHdrFragment(nh=17, m=1, id=1) / Raw(bytes(1232))
    return link.numbered(packet, 14 + 40 + 4, 4)


def extension_headers(link: Link) -> Frames:
    packet: Packet = IPv6(src=f"{PREFIX_6}100", dst="2001:db8::1")
    for _ in range(20):
        packet /= IPv6ExtHdrHopByHop()
    return link.numbered(packet / UDP(sport=1, dport=9), 14 + 40, 1)


def arp_of_everybody(link: Link) -> Frames:
    return link.numbered(ARP(psrc="10.0.2.1", pdst=GATEWAY), 14 + 16, 2)


def neighbours_without_end(link: Link) -> Frames:
    solicitation = IPv6(src=f"{PREFIX_6}1:1", dst="ff02::1:ff00:2") / ICMPv6ND_NS(tgt="fe80::2")
    return link.numbered(solicitation, 14 + 8 + 14)


def router_solicitations(link: Link) -> Frames:
    return link.numbered(IPv6(src="fe80::9", dst="ff02::2") / ICMPv6ND_RS(), 14 + 8 + 14)


def icmp_errors(link: Link) -> Frames:
    quote = IP(src=link.target, dst=GUEST) / TCP(sport=link.port, dport=1)
    packet = IP(src=GUEST, dst=link.target) / ICMP(type=3, code=3) / quote
    return link.numbered(packet, PORT_AT + 8 + 20 + 2)


def pings_of_ipv6(link: Link) -> Frames:
    packet = IPv6(src=f"{PREFIX_6}100", dst=f"{PREFIX_6}2") / ICMPv6EchoRequest(data=b"?" * 900)
    return link.numbered(packet, 14 + 40 + 6)


def random_frames(link: Link) -> Frames:
    source = random.Random(8)
    for _ in count():
        yield source.randbytes(source.randrange(14, 1500))


def mutated_frames(link: Link) -> Frames:
    source = random.Random(9)
    header, header_6 = (
        IP(src=GUEST, dst=link.target),
        IPv6(src=f"{PREFIX_6}100", dst=f"{PREFIX_6}3"),
    )
    seeds = [
        link.frame(one / Raw(bytes(60)))
        for one in (
            *(header / TCP(flags="S"), header / UDP(dport=53), header / ICMP(), ARP(psrc=GUEST)),
            *(header_6 / TCP(flags="S"), header_6 / UDP(dport=53), header_6 / ICMPv6EchoRequest()),
        )
    ]
    for _ in count():
        frame = bytearray(source.choice(seeds))
        for _ in range(source.randrange(1, 6)):
            frame[source.randrange(12, len(frame))] = source.randrange(256)
        yield bytes(frame[: source.randrange(14, len(frame) + 1)])


def tiny_and_giant_frames(link: Link) -> Frames:
    frame = bytes(link.frame(IP(src=GUEST, dst=link.target) / UDP(dport=9) / Raw(bytes(65000))))
    for size in count():
        yield frame[: 14 + size % 60] if size % 20 else frame


def windows_without_sense(link: Link) -> Frames:
    """Segments of the well-behaved connection's own four-tuple are left alone: of others, which
    shut their windows, shrink them, and acknowledge what was never sent.
    """
    source = random.Random(10)
    header = IP(src=NOBODY, dst=link.target)
    frames = [
        link.frame(header / TCP(sport=7, dport=link.port, flags=flags, window=window, options=more))
        for flags in ("S", "A", "PA", "FA", "SF", "")
        for window in (0, 1, 65535)
        for more in ([], [("SAck", (1, 2, 3, 4))], [("WScale", 14), ("MSS", 1)])
    ]
    for _ in count():
        frame = source.choice(frames)
        frame[PORT_AT + 4 : PORT_AT + 12] = source.randbytes(8)
        yield bytes(frame)


def odd_virtio_headers(link: Link) -> Frames:
    source = random.Random(11)
    frame = bytes(link.frame(IP(src=GUEST, dst=link.target) / TCP(flags="A") / Raw(bytes(3000))))
    for _ in count():
        flags, kind = source.choice((0, 1, 2)), source.choice((0, 1, 3, 4, 5, 0x80, 0x81))
        sizes = [source.choice((0, 1, 14, 34, 54, 100, 1460, 65535)) for _ in range(4)]
        yield VNET_HEADER.pack(flags, kind, *sizes) + frame


# Those whose flows take the longest to end come first.
FLOODS: list[tuple[Callable[[Link], Frames], int]] = [
    (mutated_frames, 500_000),
    (random_frames, 500_000),
    (tiny_and_giant_frames, 20_000),
    (datagrams_from_every_port, 10_000),
    (pings_of_every_identifier, 5_000),
    (dns_queries, 5_000),
    (syns_that_nobody_completes, 1_000),
    (windows_without_sense, 10_000),
    (syns_from_everywhere, 100_000),
    (syns_from_every_port, 100_000),
    (segments_of_no_connection, 20_000),
    (fragments_without_end, 20_000),
    (fragments_that_overlap, 2_000),
    (fragments_of_ipv6, 20_000),
    (extension_headers, 10_000),
    (arp_of_everybody, 20_000),
    (neighbours_without_end, 20_000),
    (router_solicitations, 5_000),
    (icmp_errors, 20_000),
    (pings_of_ipv6, 20_000),
    (odd_virtio_headers, 2_000),
]


# ── and what goes on meanwhile ───────────────────────────────────────────────────────────────────


class Bystander:
    """A connection with manners: it sends a line, and waits until that has come back.

    Frames are processed in their order, so by then all that were sent before have been. A burst is
    smaller than the queue of the interface, which drops what is too much: the guest's own kernel
    does, whoever reads.
    """

    def __init__(self, target: str, port: int) -> None:
        self._connected = socket.create_connection((target, port), PATIENCE)

    def exchange(self, line: bytes) -> None:
        self._connected.sendall(line)
        assert self._connected.recv(len(line), socket.MSG_WAITALL) == line


def open_link(flood: Callable[[Link], Frames], target: str, port: int, interface: str) -> Link:
    """The link that a flood needs."""
    with_header = flood is odd_virtio_headers
    return Link(target, port, with_header=with_header, interface=interface)


def hold(stack: ExitStack, target: str, port: int) -> None:
    """Slow clients: each says a letter and no more, as long as the floods take."""
    for _ in range(200):
        connected = stack.enter_context(socket.create_connection((target, port), PATIENCE))
        connected.sendall(b"G")


def main(target: str, port: str) -> None:
    bystander = Bystander(target, int(port))
    print("ready", flush=True)
    sys.stdin.readline()
    with ExitStack() as stack:
        hold(stack, target, int(port))
        for flood, frames in FLOODS:
            link = open_link(flood, target, int(port), INTERFACE)
            with link.raw:
                endless = flood(link)
                for number in range(frames // BURST):
                    for frame in islice(endless, BURST):
                        link.send(frame)
                    bystander.exchange(b"%08d" % number)
            print(flood.__name__, flush=True)
    print("done", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])

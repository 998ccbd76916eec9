"""Conversations as they really take place, for the fuzzer to begin with: tests/fuzz/corpus.

`python -m tests.fuzz.seeds` writes them there.
"""

from pathlib import Path

from scapy.layers import dns
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_Confirm,
    DHCP6_Decline,
    DHCP6_InfoRequest,
    DHCP6_Rebind,
    DHCP6_Release,
    DHCP6_Renew,
    DHCP6_Request,
    DHCP6_Solicit,
    DHCP6OptClientId,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
    DHCP6OptOptReq,
    DHCP6OptRapidCommit,
    DHCP6OptServerId,
)
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    RouterAlert,
)
from scapy.layers.l2 import ARP
from scapy.packet import Packet, Raw
from scapy.utils import mac2str

from rootlessnet.wire.tcp import ACK, FIN, PSH, RST, SYN, build_options
from tests.fuzz.schedule import encode
from tests.stack.far_end import Kind
from tests.stack.ordeal import (
    CLIENT,
    CLIENT_PORT,
    GUEST_PORT,
    Arrival,
    DatagramEvent,
    DatagramKind,
    Event,
    Frame,
    Pause,
    Segment,
    Step,
    Twist,
)
from tests.stack.world import (
    DNS,
    DNS_6,
    GATEWAY,
    GATEWAY_6,
    GUEST,
    GUEST_6,
    REMOTE_6,
    echo,
    tcp,
    udp,
)
from tests.wire.oracle import GATEWAY_MAC, GUEST_MAC, fragment, from_guest

CORPUS = Path(__file__).parent / "corpus"
LINK_LOCAL = "fe80::ff:fe00:64"
SERVER = DHCP6OptServerId(duid=DUID_LL(lladdr=GATEWAY_MAC))
INBOUND = 4  # `which` of the first inbound four-tuple
IPV6 = 8  # the same of IPv6


def segment(
    flags: int,
    ahead: int = 0,
    acked: int = 0,
    *,
    which: int = 0,
    window: int = 64000,
    length: int = 0,
    options: bytes = b"",
) -> Segment:
    return Segment(which, flags, ahead, acked, window, length, options)


def event(kind: Kind, amount: int = 0) -> Event:
    return Event(0, kind, amount)


def frame(packet: Packet) -> Frame:
    return Frame(bytes(from_guest(packet)))


def dhcp(kind: str, *options: tuple[str | int, str | bytes], src: str = "0.0.0.0") -> Packet:
    """A message of a client of DHCP's."""
    head = IP(src=src, dst="255.255.255.255") / UDP(sport=68, dport=67)
    bootp = BOOTP(chaddr=mac2str(GUEST_MAC), hlen=6, ciaddr=src)
    return head / bootp / DHCP(options=[("message-type", kind), *options, "end"])


def dhcpv6(message: Packet) -> Packet:
    """A message of a client of DHCPv6's."""
    client = DHCP6OptClientId(duid=DUID_LL(lladdr=GUEST_MAC))
    head = IPv6(src=LINK_LOCAL, dst="ff02::1:2", hlim=1) / UDP(sport=546, dport=547)
    return head / message / client


def opened(which: int = 0, *, scale: int | None = 7, window: int = 64000) -> list[Step]:
    """An outbound connection."""
    return [
        segment(SYN, 1000, which=which, window=window, options=build_options(1460, scale)),
        event(Kind.CONNECTED),
        Pause(1),
        segment(ACK, 0, 1, which=which, window=window),
    ]


def accepted(family: int = 0) -> list[Step]:
    """An inbound connection."""
    which = family + INBOUND
    return [
        Arrival(which if family else 0),
        segment(SYN | ACK, 3000, 1, which=which, options=build_options(1460, 7)),
        Pause(1),
    ]


def conversations() -> dict[str, list[Step]]:
    """By name."""
    association = DHCP6OptIA_NA(iaid=1, ianaopts=[DHCP6OptIAAddress(addr="fd00::15")])
    request = segment(PSH | ACK, length=80)
    fin, close = segment(FIN | ACK), event(Kind.CLOSES)
    acknowledged = segment(ACK, 0, 1)
    return {
        "fetch": [
            *opened(),
            request,
            Pause(2),
            event(Kind.SENDS, 200),
            segment(ACK, 0, 3200),
            close,
            segment(FIN | ACK, 0, 1),
            Pause(2000),
        ],
        "half-close": [
            *opened(),
            request,
            fin,
            Pause(2),
            event(Kind.SENDS, 5),
            segment(ACK, 0, 80),
            close,
            acknowledged,
        ],
        "both-close-at-once": [*opened(), close, fin, acknowledged, Pause(500), fin],
        "tombstone-and-again": [*opened(), close, segment(FIN | ACK, 0, 1), Pause(1), *opened()],
        "refused": [
            segment(SYN, 1000),
            event(Kind.FAILED),
            segment(SYN, 1000),
            event(Kind.FAILED, 1),
            event(Kind.FAILS_AT_ONCE, 2),
            segment(SYN, 1000),
        ],
        "resets": [*opened(), segment(RST, 5), segment(RST), *opened(1), event(Kind.RESETS)],
        "loss": [
            *opened(),
            segment(ACK, 100, length=100),
            segment(ACK, 50, length=80),
            Pause(1),
            segment(ACK, length=60),
            segment(ACK, 100, length=50),
            segment(FIN | ACK, 20),
        ],
        "guest-acknowledges-late": [
            *opened(),
            event(Kind.SENDS, 1000),
            Pause(300),
            segment(ACK, 0, 1460),
            acknowledged,
            acknowledged,
            acknowledged,
            Pause(5000),
            close,
        ],
        "window-shut": [
            *opened(window=1000, scale=None),
            event(Kind.SENDS, 100),
            segment(ACK, 0, 1000, window=0),
            Pause(1000),
            segment(ACK, window=5000),
            Pause(1),
        ],
        "host-stalls": [
            *opened(),
            event(Kind.STALLS, 100),
            segment(ACK, length=20_000),
            Pause(5),
            segment(ACK, length=20_000),
            event(Kind.GOES_ON),
            fin,
            event(Kind.BREAKS),
        ],
        "inbound": [
            *accepted(),
            event(Kind.SENDS, 10),
            segment(ACK, 0, 160, which=INBOUND),
            segment(FIN | PSH | ACK, which=INBOUND, length=9),
            close,
        ],
        "inbound-refused": [Arrival(1), segment(RST | ACK, 0, 1, which=INBOUND + 1)],
        "both-open-at-once": [
            Arrival(2),
            segment(SYN, 500, which=INBOUND + 2),
            Pause(1),
            segment(SYN | ACK, -1, 1, which=INBOUND + 2),
            segment(ACK, 0, 1, which=INBOUND + 2),
        ],
        "udp": [
            frame(udp()),
            DatagramEvent(0, DatagramKind.RECEIVED, b"answer"),
            DatagramEvent(0, DatagramKind.TIME_EXCEEDED, b"payload"),
            Pause(31_000),
            frame(udp(sport=GUEST_PORT)),
            DatagramEvent(1, DatagramKind.RECEIVED, b"question"),
        ],
        "ping": [
            frame(echo()),
            DatagramEvent(0, DatagramKind.RECEIVED, b"\0\0\0\0\0\1\0\1data"),
            frame(echo(dst=GATEWAY)),
            DatagramEvent(0, DatagramKind.TIME_EXCEEDED, b"\x08" * 8),
        ],
        "dns": [
            frame(udp(bytes(dns.DNS(qd=dns.DNSQR(qname="example.org"))), dst=DNS, dport=53)),
            DatagramEvent(0, DatagramKind.ANSWERED, b"answer"),
            frame(tcp("S", dst=DNS, dport=53)),
        ],
        "arp": [
            frame(ARP(hwsrc=GUEST_MAC, psrc=GUEST, pdst=GATEWAY)),
            frame(ARP(op=2, hwsrc=GUEST_MAC, psrc=GUEST, pdst=GATEWAY)),
        ],
        "fetch-by-ipv6": [
            *opened(IPV6),
            segment(PSH | ACK, which=IPV6, length=80),
            Pause(2),
            event(Kind.SENDS, 200),
            segment(ACK, 0, 3200, which=IPV6),
            close,
            segment(FIN | ACK, 0, 1, which=IPV6),
            Pause(2000),
        ],
        "inbound-by-ipv6": [
            *accepted(IPV6),
            event(Kind.SENDS, 10),
            segment(ACK, 0, 160, which=IPV6 + INBOUND),
            segment(FIN | PSH | ACK, which=IPV6 + INBOUND, length=9),
            close,
        ],
        "udp-by-ipv6": [
            frame(udp(dst=REMOTE_6)),
            DatagramEvent(0, DatagramKind.RECEIVED, b"answer"),
            DatagramEvent(0, DatagramKind.TIME_EXCEEDED, b"payload"),
            DatagramEvent(0, DatagramKind.TOO_LARGE, b"payload"),
            frame(udp(dst=DNS_6, dport=53)),
            DatagramEvent(0, DatagramKind.ANSWERED, b"answer"),
        ],
        "published-udp-in-the-other-family": [
            DatagramEvent(0, DatagramKind.RECEIVED, b"question"),
            frame(refusal_of_the_first_client()),
            frame(udp(b"answer", dst=GATEWAY_6, dport=CLIENT_PORT, sport=GUEST_PORT)),
        ],
        "ping-by-ipv6": [
            frame(echo(dst=REMOTE_6)),
            DatagramEvent(0, DatagramKind.RECEIVED, b"\x81\0\0\0\0\1\0\1data"),
            frame(echo(dst=GATEWAY_6)),
            DatagramEvent(0, DatagramKind.TIME_EXCEEDED, b"\x80" * 8),
        ],
        "neighbours": [
            frame(
                IPv6(src=GUEST_6, dst="ff02::1:ff00:2", hlim=255)
                / ICMPv6ND_NS(tgt=GATEWAY_6)
                / ICMPv6NDOptSrcLLAddr(lladdr=GUEST_MAC)
            ),
            frame(IPv6(src="::", dst="ff02::1:ff00:2", hlim=255) / ICMPv6ND_NS(tgt=GATEWAY_6)),
            frame(IPv6(src="::", dst="ff02::2", hlim=255) / ICMPv6ND_RS()),
            frame(
                IPv6(src="::", dst="ff02::16", hlim=1)
                / IPv6ExtHdrHopByHop(options=[RouterAlert()])
                / ICMPv6MLReport2()
            ),
        ],
        "extension-headers": [
            frame(extended(IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt())),
            frame(extended(IPv6ExtHdrRouting(segleft=1, addresses=[REMOTE_6]))),
            frame(extended(IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0xC2)]))),
            frame(extended(IPv6ExtHdrFragment(m=0, id=3) / IPv6ExtHdrDestOpt())),
        ],
        "fragments-of-ipv6": [
            frame(
                IPv6(src=GUEST_6, dst=REMOTE_6)
                / IPv6ExtHdrFragment(nh=17, id=5, offset=at // 8, m=at == 0)
                / Raw(bytes(udp(bytes(40), dst=REMOTE_6).payload)[at : at + 24])
            )
            for at in (24, 0)
        ],
        "dhcp": [
            frame(dhcp("discover", (55, b"\1\3\6\x77"), ("client_id", b"\0me"))),
            frame(dhcp("request", ("requested_addr", "10.0.2.100"), ("server_id", GATEWAY))),
            Pause(60_000),
            frame(dhcp("request", src=GUEST)),
            frame(dhcp("request", ("requested_addr", "192.0.2.9"))),
            frame(dhcp("decline", ("requested_addr", "10.0.2.100"))),
            frame(dhcp("inform", src=GUEST)),
            frame(dhcp("release", src=GUEST)),
        ],
        "dhcpv6": [
            *(
                frame(dhcpv6(kind / association))
                for kind in (
                    DHCP6_Solicit(),
                    DHCP6_Solicit() / DHCP6OptRapidCommit(),
                    DHCP6_Request() / SERVER,
                    DHCP6_Renew() / SERVER,
                    DHCP6_Rebind(),
                    DHCP6_Confirm(),
                    DHCP6_Decline() / SERVER,
                    DHCP6_Release() / SERVER,
                )
            ),
            frame(dhcpv6(DHCP6_InfoRequest() / DHCP6OptOptReq(reqopts=[23, 24, 32]))),
        ],
        "router": [
            frame(IPv6(src="::", dst="ff02::2", hlim=255) / ICMPv6ND_RS()),
            frame(
                IPv6(src=LINK_LOCAL, dst="ff02::2", hlim=255)
                / ICMPv6ND_RS()
                / ICMPv6NDOptSrcLLAddr(lladdr=GUEST_MAC)
            ),
            Pause(60_000),
            frame(IPv6(src=GUEST_6, dst=GATEWAY_6, hlim=255) / ICMPv6ND_NA(tgt=GUEST_6)),
        ],
        "fragments": [
            *map(frame, fragment(udp(bytes(200)), 64)),
            *map(frame, reversed(fragment(echo(bytes(100)), 48))),
        ],
        "twisted": [*opened(), Twist(0, b"\x01\x05\x04\x01"), request, Twist(60, b""), request],
    }


def extended(chain: Packet) -> Packet:
    """A datagram behind extension headers."""
    chain.lastlayer().nh = 17
    return IPv6(src=GUEST_6, dst=REMOTE_6) / chain / udp(dst=REMOTE_6).payload


def refusal_of_the_first_client() -> Packet:
    """Of a published UDP port, by a guest that listens there in IPv6 alone."""
    sent = bytes(udp(b"question", dst=GUEST, dport=GUEST_PORT, sport=CLIENT_PORT, src=CLIENT))
    return IP(src=GUEST, dst=CLIENT) / ICMP(type=3, code=3) / Raw(sent)


def write(directory: Path) -> None:
    """A file for each conversation."""
    directory.mkdir(exist_ok=True)
    for name, steps in conversations().items():
        (directory / name).write_bytes(encode(steps))


if __name__ == "__main__":
    write(CORPUS)

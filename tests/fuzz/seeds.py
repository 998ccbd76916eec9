"""Conversations as they really take place, for the fuzzer to begin with: tests/fuzz/corpus.

`python -m tests.fuzz.seeds` writes them there.
"""

from pathlib import Path

from scapy.layers import dns
from scapy.layers.l2 import ARP
from scapy.packet import Packet

from rootlessnet.wire.tcp import ACK, FIN, PSH, RST, SYN, build_options
from tests.fuzz.schedule import encode
from tests.stack.far_end import Kind
from tests.stack.ordeal import (
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
from tests.stack.world import DNS, GATEWAY, GUEST, echo, tcp, udp
from tests.wire.oracle import GUEST_MAC, fragment, from_guest

CORPUS = Path(__file__).parent / "corpus"
INBOUND = 4  # `which` of the first inbound four-tuple


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


def opened(which: int = 0, *, scale: int | None = 7, window: int = 64000) -> list[Step]:
    """An outbound connection."""
    return [
        segment(SYN, 1000, which=which, window=window, options=build_options(1460, scale)),
        event(Kind.CONNECTED),
        Pause(1),
        segment(ACK, 0, 1, which=which, window=window),
    ]


def accepted() -> list[Step]:
    """An inbound connection."""
    return [
        Arrival(0),
        segment(SYN | ACK, 3000, 1, which=INBOUND, options=build_options(1460, 7)),
        Pause(1),
    ]


def conversations() -> dict[str, list[Step]]:
    """By name."""
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
        "fragments": [
            *map(frame, fragment(udp(bytes(200)), 64)),
            *map(frame, reversed(fragment(echo(bytes(100)), 48))),
        ],
        "twisted": [*opened(), Twist(0, b"\x01\x05\x04\x01"), request, Twist(60, b""), request],
    }


def write(directory: Path) -> None:
    """A file for each conversation."""
    directory.mkdir(exist_ok=True)
    for name, steps in conversations().items():
        (directory / name).write_bytes(encode(steps))


if __name__ == "__main__":
    write(CORPUS)

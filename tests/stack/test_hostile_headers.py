"""Headers that lie: options, lengths, offsets, checksums, offload, addresses, ports, fragments.

Read: RFC 791 3.1, RFC 1122 3.2.1.3 (addresses that none may send from), RFC 1858 (tiny and
overlapping fragments), RFC 9293 3.1 and 3.2, RFC 7323 2, virtio 1.2 5.1.6.
"""

from struct import pack

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw

from rootlessnet.tcp.interface import LEAST_MSS
from tests.stack.far_end import HostSocket
from tests.stack.ordeal import Ordeal
from tests.stack.tcp_guest import ISN, said
from tests.stack.victims import victim
from tests.stack.world import DNS, GATEWAY, GUEST, REMOTE, tcp, udp
from tests.wire.oracle import fragment, from_guest

MSS = 1460  # of our side, at the MTU of 1500
NOP, END = b"\x01", b"\x00"


def with_options(options: bytes, flags: str = "S", seq: int = ISN, ack: int = 0) -> Packet:
    """A segment with these very bytes for options, which the header's length includes."""
    options += bytes(-len(options) % 4)
    header = TCP(sport=40000, dport=80, flags=flags, seq=seq, ack=ack, window=64000)
    header.dataofs = 5 + len(options) // 4
    return IP(src=GUEST, dst=REMOTE) / header / Raw(options)


def opened(ordeal: Ordeal, syn: Packet) -> tuple[HostSocket, Packet]:
    """The host socket for this SYN, and the answer."""
    ordeal.send(syn)
    host = ordeal.host.sockets[-1]
    host.connection.accept(ordeal.now)
    return host, ordeal.heard_one()


def dropped(ordeal: Ordeal, frame: bytes | memoryview) -> bool:
    """Whether the gateway counts this frame as malformed and says nothing."""
    before = ordeal.gateway.dropped["malformed"]
    ordeal.gateway.receive(memoryview(frame), ordeal.now)
    ordeal.check()
    return ordeal.heard() == [] and ordeal.gateway.dropped["malformed"] == before + 1


# ── TCP options ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "mss", "scale"),
    [
        (b"", 536, None),
        (NOP * 40, 536, None),
        (END * 40, 536, None),
        (b"\x02\x04\x00\x00", 536, None),
        (b"\x02\x04\x00\x01", LEAST_MSS, None),
        (b"\x02\x04\x00\x2f", LEAST_MSS, None),
        (b"\x02\x04\x00\x31", 49, None),
        (b"\x02\x04\xff\xff", MSS, None),
        (b"\x02\x04\x01\xf4\x02\x04\x02\x58", 600, None),  # twice: the last, as in Linux
        (b"\x03\x03\x0f", 536, 14),
        (b"\x03\x03\xff", 536, 14),
        (b"\x03\x03\x00", 536, 0),
        (b"\x03\x03\x02\x03\x03\x05", 536, 5),
        (b"\x02\x00\x02\x04\x02\x58", 536, None),  # of length 0
        (b"\x02\x01\x02\x04\x02\x58", 536, None),  # of length 1
        (b"\xfe\x00" * 20, 536, None),
        (b"\x02\x04\x02\x58" + b"\x03\xff\x07", 600, None),  # beyond the header
        (NOP * 38 + b"\x02\x04", 536, None),  # only the beginning of one
        (NOP * 39 + b"\x02", 536, None),
        (NOP * 37 + b"\x02\x04\x02", 536, None),
        (b"\x02\x03\x02" + b"\x03\x04\x07\x07" + b"\x02\x04\x02\x58", 600, None),  # wrong sizes
        (END + b"\x02\x04\x02\x58", 536, None),  # behind the end
        (b"\x08\x0a\x00\x00", 536, None),  # a quarter of a timestamp
        (b"\x04\x02\x05\x22" + b"\xff" * 32, 536, None),  # SACK blocks on a SYN
        (b"\xfd\x24" + b"\xff" * 34 + b"\x03\x03\x07", 536, 7),  # unknown ones are stepped over
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else str(value),
)
def test_options_of_a_syn(ordeal: Ordeal, options: bytes, mss: int, scale: int | None) -> None:
    host, answer = opened(ordeal, with_options(options))
    assert (answer[TCP].flags, answer[TCP].ack) == ("SA", ISN + 1)
    heard = dict(answer[TCP].options)
    assert (heard["MSS"], "WScale" in heard) == (MSS, scale is not None)
    assert host.connection.snd_mss == mss
    assert host.connection._snd_scale == (scale or 0)


@pytest.mark.parametrize(
    "options",
    [
        b"\x02\x04\x00\x01\x03\x03\x0e",  # MSS and scale are of a SYN only
        NOP * 40,
        b"\x05\x00" * 20,
        NOP * 2 + b"\x05\x0a" + pack("!II", 0, 0xFFFFFFFF),  # SACK of everything
        NOP * 2 + b"\x05\x0a" + pack("!II", 5000, 1000),  # and of less than nothing
        NOP * 2 + b"\x08\x0a" + b"\xff" * 8,
    ],
    ids=bytes.hex,
)
def test_options_amid_a_connection_change_nothing(ordeal: Ordeal, options: bytes) -> None:
    one = victim(ordeal)
    mss = one.host.connection.snd_mss
    one.host.connection.send(b"response", ordeal.now)
    ordeal.heard()
    assert one.hears(with_options(options, "A", one.seq, one.ack)) == []
    assert one.host.connection.snd_mss == mss
    assert one.host.connection.snd_una == one.ack
    ordeal.pass_time(0.5)
    assert said(ordeal.heard()[0]) == ("PA", one.ack, one.seq, b"response")


def test_a_tiny_mss_does_not_make_a_frame_stand_for_65_000_segments(ordeal: Ordeal) -> None:
    host, answer = opened(ordeal, with_options(b"\x02\x04\x00\x01"))
    ordeal.send(tcp("A", seq=ISN + 1, ack=answer[TCP].seq + 1))
    host.connection.send(bytes(host.connection.room()), ordeal.now)
    header, _ = ordeal.link.written[0]
    assert int.from_bytes(header[4:6], "little") == LEAST_MSS


# ── lengths, offsets and checksums ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("words", [0, 1, 4, 7, 15])
def test_a_tcp_header_that_does_not_fit(ordeal: Ordeal, words: int) -> None:
    """Below 5 words it has no room for itself; these others lie beyond the packet."""
    one = victim(ordeal)
    packet = one.segment("PA", payload=b"text")
    packet[TCP].dataofs = words
    assert dropped(ordeal, from_guest(packet))
    assert one.host.delivered == b""


@pytest.mark.parametrize("size", range(20))
def test_a_tcp_header_cut_short(ordeal: Ordeal, size: int) -> None:
    header = bytes(TCP(sport=40000, dport=80, flags="S"))[:size]
    assert dropped(ordeal, from_guest(IP(src=GUEST, dst=REMOTE, proto=6) / Raw(header)))


@pytest.mark.parametrize("length", [0, 1, 19, 39, 45, 1500, 0xFFFF])
def test_an_ip_length_that_lies(ordeal: Ordeal, length: int) -> None:
    """44 is the truth."""
    packet = victim(ordeal).segment("PA", payload=b"text")
    packet[IP].len = length
    assert dropped(ordeal, from_guest(packet))


def test_what_lies_behind_the_packet_is_padding(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    packet = one.segment("PA", payload=b"text and padding")
    packet[IP].len = 44
    one.hears(packet)
    assert one.host.delivered == b"text"


@pytest.mark.parametrize("words", [0, 4, 10, 15])
def test_an_ip_header_size_that_lies(ordeal: Ordeal, words: int) -> None:
    """What is behind it is read as the segment: at worst one of another connection."""
    one = victim(ordeal)
    packet = one.segment("A")
    packet[IP].ihl = words
    ordeal.gateway.receive(from_guest(packet), ordeal.now)
    ordeal.check()
    assert (one.state, one.host.delivered) == ("ESTABLISHED", b"")


@pytest.mark.parametrize("version", [0, 5, 6, 15])
def test_another_version_of_ip(ordeal: Ordeal, version: int) -> None:
    packet = tcp("S")
    packet[IP].version = version
    assert dropped(ordeal, from_guest(packet))


def test_checksums_are_not_looked_at(ordeal: Ordeal) -> None:
    """The link is memory; whoever forges a sum cheats nobody but themselves."""
    one = victim(ordeal)
    packet = one.segment("PA", payload=b"text")
    packet[IP].chksum, packet[TCP].chksum = 0xDEAD, 0xBEEF
    one.hears(packet)
    assert one.host.delivered == b"text"


@pytest.mark.parametrize("size", range(0, 64, 3))
def test_a_frame_cut_short(ordeal: Ordeal, size: int) -> None:
    assert dropped(ordeal, from_guest(tcp("A"))[:size])


# ── the virtio-net header ────────────────────────────────────────────────────────────────────────

NONSENSE = [
    b"\xff" * 10,
    pack("<BBHHHH", 0, 1, 0, 0, 0, 0),
    pack("<BBHHHH", 1, 1, 0xFFFF, 1, 0xFFFF, 0xFFFF),
    pack("<BBHHHH", 1, 5, 0, 0, 0, 0),
    pack("<BBHHHH", 0, 0x85, 9, 1, 1, 1),
    pack("<BBHHHH", 1, 4, 54, 0xFFFF, 34, 16),
    pack("<BBHHHH", 2, 77, 1, 2, 3, 4),
]


@pytest.mark.parametrize("vnet", NONSENSE, ids=bytes.hex)
def test_an_offload_header_that_lies_about_a_segment(ordeal: Ordeal, vnet: bytes) -> None:
    """Of a segment it tells nothing that the segment itself does not tell."""
    one = victim(ordeal)
    ordeal.send(one.segment("PA", payload=b"text"), vnet)
    assert one.host.delivered == b"text"


@pytest.mark.parametrize("vnet", NONSENSE, ids=bytes.hex)
def test_an_offload_header_that_lies_about_a_datagram(ordeal: Ordeal, vnet: bytes) -> None:
    """The host is told of segments only by the type that has them."""
    ordeal.send(udp(b"payload"), vnet)
    ((payload, _, segment),) = ordeal.host.udp[0].sent
    is_udp = vnet[1] & 0x7F == 5
    assert (payload, segment) == (b"payload", int.from_bytes(vnet[4:6], "little") * is_udp)


@pytest.mark.parametrize("length", [0, 7, 16, 0xFFFF])
def test_a_udp_length_that_lies(ordeal: Ordeal, length: int) -> None:
    packet = udp(b"payload")
    packet[UDP].len = length
    assert dropped(ordeal, from_guest(packet))


# ── addresses and ports ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "source",
    [GATEWAY, DNS, REMOTE, "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.2.255"],
)
@pytest.mark.parametrize(
    "packet",
    [
        tcp("S"),
        tcp("A", ack=1),
        udp(dport=53, dst=DNS),
        IP(dst=GATEWAY) / ICMP(),
        IP(dst=REMOTE, proto=99),
    ],
    ids=["SYN", "ACK", "DNS", "echo", "unknown protocol"],
)
def test_a_source_that_cannot_be(ordeal: Ordeal, packet: Packet, source: str) -> None:
    """Nothing is opened for it and nothing sent to it, a broadcast above all."""
    forged = packet.copy()
    forged[IP].src = source
    sockets = len(ordeal.host.sockets)
    ordeal.send(forged)
    assert ordeal.heard() == []
    assert ordeal.gateway.dropped["foreign source"] == 1
    assert (len(ordeal.host.sockets), ordeal.host.udp, ordeal.host.queries) == (sockets, [], [])


def test_another_address_of_the_guest_s_network_has_its_own_connections(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    other = one.segment("R")
    other[IP].src = "10.0.2.50"
    assert one.hears(other) == []
    assert one.state == "ESTABLISHED"


@pytest.mark.parametrize("flags", ["S", "A", "SF"])
@pytest.mark.parametrize("address", [GUEST, "10.0.2.50"])
def test_a_packet_to_its_own_sender(ordeal: Ordeal, address: str, flags: str) -> None:
    """A land attack gets one answer, which is none of the things that are answered again."""
    packet = tcp(flags, src=address, dst=address, sport=80, dport=80)
    answer = ordeal.ask(packet)
    if "S" in flags:
        assert (answer[ICMP].type, answer[ICMP].code) == (3, 1)
    else:
        assert answer[TCP].flags == "R"
    assert len(ordeal.gateway.tcp) == 1


@pytest.mark.parametrize("flags", ["S", "A", "FA", "", "R", "SA", "FSRPAU"])
@pytest.mark.parametrize(
    "destination", ["224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "10.0.2.255"]
)
def test_segments_to_many_are_not_answered(ordeal: Ordeal, destination: str, flags: str) -> None:
    sockets = len(ordeal.host.sockets)
    ordeal.send(tcp(flags, dst=destination))
    assert ordeal.heard() == []
    assert len(ordeal.host.sockets) == sockets


@pytest.mark.parametrize(("sport", "dport"), [(0, 80), (40000, 0), (0, 0), (65535, 65535)])
def test_ports_at_the_edges_are_ports(ordeal: Ordeal, sport: int, dport: int) -> None:
    ordeal.send(tcp("S", sport=sport, dport=dport))
    host = ordeal.host.sockets[-1]
    assert host.targets == ((REMOTE, dport),)
    host.connection.accept(ordeal.now)
    answer = ordeal.heard_one()
    assert (answer[TCP].sport, answer[TCP].dport) == (dport, sport)


# ── fragments of segments ────────────────────────────────────────────────────────────────────────


def pieces(packet: Packet, size: int, identification: int = 1) -> list[Packet]:
    packet[IP].id = identification
    return fragment(IP(bytes(packet)), size)


def test_a_tiny_first_fragment_is_judged_with_the_rest(ordeal: Ordeal) -> None:
    """RFC 1858 3: its flags are in the second, where a filter of fragments would not look."""
    one = victim(ordeal)
    for part in reversed(pieces(one.segment("PA", payload=b"text"), 8)):
        assert one.host.delivered == b""
        ordeal.send(part)
    assert one.host.delivered == b"text"


@pytest.mark.parametrize("place", [1, 2])
def test_a_fragment_that_overlaps_the_header_condemns_the_segment(
    ordeal: Ordeal, place: int
) -> None:
    """RFC 1858 4: the SYN of one becomes the RST of another."""
    one = victim(ordeal)
    parts = pieces(one.segment("PA", payload=b"some text"), 16)
    forged = pieces(one.segment("RA", payload=b"some text"), 8)[place]
    for part in (parts[0], forged, *parts[1:]):
        ordeal.send(part)
    assert (one.state, one.host.delivered) == ("ESTABLISHED", b"")
    assert ordeal.gateway.dropped["malformed"] >= 1
    ordeal.pass_time(60)
    assert one.hears(one.segment("PA", payload=b"later")) in ([], [one.truth])
    assert one.host.delivered == b"later"


def test_a_lone_middle_of_a_segment_is_nothing(ordeal: Ordeal) -> None:
    for identification in range(1000):
        packet = IP(src=GUEST, dst=REMOTE, proto=6, id=identification, frag=2, flags="MF")
        ordeal.send(packet / Raw(bytes(8)))
    ordeal.check()
    assert ordeal.heard() == []

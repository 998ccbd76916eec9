"""The gateway is a hop: a TTL ends here or goes on with one less, and DF goes on as it is meant.

Read: RFC 1812 4.2.2.9 and 5.3.1, RFC 1122 3.2.2 (what no error may tell of).
"""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw

from rootlessnet.stack.host import PMTU_DO, PMTU_DONT, PMTU_WANT
from rootlessnet.wire import vnet
from tests.stack.world import DNS, GATEWAY, GUEST, REMOTE, World, echo, tcp, udp
from tests.wire.oracle import fragment

TO_MANY = ["224.0.0.1", "239.255.255.250", "255.255.255.255", "10.0.2.255"]


def with_ttl(packet: Packet, ttl: int) -> Packet:
    packet[IP].ttl = ttl
    return packet


def quote_of(answer: Packet) -> bytes:
    """What an ICMP error quotes; scapy takes what follows 128 bytes for extensions (RFC 4884)."""
    return bytes(answer[IP])[28:]


# ── a TTL that ends here ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ttl", [0, 1])
@pytest.mark.parametrize(
    "packet",
    [
        udp(b"probe"),
        udp(bytes(1000)),
        udp(b"probe", src="10.0.2.50"),
        echo(b"probe"),
        tcp("S"),
        IP(src=GUEST, dst=REMOTE, proto=200) / Raw(b"12345678"),
        IP(src=GUEST, dst=REMOTE, proto=1),
    ],
    ids=lambda packet: packet.summary(),
)
def test_time_exceeded(packet: Packet, ttl: int) -> None:
    world, packet = World(), with_ttl(packet.copy(), ttl)
    answer = world.ask(packet)
    assert (answer[IP].src, answer[IP].dst) == (GATEWAY, packet[IP].src)
    assert (answer[ICMP].type, answer[ICMP].code) == (11, 0)
    assert quote_of(answer) == bytes(packet)[:548]
    assert world.gateway.dropped["hop limit"] == 1
    assert [world.host.udp, world.host.tcp, world.host.echo] == [[], [], []]


@pytest.mark.parametrize(
    "packet",
    [
        *(udp(dst=destination) for destination in TO_MANY),
        *(IP(src=GUEST, dst=REMOTE) / ICMP(type=kind) / udp() for kind in (3, 4, 5, 11, 12)),
    ],
    ids=lambda packet: packet.summary(),
)
def test_no_error_tells_of_these(packet: Packet) -> None:
    world = World()
    world.send(with_ttl(packet.copy(), 1))
    assert world.heard() == []
    ends_here = packet[IP].dst in TO_MANY  # on this link, whatever its TTL
    assert world.gateway.dropped["hop limit"] == (not ends_here)


def test_no_error_goes_to_many() -> None:
    world = World()
    world.send(with_ttl(udp(src="10.0.2.255"), 1))
    assert world.heard() == []
    assert world.gateway.dropped["foreign source"] == 1


def test_one_error_tells_of_all_fragments() -> None:
    """A router does not put them together: it answers the first, whenever that comes."""
    world = World()
    first, *others = fragment(with_ttl(udp(bytes(3000)), 1), 1480)
    for one in (*others, first):
        assert world.heard() == []
        world.send(one)
    assert quote_of(world.heard_one()) == bytes(first)[:548]


# ── what is for the stack itself has arrived ─────────────────────────────────────────────────────


@pytest.mark.parametrize("address", [GATEWAY, DNS])
def test_the_gateway_answers_whatever_the_ttl(address: str) -> None:
    assert World().ask(with_ttl(echo(dst=address), 1))[ICMP].type == 0


def test_a_query_is_asked_whatever_the_ttl() -> None:
    world = World()
    world.send(with_ttl(udp(b"query", dst=DNS, dport=53), 1))
    assert [query for query, _ in world.host.queries] == [b"query"]


def test_the_host_is_as_far_as_the_gateway() -> None:
    world = World(host_loopback=True)
    world.send(with_ttl(udp(dst=GATEWAY), 1))
    assert [hop_limit for hop_limit, _ in world.host.udp[0].carried] == [0]  # a socket takes 1


# ── what goes on ─────────────────────────────────────────────────────────────────────────────────


def test_each_datagram_has_its_own_ttl() -> None:
    world = World()
    for ttl in (64, 2, 255):
        world.send(with_ttl(udp(), ttl))
        world.send(with_ttl(echo(), ttl))
    for socket in (*world.host.udp, *world.host.echo):
        assert [hop_limit for hop_limit, _ in socket.carried] == [63, 1, 254]


@pytest.mark.parametrize(
    ("flags", "identification", "discovery"),
    [
        ("DF", 0, PMTU_DO),  # IP_PMTUDISC_DO or _PROBE
        ("DF", 7, PMTU_WANT),  # what Linux does unasked
        (0, 7, PMTU_DONT),
        (0, 0, PMTU_DONT),
    ],
)
def test_who_asks_for_the_path_s_mtu(flags: str | int, identification: int, discovery: int) -> None:
    world = World()
    for packet in (udp(), echo()):
        packet[IP].flags, packet[IP].id = flags, identification
        world.send(packet)
    assert [*world.host.udp[0].carried, *world.host.echo[0].carried] == [(63, discovery)] * 2


@pytest.mark.parametrize("flags", ["", "DF"])  # DF even there: RFC 6864 has it
def test_what_came_in_fragments_may_leave_in_fragments(flags: str) -> None:
    world, packet = World(), udp(bytes(3000))
    packet[IP].id = 7
    for one in fragment(packet, 1480):
        if flags:
            one[IP].flags |= flags
        world.send(one)
    (socket,) = world.host.udp
    assert socket.sent == [(bytes(3000), (REMOTE, 7000), 0)]
    assert socket.carried == [(63, PMTU_DONT)]


# ── quotes of what was sent ──────────────────────────────────────────────────────────────────────


def quoted(answer: Packet) -> Packet:
    return IP(quote_of(answer))


@pytest.mark.parametrize("seen", [0, 5, 12, 500])
def test_a_datagram_of_which_the_host_saw_the_beginning(seen: int) -> None:
    """A router owes no more than 8 bytes: not even the length reaches the host."""
    world, packet = World(), udp(bytes(range(250)) * 4)
    world.send(udp(b"another", dport=9))
    world.send(packet)
    beginning = bytes(packet[UDP].payload)[:seen]
    world.host.udp[0].receiver.failed(beginning, (REMOTE, 7000), 11, 0, "198.51.100.1", 0)
    quote = quoted(world.heard_one())
    assert (quote.src, quote.dst, quote.ttl, quote.len) == (GUEST, REMOTE, 1, 1028)
    assert (quote[UDP].sport, quote[UDP].dport, quote[UDP].len) == (4000, 7000, 1008)
    assert bytes(quote[UDP].payload) == beginning


def test_a_datagram_of_a_burst() -> None:
    world = World()
    uso = vnet.HEADER.pack(vnet.NEEDS_CSUM, vnet.GSO_UDP_L4, 42, 1200, 34, 6)
    world.send(udp(bytes(3000)), uso)
    world.host.udp[0].receiver.failed(b"", (REMOTE, 7000), 3, 3, REMOTE, 0)
    assert quoted(world.heard_one())[UDP].len == 1208


def test_an_error_is_about_one_flow_of_a_socket() -> None:
    world = World()
    for dst, dport in ((REMOTE, 7000), (REMOTE, 7001), ("192.0.2.9", 7000)):
        world.send(udp(b"probe", dst=dst, dport=dport))
    (socket,) = world.host.udp
    for dst, dport in ((REMOTE, 7001), ("192.0.2.9", 7000)):
        socket.receiver.failed(b"", (dst, dport), 3, 3, dst, 0)
        quote = quoted(world.heard_one())
        assert (quote.dst, quote[UDP].dport) == (dst, dport)
    for nobody in (("192.0.2.9", 7001), (REMOTE, 0)):
        socket.receiver.failed(b"", nobody, 3, 3, REMOTE, 0)
    assert world.heard() == []


@pytest.mark.parametrize("seen", [8, 12, 508])
@pytest.mark.parametrize("identifier", [0, 1, 77, 0xFFFF])
@pytest.mark.parametrize("host_s", [0, 77, 0xFFFF])
def test_an_echo_of_which_the_host_saw_the_beginning(
    seen: int, identifier: int, host_s: int
) -> None:
    world = World()
    packet = echo(bytes(range(250)) * 2, identifier=identifier, sequence=3)
    world.send(packet)
    theirs = bytes(ICMP(type=8, id=host_s, seq=3) / Raw(bytes(range(250)) * 2))
    receiver = world.host.echo[0].receiver
    receiver.failed(theirs[:seen], (REMOTE, 0), 11, 0, "198.51.100.1", 0)
    quote = quoted(world.heard_one())
    assert (quote.src, quote.dst, quote.ttl, quote.len) == (GUEST, REMOTE, 1, 528)
    assert bytes(quote[ICMP]) == bytes(packet[ICMP])[:seen]  # to the checksum over all of it


@pytest.mark.parametrize("code", range(16))
def test_every_reason_reaches_the_guest(code: int) -> None:
    world = World()
    world.send(udp())
    world.host.udp[0].receiver.failed(b"payload", (REMOTE, 7000), 3, code, REMOTE, 1000)
    answer = world.heard_one()
    assert (answer[ICMP].type, answer[ICMP].code) == (3, code)
    assert bytes(answer[ICMP])[4:8] == (b"\0\0\3\xe8" if code == 4 else bytes(4))


def test_a_parameter_problem_points_at_an_octet() -> None:
    world = World()
    world.send(udp())
    world.host.udp[0].receiver.failed(b"payload", (REMOTE, 7000), 12, 0, REMOTE, 20)
    answer = world.heard_one()
    assert (answer[ICMP].type, answer[ICMP].ptr) == (12, 20)


@pytest.mark.parametrize("kind", [0, 4, 5, 8, 200])
def test_the_network_gives_the_guest_no_advice(kind: int) -> None:
    """Ping sockets report redirects and source quenches too: they were for the host."""
    world = World()
    world.send(echo())
    world.host.echo[0].receiver.failed(bytes(ICMP()), (REMOTE, 0), kind, 0, REMOTE, 0)
    assert world.heard() == []


@pytest.mark.parametrize(
    ("told", "passed_on"),
    [(0, 68), (67, 68), (68, 68), (1400, 1400), (1500, 1500), (1 << 31, 1500)],
)
def test_the_path_s_mtu_makes_sense(told: int, passed_on: int) -> None:
    world = World()
    world.send(udp())
    world.host.udp[0].receiver.failed(b"payload", (REMOTE, 7000), 3, 4, REMOTE, told)
    assert world.heard_one()[ICMP].nexthopmtu == passed_on


@pytest.mark.parametrize("offender", ["127.0.0.1", "0.0.0.0", "10.0.2.2", "10.0.2.3", "10.0.2.100"])
def test_nobody_speaks_for_the_guest_s_network(offender: str) -> None:
    world = World()
    world.send(udp())
    world.host.udp[0].receiver.failed(b"payload", (REMOTE, 7000), 3, 3, offender, 0)
    assert world.heard_one()[IP].src == GATEWAY


def test_an_error_about_a_flow_that_has_ended() -> None:
    world = World()
    world.send(udp())
    receiver = world.host.udp[0].receiver
    world.pass_time(60)
    receiver.failed(b"payload", (REMOTE, 7000), 3, 3, REMOTE, 0)
    assert world.heard() == []


def test_what_the_host_refuses_is_quoted_in_part() -> None:
    world = World()
    world.send(udp(bytes(30_000)))
    world.host.udp[0].receiver.refused(bytes(30_000), (REMOTE, 7000), 101)
    answer = world.heard_one()
    assert len(answer[IP]) == 576
    assert quoted(answer)[UDP].len == 30_008
    assert TCP not in answer

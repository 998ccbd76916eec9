"""The built-in DNS address: queries over UDP and connections are handed over."""

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from tests.stack.world import DNS, DNS_6, GUEST, GUEST_6, World, assert_unreachable, tcp, udp


def test_a_query_is_handed_over() -> None:
    world = World()
    world.send(udp(b"query", dst=DNS, dport=53, sport=5353))
    ((query, answer),) = world.host.queries
    assert query == b"query"
    assert world.heard() == []
    answer(b"answer")
    packet = world.heard_one()
    assert (packet[IP].src, packet[UDP].sport) == (DNS, 53)
    assert (packet[IP].dst, packet[UDP].dport) == (GUEST, 5353)
    assert bytes(packet[UDP].payload) == b"answer"
    assert len(world.gateway.udp) == 0


def test_the_same_over_ipv6() -> None:
    world = World()
    world.send(udp(b"query", src=GUEST_6, dst=DNS_6, dport=53, sport=5353))
    ((_, answer),) = world.host.queries
    answer(b"answer")
    packet = world.heard_one()
    assert (packet[IPv6].src, packet[UDP].sport, packet[UDP].dport) == (DNS_6, 53, 5353)
    world.send(tcp("S", src=GUEST_6, dst=DNS_6, dport=53))
    packet = world.heard_one()
    assert (packet[IPv6].src, packet[TCP].sport, packet[TCP].flags) == (DNS_6, 53, "SA")
    assert len(world.host.dns) == 1


def test_answers_find_their_query_in_any_order() -> None:
    world = World()
    for port in (1, 2):
        world.send(udp(b"%d" % port, dst=DNS, dport=53, sport=port))
    for query, answer in reversed(world.host.queries):
        answer(query)
    assert [(p[UDP].dport, bytes(p[UDP].payload)) for p in world.heard()] == [(2, b"2"), (1, b"1")]


def test_a_large_answer_is_in_fragments() -> None:
    world = World()
    world.send(udp(b"query", dst=DNS, dport=53))
    world.host.queries[0][1](bytes(4000))
    assert [one[IP].frag * 8 for one in world.heard()] == [0, 1480, 2960]


def test_a_connection_is_accepted_and_handed_over() -> None:
    world = World()
    answer = world.ask(tcp("S", seq=1000, dst=DNS, dport=53))
    assert (answer[IP].src, answer[TCP].sport, answer[TCP].flags) == (DNS, 53, "SA")
    (names,) = world.host.dns
    seq = answer[TCP].seq + 1
    world.send(tcp("PA", seq=1001, ack=seq, payload=b"query", dst=DNS, dport=53))
    assert names.calls == ["established"]
    assert names.delivered == b"query"
    names.connection.send(b"answer", world.now)
    assert bytes(world.heard()[0][TCP].payload) == b"answer"
    assert world.host.tcp == []


def test_a_connection_to_another_port_is_refused() -> None:
    world = World()
    assert world.ask(tcp("S", dst=DNS, dport=853))[TCP].flags == "RA"
    assert (world.host.tcp, world.host.dns) == ([], [])


def test_a_datagram_to_another_port_is_refused() -> None:
    world = World()
    packet = udp(dst=DNS, dport=853)
    assert_unreachable(world.ask(packet), packet, 3, DNS)


@pytest.mark.parametrize("packet", [udp(dst=DNS, dport=53), tcp("S", dst=DNS, dport=53)])
def test_without_a_forwarder_it_is_an_address_like_any_other(packet: Packet) -> None:
    """Of the guest's own network, where nobody else is."""
    world = World(dns=False)
    assert_unreachable(world.ask(packet), packet, 1)
    assert (world.host.queries, world.host.dns) == ([], [])

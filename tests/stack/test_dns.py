"""The built-in DNS address: queries over UDP and connections are handed over."""

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6

from rootlessnet.wire.icmp import Reason
from tests.stack.side import Side
from tests.stack.world import World, assert_unreachable, fragment_of


def test_a_query_is_handed_over(side: Side) -> None:
    world = World()
    world.send(side.udp(b"query", dst=side.dns, dport=53, sport=5353))
    ((query, answer),) = world.host.queries
    assert query == b"query"
    assert world.heard() == []
    answer(b"answer")
    packet = world.heard_one()
    assert (packet[side.ip].src, packet[UDP].sport) == (side.dns, 53)
    assert (packet[side.ip].dst, packet[UDP].dport) == (side.guest, 5353)
    assert bytes(packet[UDP].payload) == b"answer"
    assert len(world.gateway.udp) == 0


def test_answers_find_their_query_in_any_order(side: Side) -> None:
    world = World()
    for port in (1, 2):
        world.send(side.udp(b"%d" % port, dst=side.dns, dport=53, sport=port))
    for query, answer in reversed(world.host.queries):
        answer(query)
    assert [(p[UDP].dport, bytes(p[UDP].payload)) for p in world.heard()] == [(2, b"2"), (1, b"1")]


def test_a_large_answer_is_in_fragments(side: Side) -> None:
    world = World()
    world.send(side.udp(b"query", dst=side.dns, dport=53))
    world.host.queries[0][1](bytes(4000))
    step = (1500 - side.header_size - (8 if side.ip is IPv6 else 0)) & ~7
    assert [fragment_of(one)[0] for one in world.heard()] == [0, step, 2 * step]


def test_a_connection_is_accepted_and_handed_over(side: Side) -> None:
    world = World()
    answer = world.ask(side.tcp("S", seq=1000, dst=side.dns, dport=53))
    assert (answer[side.ip].src, answer[TCP].sport, answer[TCP].flags) == (side.dns, 53, "SA")
    (names,) = world.host.dns
    seq = answer[TCP].seq + 1
    world.send(side.tcp("PA", seq=1001, ack=seq, payload=b"query", dst=side.dns, dport=53))
    assert names.calls == ["established"]
    assert names.delivered == b"query"
    names.connection.send(b"answer", world.now)
    assert bytes(world.heard()[0][TCP].payload) == b"answer"
    assert world.host.tcp == []


def test_a_connection_to_another_port_is_refused(side: Side) -> None:
    world = World()
    assert world.ask(side.tcp("S", dst=side.dns, dport=853))[TCP].flags == "RA"
    assert (world.host.tcp, world.host.dns) == ([], [])


def test_a_datagram_to_another_port_is_refused(side: Side) -> None:
    world = World()
    packet = side.udp(dst=side.dns, dport=853)
    assert_unreachable(world.ask(packet), packet, side.errors[Reason.PORT_UNREACHABLE][1], side.dns)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_without_a_forwarder_it_is_an_address_like_any_other(side: Side, protocol: str) -> None:
    """Of the guest's own network, where nobody else is."""
    world = World(dns=False)
    if protocol == "udp":
        packet = side.udp(dst=side.dns, dport=53)
    else:
        packet = side.tcp("S", dst=side.dns, dport=53)
    assert_unreachable(world.ask(packet), packet, side.errors[Reason.HOST_UNREACHABLE][1])
    assert (world.host.queries, world.host.dns) == ([], [])

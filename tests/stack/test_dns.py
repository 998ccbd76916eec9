"""The built-in DNS address: queries over UDP are handed over, connections go to a nameserver."""

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6

from tests.stack.side import Side
from tests.stack.world import World, fragment_of


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


def test_a_connection_goes_to_the_nameservers_in_their_order(side: Side) -> None:
    world = World()
    world.send(side.tcp("S", dst=side.dns, dport=53))
    (host,) = world.host.tcp
    assert host.targets == world.host.servers
    host.connection.accept(world.now)
    answer = world.heard_one()
    assert (answer[side.ip].src, answer[TCP].sport, answer[TCP].flags) == (side.dns, 53, "SA")


def test_a_connection_without_nameservers_is_refused(side: Side) -> None:
    world = World()
    world.host.servers = []
    assert world.ask(side.tcp("S", dst=side.dns, dport=53))[TCP].flags == "RA"
    assert world.host.tcp == []

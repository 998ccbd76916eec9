"""The built-in DNS address: queries over UDP are handed over, connections go to a nameserver."""

from scapy.layers.inet import IP, TCP, UDP

from tests.stack.world import DNS, GUEST, World, tcp, udp


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


def test_a_connection_goes_to_the_nameservers_in_their_order() -> None:
    world = World()
    world.send(tcp("S", dst=DNS, dport=53))
    (host,) = world.host.tcp
    assert host.targets == world.host.servers
    host.connection.accept(world.now)
    answer = world.heard_one()
    assert (answer[IP].src, answer[TCP].sport, answer[TCP].flags) == (DNS, 53, "SA")


def test_a_connection_without_nameservers_is_refused() -> None:
    world = World()
    world.host.servers = []
    assert world.ask(tcp("S", dst=DNS, dport=53))[TCP].flags == "RA"
    assert world.host.tcp == []

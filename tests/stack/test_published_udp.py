"""Published UDP ports: clients speak first, the guest sees who they are, flows end alone."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
from scapy.packet import Packet, Raw

from rootlessnet.bounds import Bounds
from rootlessnet.stack.host import SocketAddress
from tests.stack import world as world_module
from tests.stack.world import GATEWAY, GATEWAY_6, GUEST, GUEST_6, World, head, packet, udp

SWEEP = 5.1  # seconds by which the end of a flow may be late
CLIENT = ("192.0.2.77", 50000)


def seen(world: World) -> list[tuple[str, int, bytes]]:
    """Source, port and payload of what reaches the guest's port 5000."""
    packets = world.heard()
    assert all((one[IP].dst, one[UDP].dport) == (GUEST, 5000) for one in packets)
    return [(one[IP].src, one[UDP].sport, bytes(one[UDP].payload)) for one in packets]


def answer(world: World, payload: bytes, to: SocketAddress) -> None:
    world.send(udp(payload, dst=to[0], dport=to[1], sport=5000))


@pytest.mark.parametrize(
    ("client", "appears"),
    [
        (CLIENT, CLIENT),
        (("127.0.0.1", 50000), (GATEWAY, 50000)),
        (("::1", 50000), (GATEWAY, 50000)),
        (("2001:db8::1", 50000), (GATEWAY, 50000)),
        (("10.0.2.9", 50000), (GATEWAY, 50000)),
    ],
)
def test_there_and_back(client: SocketAddress, appears: SocketAddress) -> None:
    world = World(ipv6=False)
    _, socket = world.publish(5000)
    for number in (b"1", b"2"):
        world.receive(socket, number, client)
        assert seen(world) == [(*appears, number)]
    answer(world, b"answer", appears)
    assert socket.sent == [(b"answer", client, 0)]
    assert len(world.gateway.udp) == 1
    assert world.host.udp == []


def test_another_address_of_the_guest_s() -> None:
    world = World()
    _, socket = world.publish(5000, bytes([10, 0, 2, 101]))
    world.receive(socket, b"hello", CLIENT)
    packet = world.heard_one()
    assert (packet[IP].dst, packet[UDP].dport) == ("10.0.2.101", 5000)
    address, port = CLIENT
    world.send(udp(b"answer", dst=address, dport=port, sport=5000, src="10.0.2.101"))
    assert socket.sent == [(b"answer", CLIENT, 0)]
    assert world.host.udp == []


def test_clients_that_look_alike_get_ports_of_their_own() -> None:
    world = World(ipv6=False)
    _, socket = world.publish(5000)
    clients = [("127.0.0.1", 65535), ("127.0.0.2", 65535), ("::1", 65535), ("::1", 1)]
    for client in clients:
        world.receive(socket, b"hello", client)
    appear = [(address, port) for address, port, _ in seen(world)]
    assert appear == [(GATEWAY, port) for port in (65535, 1, 2, 3)]
    for client, appears in zip(clients, appear, strict=True):
        answer(world, b"answer", appears)
        assert socket.sent[-1] == (b"answer", client, 0)


def test_a_flow_of_the_guest_s_is_not_taken_over() -> None:
    """The guest has sent from the published port to what is now a client's address and port."""
    world = World()
    answer(world, b"outbound", CLIENT)
    _, socket = world.publish(5000)
    world.receive(socket, b"inbound", CLIENT)
    assert seen(world) == [(CLIENT[0], CLIENT[1] + 1, b"inbound")]
    answer(world, b"outbound", CLIENT)
    assert len(world.host.udp[0].sent) == 2
    assert socket.sent == []


def test_flows_end_but_the_port_stays() -> None:
    world = World()
    _, socket = world.publish(5000)
    world.receive(socket, b"hello", CLIENT)
    world.pass_time(130)
    assert (len(world.gateway.udp), socket.closed) == (0, False)
    world.receive(socket, b"hello again", CLIENT)
    assert len(seen(world)) == 2


@pytest.mark.parametrize(("answers", "seconds"), [(False, 30), (True, 120)])
def test_a_flow_ends_sooner_without_an_answer(answers: bool, seconds: int) -> None:
    """Nor is a client two-way that goes on talking to nobody."""
    world = World()
    _, socket = world.publish(5000)
    for _ in range(3):
        world.receive(socket, b"hello", CLIENT)
        world.pass_time(10)
    world.receive(socket, b"hello", CLIENT)
    if answers:
        answer(world, b"answer", CLIENT)
    world.pass_time(seconds - 1)
    assert len(world.gateway.udp) == 1
    world.pass_time(1 + SWEEP)
    assert len(world.gateway.udp) == 0


def test_at_the_bound_the_longest_idle_client_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(udp_flows=3))
    world = World()
    _, socket = world.publish(5000)
    for number in (1, 2, 3, 1, 4):  # 1 is heard of again: 2 is the oldest
        world.now += 1
        world.receive(socket, b"hello", (CLIENT[0], number))
    world.heard()
    assert (len(world.gateway.udp), socket.closed) == (3, False)
    for number in (1, 3, 4):
        answer(world, b"answer", (CLIENT[0], number))
    assert [remote[1] for _, remote, _ in socket.sent] == [1, 3, 4]
    assert world.host.udp == []
    answer(world, b"answer", (CLIENT[0], 2))  # of whom nobody knows any more
    assert len(world.host.udp) == 1


def test_withdrawing_a_port() -> None:
    world = World()
    port, socket = world.publish(5000)
    for client in (CLIENT, ("127.0.0.1", 9)):
        world.receive(socket, b"hello", client)
    port.withdraw()
    assert socket.closed
    assert len(world.gateway.udp) == 0
    answer(world, b"late", CLIENT)  # is a datagram of the guest's like any other
    assert world.host.udp[0].sent == [(b"late", CLIENT, 0)]


def test_an_error_reaches_the_guest() -> None:
    world = World()
    _, socket = world.publish(5000)
    world.receive(socket, b"hello", CLIENT)
    world.heard()
    socket.receiver.failed(b"answer", CLIENT, 3, 3, CLIENT[0], 0)
    assert world.heard_one()[IP].src == CLIENT[0]


# ── a server that listens in one family alone ────────────────────────────────────────────────────


def refusal(datagram: Packet) -> Packet:
    """What the guest's kernel says when nobody listens."""
    sent = head(datagram)
    unreachable = ICMPv6DestUnreach(code=4) if IPv6 in datagram else ICMP(type=3, code=3)
    return packet(sent.src, sent.dst) / unreachable / Raw(bytes(sent)[:1232])


@pytest.mark.parametrize("hello", [b"", b"hello"])
@pytest.mark.parametrize(
    ("client", "first", "second"),
    [
        (("2001:db8::7", 50000), ("2001:db8::7", GUEST_6), (GATEWAY, GUEST)),
        (("::1", 50000), (GATEWAY_6, GUEST_6), (GATEWAY, GUEST)),
        (CLIENT, (CLIENT[0], GUEST), (GATEWAY_6, GUEST_6)),
    ],
)
def test_a_client_is_led_to_the_other_family(
    client: SocketAddress, first: tuple[str, str], second: tuple[str, str], hello: bytes
) -> None:
    world = World()
    _, socket = world.publish(5000)
    world.receive(socket, hello, client)
    asked = world.heard_one()
    assert (head(asked).src, head(asked).dst) == first
    again = world.ask(refusal(asked))
    assert (head(again).src, head(again).dst, again[UDP].sport) == (*second, 50000)
    assert bytes(again[UDP].payload) == hello
    answer(world, b"answer", (second[0], 50000))
    assert socket.sent == [(b"answer", client, 0)]
    # Those who come after it are led there at once.
    world.receive(socket, b"hello", (client[0], 50001))
    assert head(world.heard_one()).dst == second[1]
    assert len(world.gateway.udp) == 2


def test_a_guest_that_listens_in_no_family_is_asked_twice_for_each_datagram() -> None:
    world = World()
    _, socket = world.publish(5000)
    for _ in range(3):
        world.receive(socket, b"hello", CLIENT)
        world.send(refusal(world.ask(refusal(world.heard_one()))))
        assert world.heard() == []
        assert len(world.gateway.udp) == 0


def test_what_the_guest_s_kernel_did_not_quote_in_full_is_lost() -> None:
    world = World()
    _, socket = world.publish(5000)
    world.receive(socket, bytes(1400), ("2001:db8::7", 50000))
    world.send(refusal(world.heard_one()))
    assert world.heard() == []
    world.receive(socket, b"hello", ("2001:db8::7", 50000))
    assert head(world.heard_one()).dst == GUEST


def test_what_a_new_client_has_sent_as_a_burst_is_led_to_the_other_family_too() -> None:
    """Of a burst a guest's kernel would tell as if it had been one datagram."""
    world = World()
    _, socket = world.publish(5000)
    world.receive(socket, b"12345", CLIENT, segment=2)
    asked = world.heard()
    assert [bytes(one[UDP].payload) for one in asked] == [b"12", b"34", b"5"]
    again = world.ask(refusal(asked[0]))
    assert (head(again).dst, bytes(again[UDP].payload)) == (GUEST_6, b"12")


def test_a_refused_burst_is_not_made_one_datagram() -> None:
    world = World()
    _, socket = world.publish(5000)
    world.receive(socket, b"12", CLIENT)
    world.heard()
    world.receive(socket, b"34567", CLIENT, segment=2)
    world.send(refusal(world.heard_one()))
    assert world.heard() == []


@pytest.mark.parametrize("ipv6", [False, True])
def test_a_guest_that_has_spoken_is_not_left(ipv6: bool) -> None:
    """Nor is there another family in a guest without IPv6."""
    world = World(ipv6=ipv6)
    _, socket = world.publish(5000)
    world.receive(socket, b"hello", CLIENT)
    asked = world.heard_one()
    if ipv6:
        answer(world, b"answer", CLIENT)
    world.send(refusal(asked))
    assert world.heard() == []
    world.receive(socket, b"hello", CLIENT)
    assert head(world.heard_one()).dst == GUEST

"""What the guest may reach, protocol by protocol, and what it is told when it may not."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.packet import Packet

from rootlessnet.stack.host import SocketAddress
from tests.stack.world import (
    DNS,
    GATEWAY,
    GUEST,
    World,
    assert_unreachable,
    echo,
    network,
    tcp,
    udp,
)

NET, HOST, PORT = 0, 1, 3  # the codes of ICMP's destination unreachable, RFC 792

REFUSED = [
    *((address, NET) for address in ("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3")),
    *((address, HOST) for address in ("10.0.2.50", "10.0.2.0", GUEST)),
]
TO_MANY = ["10.0.2.255", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"]
REACHED = ["192.0.2.1", "10.0.3.2", "128.0.0.1", "126.0.0.1", "223.255.255.254"]


def reached(world: World) -> list[SocketAddress]:
    """Where the host was asked to send or to connect to."""
    return [
        *(remote for socket in world.host.udp + world.host.echo for _, remote, _ in socket.sent),
        *(target for socket in world.host.tcp for target in socket.targets),
    ]


def packets(destination: str) -> dict[str, Packet]:
    return {
        "tcp": tcp("S", dst=destination),
        "udp": udp(dst=destination),
        "echo": echo(dst=destination),
    }


PROTOCOLS = list(packets(GATEWAY))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("host_loopback", [False, True])
@pytest.mark.parametrize(("destination", "code"), REFUSED)
def test_refused(destination: str, code: int, host_loopback: bool, protocol: str) -> None:
    world, packet = World(host_loopback=host_loopback), packets(destination)[protocol]
    assert_unreachable(world.ask(packet), packet, code)
    assert reached(world) == []
    assert len(world.gateway.tcp) == len(world.gateway.udp) == len(world.gateway.echo) == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("destination", TO_MANY)
def test_silence(destination: str, protocol: str) -> None:
    world = World(host_loopback=True)
    world.send(packets(destination)[protocol])
    assert world.heard() == []
    assert reached(world) == []


@pytest.mark.parametrize(("protocol", "port"), [("tcp", 80), ("udp", 7000), ("echo", 0)])
@pytest.mark.parametrize("destination", REACHED)
def test_reached(destination: str, protocol: str, port: int) -> None:
    world = World()
    world.send(packets(destination)[protocol])
    assert reached(world) == [(destination, port)]
    assert world.heard() == []


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_gateway_without_host_loopback(protocol: str) -> None:
    world, packet = World(), packets(GATEWAY)[protocol]
    assert_unreachable(world.ask(packet), packet, NET)
    assert reached(world) == []


@pytest.mark.parametrize(("protocol", "port"), [("tcp", 80), ("udp", 7000)])
def test_the_gateway_with_host_loopback(protocol: str, port: int) -> None:
    world = World(host_loopback=True)
    world.send(packets(GATEWAY)[protocol])
    assert reached(world) == [("127.0.0.1", port)]


@pytest.mark.parametrize("host_loopback", [False, True])
@pytest.mark.parametrize("address", [GATEWAY, DNS])
def test_the_stack_answers_echo_itself(address: str, host_loopback: bool) -> None:
    world = World(host_loopback=host_loopback)
    answer = world.ask(echo(b"payload", address, identifier=5, sequence=6))
    assert (answer[IP].src, answer[IP].dst) == (address, GUEST)
    assert (answer[ICMP].type, answer[ICMP].id, answer[ICMP].seq) == (0, 5, 6)
    assert bytes(answer[ICMP].payload) == b"payload"
    assert reached(world) == []


def test_nothing_but_dns_at_the_dns_address() -> None:
    world, datagram = World(host_loopback=True), udp(dst=DNS, dport=5353)
    assert_unreachable(world.ask(datagram), datagram, PORT, source=DNS)
    assert world.ask(tcp("S", dst=DNS))[TCP].flags == "RA"
    assert reached(world) == []


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", GATEWAY),
        ("127.8.8.8", GATEWAY),
        ("0.0.0.0", GATEWAY),
        ("::1", GATEWAY),
        ("fe80::1%eth0", GATEWAY),
        ("10.0.2.50", GATEWAY),  # would not be sent to the gateway
    ],
)
def test_how_a_client_appears(address: str, seen: str) -> None:
    assert network().client(address) == bytes(map(int, seen.split(".")))

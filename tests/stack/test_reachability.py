"""What the guest may reach, protocol by protocol, and what it is told when it may not."""

from ipaddress import ip_address

import pytest
from scapy.layers.inet import TCP
from scapy.packet import Packet

from rootlessnet.stack.host import SocketAddress
from rootlessnet.stack.reach import Reach
from rootlessnet.wire import ip
from tests.stack.world import (
    DNS,
    DNS_6,
    GATEWAY,
    GATEWAY_6,
    GATEWAY_LINK_LOCAL,
    GUEST,
    GUEST_6,
    World,
    assert_unreachable,
    echo,
    head,
    network,
    tcp,
    udp,
)

NET, HOST, PORT = 0, 1, 3  # the codes of ICMP's destination unreachable, RFC 792
NET_6, HOST_6, PORT_6 = 0, 3, 4  # those of ICMPv6, RFC 4443

LOOPBACK_SPELLINGS = [
    "::",
    "::1",
    "::127.0.0.1",  # IPv4-compatible
    "::ffff:127.0.0.1",  # IPv4-mapped
    "::ffff:0.0.0.0",
    "::ffff:10.0.2.2",
    "::ffff:192.0.2.1",  # nor any other: IPv4 has a way of its own
    "::ffff:0:127.0.0.1",  # RFC 2765
    "64:ff9b::127.0.0.1",  # NAT64
    "64:ff9b::127.1.2.3",
    "64:ff9b::0.0.0.0",
    "64:ff9b::10.0.2.2",
    "64:ff9b:1::127.0.0.1",  # RFC 8215
    "2002:7f00:1::",  # 6to4
    "2002:7fff:fffe:1::1",
    "2002::1",
    "2002:a00:202::1",
    "64:ff9b::224.0.0.1",
    "64:ff9b::255.255.255.255",
    "64:ff9b::10.0.2.255",
    "2002:ffff:ffff::1",
]
METADATA = [
    *("169.254.169.254", "169.254.0.1", "169.254.255.254", "169.254.170.2"),
    *("100.100.100.200", "168.63.129.16"),
    *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe"),
    *("64:ff9b::169.254.169.254", "64:ff9b::a9fe:1", "2002:a9fe:a9fe::1"),
]
REFUSED = [
    *((address, NET) for address in ("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3")),
    *((address, HOST) for address in ("10.0.2.50", "10.0.2.0", GUEST)),
    *((address, NET_6) for address in LOOPBACK_SPELLINGS),
    *((address, HOST_6) for address in ("fd00::50", "fd00::", GUEST_6, "fe80::1", "febf::1")),
]
TO_MANY = [
    *("10.0.2.255", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("ff02::1", "ff02::1:ff00:2", "ff0e::1"),
]
REACHED = [
    *("192.0.2.1", "10.0.3.2", "128.0.0.1", "126.0.0.1", "223.255.255.254"),
    *("169.253.255.255", "169.255.0.1", "100.100.100.201", "fd00:ec1::254", "fd00:ec3::1"),
    *("2001:db8::1", "fd00:1::2", "fd00:0:0:1::2", "64:ff9b::c000:201", "2002:c000:201::1"),
]


PROHIBITED, PROHIBITED_6 = 13, 1


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
@pytest.mark.parametrize("host_loopback", [False, True])
@pytest.mark.parametrize("destination", METADATA)
def test_metadata_is_prohibited(destination: str, host_loopback: bool, protocol: str) -> None:
    world, packet = World(host_loopback=host_loopback), packets(destination)[protocol]
    code = PROHIBITED_6 if ":" in destination else PROHIBITED
    assert_unreachable(world.ask(packet), packet, code)
    assert reached(world) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("destination", METADATA)
def test_metadata_that_is_given(destination: str, protocol: str) -> None:
    world = World(reach=Reach(metadata=True))
    world.send(packets(destination)[protocol])
    ((address, _),) = reached(world)
    assert ip_address(address) == ip_address(destination)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "destination", ["192.0.2.1", "2001:db8::1", "64:ff9b::192.0.2.1", "2002:c000:201::1"]
)
def test_addresses_that_are_refused_besides(destination: str, protocol: str) -> None:
    """As they stand at that moment, alone and within others."""
    refused = {ip_address(one).packed for one in ("192.0.2.1", "2001:db8::1")}
    world, packet = World(reach=Reach(refused=refused)), packets(destination)[protocol]
    code = PROHIBITED_6 if ":" in destination else PROHIBITED
    assert_unreachable(world.ask(packet), packet, code)
    assert reached(world) == []
    refused.clear()
    world.send(packet)
    ((address, _),) = reached(world)
    assert ip_address(address) == ip_address(destination)


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


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_guest_without_ipv6_reaches_nothing_by_it(protocol: str) -> None:
    world = World(ipv6=False)
    world.send(packets("2001:db8::1")[protocol])
    assert (world.heard(), reached(world)) == ([], [])
    assert world.gateway.dropped["unknown protocol"] == 1


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(("gateway", "code"), [(GATEWAY, NET), (GATEWAY_6, NET_6)])
def test_the_gateway_without_host_loopback(gateway: str, code: int, protocol: str) -> None:
    world, packet = World(), packets(gateway)[protocol]
    assert_unreachable(world.ask(packet), packet, code)
    assert reached(world) == []


@pytest.mark.parametrize(("protocol", "port"), [("tcp", 80), ("udp", 7000)])
@pytest.mark.parametrize(("gateway", "loopback"), [(GATEWAY, "127.0.0.1"), (GATEWAY_6, "::1")])
def test_the_gateway_with_host_loopback(
    gateway: str, loopback: str, protocol: str, port: int
) -> None:
    world = World(host_loopback=True)
    world.send(packets(gateway)[protocol])
    assert reached(world) == [(loopback, port)]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_link_local_address_of_the_gateway_leads_nowhere(protocol: str) -> None:
    world, packet = World(host_loopback=True), packets(GATEWAY_LINK_LOCAL)[protocol]
    answer = world.ask(packet)
    source = GATEWAY_LINK_LOCAL if protocol == "udp" else GATEWAY_6
    assert_unreachable(answer, packet, HOST_6, source)
    assert reached(world) == []


TO_HOST = {(ip.TCP, 80): 8080, (ip.UDP, 7000): 53}


@pytest.mark.parametrize("host_loopback", [False, True])
@pytest.mark.parametrize(
    ("gateway", "first", "second"),
    [(GATEWAY, "127.0.0.1", "::1"), (GATEWAY_6, "::1", "127.0.0.1")],
)
def test_single_ports_of_the_host(
    gateway: str, first: str, second: str, host_loopback: bool
) -> None:
    """TCP goes to the loopback of the other family where that of the gateway refuses."""
    world = World(host_loopback=host_loopback, to_host=TO_HOST)
    world.send(packets(gateway)["tcp"])
    world.send(packets(gateway)["udp"])
    assert reached(world) == [(first, 53), (first, 8080), (second, 8080)]


@pytest.mark.parametrize(("gateway", "code"), [(GATEWAY, NET), (GATEWAY_6, NET_6)])
def test_no_other_port_of_the_host(gateway: str, code: int) -> None:
    """Neither with the other protocol, nor by the host's own number."""
    world = World(to_host=TO_HOST)
    for packet in (
        tcp("S", dst=gateway, dport=7000),
        udp(dst=gateway, dport=80),
        udp(dst=gateway, dport=53),
    ):
        assert_unreachable(world.ask(packet), packet, code)
    assert reached(world) == []


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_single_ports_are_those_of_the_gateway(address: str) -> None:
    world = World(to_host=TO_HOST)
    world.send(packets(address)["tcp"])
    assert reached(world) == [(address, 80)]


@pytest.mark.parametrize("host_loopback", [False, True])
@pytest.mark.parametrize("address", [GATEWAY, DNS, GATEWAY_6, DNS_6, GATEWAY_LINK_LOCAL])
def test_the_stack_answers_echo_itself(address: str, host_loopback: bool) -> None:
    world = World(host_loopback=host_loopback)
    answer = world.ask(echo(b"payload", address, identifier=5, sequence=6))
    guest, kind = (GUEST_6, 129) if ":" in address else (GUEST, 0)
    assert (head(answer).src, head(answer).dst) == (address, guest)
    message = head(answer).payload
    assert (message.type, message.id, message.seq) == (kind, 5, 6)
    assert bytes(message)[8:] == b"payload"
    assert reached(world) == []


@pytest.mark.parametrize(("address", "code"), [(DNS, PORT), (DNS_6, PORT_6)])
def test_nothing_but_dns_at_the_dns_address(address: str, code: int) -> None:
    world, datagram = World(host_loopback=True), udp(dst=address, dport=5353)
    assert_unreachable(world.ask(datagram), datagram, code, source=address)
    assert world.ask(tcp("S", dst=address))[TCP].flags == "RA"
    assert reached(world) == []


@pytest.mark.parametrize(
    ("address", "seen", "seen_without_ipv6"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", GATEWAY, GATEWAY),
        ("127.8.8.8", GATEWAY, GATEWAY),
        ("0.0.0.0", GATEWAY, GATEWAY),
        ("10.0.2.50", GATEWAY, GATEWAY),  # would not be sent to the gateway
        ("2001:db8::7", "2001:db8::7", GATEWAY),
        ("::1", GATEWAY_6, GATEWAY),
        ("::", GATEWAY_6, GATEWAY),
        ("fe80::1%eth0", GATEWAY_6, GATEWAY),
        ("fd00::50", GATEWAY_6, GATEWAY),
    ],
)
def test_how_a_client_appears(address: str, seen: str, seen_without_ipv6: str) -> None:
    first, second = network().appearances(address)
    assert first == ip_address(seen).packed
    assert second == ip_address(GATEWAY if ":" in seen else GATEWAY_6).packed
    (only,) = network(ipv6=False).appearances(address)
    assert only == ip_address(seen_without_ipv6).packed

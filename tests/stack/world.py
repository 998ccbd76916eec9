"""A gateway between a guest that scapy plays and a host made of lists; time is a number.

Whatever leaves for the guest is checked by scapy, to the last checksum, in `kernel_view`.
"""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import mac2str

from rootlessnet.bounds import DEFAULTS
from rootlessnet.stack.configuration import AddressPool
from rootlessnet.stack.gateway import Gateway
from rootlessnet.stack.host import OutboundFlow, Payload, Receiver, SocketAddress
from rootlessnet.stack.network import Network, Plan
from rootlessnet.stack.reach import Reach
from rootlessnet.stack.udp_flows import PublishedPort
from rootlessnet.tcp.connection import Connection
from rootlessnet.wire.families import Family
from tests.wire.oracle import GUEST_MAC, NO_OFFLOAD, dissected, from_guest, kernel_view

GATEWAY, DNS, GUEST = "10.0.2.2", "10.0.2.3", "10.0.2.100"
GATEWAY_6, DNS_6, GUEST_6 = "fd00::2", "fd00::3", "fd00::100"
GATEWAY_LINK_LOCAL = "fe80::2"
REMOTE, REMOTE_6 = "192.0.2.1", "2001:db8::1"
MTU = 1500
POOLS = (
    [(IPv4Network("10.0.2.0/24")[number]).packed for number in range(15, 31)],
    [(IPv6Network("fd00::/64")[number]).packed for number in range(0x15, 0x31)],
)
START = 1000.0  # seconds, when a world begins
BOUNDS = DEFAULTS  # of every world


def network(
    *,
    mtu: int = MTU,
    reach: Reach | None = None,
    ipv6: bool = True,
    dns: bool = True,
    to_host: Mapping[tuple[int, int], int] | None = None,
    guest_mac: str = GUEST_MAC,
) -> Network:
    """The address plans of slirp4netns, or without DNS addresses of our own."""
    gateway, names, guest = map(ip_address, (GATEWAY, DNS, GUEST))
    plans = [Plan(IPv4Network("10.0.2.0/24"), gateway, names if dns else None, guest)]
    if ipv6:
        gateway, names, guest = map(ip_address, (GATEWAY_6, DNS_6, GUEST_6))
        plans.append(Plan(IPv6Network("fd00::/64"), gateway, names if dns else None, guest))
    return Network(plans, mtu, mac2str(guest_mac), reach or Reach(), to_host, BOUNDS)


class FakeLink:
    """The stack's Device."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, bytes]] = []

    def write(self, header: bytes | bytearray, payload: Payload) -> None:
        self.written.append((bytes(header), bytes(payload)))


class FakeTcp:
    """A host socket: a HostTcp that does as the test says; a HostDns too."""

    def __init__(self) -> None:
        self.targets: Sequence[SocketAddress] = ()
        self.joined: Connection | None = None
        self.delivered = b""
        self.calls: list[str] = []

    def connect(self, flow: OutboundFlow, targets: Sequence[SocketAddress]) -> None:
        self.flow = flow
        self.targets = targets

    def join(self, connection: Connection) -> None:
        self.joined = connection

    def deliver(self, data: memoryview | bytes) -> int:
        self.delivered += data
        return len(data)

    def finish(self) -> None:
        self.calls.append("finish")

    def resume(self, now: float) -> None:
        self.calls.append("resume")

    def established(self, now: float) -> None:
        self.calls.append("established")

    def orphaned(self) -> None:
        self.calls.append("orphaned")

    def abort(self) -> None:
        self.calls.append("abort")

    @property
    def connection(self) -> Connection:
        return self.joined or self.flow.connection


class FakeDatagram:
    """A host datagram socket; `sent` are payload, remote and segment size, `carried` are the TTL
    and PMTU_... of each.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.sent: list[tuple[bytes, SocketAddress, int]] = []
        self.carried: list[tuple[int, int]] = []
        self.closed = False

    def send(
        self,
        payload: Payload,
        remote: SocketAddress,
        segment: int,
        hop_limit: int,
        discovery: int,
    ) -> None:
        assert not self.closed
        self.sent.append((bytes(payload), remote, segment))
        self.carried.append((hop_limit, discovery))

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class FakeHost:
    """The stack's Host. `failure`, when set, is the errno that opening a socket ends with."""

    def __init__(self, capacity: int = 1 << 20) -> None:
        self.tcp: list[FakeTcp] = []
        self.dns: list[FakeTcp] = []
        self.udp: list[FakeDatagram] = []
        self.echo: list[FakeDatagram] = []
        self.queries: list[tuple[bytes, Callable[[bytes], None]]] = []
        self.search: list[str] = ["corp.example", "example.org"]
        self.failure: int | None = None
        self.full_tables: list[str] = []
        self.room_for = capacity
        self.closed = 0  # of the TCP sockets, besides those that were aborted

    def capacity(self) -> int:
        return self.room_for

    def full(self, bound: str) -> None:
        self.full_tables.append(bound)

    def tcp_sockets(self) -> int:
        return sum("abort" not in one.calls for one in self.tcp) - self.closed

    def open_tcp(self) -> FakeTcp:
        self.tcp.append(FakeTcp())
        return self.tcp[-1]

    def open_udp(self, receiver: Receiver, family: Family) -> FakeDatagram:
        return self._open(self.udp, receiver)

    def open_echo(self, receiver: Receiver, family: Family) -> FakeDatagram:
        return self._open(self.echo, receiver)

    def resolve(self, query: bytes, answer: Callable[[bytes], None]) -> None:
        self.queries.append((query, answer))

    def open_dns(self) -> FakeTcp:
        self.dns.append(FakeTcp())
        return self.dns[-1]

    def search_domains(self) -> Sequence[str]:
        return self.search

    def _open(self, opened: list[FakeDatagram], receiver: Receiver) -> FakeDatagram:
        if self.failure is not None:
            raise OSError(self.failure, "as the test wants it")
        opened.append(FakeDatagram(receiver))
        return opened[-1]


class World:
    """Guest, gateway, host and clock. `now` is in seconds; `reserved` None: no DHCP; `reach` None:
    only what `host_loopback` says.
    """

    def __init__(
        self,
        *,
        mtu: int = MTU,
        host_loopback: bool = False,
        reach: Reach | None = None,
        host: FakeHost | None = None,
        capacity: int = 1 << 20,
        ipv6: bool = True,
        dns: bool = True,
        reserved: Mapping[bytes, bytes] | None = None,
        to_host: Mapping[tuple[int, int], int] | None = None,
        guest_mac: str = GUEST_MAC,
    ) -> None:
        self.now = START
        self.host = host or FakeHost(capacity)
        self.link = FakeLink()
        gifts = reach or Reach(host_loopback=host_loopback)
        plan = network(
            mtu=mtu, reach=gifts, ipv6=ipv6, dns=dns, to_host=to_host, guest_mac=guest_mac
        )
        pools = [] if reserved is None else [AddressPool(free, reserved) for free in POOLS]
        self.gateway = Gateway(plan, self.link, self.host, bytes(16), pools, BOUNDS)

    def send(self, packet: Packet, vnet: bytes = NO_OFFLOAD, mac: str = GUEST_MAC) -> None:
        """The guest, or a node behind it, sends one packet."""
        self.gateway.receive(from_guest(packet, vnet, mac), self.now)
        while self.gateway.open_some(self.now):
            pass

    def heard(self) -> list[Packet]:
        """What the guest has received since this was last asked."""
        self.gateway.end_batch(self.now)
        written = self.link.written[:]
        self.link.written.clear()
        return [kernel_view(header, payload) for header, payload in written]

    def heard_one(self) -> Packet:
        """The only packet the guest has received."""
        (packet,) = self.heard()
        return packet

    def ask(self, packet: Packet, mac: str = GUEST_MAC) -> Packet:
        """What the guest receives for `packet`: one packet."""
        self.send(packet, mac=mac)
        return self.heard_one()

    def pass_time(self, seconds: float) -> None:
        """Let the clock run, with every timer on its way."""
        end = self.now + seconds
        while (deadline := self.gateway.next_deadline()) <= end:
            self.now = max(deadline, self.now)
            self.gateway.expire(self.now)
            self.gateway.end_batch(self.now)
        self.now = end

    def receive(
        self, host: FakeDatagram, payload: bytes, remote: SocketAddress, segment: int = 0
    ) -> None:
        """A host socket receives a datagram."""
        host.receiver.received(memoryview(payload), remote, segment, self.now)

    def publish(
        self, guest_port: int, guest: bytes | None = None
    ) -> tuple[PublishedPort, FakeDatagram]:
        """A published UDP port and its host socket."""
        port = self.gateway.udp.publish(guest_port, guest)
        socket = FakeDatagram(port)
        port.socket = socket
        return port, socket


def head(packet: Packet) -> Packet:
    """The network header of a packet of either family."""
    header: Packet = packet[IPv6 if IPv6 in packet else IP]
    return header


def packet(dst: str, src: str | None = None) -> Packet:
    """The network header of a packet of the guest's, of the family of the addresses."""
    if ":" in dst:
        return IPv6(src=src or GUEST_6, dst=dst)
    return IP(src=src or GUEST, dst=dst)


def udp(
    payload: bytes = b"payload",
    dst: str = REMOTE,
    dport: int = 7000,
    sport: int = 4000,
    src: str | None = None,
) -> Packet:
    """A datagram of the guest's."""
    return packet(dst, src) / UDP(sport=sport, dport=dport) / Raw(payload)


def echo(
    data: bytes = b"data", dst: str = REMOTE, identifier: int = 77, sequence: int = 1
) -> Packet:
    """An echo request of the guest's."""
    kind = ICMPv6EchoRequest if ":" in dst else ICMP
    return packet(dst) / kind(id=identifier, seq=sequence) / Raw(data)


def tcp(
    flags: str,
    seq: int = 1000,
    ack: int = 0,
    payload: bytes = b"",
    dst: str = REMOTE,
    dport: int = 80,
    sport: int = 40000,
    src: str | None = None,
) -> Packet:
    """A segment of the guest's; a SYN has an MSS and a window scale."""
    options = [("MSS", 1460), ("WScale", 7)] if "S" in flags else []
    header = TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, options=options)
    segment = packet(dst, src) / header
    return segment / Raw(payload) if payload else segment


def reassembled(fragments: Sequence[Packet]) -> Packet:
    """The packet whose fragments these are, in order; its checksums are right."""
    payload = b""
    for one in fragments:
        offset, more, part, _ = fragment_of(one)
        assert (offset, more) == (len(payload), one is not fragments[-1])
        payload += part
    first = head(fragments[0])
    names = {(head(one).src, head(one).dst, fragment_of(one)[3]) for one in fragments}
    assert names == {(first.src, first.dst, fragment_of(fragments[0])[3])}
    whole: Packet
    if isinstance(first, IPv6):
        protocol = first.nh if first.nh != 44 else first[IPv6ExtHdrFragment].nh
        whole = IPv6(src=first.src, dst=first.dst, nh=protocol) / Raw(payload)
    else:
        whole = IP(src=first.src, dst=first.dst, proto=first.proto) / Raw(payload)
    return dissected(bytes(Ether(dst=GUEST_MAC) / whole))


def fragment_of(packet: Packet) -> tuple[int, bool, bytes, int]:
    """Offset in bytes, whether more follow, the part of the payload, and the identification."""
    header = head(packet)
    if isinstance(header, IP):
        return header.frag * 8, bool(header.flags.MF), bytes(header.payload), header.id
    if IPv6ExtHdrFragment not in packet:
        return 0, False, bytes(header.payload), 0
    one = packet[IPv6ExtHdrFragment]
    return one.offset * 8, bool(one.m), bytes(one.payload), one.id


def assert_unreachable(answer: Packet, about: Packet, code: int, source: str = GATEWAY) -> None:
    """The answer is this ICMP error, and its quote tells the guest's kernel the packet it means."""
    is_ipv4 = IP in about
    if not is_ipv4 and source == GATEWAY:
        source = GATEWAY_6
    assert (head(answer).src, head(answer).dst) == (source, head(about).src)
    message = head(answer).payload
    assert (message.type, message.code) == (3 if is_ipv4 else 1, code)
    quote, packet = bytes(message.payload), bytes(head(about))
    protocol, addresses, transport = (9, 12, 20) if is_ipv4 else (6, 8, 40)
    assert quote[protocol] == packet[protocol]
    assert quote[addresses:transport] == packet[addresses:transport]
    if head(about).payload.name in ("TCP", "UDP"):
        assert quote[transport : transport + 4] == packet[transport : transport + 4]  # ports

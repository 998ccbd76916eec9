"""The engine alone: a gateway between a guest made of frames and a host that does nothing.

There is no kernel, no socket and no clock in it. What a `Route` does in `run` is what the stack
does for its packets, called as `rootlessnet.host` calls it; what guest and host contribute is made
in `prepare`, which nobody measures.

Read: docs/design.md ("The life of one packet").
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from struct import Struct

from rootlessnet.stack.gateway import Gateway
from rootlessnet.stack.host import OutboundFlow, Payload, Receiver, SocketAddress
from rootlessnet.stack.network import Network, Plan
from rootlessnet.stack.reach import Reach
from rootlessnet.tcp.connection import Connection
from rootlessnet.tcp.sequence import MASK
from rootlessnet.wire import dns, ethernet, families, ip, tcp, udp, vnet
from rootlessnet.wire.families import Family

MTU = 1500
BATCH = 64  # frames that the TAP is read for before anything is acknowledged
IN_FLIGHT = 1 << 20  # bytes that one side sends before it has to hear an acknowledgement
SEGMENT = 1440  # bytes, for either family
MESSAGE = 64  # bytes of a request and of its response
DATAGRAM = 1400  # bytes
WINDOW = 0xFFFF  # that the guest offers, scaled as in its SYN: 8 MiB
WINDOW_SCALE = 7
ISN = 1000  # of the guest
TICK = 0.0001  # seconds between two passes

_TCP = Struct("!HHIIBBHHH")
_NUMBERS = Struct("!II")  # sequence and acknowledgement, behind the ports
_GUEST_PORT, _REMOTE_PORT = 40000, 80
_DNS_QUERY = bytes.fromhex("123401000001000000000000 076578616d706c6500 00010001")
_MAC = bytes.fromhex("020000000064")

REMOTES = (IPv4Address("192.0.2.1").packed, IPv6Address("2001:db8::1").packed)


def address_plans() -> list[Plan]:
    """As slirp4netns has them."""
    gateway, names, guest = map(IPv4Address, ("10.0.2.2", "10.0.2.3", "10.0.2.100"))
    gateway_6, names_6, guest_6 = map(IPv6Address, ("fd00::2", "fd00::3", "fd00::100"))
    return [
        Plan(IPv4Network("10.0.2.0/24"), gateway, names, guest),
        Plan(IPv6Network("fd00::/64"), gateway_6, names_6, guest_6),
    ]


class Link:
    """The stack's Device: counts the frames, and keeps the latest header."""

    def __init__(self) -> None:
        self.frames = 0
        self.header: bytes | bytearray = b""

    def write(self, header: bytes | bytearray, payload: Payload) -> None:
        self.frames += 1
        self.header = header


class FarEnd:
    """A host socket that takes everything: a HostTcp, a HostDns and a HostDatagram."""

    connection: Connection

    def __init__(self, receiver: Receiver | None = None) -> None:
        self.receiver = receiver
        self.taken = 0  # bytes

    def receives(self) -> Receiver:
        """Who gets what a datagram socket receives."""
        assert self.receiver is not None
        return self.receiver

    def connect(self, flow: OutboundFlow, targets: Sequence[SocketAddress]) -> None:
        self.connection = flow.connection

    def join(self, connection: Connection) -> None:
        self.connection = connection

    def deliver(self, data: memoryview | bytes) -> int:
        size = len(data)
        self.taken += size
        return size

    def finish(self) -> None: ...

    def resume(self, now: float) -> None: ...

    def established(self, now: float) -> None: ...

    def orphaned(self) -> None: ...

    def abort(self) -> None: ...

    def send(
        self,
        payload: Payload,
        remote: SocketAddress,
        segment: int,
        hop_limit: int,
        discovery: int,
    ) -> None:
        self.taken += len(payload)

    def close(self) -> None: ...


class FarSide:
    """The stack's Host. `latest` is the socket that was opened last."""

    latest: FarEnd

    def capacity(self) -> int:
        return 1 << 20

    def tcp_sockets(self) -> int:
        return 0

    def full(self, bound: str) -> None: ...

    def open_tcp(self) -> FarEnd:
        self.latest = FarEnd()
        return self.latest

    open_dns = open_tcp

    def open_udp(self, receiver: Receiver, family: Family) -> FarEnd:
        self.latest = FarEnd(receiver)
        return self.latest

    open_echo = open_udp

    def resolve(self, query: bytes, answer: Callable[[bytes], None]) -> None:
        answer(query)

    def search_domains(self) -> Sequence[str]:
        return ()


class World:
    """A gateway, and a guest that makes frames of one family."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.now = 1000.0  # seconds
        self.link, self.host = Link(), FarSide()
        plans = address_plans()
        self.plan = plans[family is families.IPV6]
        self.remote = REMOTES[family is families.IPV6]
        network = Network(plans, MTU, _MAC, Reach())
        self.gateway = Gateway(network, self.link, self.host, bytes(16))

    def frame(
        self, destination: bytes, protocol: int, message: bytes, offload: bytes = vnet.NO_OFFLOAD
    ) -> bytearray:
        """In which the guest's kernel hands over a transport message."""
        addresses = self.plan.guest + destination
        return bytearray(
            offload
            + ethernet.HEADER.pack(bytes(6), _MAC, self.family.ethertype)
            + self.family.build(addresses, protocol, len(message), ip.DEFAULT_HOP_LIMIT)
            + message
        )

    def hear(self, frame: bytearray) -> None:
        """The gateway gets a frame by itself."""
        self.gateway.receive(memoryview(frame), self.now)
        self.gateway.end_batch(self.now)

    def hear_batch(self, frames: Sequence[memoryview]) -> None:
        """The gateway gets frames in one round of the reactor."""
        gateway, now = self.gateway, self.now
        receive = gateway.receive
        for frame in frames:
            receive(frame, now)
        while gateway.open_some(now):  # what rounds that follow would do
            pass
        gateway.end_batch(now)
        gateway.next_deadline()

    def pass_time(self) -> None:
        """Let the clock run on to the next pass."""
        self.now += TICK
        if self.gateway.next_deadline() <= self.now:
            self.gateway.expire(self.now)
            self.gateway.end_batch(self.now)


class Route(ABC):
    """A way through the stack. A pass takes `packets` along it, and then has done `done`."""

    packets: int

    def __init__(self, family: Family) -> None:
        self.world = World(family)

    @abstractmethod
    def prepare(self) -> None:
        """Get everything ready for a pass."""

    @abstractmethod
    def run(self) -> None:
        """A pass."""

    @abstractmethod
    def done(self) -> int:
        """Something that each packet of each pass has added the same to: bytes or frames."""


class TcpRoute(Route):
    """A connection of the guest's, beside idle `others`; `seq` and `ack` are those of its next
    segment.
    """

    def __init__(self, family: Family, others: int = 0) -> None:
        super().__init__(family)
        self._numbers_at = ethernet.PAYLOAD + family.header_size + 4
        for port in range(_GUEST_PORT - others, _GUEST_PORT + 1):
            self._open(port)

    def _open(self, port: int) -> None:
        self._port = port
        self.seq, self.ack = ISN, 0
        self.world.hear(self.segment(tcp.SYN, options=tcp.build_options(SEGMENT, WINDOW_SCALE)))
        self.far = self.world.host.latest
        self.connection = self.far.connection
        self.connection.accept(self.world.now)
        self.seq = ISN + 1
        self.ack = _NUMBERS.unpack_from(self.world.link.header, self._numbers_at)[0] + 1
        self.world.hear(self.segment(tcp.ACK))

    def segment(self, flags: int, payload: bytes = b"", options: bytes = b"") -> bytearray:
        """The guest's next one."""
        size = tcp.SIZE + len(options)
        header = _TCP.pack(self._port, _REMOTE_PORT, 0, 0, size << 2, flags, WINDOW, 0, 0)
        frame = self.world.frame(self.world.remote, ip.TCP, header + options + payload)
        self.number(frame)
        return frame

    def number(self, frame: bytearray) -> None:
        """Make a frame the guest's next segment."""
        _NUMBERS.pack_into(frame, self._numbers_at, self.seq & MASK, self.ack & MASK)


class TcpOut(TcpRoute):
    """The guest sends as much as it may in one round. `size` is the payload of a frame."""

    def __init__(self, family: Family, size: int) -> None:
        super().__init__(family)
        self.packets = min(BATCH, IN_FLIGHT // size)
        self._size = size
        self._frames = [self.segment(tcp.ACK, bytes(size)) for _ in range(self.packets)]
        self._batch = [memoryview(frame) for frame in self._frames]
        opening = bytes(4 * SEGMENT)  # is acknowledged at once, with a wide window
        self.world.hear(self.segment(tcp.ACK, opening))
        self.seq += len(opening)

    def prepare(self) -> None:
        for frame in self._frames:
            self.number(frame)
            self.seq += self._size

    def run(self) -> None:
        self.world.hear_batch(self._batch)

    def done(self) -> int:
        return self.far.taken


class TcpIn(TcpRoute):
    """The far end sends as much as the guest takes. `size` is what is read of it at once."""

    def __init__(self, family: Family, size: int) -> None:
        super().__init__(family)
        self.packets = min(BATCH, IN_FLIGHT // size)
        self._data = bytes(size)

    def prepare(self) -> None:
        self.world.hear(self.segment(tcp.ACK))
        self.ack += self.packets * len(self._data)

    def run(self) -> None:
        connection, data, now = self.connection, self._data, self.world.now
        for _ in range(self.packets):
            if connection.room():
                connection.send(data, now)

    def done(self) -> int:
        return self.world.link.frames


class TcpAcknowledgement(TcpRoute):
    """The guest acknowledges a segment with each frame."""

    packets = BATCH

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self._data = bytes(SEGMENT)
        self._frames = [self.segment(tcp.ACK) for _ in range(self.packets)]
        self._batch = [memoryview(frame) for frame in self._frames]

    def prepare(self) -> None:
        for frame in self._frames:
            self.connection.send(self._data, self.world.now)
            self.ack += len(self._data)
            self.number(frame)

    def run(self) -> None:
        self.world.hear_batch(self._batch)

    def done(self) -> int:
        return self.connection.snd_una


class TcpExchange(TcpRoute):
    """A request of the guest's in one round, and its response in the next."""

    packets = BATCH

    def __init__(self, family: Family, others: int = 0) -> None:
        super().__init__(family, others)
        self._message = bytes(MESSAGE)
        flags = tcp.ACK | tcp.PSH
        self._frames = [self.segment(flags, self._message) for _ in range(self.packets)]
        self._batches = [[memoryview(frame)] for frame in self._frames]

    def prepare(self) -> None:
        for frame in self._frames:
            self.number(frame)
            self.seq += MESSAGE
            self.ack += MESSAGE

    def run(self) -> None:
        world, connection, message = self.world, self.connection, self._message
        for batch in self._batches:
            world.hear_batch(batch)
            if connection.room():
                connection.send(message, world.now)
            world.gateway.end_batch(world.now)

    def done(self) -> int:
        return self.far.taken


class DatagramOut(Route):
    """Datagrams of the guest's; by default plain ones to a remote."""

    packets = BATCH

    def __init__(
        self,
        family: Family,
        payload: bytes = bytes(DATAGRAM),
        port: int = _REMOTE_PORT,
        to_dns: bool = False,
    ) -> None:
        super().__init__(family)
        world = self.world
        destination = world.plan.dns if to_dns else world.remote
        ports = udp.PORT.pack(_GUEST_PORT) + udp.PORT.pack(port)
        message = udp.build(world.plan.guest + destination, ports, payload)
        self._batch = [memoryview(world.frame(destination, ip.UDP, message))] * self.packets
        world.hear_batch(self._batch[:1])

    def prepare(self) -> None: ...

    def run(self) -> None:
        self.world.hear_batch(self._batch)

    def done(self) -> int:
        return self.world.host.latest.taken


class DnsQuery(DatagramOut):
    """Queries to the guest's DNS address, which are answered at once."""

    def __init__(self, family: Family) -> None:
        super().__init__(family, _DNS_QUERY, dns.PORT, to_dns=True)

    def done(self) -> int:
        return self.world.link.frames


class DatagramIn(DatagramOut):
    """Datagrams from a remote that the guest has sent to."""

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self._payload = memoryview(bytes(DATAGRAM))
        self._remote = (str(ip_address(self.world.remote)), _REMOTE_PORT)

    def run(self) -> None:
        payload, remote, now = self._payload, self._remote, self.world.now
        received = self.world.host.latest.receives().received
        for _ in range(self.packets):
            received(payload, remote, 0, now)

    def done(self) -> int:
        return self.world.link.frames


class Echo(Route):
    """Echo requests to a remote, and the reply to each."""

    packets = BATCH

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        world, dialect = self.world, family.icmp
        addresses = world.plan.guest + world.remote
        data = bytes(MESSAGE)
        request = dialect.build_echo(dialect.echo_request, 77, 1, data, addresses)
        self._request = [memoryview(world.frame(world.remote, dialect.protocol, request))]
        self._reply = memoryview(dialect.build_echo(dialect.echo_reply, 5, 1, data, addresses))
        self._remote = (str(ip_address(world.remote)), 0)
        world.hear_batch(self._request)

    def prepare(self) -> None: ...

    def run(self) -> None:
        world, reply, remote = self.world, self._reply, self._remote
        received = world.host.latest.receives().received
        for _ in range(self.packets):
            world.hear_batch(self._request)
            received(reply, remote, 0, world.now)

    def done(self) -> int:
        return self.world.link.frames


ROUTES: dict[str, Callable[[Family], Route]] = {
    "TCP out, one segment": partial(TcpOut, size=SEGMENT),
    "TCP out, 44 segments": partial(TcpOut, size=44 * SEGMENT),
    "TCP in, one segment": partial(TcpIn, size=SEGMENT),
    "TCP in, 44 segments": partial(TcpIn, size=44 * SEGMENT),
    "TCP acknowledgement in": TcpAcknowledgement,
    "TCP request and response": TcpExchange,
    "one of 10,000 connections": partial(TcpExchange, others=9_999),
    "UDP out": DatagramOut,
    "UDP in": DatagramIn,
    "DNS query and answer": DnsQuery,
    "echo request and reply": Echo,
}

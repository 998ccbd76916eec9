"""TCP flows: the table, and the birth of a connection from either side.

A flow's key is the guest's view of it: guest address, remote address, guest port, remote port.
Outbound, the host connects first and the guest's SYN is answered when that has ended, so a guest
sees refused, unreachable and timed out as if it had connected itself. Inbound, the engine opens
towards the guest. Read: RFC 9293 3.10.7.1, RFC 1122 4.2.3.9 (what an ICMP error means to a
connection).
"""

import errno
from collections.abc import Iterable
from itertools import chain

from rootlessnet.bounds import Bounds
from rootlessnet.stack.frames import Frames, TcpHeader
from rootlessnet.stack.host import Host, SocketAddress
from rootlessnet.stack.network import REASONS, Unreachable
from rootlessnet.stack.openings import Openings
from rootlessnet.tcp.connection import Connection
from rootlessnet.tcp.engine import Engine
from rootlessnet.tcp.interface import User
from rootlessnet.wire import dns, families, ip, tcp
from rootlessnet.wire.icmp import Reason
from rootlessnet.wire.ip import DEFAULT_HOP_LIMIT, Packet
from rootlessnet.wire.tcp import ACK, RST, SYN, Segment

_EPHEMERAL = range(49152, 65536)  # RFC 6335

_RESET = (errno.ECONNREFUSED, errno.ECONNRESET)
# A native connect would still wait: the guest sends its SYN again, and a new connect may succeed.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EAGAIN)
_SILENT = (errno.ETIMEDOUT, *_EXHAUSTED)


class TcpFlow:
    """One connection of the table: the engine's `Link`, and what the host's side calls back."""

    __slots__ = ("_flows", "_key", "connection", "emit")

    connection: Connection

    def __init__(self, flows: "TcpFlows", key: bytes, addresses: bytes, ports: bytes) -> None:
        self._flows = flows
        self._key = key
        # Straight to the header's method: one call less for each segment.
        self.emit = TcpHeader(flows.frames, addresses, ports).send

    def closed(self) -> None:
        self._flows.remove(self._key)

    def connect_failed(self, error: int) -> None:
        """The host's connect ended with this errno: tell the guest as its own kernel would."""
        if not self.connection.awaits_accept:
            return
        if error in _RESET:
            self.connection.abort()
            return
        self.connection.forget()
        if error in _EXHAUSTED:
            self._flows.make_room()
        if error not in _SILENT:
            reason = REASONS.get(error, Reason.HOST_UNREACHABLE)
            self._flows.send_unreachable(self._key, self.connection.irs, reason)


class TcpFlows:
    """All TCP flows of a guest."""

    def __init__(
        self, engine: Engine, frames: Frames, host: Host, openings: Openings, bounds: Bounds
    ) -> None:
        self.frames = frames
        self._engine = engine
        self._host = host
        self._openings = openings
        self._network = frames.network
        self._flows: dict[bytes, Connection] = {}
        # Oldest first. Those that have connected meanwhile are sorted out when it is full.
        self._connecting: dict[bytes, Connection] = {}
        self._segment = Segment()
        capacity = host.capacity()
        self._most_flows = bounds.tcp_flows
        self._most_connecting = min(bounds.tcp_connecting, capacity // 4)
        self._most_sockets = capacity // 2

    def __len__(self) -> int:
        return len(self._flows)

    def connections(self) -> Iterable[tuple[bytes, Connection]]:
        """All of them, oldest first, by their keys."""
        return self._flows.items()

    def receive(self, packet: Packet, frame: memoryview, now: float) -> None:
        """Process a packet of the guest; raises MalformedError."""
        segment = self._segment
        tcp.parse(frame, packet.start, packet.end, segment)
        key = packet.addresses + segment.ports
        connection = self._flows.get(key)
        if connection is None:
            self._arrives_unknown(key, packet, frame, now)
        elif segment.flags & SYN and connection.may_be_reopened_by(segment):
            connection.forget()
            self._arrives_unknown(key, packet, frame, now)
        else:
            connection.segment_arrives(segment, now)

    def refused(self, addresses: bytes, head: memoryview) -> None:
        """The guest says for good that a segment of ours, which began with `head`, did not get
        through.

        So does a firewall of the guest's that rejects a client. Read: RFC 5927 (what is forged).
        """
        connection = self._flows.get(ip.swapped(addresses) + bytes(head[2:4]) + bytes(head[:2]))
        if connection is not None:
            connection.refused(int.from_bytes(head[4:8], "big"))

    def open_inbound(
        self,
        user: User,
        client: SocketAddress,
        guest_port: int,
        now: float,
        attempt: int = 0,
        guest: bytes | None = None,
    ) -> Connection:
        """Open a connection from a client of a published port to the guest, or to another of its
        addresses. `is_full` told before the client was accepted. Raises OSError.

        Each `attempt`, counted from 0, shows another of the client's appearances; when there is no
        other, that is an error.
        """
        if len(self._flows) >= self._most_flows:
            raise OSError(errno.ENOBUFS, "there are too many connections")
        network = self._network
        appearances = network.appearances(client[0], guest)
        if attempt >= len(appearances):
            raise OSError(errno.ECONNREFUSED, "the guest refuses in every family")
        address, port = appearances[attempt], client[1]
        addresses = (guest or network.plan_of(address).guest) + address
        for candidate in chain((port,), _EPHEMERAL):
            ports = guest_port.to_bytes(2, "big") + candidate.to_bytes(2, "big")
            standing = self._flows.get(addresses + ports)
            if standing is None:
                break
            if standing.is_tombstone:
                standing.forget()
                break
        else:
            raise OSError(errno.EADDRNOTAVAIL, "no port is left towards the guest")
        connection = self._add(addresses + ports, addresses, ports, user, now)
        connection.active_open(now)
        return connection

    def _limit_connecting(self) -> None:
        """Have room for one more connect. Where all are under way a few of the oldest give way at
        once, so that a flood has them looked through only now and then.
        """
        self._connecting = {key: one for key, one in self._connecting.items() if one.awaits_accept}
        if len(self._connecting) >= self._most_connecting:
            self._host.full("tcp_connecting")
            for _ in range(max(self._most_connecting // 32, 1)):
                self.make_room()

    def is_full(self) -> bool:
        """Whether no connection can be opened before another ends, from either side.

        A flow may outlive its socket (TIME_WAIT), and a socket its flow (a far end that reads
        slowly): each has a bound.
        """
        return (
            len(self._flows) >= self._most_flows or self._host.tcp_sockets() >= self._most_sockets
        )

    def remove(self, key: bytes) -> None:
        """The connection of `key` holds no more state."""
        del self._flows[key]
        self._connecting.pop(key, None)

    def make_room(self) -> None:
        """Let the connect that has been under way for longest give way to others.

        A guest that tries many dead hosts, as a scan does, so stops nothing but its own patience: a
        SYN that was given up comes again.
        """
        while self._connecting:
            connection = self._connecting.pop(next(iter(self._connecting)))
            if connection.awaits_accept:
                connection.abandon()
                return

    def send_unreachable(self, key: bytes, seq: int, reason: Reason) -> None:
        """Tell the guest that the SYN of `key` did not get through."""
        addresses, ports = key[:-4], key[-4:]
        header = families.of(addresses).build(addresses, ip.TCP, tcp.SIZE, DEFAULT_HOP_LIMIT)
        self.frames.refuse(header + ports + seq.to_bytes(4, "big") + bytes(12), reason)

    def _arrives_unknown(self, key: bytes, packet: Packet, frame: memoryview, now: float) -> None:
        segment = self._segment
        if segment.flags & (SYN | ACK | RST) == SYN:
            if self._openings.admits("tcp", frame):
                self._open_outbound(key, packet, segment, now)
        elif not segment.flags & RST and not self._network.is_for_many(packet.destination):
            self._reset(packet, segment)

    def _open_outbound(self, key: bytes, packet: Packet, segment: Segment, now: float) -> None:
        if self.is_full():
            self._host.full("tcp_flows")
            return  # the guest sends its SYN again
        port = int.from_bytes(segment.ports[2:], "big")
        if self._network.is_dns(packet.destination):
            if port == dns.PORT:
                self._open_dns(key, packet, segment, now)
            else:
                self._reset(packet, segment)
            return
        try:
            targets = self._network.targets(ip.TCP, packet.destination, port)
        except Unreachable as unreachable:
            if unreachable.reason is not None:
                self.send_unreachable(key, segment.seq, unreachable.reason)
            return
        if len(self._connecting) >= self._most_connecting:
            self._limit_connecting()
        user = self._host.open_tcp()
        flow = self._new_flow(key, packet.addresses, segment.ports)
        connection = self._connect(flow, key, user, now)
        connection.passive_open(segment)
        self._connecting[key] = connection
        user.connect(flow, targets)

    def _open_dns(self, key: bytes, packet: Packet, segment: Segment, now: float) -> None:
        """Nobody needs to connect first: the queries are answered here."""
        user = self._host.open_dns()
        connection = self._add(key, packet.addresses, segment.ports, user, now)
        user.join(connection)
        connection.passive_open(segment)
        connection.accept(now)

    def _add(
        self, key: bytes, addresses: bytes, ports: bytes, user: User, now: float
    ) -> Connection:
        return self._connect(self._new_flow(key, addresses, ports), key, user, now)

    def _new_flow(self, key: bytes, addresses: bytes, ports: bytes) -> TcpFlow:
        return TcpFlow(self, key, ip.swapped(addresses), ports[2:] + ports[:2])

    def _connect(self, flow: TcpFlow, key: bytes, user: User, now: float) -> Connection:
        iss = self._engine.initial_sequence_number(key, now)
        mss = self._network.mtu - families.of(key[:-4]).header_size - tcp.SIZE
        flow.connection = self._flows[key] = Connection(self._engine, flow, user, mss, iss)
        return flow.connection

    def _reset(self, packet: Packet, segment: Segment) -> None:
        """Nobody is there (RFC 9293 3.10.7.1)."""
        ports = segment.ports[2:] + segment.ports[:2]
        header = TcpHeader(self.frames, ip.swapped(packet.addresses), ports)
        mss = self._network.mtu  # of an empty segment, so of no interest
        if segment.flags & ACK:
            header.send(segment.ack, 0, RST, 0, b"", mss, b"")
        else:
            ack = segment.seq + segment.length & 0xFFFFFFFF
            header.send(0, ack, RST | ACK, 0, b"", mss, b"")

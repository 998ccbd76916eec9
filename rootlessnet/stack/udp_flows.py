"""UDP: outbound flows, published ports and the built-in DNS address. Read: RFC 768, RFC 4787.

A packet of the guest belongs to a flow, by its addresses and ports, whoever spoke first: one
look-up serves both directions of both kinds.
"""

from collections.abc import Callable, Iterable

from rootlessnet.bounds import Bounds
from rootlessnet.stack.datagram_flows import (
    DatagramFlow,
    DatagramFlows,
    Endpoint,
    OutboundEndpoint,
    OutboundEndpoints,
)
from rootlessnet.stack.frames import Frames, UdpHeader
from rootlessnet.stack.host import Host, SocketAddress
from rootlessnet.stack.network import Unreachable
from rootlessnet.stack.openings import Openings
from rootlessnet.tcp.timers import Timers
from rootlessnet.wire import dns, families, ip, udp, vnet
from rootlessnet.wire.families import Family
from rootlessnet.wire.icmp import Reason
from rootlessnet.wire.ip import Packet

# A packet, its frame, its payload, and the time. May raise MalformedError.
Service = Callable[[Packet, memoryview, memoryview, float], None]


class UdpFlow(DatagramFlow):
    """A guest's port and a remote port."""

    __slots__ = ("_header",)

    def __init__(
        self, frames: Frames, key: bytes, endpoint: Endpoint, remote: SocketAddress, now: float
    ) -> None:
        super().__init__(frames, key, endpoint, remote, now)
        ports = key[-4:]
        self._header = UdpHeader(frames, ip.swapped(key[:-4]), ports[2:] + ports[:2])

    def deliver(self, payload: memoryview, segment: int) -> None:
        self._header.send(payload, segment)

    @property
    def family(self) -> Family:
        return families.of(self.key[:-4])

    def quoted(self, payload: bytes, size: int) -> tuple[int, bytes, bytes]:
        length = (udp.SIZE + size).to_bytes(2, "big")
        return ip.UDP, self.key[:-4], self.key[-4:] + length + bytes(2) + payload


class PublishedPort(Endpoint):
    """The host socket of a published port: unknown remotes are new clients.

    A guest that refuses the first datagram of a client may have its server in the other family: the
    client appears in that then, and so do those who come after it.
    """

    def __init__(self, flows: "UdpFlows", guest_port: int, guest: bytes | None) -> None:
        super().__init__()
        self._flows = flows
        self._guest_port = guest_port
        self._guest = guest
        self._refused: Family | None = None

    def received(
        self, payload: memoryview, remote: SocketAddress, segment: int, now: float
    ) -> None:
        flow = self.flows.get(remote)
        if flow is None:
            flow = self._open(remote, now)
            if segment:  # a guest that refuses a burst tells of it as of one datagram
                for offset in range(0, len(payload), segment):
                    flow.inbound(payload[offset : offset + segment], 0, now)
                return
        flow.inbound(payload, segment, now)

    def refused_by_guest(self, flow: DatagramFlow, payload: memoryview | None, now: float) -> None:
        if not flow.is_silent:
            return
        self._refused = flow.family
        self._flows.end(flow)
        if payload is not None and not flow.is_moved:
            moved = self._open(flow.remote, now)
            moved.is_moved = True
            moved.inbound(payload, 0, now)

    def _open(self, remote: SocketAddress, now: float) -> DatagramFlow:
        return self._flows.open_inbound(
            self, remote, self._guest_port, now, self._refused, self._guest
        )

    def abandoned(self) -> None:
        """The port stays published."""

    def withdraw(self) -> None:
        """Publish no more: the flows of its clients end with the socket."""
        for flow in list(self.flows.values()):
            self._flows.end(flow)
        self.socket.close()


class UdpFlows:
    """All UDP flows of a guest."""

    def __init__(
        self, timers: Timers, frames: Frames, host: Host, openings: Openings, bounds: Bounds
    ) -> None:
        self._frames = frames
        self._host = host
        self._network = frames.network
        self._openings = openings
        self._flows = DatagramFlows(
            timers,
            min(bounds.udp_flows, host.capacity() // 8),
            lambda: host.full("udp_flows"),
        )
        self._endpoints = OutboundEndpoints(
            OutboundEndpoint, host.open_udp, Reason.HOST_UNREACHABLE
        )
        self._services: dict[bytes, Service] = {}  # by address and port

    def __len__(self) -> int:
        return len(self._flows)

    def flows(self) -> Iterable[tuple[bytes, DatagramFlow]]:
        """All of them by their keys."""
        return self._flows.items()

    def receive(self, packet: Packet, frame: memoryview, now: float) -> None:
        """Process a packet of the guest; raises MalformedError."""
        _, port, payload = udp.parse(frame, packet.start, packet.end)
        key = packet.addresses + bytes(frame[packet.start : packet.start + 4])
        flow = self._flows.get(key)
        if flow is None:
            service = self._services.get(packet.destination + key[-2:])
            if service is not None:
                service(packet, frame, payload, now)
                return
            asks = port == dns.PORT and self._network.is_dns(packet.destination)
            if not self._openings.admits("dns" if asks else "udp", frame):
                return
            if asks:
                self._resolve(key, bytes(payload))
                return
            try:
                flow = self._open_outbound(key, packet, port, now)
            except Unreachable as unreachable:
                self._refuse(packet, frame, unreachable)
                return
        flow.outbound(payload, vnet.udp_segment(frame), packet, now)

    def serve(self, address: bytes, port: int, service: Service) -> None:
        """Have what the guest sends to an address and port received by `service`."""
        self._services[address + udp.PORT.pack(port)] = service

    def publish(self, guest_port: int, guest: bytes | None = None) -> PublishedPort:
        """A port of the guest's, or of another of its addresses, for the host to publish: it wants
        a socket, and receives for it.
        """
        return PublishedPort(self, guest_port, guest)

    def end(self, flow: DatagramFlow) -> None:
        """End a flow before its time."""
        self._flows.end(flow)

    def open_inbound(
        self,
        port: PublishedPort,
        client: SocketAddress,
        guest_port: int,
        now: float,
        refused: Family | None,
        guest: bytes | None,
    ) -> DatagramFlow:
        """A new client of a published port, which appears in a family that was not `refused`, if
        there is one.
        """
        network = self._network
        appearances = network.appearances(client[0], guest)
        address = next(
            (one for one in appearances if families.of(one) is not refused), appearances[0]
        )
        addresses = (guest or network.plan_of(address).guest) + address
        candidate = client[1]
        while True:  # two clients may look alike from inside: bounded, the table is smaller
            key = addresses + guest_port.to_bytes(2, "big") + candidate.to_bytes(2, "big")
            if self._flows.get(key) is None:
                break
            candidate = candidate % 0xFFFF + 1
        flow = UdpFlow(self._frames, key, port, client, now)
        self._flows.add(flow, now)
        return flow

    def refused(self, addresses: bytes, head: memoryview, now: float) -> None:
        """The guest says for good that a datagram of ours, which began with `head`, did not get
        through.
        """
        key = ip.swapped(addresses) + bytes(head[2:4]) + bytes(head[:2])
        flow = self._flows.get(key)
        if flow is not None and len(self._network.plans) > 1:
            is_whole = not flow.is_joined and int.from_bytes(head[4:6], "big") == len(head)
            flow.endpoint.refused_by_guest(flow, head[udp.SIZE :] if is_whole else None, now)

    def _open_outbound(self, key: bytes, packet: Packet, port: int, now: float) -> DatagramFlow:
        if self._network.is_dns(packet.destination):
            raise Unreachable(Reason.PORT_UNREACHABLE)
        remote = self._network.targets(ip.UDP, packet.destination, port)[0]
        endpoint = self._endpoints.get(packet.source + key[-4:-2], families.of(packet.addresses))
        flow = UdpFlow(self._frames, key, endpoint, remote, now)
        self._flows.add(flow, now)
        return flow

    def _resolve(self, key: bytes, query: bytes) -> None:
        addresses, ports = ip.swapped(key[:-4]), key[-2:] + key[-4:-2]
        self._host.resolve(query, lambda answer: self._frames.send_udp(addresses, ports, answer))

    def _refuse(self, packet: Packet, frame: memoryview, unreachable: Unreachable) -> None:
        if unreachable.reason is None:
            return
        own = self._network.is_own(packet.destination)
        quote = frame[packet.header_start : packet.end]
        self._frames.refuse(quote, unreachable.reason, packet.destination if own else None)

"""ICMP echo: answered here for the stack's own addresses, sent on through ping sockets for others.

An unprivileged ping socket chooses its own identifier, so each identifier of the guest gets a
socket of its own and the answers get the guest's identifier back. Read: RFC 792, RFC 5508 3,
icmp(7), RFC 4443 4.
"""

from collections.abc import Iterable

from rootlessnet.bounds import Bounds
from rootlessnet.stack.datagram_flows import (
    DatagramFlow,
    DatagramFlows,
    OutboundEndpoint,
    OutboundEndpoints,
)
from rootlessnet.stack.frames import Frames
from rootlessnet.stack.host import Host, SocketAddress
from rootlessnet.stack.network import Unreachable
from rootlessnet.stack.openings import Openings
from rootlessnet.tcp.timers import Timers
from rootlessnet.wire import MalformedError, families, icmp, ip
from rootlessnet.wire.families import Family
from rootlessnet.wire.icmp import Reason
from rootlessnet.wire.ip import Packet


class EchoFlow(DatagramFlow):
    """An identifier of the guest's and the host it asks."""

    __slots__ = ()

    def deliver(self, payload: memoryview, segment: int) -> None:
        try:
            kind, _identifier, sequence, data = icmp.parse_echo(payload, 0, len(payload))
        except MalformedError:
            return
        addresses, dialect = ip.swapped(self.key[:-2]), self.family.icmp
        if kind == dialect.echo_reply:
            message = dialect.build_echo(kind, self._identifier, sequence, data, addresses)
            self.frames.send(addresses, dialect.protocol, message)

    def fail(self, payload: bytes, kind: int, code: int, offender: str, info: int) -> None:
        if len(payload) >= icmp.SIZE:  # the kernel knew by that much whose it is
            super().fail(payload, kind, code, offender, info)

    def quoted(self, payload: bytes, size: int) -> tuple[int, bytes, bytes]:
        addresses, dialect = self.key[:-2], self.family.icmp
        message = dialect.with_identifier(payload, self._identifier, addresses)
        return dialect.protocol, addresses, message

    @property
    def family(self) -> Family:
        return families.of(self.key[:-2])

    @property
    def _identifier(self) -> int:
        return int.from_bytes(self.key[-2:], "big")


class EchoEndpoint(OutboundEndpoint):
    """The ping socket of one identifier of the guest's."""

    def received(
        self, payload: memoryview, remote: SocketAddress, segment: int, now: float
    ) -> None:
        super().received(payload, (remote[0], 0), segment, now)

    def flow_of(self, remote: SocketAddress) -> DatagramFlow | None:
        return self.flows.get((remote[0], 0))


class EchoFlows:
    """All echo flows of a guest."""

    def __init__(
        self, timers: Timers, frames: Frames, host: Host, openings: Openings, bounds: Bounds
    ) -> None:
        self._frames = frames
        self._network = frames.network
        self._openings = openings
        self._flows = DatagramFlows(
            timers,
            min(bounds.echo_flows, host.capacity() // 16),
            lambda: host.full("echo_flows"),
        )
        self._endpoints = OutboundEndpoints(EchoEndpoint, host.open_echo, Reason.PROHIBITED)

    def __len__(self) -> int:
        return len(self._flows)

    def flows(self) -> Iterable[tuple[bytes, DatagramFlow]]:
        """All of them by their keys."""
        return self._flows.items()

    def receive(self, packet: Packet, frame: memoryview, now: float) -> None:
        """Process an ICMP message of the guest; raises MalformedError."""
        dialect = families.of(packet.addresses).icmp
        kind, identifier, sequence, data = icmp.parse_echo(frame, packet.start, packet.end)
        if kind != dialect.echo_request:
            return
        if self._network.is_own(packet.destination):
            addresses = ip.swapped(packet.addresses)
            message = dialect.build_echo(dialect.echo_reply, identifier, sequence, data, addresses)
            self._frames.send(addresses, dialect.protocol, message)
            return
        key = packet.addresses + identifier.to_bytes(2, "big")
        flow = self._flows.get(key)
        if flow is None:
            if not self._openings.admits("echo", frame):
                return
            try:
                flow = self._open(key, packet, now)
            except Unreachable as unreachable:
                if unreachable.reason is not None:
                    quote = frame[packet.header_start : packet.end]
                    self._frames.refuse(quote, unreachable.reason)
                return
        flow.outbound(frame[packet.start : packet.end], 0, packet, now)

    def _open(self, key: bytes, packet: Packet, now: float) -> DatagramFlow:
        remote = (self._network.translate(packet.destination), 0)
        endpoint = self._endpoints.get(packet.source + key[-2:], families.of(packet.addresses))
        flow = EchoFlow(self._frames, key, endpoint, remote, now)
        self._flows.add(flow, now)
        return flow

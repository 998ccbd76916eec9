"""What UDP and echo flows share: host sockets, their flows by remote address, age and bounds.

One host socket serves one guest endpoint (address and port, or echo identifier), so every remote
sees the same source port: endpoint-independent mapping, which peer-to-peer programs need. Only
remotes the guest has sent to may answer: address- and port-dependent filtering. Flows end as Linux'
conntrack ends them: after 30 s, or 120 s once both sides have spoken.

A datagram leaves with the guest's DF and TTL, and what the network says about it reaches the guest
with the guest's own packet in it. The host knows no more of that packet than the router quoted, the
UDP header not even then, so the flow remembers how long its datagrams are.

What is larger than the path's MTU, as far as the host knows it, leaves in fragments, but for those
who ask: they are told instead. Linux sets DF in nearly everything. A program that did not ask for
it has a kernel which, had it the host's MTU, would fragment in silence: to tell it would fail its
next send with EMSGSIZE. Those who ask are known by an identification of 0, which Linux gives only
to what must not be fragmented (IP_PMTUDISC_DO and _PROBE), from sockets that are not connected:
those of ping and tracepath. In IPv6 nothing tells them from the others. All hear what the routers
say. Read: RFC 4787 4 and 5, RFC 5508, RFC 1191, RFC 8201, ip(7) for IP_MTU_DISCOVER, linux/net/ip.h
(ip_select_ident_segs).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from math import inf

from rootlessnet.stack.frames import Frames
from rootlessnet.stack.host import (
    PMTU_DO,
    PMTU_DONT,
    PMTU_WANT,
    UNSPECIFIED,
    HostDatagram,
    Payload,
    Receiver,
    SocketAddress,
)
from rootlessnet.stack.network import REASONS, Unreachable
from rootlessnet.tcp.timers import Timed, Timers
from rootlessnet.wire.families import Family
from rootlessnet.wire.icmp import Reason
from rootlessnet.wire.ip import DEFAULT_HOP_LIMIT, Packet

MAX_QUOTE = 1280  # bytes of a datagram, of which an ICMP error quotes as many as it may
ONE_WAY_TIMEOUT = 30.0  # seconds
TWO_WAY_TIMEOUT = 120.0
_CHANCES = 16  # flows that are looked at for one that is idle
_SWEEP = 5.0  # seconds between two looks for flows that have ended


class DatagramFlow(ABC):
    """A guest endpoint and one remote it talks to."""

    __slots__ = (
        *("_heard", "_size", "_spoken", "active", "endpoint", "frames", "is_joined", "is_moved"),
        *("key", "placed", "remote"),
    )

    def __init__(
        self, frames: Frames, key: bytes, endpoint: "Endpoint", remote: SocketAddress, now: float
    ) -> None:
        self.frames = frames
        self.key = key
        self.endpoint = endpoint
        self.remote = remote
        self.active = self.placed = now
        self._spoken = self._heard = False  # the guest has, of the remote
        self._size = 0  # of the latest datagram
        self.is_joined = False  # some datagrams went to the guest as one burst
        self.is_moved = False  # from the other family, where the guest refused it

    @property
    @abstractmethod
    def family(self) -> Family:
        """The family of its addresses in the guest."""

    @property
    def is_silent(self) -> bool:
        """Whether the guest has not spoken yet."""
        return not self._spoken

    @property
    def is_one_way(self) -> bool:
        """Whether one of the two has not spoken yet."""
        return not (self._spoken and self._heard)

    def deadline(self) -> float:
        """When the flow ends if nothing more happens."""
        return self.active + (ONE_WAY_TIMEOUT if self.is_one_way else TWO_WAY_TIMEOUT)

    def outbound(self, payload: Payload, segment: int, packet: Packet, now: float) -> None:
        """Send to the remote what the guest's packet holds."""
        self.active = now
        self._spoken = True
        self._size = len(payload) if not segment else min(segment, len(payload))
        if not packet.dont_fragment:
            discovery = PMTU_DONT
        else:
            discovery = PMTU_WANT if packet.identification else PMTU_DO
        self.endpoint.socket.send(payload, self.remote, segment, packet.hop_limit - 1, discovery)

    def inbound(self, payload: memoryview, segment: int, now: float) -> None:
        """Send to the guest what the remote has sent."""
        self.active = now
        self._heard = True
        if segment:
            self.is_joined = True
        self.deliver(payload, segment)

    @abstractmethod
    def deliver(self, payload: memoryview, segment: int) -> None:
        """Make a frame of what the remote has sent."""

    def fail(self, payload: bytes, kind: int, code: int, offender: str, info: int) -> None:
        """Tell the guest of an ICMP error about a datagram that begins with `payload`."""
        size = max(self._size, len(payload))
        protocol, addresses, message = self.quoted(payload, size)
        length = len(message) - len(payload) + size
        network, family = self.frames.network, self.family
        dialect, error = family.icmp, (kind, code)
        if kind not in dialect.deliveries:
            return
        hop_limit = DEFAULT_HOP_LIMIT
        if error == dialect.numbers[Reason.HOP_LIMIT_EXCEEDED]:
            hop_limit = 1
        if error == dialect.numbers[Reason.TOO_BIG]:
            info = network.path_mtu(info, family)
        quote = family.build(addresses, protocol, length, hop_limit) + message
        self.frames.send_icmp_error(quote, error, network.offender(offender, family), info)

    def refuse(self, payload: bytes, reason: Reason) -> None:
        """Tell the guest why the host did not send a datagram that begins with `payload`."""
        self.fail(payload, *self.family.icmp.numbers[reason], UNSPECIFIED, 0)

    @abstractmethod
    def quoted(self, payload: bytes, size: int) -> tuple[int, bytes, bytes]:
        """Protocol, addresses and transport message, as the guest sent them, of a datagram of
        `size` bytes that begins with `payload`.
        """


class Endpoint:
    """A host socket and its flows. This is the `Receiver` of an outbound socket."""

    socket: HostDatagram

    def __init__(self) -> None:
        self.flows: dict[SocketAddress, DatagramFlow] = {}

    def received(
        self, payload: memoryview, remote: SocketAddress, segment: int, now: float
    ) -> None:
        flow = self.flows.get(remote)
        if flow is not None:
            flow.inbound(payload, segment, now)

    def failed(
        self, payload: bytes, remote: SocketAddress, kind: int, code: int, offender: str, info: int
    ) -> None:
        flow = self.flow_of(remote)
        if flow is not None:
            flow.fail(payload, kind, code, offender, info)

    def refused(self, payload: Payload, remote: SocketAddress, error: int) -> None:
        flow, reason = self.flow_of(remote), REASONS.get(error)
        if flow is not None and reason is not None:
            flow.refuse(bytes(payload[:MAX_QUOTE]), reason)

    def flow_of(self, remote: SocketAddress) -> DatagramFlow | None:
        """The flow that errors about datagrams to `remote` belong to."""
        return self.flows.get(remote)

    def refused_by_guest(self, flow: DatagramFlow, payload: memoryview | None, now: float) -> None:
        """The guest wants none of this flow, whose datagram was `payload`, if that is known."""

    def abandoned(self) -> None:
        """The last flow has ended."""
        self.socket.close()


class OutboundEndpoint(Endpoint):
    """The host socket of one port, or echo identifier, of the guest's."""

    def __init__(self, table: dict[bytes, "OutboundEndpoint"], key: bytes) -> None:
        super().__init__()
        self._table = table
        self._key = key

    def abandoned(self) -> None:
        del self._table[self._key]
        super().abandoned()


class OutboundEndpoints:
    """All of them, by guest address and port, or identifier."""

    def __init__(
        self,
        kind: type[OutboundEndpoint],
        opening: Callable[[Receiver, Family], HostDatagram],
        failure: Reason,
    ) -> None:
        """`failure` is what the guest is told of an error of `opening` that has no other reason."""
        self._kind = kind
        self._opening = opening
        self._failure = failure
        self._endpoints: dict[bytes, OutboundEndpoint] = {}

    def get(self, key: bytes, family: Family) -> OutboundEndpoint:
        """That of `key`, which may be new; raises Unreachable."""
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            endpoint = self._kind(self._endpoints, key)
            try:
                endpoint.socket = self._opening(endpoint, family)
            except OSError as error:
                raise Unreachable(REASONS.get(error.errno or 0, self._failure)) from None
            self._endpoints[key] = endpoint
        return endpoint


class DatagramFlows(Timed):
    """The table of all flows of a protocol, at most `limit`; past it the oldest goes, and `full`
    hears of it.
    """

    def __init__(self, timers: Timers, limit: int, full: Callable[[], None]) -> None:
        super().__init__()
        self._timers = timers
        self._limit = limit
        self._full = full
        self._flows: dict[bytes, DatagramFlow] = {}

    def __len__(self) -> int:
        return len(self._flows)

    def items(self) -> Iterable[tuple[bytes, DatagramFlow]]:
        """All of them by their keys."""
        return self._flows.items()

    def get(self, key: bytes) -> DatagramFlow | None:
        return self._flows.get(key)

    def add(self, flow: DatagramFlow, now: float) -> None:
        """Take in a new flow."""
        # Before another goes, lest that be the last flow of the same endpoint and end it.
        standing = flow.endpoint.flows.get(flow.remote)
        flow.endpoint.flows[flow.remote] = flow
        if standing is not None:  # two ports of the gateway's lead to this remote: answer the last
            del self._flows[standing.key]
        if len(self._flows) >= self._limit:
            self._full()
            self._end_one()
        self._flows[flow.key] = flow
        if self.deadline == inf:
            self._timers.schedule(self, now + _SWEEP)

    def _end_one(self) -> None:
        """End the flow that has been idle for longest, or nearly so: to look at all of them for
        each new one would let a scan of ports hold up everybody else.

        The dictionary is in the order of placing. Whoever was active since then is placed anew.
        """
        flows = self._flows
        for _ in range(_CHANCES):
            flow = next(iter(flows.values()))
            if flow.active <= flow.placed:
                break
            flow.placed = flow.active
            flows[flow.key] = flows.pop(flow.key)
        self.end(next(iter(flows.values())))

    def timer_expired(self, now: float) -> None:
        for flow in [flow for flow in self._flows.values() if flow.deadline() <= now]:
            self.end(flow)
        if self._flows:
            self._timers.schedule(self, now + _SWEEP)

    def end(self, flow: DatagramFlow) -> None:
        """Forget a flow, and its endpoint with the last one."""
        del self._flows[flow.key]
        endpoint = flow.endpoint
        del endpoint.flows[flow.remote]
        if not endpoint.flows:
            endpoint.abandoned()

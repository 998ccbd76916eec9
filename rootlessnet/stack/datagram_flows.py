"""What UDP and echo flows share: host sockets, their flows by remote address, age and bounds.

One host socket serves one guest endpoint (address and port, or echo identifier), so every remote
sees the same source port: endpoint-independent mapping, which peer-to-peer programs need. Only
remotes the guest has sent to may answer: address- and port-dependent filtering. Flows end as Linux'
conntrack ends them: after 30 s, or 120 s once both sides have spoken. Read: RFC 4787 4 and 5, RFC
5508.
"""

from abc import ABC, abstractmethod
from math import inf

from rootlessnet.stack.host import UNSPECIFIED, HostDatagram, Payload, SocketAddress
from rootlessnet.stack.network import UNREACHABLE_CODES
from rootlessnet.tcp.timers import Timed, Timers
from rootlessnet.wire import icmp

ONE_WAY_TIMEOUT = 30.0  # seconds
TWO_WAY_TIMEOUT = 120.0
_SWEEP = 5.0  # seconds between two looks for flows that have ended


class DatagramFlow(ABC):
    """A guest endpoint and one remote it talks to."""

    __slots__ = ("_two_way", "active", "endpoint", "key", "remote")

    def __init__(self, key: bytes, endpoint: "Endpoint", remote: SocketAddress, now: float) -> None:
        self.key = key
        self.endpoint = endpoint
        self.remote = remote
        self.active = now
        self._two_way = False

    def deadline(self) -> float:
        """When the flow ends if nothing more happens."""
        return self.active + (TWO_WAY_TIMEOUT if self._two_way else ONE_WAY_TIMEOUT)

    def outbound(self, payload: Payload, segment: int, now: float) -> None:
        """Send to the remote."""
        self.active = now
        self.endpoint.socket.send(payload, self.remote, segment)

    def inbound(self, payload: memoryview, segment: int, now: float) -> None:
        """Send to the guest what the remote has sent."""
        self.active = now
        self._two_way = True
        self.deliver(payload, segment)

    @abstractmethod
    def deliver(self, payload: memoryview, segment: int) -> None:
        """Make a frame of what the remote has sent."""

    @abstractmethod
    def fail(self, payload: bytes, kind: int, code: int, offender: str, mtu: int) -> None:
        """Tell the guest of an ICMP error about `payload`."""


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
        self, payload: bytes, remote: SocketAddress, kind: int, code: int, offender: str, mtu: int
    ) -> None:
        flow = self.flows.get(remote)
        if flow is not None:
            flow.fail(payload, kind, code, offender, mtu)

    def refused(self, payload: Payload, remote: SocketAddress, error: int) -> None:
        code = UNREACHABLE_CODES.get(error)
        if code is not None:
            self.failed(bytes(payload), remote, icmp.DESTINATION_UNREACHABLE, code, UNSPECIFIED, 0)

    def abandoned(self) -> None:
        """The last flow has ended."""
        self.socket.close()


class DatagramFlows(Timed):
    """The table of all flows of a protocol, at most `limit`; past it the oldest goes."""

    def __init__(self, timers: Timers, limit: int) -> None:
        super().__init__()
        self._timers = timers
        self._limit = limit
        self._flows: dict[bytes, DatagramFlow] = {}

    def __len__(self) -> int:
        return len(self._flows)

    def get(self, key: bytes) -> DatagramFlow | None:
        return self._flows.get(key)

    def add(self, flow: DatagramFlow, now: float) -> None:
        """Take in a new flow."""
        # Before another goes, lest that be the last flow of the same endpoint and end it.
        flow.endpoint.flows[flow.remote] = flow
        if len(self._flows) >= self._limit:
            self.end(min(self._flows.values(), key=lambda standing: standing.active))
        self._flows[flow.key] = flow
        if self.deadline == inf:
            self._timers.schedule(self, now + _SWEEP)

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

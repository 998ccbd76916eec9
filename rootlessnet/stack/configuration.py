"""What tells a guest that configures itself how: made, and its modules loaded, when one first asks.

The guest that `run` makes has its addresses before its command starts, and never does.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from rootlessnet.stack.frames import Frames
from rootlessnet.stack.host import Host
from rootlessnet.stack.udp_flows import UdpFlows
from rootlessnet.tcp.timers import Timers
from rootlessnet.wire import ethernet, ip, ipv4, udp
from rootlessnet.wire.ip import Packet

if TYPE_CHECKING:
    from rootlessnet.stack.dhcp import DhcpServer
    from rootlessnet.stack.dhcpv6 import Dhcpv6Server
    from rootlessnet.stack.leases import Leases
    from rootlessnet.stack.router import Router

_DHCP_SERVER = udp.PORT.pack(udp.DHCP_SERVER)
_ALL_DHCP_SERVERS = b"\xff\x02" + bytes(11) + b"\1\0\2"  # and relays: RFC 8415 7.1


class AddressPool(NamedTuple):
    """The addresses that DHCP has to give: to anybody, and by hardware address."""

    free: Sequence[bytes]
    reserved: Mapping[bytes, bytes]


class Configuration:
    """DHCP of both families, and router advertisements. `pools` are for the plans of the network,
    one each; if there are none, so is no DHCP.
    """

    def __init__(
        self,
        timers: Timers,
        frames: Frames,
        host: Host,
        flows: UdpFlows,
        pools: Sequence[AddressPool],
    ) -> None:
        self._timers = timers
        self._frames = frames
        self._host = host
        self._pools = pools
        if not pools:
            return
        plan, *others = frames.network.plans
        for address in (plan.gateway, plan.broadcast, ipv4.BROADCAST):
            flows.serve(address, udp.DHCP_SERVER, self._receive_dhcp)
        if others:
            flows.serve(_ALL_DHCP_SERVERS, udp.DHCPV6_SERVER, self._receive_dhcpv6)

    def receive_router_solicitation(self, packet: Packet, frame: memoryview, now: float) -> None:
        """Process one of the guest's, whose network has IPv6; raises MalformedError."""
        self._router.solicited(packet, frame, now)

    def _receive_dhcp(
        self, packet: Packet, frame: memoryview, payload: memoryview, now: float
    ) -> None:
        self._meet(frame)
        self._dhcp.receive(payload, now)

    def _receive_dhcpv6(
        self, packet: Packet, frame: memoryview, payload: memoryview, now: float
    ) -> None:
        self._meet(frame)
        self._dhcpv6.receive(packet.source, ethernet.source(frame), payload, now)

    def _meet(self, frame: memoryview) -> None:
        """Where nobody knows the guest's own interface, it is that of the first client: a virtual
        machine on a socket.
        """
        network = self._frames.network
        if network.guest_mac == ethernet.BROADCAST:
            network.guest_mac = ethernet.source(frame)

    @cached_property
    def _dhcp(self) -> "DhcpServer":
        from rootlessnet.stack.dhcp import DhcpServer

        return DhcpServer(self._frames, self._host, self._leases(0))

    @cached_property
    def _dhcpv6(self) -> "Dhcpv6Server":
        from rootlessnet.stack.dhcpv6 import Dhcpv6Server

        return Dhcpv6Server(self._frames, self._host, self._leases(1))

    @cached_property
    def _router(self) -> "Router":
        from rootlessnet.stack.router import Router

        return Router(self._timers, self._frames, self._host, managed=bool(self._pools))

    def _leases(self, number: int) -> "Leases":
        """Those of a plan: the guest's own interface has the address of the guest's, unless the
        user has reserved that for another.
        """
        from rootlessnet.stack.leases import Leases

        network, (free, reserved) = self._frames.network, self._pools[number]
        guest = network.plans[number].guest
        if guest not in reserved.values():
            reserved = {network.guest_mac: guest, **reserved}
        return Leases(free, reserved)


def is_of_nobody(packet: Packet, frame: memoryview) -> bool:
    """Whether a packet is that of a client of DHCP, which has no address yet (RFC 1122 3.2.1.3)."""
    return (
        packet.addresses == ipv4.NOBODY + ipv4.BROADCAST
        and packet.protocol == ip.UDP
        and frame[packet.start + 2 : packet.start + 4] == _DHCP_SERVER
    )

"""Router advertisements: what a guest that configures itself by IPv6 learns without asking anybody
in particular: its prefix, its router, where names resolve, and the MTU.

They answer solicitations, at once: the delay of the RFC keeps several routers from speaking at a
time, and there is one. From the first solicitation on they are repeated, from time to time, before
what they said runs out; a guest that nobody configures this way never has an interface that asks,
and is left in peace. Where DHCPv6 answers they say so (M and O): it has the address that ports are
published for. Read: RFC 4861 6.2, RFC 4862 5.5.3, RFC 8106.
"""

from random import uniform

from rootlessnet.stack.frames import Frames
from rootlessnet.stack.host import Host
from rootlessnet.stack.network import GATEWAY_LINK_LOCAL
from rootlessnet.tcp.timers import Timed, Timers
from rootlessnet.wire import domain_names, ip, ndp
from rootlessnet.wire.ip import DEFAULT_HOP_LIMIT, Packet
from rootlessnet.wire.ndp import PrefixInformation, RouterAdvertisement

INTERVAL = 200.0, 600.0  # seconds between two that nobody asked for (RFC 4861 6.2.1)
LIFETIME = 1800  # seconds: three of the longest intervals
PREFERRED_LIFETIME, VALID_LIFETIME = 604_800, 2_592_000  # of the prefix: RFC 4861 6.2.1
_AUTONOMOUS_LENGTH = 64  # bits: hosts make the rest of their addresses (RFC 4862 5.5.3)


class Router(Timed):
    """The router of one link."""

    def __init__(self, timers: Timers, frames: Frames, host: Host, *, managed: bool) -> None:
        super().__init__()
        self._timers = timers
        self._frames = frames
        self._host = host
        self._plan = frames.network.plans[1]
        self._managed = managed

    def solicited(self, packet: Packet, frame: memoryview, now: float) -> None:
        """Answer a router solicitation; raises MalformedError."""
        mac = ndp.parse_router_solicitation(frame, packet)
        if mac is not None:
            self._frames.network.learn(packet.source, mac)
        is_nobody = packet.source == ndp.UNSPECIFIED
        self._advertise(ndp.ALL_NODES if is_nobody else packet.source)
        self._schedule(now)

    def timer_expired(self, now: float) -> None:
        self._advertise(ndp.ALL_NODES)
        self._schedule(now)

    def _schedule(self, now: float) -> None:
        self._timers.schedule(self, now + uniform(*INTERVAL))

    def _advertise(self, destination: bytes) -> None:
        network, plan = self._frames.network, self._plan
        prefix = PrefixInformation(
            plan.prefix,
            plan.prefix_length,
            VALID_LIFETIME,
            PREFERRED_LIFETIME,
            on_link=True,
            autonomous=plan.prefix_length == _AUTONOMOUS_LENGTH,
        )
        message = RouterAdvertisement(
            hop_limit=DEFAULT_HOP_LIMIT,
            managed=self._managed,
            other=self._managed,
            lifetime=LIFETIME,
            source_mac=network.mac,
            mtu=network.mtu,
            prefixes=(prefix,),
            nameservers=(plan.dns,),
            domains=domain_names.encode_list(self._host.search_domains()),
            dns_lifetime=LIFETIME,
        )
        addresses = GATEWAY_LINK_LOCAL + destination
        built = ndp.build_router_advertisement(addresses, message)
        self._frames.send(addresses, ip.ICMPV6, built, ndp.HOP_LIMIT)

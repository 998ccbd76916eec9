"""The gateway: one path for every frame of the guest.

`receive` dispatches on the Ethernet type, then on the protocol, to the flow tables. After a batch
of frames `end_batch` opens flows that had to wait and sends the acknowledgements that are owed. The
one timer of the loop is armed for `next_deadline` and calls `expire`. Malformed frames are counted
and dropped: nothing a guest sends raises past here. The gateway is a hop: it answers a packet whose
TTL ends here, and what goes on has one less. Read: RFC 1812 (what a gateway owes),
RFC 4443 2.4 (which errors nobody is told).
"""

from collections.abc import Sequence
from math import inf

from rootlessnet.bounds import DEFAULTS, Bounds
from rootlessnet.stack.configuration import AddressPool, Configuration, is_of_nobody
from rootlessnet.stack.echo_flows import EchoFlows
from rootlessnet.stack.fragments import Fragments
from rootlessnet.stack.frames import Frames
from rootlessnet.stack.host import Device, Host
from rootlessnet.stack.neighbours import Neighbours
from rootlessnet.stack.network import Network, Plan, is_link_local
from rootlessnet.stack.openings import PER_BATCH, Openings
from rootlessnet.stack.tcp_flows import TcpFlows
from rootlessnet.stack.udp_flows import UdpFlows
from rootlessnet.tcp.engine import Engine
from rootlessnet.tcp.timers import Timers
from rootlessnet.wire import MalformedError, ethernet, ip, ipv6, ndp
from rootlessnet.wire.families import Family
from rootlessnet.wire.icmp import Reason
from rootlessnet.wire.ip import Packet
from rootlessnet.wire.ipv6 import RefusedError


class Gateway:
    """The stack of one guest. `secret` is 16 random bytes; `dropped` counts frames by reason.

    `pools` are for the plans of the network, one each, or there is no DHCP.
    """

    def __init__(
        self,
        network: Network,
        device: Device,
        host: Host,
        secret: bytes,
        pools: Sequence[AddressPool] = (),
        bounds: Bounds = DEFAULTS,
    ) -> None:
        self._network = network
        self._frames = Frames(device, network)
        timers = Timers()
        self._engine = Engine(timers, secret, bounds)
        self._openings = openings = Openings(bounds.openings, lambda: host.full("openings"))
        self.tcp = TcpFlows(self._engine, self._frames, host, openings, bounds)
        self.udp = UdpFlows(timers, self._frames, host, openings, bounds)
        self.echo = EchoFlows(timers, self._frames, host, openings, bounds)
        self._neighbours = Neighbours(self._frames)
        self._configuration = Configuration(timers, self._frames, host, self.udp, pools)
        self._fragments = Fragments(bounds.fragmented)
        self._packet = Packet()
        self._plans = {plan.family.ethertype: plan for plan in network.plans}
        self.expire = self._engine.expire
        self.dropped = dict.fromkeys(
            ("malformed", "foreign source", "hop limit", "unknown protocol"), 0
        )

    def receive(self, frame: memoryview, now: float) -> None:
        """Process one frame, from its virtio-net header on. Its buffer may be reused on return."""
        try:
            if len(frame) < ethernet.PAYLOAD:
                raise MalformedError("frame is too short")
            kind = frame[ethernet.PAYLOAD - 2] << 8 | frame[ethernet.PAYLOAD - 1]
            plan = self._plans.get(kind)
            if plan is not None:
                plan.parse(frame, ethernet.PAYLOAD, self._packet)
                self._receive_packet(plan, frame, now)
            elif kind == ethernet.TYPE_ARP:
                self._neighbours.receive_arp(frame)
            else:
                self.dropped["unknown protocol"] += 1
        except RefusedError as refused:
            self.dropped["malformed"] += 1
            self._refuse_header(self._plans[kind], frame, refused)
        except MalformedError:
            self.dropped["malformed"] += 1

    def end_batch(self, now: float) -> None:
        """Do what waits for the end of a batch of frames."""
        if self._openings.left < PER_BATCH:
            self.open_some(now)
        self._engine.end_batch(now)

    def open_some(self, now: float) -> bool:
        """Open a few of the flows that wait; whether there are more."""
        for frame in self._openings.turn():
            self.receive(frame, now)
        return bool(self._openings.waiting)

    def next_deadline(self) -> float:
        """When to call `expire` next; inf for never, -inf for soon."""
        return -inf if self._openings.waiting else self._engine.next_deadline()

    def _receive_packet(self, plan: Plan, frame: memoryview, now: float) -> None:
        packet = self._packet
        if (
            packet.hop_limit <= 1 or not packet.addresses.startswith(plan.guest)
        ) and not self._goes_on(plan, frame):
            return
        if packet.is_fragment:
            whole = self._fragments.add(packet, frame, now)
            if whole is None:
                return
            frame = whole
            self._parse_whole(plan, frame)
        protocol = packet.protocol
        if protocol == ip.TCP:
            self.tcp.receive(packet, frame, now)
        elif protocol == ip.UDP:
            self.udp.receive(packet, frame, now)
        elif protocol == plan.family.icmp.protocol:
            self._receive_icmp(plan, frame, now)
        else:
            self.dropped["unknown protocol"] += 1
            if protocol != ipv6.NO_NEXT_HEADER:
                self._refuse(plan, frame, Reason.PROTOCOL_UNREACHABLE, packet.protocol_at)

    def _goes_on(self, plan: Plan, frame: memoryview) -> bool:
        """Judge a packet whose source is not the guest's own address, or whose hops end here."""
        packet, source = self._packet, self._packet.source
        # Who learned where the gateway is from an advertisement does not ask, and is learned here.
        is_admitted = source == plan.guest or self._network.learn(source, ethernet.source(frame))
        if is_admitted and packet.hop_limit > 1 and not is_link_local(source):
            return True  # nearly all are those of a guest that made its own address
        if self._is_about_link(plan, frame) and (is_admitted or source == ndp.UNSPECIFIED):
            return True
        if not is_admitted and not is_of_nobody(packet, frame):
            self.dropped["foreign source"] += 1
            return False
        if plan.is_on_link(packet.destination):
            return True
        if packet.hop_limit <= 1:
            self.dropped["hop limit"] += 1
            self._refuse(plan, frame, Reason.HOP_LIMIT_EXCEEDED)
        else:
            self.dropped["foreign source"] += 1
            self._refuse(plan, frame, Reason.BEYOND_SCOPE)
        return False

    def _is_about_link(self, plan: Plan, frame: memoryview) -> bool:
        packet, dialect = self._packet, plan.family.icmp
        return (
            packet.protocol == dialect.protocol
            and not packet.is_fragment
            and packet.start < packet.end
            and frame[packet.start] in dialect.link_messages
        )

    def _parse_whole(self, plan: Plan, frame: memoryview) -> None:
        """Parse what was put together of fragments; raises MalformedError."""
        try:
            plan.family.parse(frame, self._packet.header_start, self._packet)
        except RefusedError as refused:
            self._refuse_header(plan, frame, refused)
            raise MalformedError(str(refused)) from None

    def _refuse(self, plan: Plan, frame: memoryview, reason: Reason, info: int = 0) -> None:
        """Tell the guest of an error about its packet, unless RFC 1122 3.2.2 forbids it."""
        packet = self._packet
        if (
            plan.is_for_many(packet.destination)
            or (packet.is_fragment and packet.fragment_offset)
            or (
                packet.protocol == plan.family.icmp.protocol
                and plan.family.icmp.is_error(frame, packet.start, packet.end)
            )
        ):
            return
        self._frames.refuse(frame[packet.header_start : packet.end], reason, info=info)

    def _refuse_header(self, plan: Plan, frame: memoryview, refused: RefusedError) -> None:
        """Tell the guest what is wrong with the headers of its packet, unless RFC 4443 2.4 e
        forbids it.
        """
        packet = self._packet
        if not plan.may_be_source(packet.source):
            return
        if plan.is_for_many(packet.destination) and not refused.also_to_many:
            return
        error = (plan.family.icmp.parameter_problem, refused.code)
        quote = frame[packet.header_start : packet.end]
        self._frames.send_icmp_error(quote, error, info=refused.pointer)

    def _receive_icmp(self, plan: Plan, frame: memoryview, now: float) -> None:
        packet, dialect = self._packet, plan.family.icmp
        error = dialect.parse_error(frame, packet.start, packet.end)
        if error is not None:
            self._receive_error(plan.family, *error, now)
        elif frame[packet.start] in dialect.link_messages:
            if frame[packet.start] == ndp.ROUTER_SOLICITATION:
                self._configuration.receive_router_solicitation(packet, frame, now)
            else:
                self._neighbours.receive_icmp(packet, frame)
        else:
            self.echo.receive(packet, frame, now)

    def _receive_error(
        self, family: Family, error: tuple[int, int], quote: memoryview, now: float
    ) -> None:
        """The guest says what became of a packet of ours; raises MalformedError."""
        protocol, addresses, head = family.parse_quote(quote)
        if error in family.icmp.refusals:
            if protocol == ip.TCP:
                self.tcp.refused(addresses, head)
            elif protocol == ip.UDP:
                self.udp.refused(addresses, head, now)

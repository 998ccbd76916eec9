"""The gateway: one path for every frame of the guest.

`receive` dispatches on the Ethernet type, then on the protocol, to the flow tables. After a batch
of frames `end_batch` sends the acknowledgements it left owing. The one timer of the loop is armed
for `next_deadline` and calls `expire`. Malformed frames are counted and dropped: nothing a guest
sends raises past here. The gateway is a hop: it answers a packet whose TTL ends here, and what goes
on has one less. Read: RFC 1812 (what a gateway owes), RFC 826.
"""

from rootlessnet.stack.echo_flows import EchoFlows
from rootlessnet.stack.fragments import Fragments
from rootlessnet.stack.frames import Frames
from rootlessnet.stack.host import Device, Host
from rootlessnet.stack.network import Network
from rootlessnet.stack.tcp_flows import TcpFlows
from rootlessnet.stack.udp_flows import UdpFlows
from rootlessnet.tcp.engine import Engine
from rootlessnet.tcp.timers import Timers
from rootlessnet.wire import MalformedError, arp, ethernet, icmp, ip, ipv4
from rootlessnet.wire.arp import Arp
from rootlessnet.wire.ip import Packet


class Gateway:
    """The stack of one guest. `secret` is 16 random bytes; `dropped` counts frames by reason."""

    def __init__(self, network: Network, device: Device, host: Host, secret: bytes) -> None:
        self._network = network
        self._write = device.write
        self._frames = Frames(device, network)
        timers = Timers()
        self._engine = Engine(timers, secret)
        self.tcp = TcpFlows(self._engine, self._frames, host)
        self.udp = UdpFlows(timers, self._frames, host)
        self.echo = EchoFlows(timers, self._frames, host)
        self._fragments = Fragments()
        self._packet = Packet()
        self.end_batch = self._engine.end_batch
        self.next_deadline = self._engine.next_deadline
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
            if kind == ethernet.TYPE_IPV4:
                ipv4.parse(frame, ethernet.PAYLOAD, self._packet)
                self._receive_packet(frame, now)
            elif kind == ethernet.TYPE_ARP:
                self._receive_arp(frame)
            else:
                self.dropped["unknown protocol"] += 1
        except MalformedError:
            self.dropped["malformed"] += 1

    def _receive_packet(self, frame: memoryview, now: float) -> None:
        packet = self._packet
        network = self._network
        if not packet.addresses.startswith(network.guest) and not network.may_be_source(
            packet.source
        ):
            self.dropped["foreign source"] += 1
            return
        if packet.hop_limit <= 1 and not network.is_own(packet.destination):
            self.dropped["hop limit"] += 1
            self._send_error(icmp.TIME_EXCEEDED, icmp.TTL_EXCEEDED, frame)
            return
        if packet.is_fragment:
            whole = self._fragments.add(packet, frame, now)
            if whole is None:
                return
            frame = whole
            ipv4.parse(frame, packet.header_start, packet)
        protocol = packet.protocol
        if protocol == ip.TCP:
            self.tcp.receive(packet, frame, now)
        elif protocol == ip.UDP:
            self.udp.receive(packet, frame, now)
        elif protocol == ip.ICMP:
            self._receive_icmp(frame, now)
        else:
            self.dropped["unknown protocol"] += 1
            self._send_error(icmp.DESTINATION_UNREACHABLE, icmp.PROTOCOL_UNREACHABLE, frame)

    def _send_error(self, kind: int, code: int, frame: memoryview) -> None:
        """Tell the guest of an error about its packet, unless RFC 1122 3.2.2 forbids it."""
        packet, network = self._packet, self._network
        if (
            network.is_for_many(packet.destination)
            or (packet.is_fragment and packet.fragment_offset)
            or (packet.protocol == ip.ICMP and icmp.is_error(frame, packet.start, packet.end))
        ):
            return
        quote = frame[packet.header_start : packet.end]
        self._frames.send_icmp_error(network.gateway, kind, code, quote)

    def _receive_icmp(self, frame: memoryview, now: float) -> None:
        packet = self._packet
        unreachable = icmp.parse_unreachable(frame, packet.start, packet.end)
        if unreachable is None:
            self.echo.receive(packet, frame, now)
        else:
            self.tcp.unreachable(*unreachable)

    def _receive_arp(self, frame: memoryview) -> None:
        """Answer for the gateway's and the DNS address, and learn the guest's hardware address."""
        message = arp.parse(frame)
        network = self._network
        if message.sender == network.guest:
            network.guest_mac = message.sender_mac
        if message.operation == arp.REQUEST and network.is_own(message.target):
            mac = ethernet.gateway_mac(message.target)
            self._write(
                arp.build(Arp(arp.REPLY, mac, message.target, message.sender_mac, message.sender)),
                b"",
            )

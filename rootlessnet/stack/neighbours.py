"""Who has which address on the link: ARP for IPv4, neighbour discovery for IPv6.

The gateway answers for its own addresses and asks nobody: the hardware address of the guest's
interface is known, and that of other nodes, or another, is learned from what they ask. To a guest
that probes whether an address of the gateway's is free (duplicate address detection) all are told
that it is not. Read: RFC 826, RFC 4861 7.2, RFC 4862 5.4.
"""

from rootlessnet.stack.frames import Frames
from rootlessnet.wire import arp, ethernet, ip, ndp
from rootlessnet.wire.arp import Arp
from rootlessnet.wire.ip import Packet


class Neighbours:
    """The gateway's side of the link. What `receive_...` is given may raise MalformedError."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._network = frames.network

    def receive_arp(self, frame: memoryview) -> None:
        """Process an ARP message of the guest."""
        message = arp.parse(frame)
        network = self._network
        network.learn(message.sender, message.sender_mac)
        if message.operation == arp.REQUEST and network.is_own(message.target):
            mac = ethernet.gateway_mac(message.target)
            self._frames.write(
                arp.build(Arp(arp.REPLY, mac, message.target, message.sender_mac, message.sender)),
                b"",
            )

    def receive_icmp(self, packet: Packet, frame: memoryview) -> None:
        """Process one of `Dialect.link_messages`, which may come from the unspecified address."""
        if frame[packet.start] == ndp.NEIGHBOR_SOLICITATION:
            self._solicited(packet, frame)

    def _solicited(self, packet: Packet, frame: memoryview) -> None:
        message = ndp.parse_neighbor_solicitation(frame, packet)
        network, asking = self._network, packet.source
        if message.source_mac is not None:
            network.learn(asking, message.source_mac)
        if not network.is_own(message.target):
            return
        is_probe = asking == ndp.UNSPECIFIED
        addresses = message.target + (ndp.ALL_NODES if is_probe else asking)
        answer = ndp.NeighborAdvertisement(
            message.target, network.mac, router=True, solicited=not is_probe, override=True
        )
        self._frames.send(
            addresses,
            ip.ICMPV6,
            ndp.build_neighbor_advertisement(addresses, answer),
            ndp.HOP_LIMIT,
        )

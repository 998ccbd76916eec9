"""The DHCP server: for what configures itself, such as a virtual machine or a bridge in the guest.

It is the only one on its link and says so: a client with an address that it cannot have hears NAK,
and one that comes back with an address that is free may keep it, though we be started anew. The
guest's own interface has the static guest address reserved, so what is published reaches it however
it was configured; others get an address of the pool, or one that the user reserved.

Answers have complete checksums: some clients read them before their kernel completes one.
Read: RFC 2131 4.3 (what a server does with each message), RFC 3397, RFC 3442, RFC 6842.
"""

from rootlessnet.stack.frames import Frames
from rootlessnet.stack.host import Host
from rootlessnet.stack.leases import LEASE_TIME, OFFER_TIME, Client, Leases
from rootlessnet.wire import MalformedError, dhcp, domain_names, ip, ipv4, udp
from rootlessnet.wire.dhcp import Message
from rootlessnet.wire.ipv4 import BROADCAST, NOBODY

MIN_LEASE_TIME = 60  # seconds, for a client that asks for less than `LEASE_TIME`

_PORTS = udp.PORT.pack(udp.DHCP_SERVER) + udp.PORT.pack(udp.DHCP_CLIENT)
_IDENTIFIED_BY_MAC = b"\1"  # the type of hardware: what most clients name themselves by


class DhcpServer:
    """The server of one guest's network."""

    def __init__(self, frames: Frames, host: Host, leases: Leases) -> None:
        self._frames = frames
        self._host = host
        self._leases = leases
        self._plan = frames.network.plans[0]

    def receive(self, payload: memoryview, now: float) -> None:
        """Process a message; raises MalformedError."""
        message = dhcp.parse(payload)
        if message.relay != NOBODY:
            return  # from another link, which has no addresses of this one
        client = Client(message.client_identifier or _IDENTIFIED_BY_MAC + message.mac, message.mac)
        if message.kind == dhcp.DISCOVER:
            self._offer(message, client, now)
        elif message.kind == dhcp.REQUEST:
            self._acknowledge(message, client, now)
        elif message.kind == dhcp.DECLINE and message.requested is not None:
            self._leases.decline(client, message.requested, now)
        elif message.kind == dhcp.RELEASE:
            self._leases.release(client, message.client, now)
        elif message.kind == dhcp.INFORM:
            if not self._plan.may_be_source(message.client):
                raise MalformedError("DHCP client has no address of this network")
            self._reply(message, dhcp.ACK, NOBODY, self._parameters(message))

    def _offer(self, message: Message, client: Client, now: float) -> None:
        address = self._leases.choose(client, message.requested, now)
        if address is not None:
            self._leases.keep(client, address, now + OFFER_TIME)
            self._lease(message, dhcp.OFFER, address)

    def _acknowledge(self, message: Message, client: Client, now: float) -> None:
        """Of an offer, of an address from another time, or of a longer lease: RFC 2131 4.3.2."""
        if message.server not in (None, self._plan.gateway):
            return  # the client has taken another server's offer; ours lapses
        address = message.requested or message.client
        if address == NOBODY:
            raise MalformedError("DHCP request names no address")
        if self._leases.may_have(client, address, now):
            self._leases.keep(client, address, now + _lease_time(message))
            self._lease(message, dhcp.ACK, address)
        else:
            self._reply(message, dhcp.NAK, NOBODY, [])

    def _lease(self, message: Message, kind: int, address: bytes) -> None:
        options = [(dhcp.LEASE_TIME, _lease_time(message).to_bytes(4, "big"))]
        self._reply(message, kind, address, options + self._parameters(message))

    def _parameters(self, message: Message) -> list[tuple[int, bytes]]:
        """What the client asked for of what there is, the most important first."""
        plan = self._plan
        search = [name for name in self._host.search_domains() if domain_names.encode(name)]
        route = dhcp.encode_route(NOBODY, 0, plan.gateway)
        known = [
            (dhcp.SUBNET_MASK, plan.mask),
            (dhcp.ROUTER, plan.gateway),
            (dhcp.NAMESERVERS, plan.dns),
            (dhcp.CLASSLESS_ROUTES, route),
            (dhcp.INTERFACE_MTU, self._frames.network.mtu.to_bytes(2, "big")),
            (dhcp.BROADCAST_ADDRESS, plan.broadcast),
            (dhcp.DOMAIN_NAME, search[0].encode() if search else b""),
            (dhcp.DOMAIN_SEARCH, domain_names.encode_list(search)),
        ]
        wanted = message.wanted
        return [(code, value) for code, value in known if wanted is None or code in wanted]

    def _reply(
        self, message: Message, kind: int, address: bytes, options: list[tuple[int, bytes]]
    ) -> None:
        """Answer with as many of the options as the client has room for."""
        network, plan = self._frames.network, self._plan
        room = min(message.max_size, network.mtu) - ipv4.SIZE - udp.SIZE - dhcp.ROOM_NEEDED
        fitting: list[tuple[int, bytes]] = []
        identity = (dhcp.CLIENT_IDENTIFIER, message.client_identifier)
        for code, value in [(dhcp.SERVER_IDENTIFIER, plan.gateway), identity, *options]:
            size = len(dhcp.encode_option(code, value))
            if value and size <= room:
                room -= size
                fitting.append((code, value))
        if kind == dhcp.NAK or message.broadcast:
            destination = BROADCAST
        else:
            destination = message.client if message.client != NOBODY else address
            network.learn(destination, message.mac)  # it cannot be asked: it has no address yet
        addresses = plan.gateway + destination
        reply = dhcp.build_reply(message, kind, address, fitting)
        self._frames.send(addresses, ip.UDP, udp.build(addresses, _PORTS, reply))


def _lease_time(message: Message) -> int:
    wanted = LEASE_TIME if message.lease_time is None else message.lease_time
    return max(MIN_LEASE_TIME, min(wanted, LEASE_TIME))

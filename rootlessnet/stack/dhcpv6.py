"""The DHCPv6 server: one address for each association of a client's, and where names resolve.

It stands beside stateless configuration, which needs no server: a guest may use any address of the
prefix. What DHCPv6 adds is the address that ports are published for, which the guest's own
interface has reserved, and names for those who do not read them from router advertisements.

As the one server on its link it takes a client's word for an address that is free: it may have been
given before this server was started. Read: RFC 8415 18.3 (what a server does with each message).
"""

from rootlessnet.stack.frames import Frames
from rootlessnet.stack.host import Host
from rootlessnet.stack.leases import LEASE_TIME, OFFER_TIME, Client, Leases
from rootlessnet.stack.network import GATEWAY_LINK_LOCAL
from rootlessnet.wire import dhcpv6, domain_names, ip, udp
from rootlessnet.wire.dhcpv6 import Association, Message

_T1, _T2 = LEASE_TIME // 2, LEASE_TIME * 4 // 5
_PORTS = udp.PORT.pack(udp.DHCPV6_SERVER) + udp.PORT.pack(udp.DHCPV6_CLIENT)


class Dhcpv6Server:
    """The server of one guest's network."""

    def __init__(self, frames: Frames, host: Host, leases: Leases) -> None:
        self._frames = frames
        self._host = host
        self._leases = leases
        self._plan = frames.network.plans[1]
        self._identifier = dhcpv6.link_layer_identifier(frames.network.mac)

    def receive(self, source: bytes, mac: bytes, payload: memoryview, now: float) -> None:
        """Process a message from this address and hardware address; raises MalformedError."""
        message = dhcpv6.parse(payload)
        if message.server not in (b"", self._identifier):
            return  # for another server
        kind = dhcpv6.REPLY
        if message.kind == dhcpv6.SOLICIT and not message.rapid_commit:
            kind = dhcpv6.ADVERTISE
        options = self._answer(message, mac, now)
        if options is None:
            return
        identities = [dhcpv6.encode_option(dhcpv6.SERVER_IDENTIFIER, self._identifier)]
        if message.client:
            identities.append(dhcpv6.encode_option(dhcpv6.CLIENT_IDENTIFIER, message.client))
        reply = dhcpv6.build_reply(message, kind, identities + options)
        addresses = GATEWAY_LINK_LOCAL + source
        self._frames.send(addresses, ip.UDP, udp.build(addresses, _PORTS, reply))

    def _answer(self, message: Message, mac: bytes, now: float) -> list[bytes] | None:
        """The options of the answer; None: there is none."""
        kind = message.kind
        if kind == dhcpv6.CONFIRM:
            return self._confirm(message)
        if kind in (dhcpv6.RELEASE, dhcpv6.DECLINE):
            return self._take_back(message, mac, now)
        if kind == dhcpv6.INFORMATION_REQUEST:
            refresh = dhcpv6.encode_seconds(dhcpv6.INFORMATION_REFRESH_TIME, LEASE_TIME)
            return [*self._parameters(message), refresh]
        options = [
            self._assign(message, association, client, now)
            for client, association in _clients(message, mac)
        ]
        if message.rapid_commit and kind == dhcpv6.SOLICIT:
            options.append(dhcpv6.encode_option(dhcpv6.RAPID_COMMIT, b""))
        return options + self._parameters(message)

    def _assign(
        self, message: Message, association: Association, client: Client, now: float
    ) -> bytes:
        """What an association gets: an address, and the end of all others it knows."""
        identifier, known = association
        on_link = all(address in self._plan for address in known)
        if message.kind == dhcpv6.REQUEST and not on_link:
            status = dhcpv6.encode_status(dhcpv6.NOT_ON_LINK)
            return dhcpv6.encode_association(identifier, 0, 0, status)
        address = self._leases.choose(client, known[0] if known else None, now)
        if address is None:
            status = dhcpv6.encode_status(dhcpv6.NO_ADDRESSES)
            return dhcpv6.encode_association(identifier, 0, 0, status)
        is_offer = message.kind == dhcpv6.SOLICIT and not message.rapid_commit
        self._leases.keep(client, address, now + (OFFER_TIME if is_offer else LEASE_TIME))
        given = dhcpv6.encode_address(address, LEASE_TIME, LEASE_TIME)
        ended = [dhcpv6.encode_address(other, 0, 0) for other in known if other != address]
        return dhcpv6.encode_association(identifier, _T1, _T2, given, *([] if is_offer else ended))

    def _confirm(self, message: Message) -> list[bytes] | None:
        """Whether a client that was elsewhere meanwhile is still on this link: RFC 8415 18.3.3."""
        known = [address for one in message.associations for address in one.addresses]
        if not known:
            return None
        on_link = all(address in self._plan for address in known)
        return [dhcpv6.encode_status(dhcpv6.SUCCESS if on_link else dhcpv6.NOT_ON_LINK)]

    def _take_back(self, message: Message, mac: bytes, now: float) -> list[bytes]:
        """Addresses that a client needs no more, or found in use by another."""
        declined = message.kind == dhcpv6.DECLINE
        give_back = self._leases.decline if declined else self._leases.release
        options = [dhcpv6.encode_status(dhcpv6.SUCCESS)]
        for client, association in _clients(message, mac):
            done = [give_back(client, address, now) for address in association.addresses]
            if not any(done):
                status = dhcpv6.encode_status(dhcpv6.NO_BINDING)
                options.append(dhcpv6.encode_association(association.identifier, 0, 0, status))
        return options

    def _parameters(self, message: Message) -> list[bytes]:
        """What the client asked for of what there is."""
        search = domain_names.encode_list(self._host.search_domains())
        known = [(dhcpv6.NAMESERVERS, self._plan.dns), (dhcpv6.DOMAIN_SEARCH, search)]
        return [
            dhcpv6.encode_option(code, value)
            for code, value in known
            if value and code in message.wanted
        ]


def _clients(message: Message, mac: bytes) -> list[tuple[Client, Association]]:
    """Each association of a client's is one of `Leases`' clients. What is reserved for its hardware
    goes to the first.
    """
    return [
        (Client(message.client + one.identifier, b"" if place else mac), one)
        for place, one in enumerate(message.associations)
    ]

"""The guest's network: its addresses, and what of the host's network it may reach.

Addresses are bytes as they stand in a packet. There is a plan for each family that the guest has,
and its size tells to which of them an address belongs: nothing leads from one family to the other,
but for clients of a family that the guest does not have, and to single ports of the host. The
host's loopback is out of reach, however it is spelled, unless the user opened it or single ports of
it; then the gateway's address leads there. What else the user may refuse or open is in reach.py.
Read: RFC 6890 (special addresses), RFC 4291 2.5 (those of IPv6).
"""

import errno
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from rootlessnet.bounds import DEFAULTS, Bounds
from rootlessnet.stack.host import SocketAddress
from rootlessnet.stack.reach import Reach, embedded
from rootlessnet.wire import ethernet, families
from rootlessnet.wire.families import Family
from rootlessnet.wire.icmp import Reason

# What the guest is told when the host's kernel refuses to send or connect, by errno.
REASONS = {
    errno.ENETUNREACH: Reason.NO_ROUTE,
    errno.EHOSTUNREACH: Reason.HOST_UNREACHABLE,
    errno.EACCES: Reason.PROHIBITED,
    errno.EPERM: Reason.PROHIBITED,
    errno.EAFNOSUPPORT: Reason.NO_ROUTE,  # a host whose kernel has no IPv6
}

GATEWAY_LINK_LOCAL = IPv6Address("fe80::2").packed

_LOOPBACKS = {4: "127.0.0.1", 6: "::1"}

Address = IPv4Address | IPv6Address


class Unreachable(Exception):
    """The guest may not send there. `reason` is for an ICMP error; None: say nothing."""

    def __init__(self, reason: Reason | None) -> None:
        super().__init__(reason)
        self.reason = reason


def is_link_local(address: bytes) -> bool:
    """Whether an address is of IPv6 and leads no further than the link (RFC 4291 2.5.6)."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


@lru_cache(1024)
def _text(address: bytes) -> str:
    """As a socket takes it. A guest asks for few hosts, often: a name costs 1 µs to make."""
    return str(ip_address(address))


class Plan:
    """The addresses of one family, and what is special about others. `own` are the stack's, with
    `dns` unless nobody answers DNS queries.

    The gateway has one of the link, too, where the family has such.
    """

    def __init__(
        self,
        cidr: IPv4Network | IPv6Network,
        gateway: Address,
        dns: Address | None,
        guest: Address,
    ) -> None:
        self.gateway = gateway.packed
        self.dns = b"" if dns is None else dns.packed
        self.guest = guest.packed
        self.family = families.of(self.guest)
        self.parse = self.family.parse  # once a packet: one look-up less
        self.own = {self.gateway, self.dns} - {b""}
        self.mask = cidr.netmask.packed
        self._mask, self._prefix = int(cidr.netmask), int(cidr.network_address)
        self.prefix, self.prefix_length = cidr.network_address.packed, cidr.prefixlen
        self.broadcast = b""
        if self.family is families.IPV6:
            self.own.add(GATEWAY_LINK_LOCAL)
        else:
            self.broadcast = cidr.broadcast_address.packed

    def __contains__(self, address: bytes) -> bool:
        """Whether it is of the guest's own network."""
        return int.from_bytes(address, "big") & self._mask == self._prefix

    def is_on_link(self, address: bytes) -> bool:
        """Whether what goes to `address` ends on the guest's own link, or as a hop's errand."""
        return address in self.own or self.is_for_many(address)

    def may_be_source(self, address: bytes) -> bool:
        """Whether a packet of the guest may carry this source (RFC 2827, RFC 1122 3.2.1.3)."""
        if address in (self.prefix, self.broadcast) or address in self.own:
            return False
        return address in self or is_link_local(address)

    def is_for_many(self, destination: bytes) -> bool:
        """Multicast, reserved and broadcast: RFC 1122 3.2.2 allows no ICMP error about those."""
        if self.family is families.IPV6:
            return destination[0] == 0xFF
        return destination[0] >= 224 or destination == self.broadcast

    def is_shown(self, address: Address) -> bool:
        """Whether the guest may see who has this address, and would answer to the gateway."""
        packed = address.packed
        return (
            len(packed) == len(self.guest)
            and not (address.is_loopback or address.is_unspecified)
            and not is_link_local(packed)
            and packed not in self
        )


class Network:
    """The address plans: that of IPv4, and of IPv6 if the guest has it. `mtu` is in bytes;
    `guest_mac` is that of the guest's interface.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        mtu: int,
        guest_mac: bytes,
        reach: Reach,
        to_host: Mapping[tuple[int, int], int] | None = None,
        bounds: Bounds = DEFAULTS,
    ) -> None:
        """`plans` begin with that of IPv4. `to_host` has the ports of the host's loopback to which
        single ports of the gateway lead, by the protocol's number and the gateway's port.
        """
        self.plans = plans
        self.mtu = mtu
        self.guest_mac = guest_mac
        self.mac = ethernet.gateway_mac(plans[0].gateway)
        self._by_size = {len(plan.guest): plan for plan in plans}
        self._own = frozenset(address for plan in plans for address in plan.own)
        self._dns = frozenset(plan.dns for plan in plans) - {b""}
        self._reach = reach
        self._to_host = to_host or {}
        self._most_neighbours = bounds.neighbours
        self._neighbours: dict[bytes, bytes] = {}  # hardware addresses, longest known first

    def learn(self, address: bytes, mac: bytes) -> bool:
        """A node of the guest's network has shown where it is; whether it may have `address`."""
        neighbours = self._neighbours
        if neighbours.get(address) == mac:
            return True
        if not self.plan_of(address).may_be_source(address):
            return False
        if len(neighbours) >= self._most_neighbours and address not in neighbours:
            del neighbours[next(iter(neighbours))]
        neighbours[address] = mac
        return True

    def mac_of(self, address: bytes) -> bytes:
        """The hardware address for what goes to `address`: that of the guest's interface, unless
        another was told. A bridge in the guest has more than one node behind it.
        """
        if self.is_for_many(address):
            return ethernet.BROADCAST if len(address) == 4 else ethernet.multicast_mac(address)
        return self._neighbours.get(address, self.guest_mac)

    def plan_of(self, address: bytes) -> Plan:
        """The plan of the family that an address belongs to."""
        return self._by_size[len(address)]

    def is_own(self, address: bytes) -> bool:
        """Whether the stack itself answers for `address`."""
        return address in self._own

    def is_dns(self, address: bytes) -> bool:
        """Whether the built-in nameserver has `address`."""
        return address in self._dns

    def is_for_many(self, destination: bytes) -> bool:
        """Multicast, reserved and broadcast: RFC 1122 3.2.2 allows no ICMP error about those."""
        return self.plan_of(destination).is_for_many(destination)

    def path_mtu(self, told: int, family: Family) -> int:
        """What the guest may be told of a path whose MTU somebody says is `told`."""
        return min(max(told, family.min_mtu), self.mtu)

    def translate(self, destination: bytes) -> str:
        """The host's address for a destination of the guest's; raises Unreachable."""
        plan = self.plan_of(destination)
        if destination == plan.gateway:
            if self._reach.host_loopback:
                return _LOOPBACKS[plan.family.version]
            raise Unreachable(Reason.NO_ROUTE)
        if plan.is_for_many(destination):
            raise Unreachable(None)
        if destination in plan or is_link_local(destination):
            raise Unreachable(Reason.HOST_UNREACHABLE)
        inner = embedded(destination)
        if inner is not None and (inner in self.plans[0] or self.plans[0].is_for_many(inner)):
            raise Unreachable(Reason.NO_ROUTE)
        for address in (destination, inner):
            reason = None if address is None else self._reach.refusal(address)
            if reason is not None:
                raise Unreachable(reason)
        return _text(destination)

    def targets(self, protocol: int, destination: bytes, port: int) -> Sequence[SocketAddress]:
        """Where on the host a port of a destination of the guest's is, to be tried in this order;
        raises Unreachable.

        A single port of the host is one of its loopback in either family, that of the destination
        first.
        """
        plan = self.plan_of(destination)
        host_port = self._to_host.get((protocol, port))
        if host_port is None or destination != plan.gateway:
            return ((self.translate(destination), port),)
        own = _LOOPBACKS[plan.family.version]
        others = (address for address in _LOOPBACKS.values() if address != own)
        return tuple((address, host_port) for address in (own, *others))

    def appearances(self, address: str, guest: bytes | None = None) -> tuple[bytes, ...]:
        """The addresses under which the guest, or one `guest` address of its, may see a client of a
        published port, best first.

        The first is of the client's own family, if the guest has that: its own address, or the
        gateway's where the client is on the host's loopback or the guest's own network hides it.
        The other is the gateway's, for a server that does not listen in that family.
        """
        client = ip_address(address)
        plans = self.plans if guest is None else (self.plan_of(guest),)
        own = self._by_size.get(len(client.packed))
        others = tuple(plan.gateway for plan in plans if plan is not own)
        if own is None or own not in plans:
            return others
        return (client.packed if own.is_shown(client) else own.gateway, *others)

    def offender(self, address: str, family: Family) -> bytes:
        """The address, of this family, under which the guest sees who sent an ICMP error."""
        plan, offender = self._by_size[family.address_size], ip_address(address)
        return offender.packed if plan.is_shown(offender) else plan.gateway

"""The guest's network: its addresses, and what of the host's network it may reach.

Addresses are bytes as they stand in a packet. The host's loopback is out of reach, however it is
spelled, unless the user opened it; then the gateway's address leads there. Read: RFC 6890 (special
addresses).
"""

import errno
from ipaddress import IPv4Address, IPv4Network

from rootlessnet.wire import ethernet, icmp, ipv4
from rootlessnet.wire.ip import DEFAULT_HOP_LIMIT

# What the guest is told when the host's kernel refuses to send or connect, by errno.
UNREACHABLE_CODES = {
    errno.ENETUNREACH: icmp.NET_UNREACHABLE,
    errno.EHOSTUNREACH: icmp.HOST_UNREACHABLE,
    errno.EACCES: icmp.ADMIN_PROHIBITED,
    errno.EPERM: icmp.ADMIN_PROHIBITED,
}

_LOOPBACK = "127.0.0.1"


class Unreachable(Exception):
    """The guest may not send there. `code` is that of the ICMP error; None: say nothing."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Network:
    """The address plan. `mtu` is in bytes; `guest_mac` is where all frames go."""

    hop_limit = DEFAULT_HOP_LIMIT

    def __init__(
        self,
        cidr: IPv4Network,
        gateway: IPv4Address,
        dns: IPv4Address,
        guest: IPv4Address,
        mtu: int,
        guest_mac: bytes,
        host_loopback: bool,
    ) -> None:
        self._cidr = cidr
        self.gateway = gateway.packed
        self.dns = dns.packed
        self.guest = guest.packed
        self.mtu = mtu
        self.guest_mac = guest_mac
        self.mac = ethernet.gateway_mac(self.gateway)
        self._nobody, self._broadcast = cidr.network_address.packed, cidr.broadcast_address.packed
        self._host_loopback = host_loopback

    def is_own(self, address: bytes) -> bool:
        """Whether the stack itself answers for `address`."""
        return address in (self.gateway, self.dns)

    def may_be_source(self, address: bytes) -> bool:
        """Whether a packet of the guest may carry this source (RFC 2827, RFC 1122 3.2.1.3)."""
        if address in (self._nobody, self._broadcast) or self.is_own(address):
            return False
        return IPv4Address(address) in self._cidr

    def is_for_many(self, destination: bytes) -> bool:
        """Multicast, reserved and broadcast: RFC 1122 3.2.2 allows no ICMP error about those."""
        return destination[0] >= 224 or destination == self._broadcast

    def path_mtu(self, told: int) -> int:
        """What the guest may be told of a path whose MTU somebody says is `told`."""
        return min(max(told, ipv4.MIN_MTU), self.mtu)

    def translate(self, destination: bytes) -> str:
        """The host's address for a destination of the guest's; raises Unreachable."""
        if destination == self.gateway:
            if self._host_loopback:
                return _LOOPBACK
            raise Unreachable(icmp.NET_UNREACHABLE)
        if self.is_for_many(destination):
            raise Unreachable(None)
        address = IPv4Address(destination)
        if address in self._cidr:
            raise Unreachable(icmp.HOST_UNREACHABLE)
        if destination[0] in (0, 127):
            raise Unreachable(icmp.NET_UNREACHABLE)
        return str(address)

    def client(self, address: str) -> bytes:
        """The address under which the guest sees a client of a published port.

        A client on the host's loopback, of another family, or one whose address the guest's own
        network hides, appears as the gateway.
        """
        try:
            client = IPv4Address(address)
        except ValueError:
            return self.gateway
        if client.is_loopback or client.is_unspecified or client in self._cidr:
            return self.gateway
        return client.packed

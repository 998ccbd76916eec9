"""What beyond the guest's own network is out of its reach, by address.

A cloud gives the credentials of a machine to whoever asks at certain addresses from there: the
guest is not that machine, so they are refused unless the user gives them. So is the rest of IPv4's
link-local network, which no router leads to. IPv6 addresses that carry an IPv4 address lead where
that does, if the host has such a translator. Read: RFC 3927 7 (link-local addresses), RFC 6890
(special addresses), RFC 6052 and RFC 3056 (IPv4 in IPv6).
"""

from collections.abc import Container
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from rootlessnet.wire.icmp import Reason

# Where IPv6 packets carry an IPv4 address, and from which byte on.
_NAT64, _6TO4 = IPv6Address("64:ff9b::").packed[:12], b"\x20\x02"

_METADATA = (
    IPv4Network("169.254.0.0/16"),  # nearly everybody's is 169.254.169.254, Amazon has more
    IPv4Network("100.100.100.200"),  # Alibaba
    IPv4Network("168.63.129.16"),  # Azure's second
    IPv6Network("fd00:ec2::/32"),  # Amazon: ::254, and more as above
    IPv6Network("fd20:ce::254"),  # Google
    IPv6Network("fd00:c1::a9fe:a9fe"),  # Oracle
)
# How such addresses begin, by their size: the prefixes are of whole bytes.
_METADATA_PREFIXES = {
    size: tuple(
        network.network_address.packed[: network.prefixlen // 8]
        for network in _METADATA
        if network.max_prefixlen == 8 * size
    )
    for size in (4, 16)
}


def embedded(address: bytes) -> bytes | None:
    """The IPv4 address that an IPv6 address carries by NAT64 or 6to4, if it does."""
    if address.startswith(_NAT64):
        return address[12:]
    if len(address) == 16 and address.startswith(_6TO4):
        return address[2:6]
    return None


class Reach:
    """What the user gives the guest. `host_loopback`: the host's, at the gateway's address;
    `metadata`: what a cloud tells its machines. `refused` are addresses, as they stand in a packet,
    that are out of reach besides.
    """

    def __init__(
        self,
        *,
        host_loopback: bool = False,
        metadata: bool = False,
        refused: Container[bytes] = (),
    ) -> None:
        self.host_loopback = host_loopback
        self._metadata = metadata
        self._refused = refused

    def refusal(self, address: bytes) -> Reason | None:
        """Why the guest may not send to this address, which is of no guest; None if it may."""
        if address[0] in (0, 127) if len(address) == 4 else _is_special(address):
            return Reason.NO_ROUTE
        if not self._metadata and address.startswith(_METADATA_PREFIXES[len(address)]):
            return Reason.PROHIBITED
        if address in self._refused:
            return Reason.PROHIBITED
        return None


def _is_special(address: bytes) -> bool:
    """Whether an IPv6 address is the loopback, unspecified or reserved, which NAT64 is not."""
    return address[0] == 0 and not address.startswith(_NAT64)

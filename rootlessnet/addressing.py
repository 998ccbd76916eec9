"""The addresses of a guest's network, by default and as the user asked: which networks are
possible, and who has which address in them.

Read: slirp4netns(1) for the plan of IPv4, RFC 4193 for networks like the default one of IPv6.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from rootlessnet.errors import UsageError
from rootlessnet.words import HostAddress, address_or_none, number, quoted

DEFAULT_CIDR = IPv4Network("10.0.2.0/24")
DEFAULT_CIDR6 = IPv6Network("fd72:6c6e:6574::/64")  # RFC 4193, with the letters "rlnet" as its id

GATEWAY_OFFSET, DNS_OFFSET, GUEST_OFFSET = 2, 3, 100  # the address plan of slirp4netns
GUEST_OFFSET_6 = 0x100  # ::100
POOL_OFFSETS, POOL_OFFSETS_6 = range(15, 31), range(0x15, 0x31)

_PREFIXES = range(1, 26)  # /25 is the longest that has room for GUEST_OFFSET
_PREFIXES_6 = range(8, 120)
_SPECIAL_NETWORKS: dict[IPv4Network | IPv6Network, str] = {
    IPv4Network("0.0.0.0/8"): "this network",
    IPv4Network("127.0.0.0/8"): "the loopback network",
    IPv4Network("224.0.0.0/3"): "multicast and reserved addresses",
    IPv6Network("::/8"): "the loopback and other special addresses",
    IPv6Network("2002::/16"): "6to4",
    IPv6Network("fe80::/10"): "link-local addresses",
    IPv6Network("ff00::/8"): "multicast addresses",
}


class Plan6(NamedTuple):
    """The addresses of a guest that has IPv6."""

    cidr: IPv6Network

    @property
    def gateway(self) -> IPv6Address:
        return self.cidr.network_address + GATEWAY_OFFSET

    @property
    def dns_address(self) -> IPv6Address:
        return self.cidr.network_address + DNS_OFFSET

    @property
    def guest(self) -> IPv6Address:
        return self.cidr.network_address + GUEST_OFFSET_6

    def is_for_a_guest(self, address: HostAddress) -> bool:
        """Whether a node of the network can have it."""
        own = (self.gateway, self.dns_address, self.cidr.network_address)
        return address in self.cidr and address not in own

    @property
    def pool(self) -> tuple[IPv6Address, ...]:
        """The addresses that DHCPv6 gives to anybody."""
        return tuple(self.cidr.network_address + offset for offset in POOL_OFFSETS_6)


def parse_cidr(text: str) -> IPv4Network:
    """A network address with a prefix of 1 to 25 bits, such as 10.0.2.0/24."""
    word, _, prefix = text.partition("/")
    address, length = address_or_none(word), number(prefix)
    if not isinstance(address, IPv4Address) or length is None or length not in _PREFIXES:
        raise UsageError(
            f"invalid CIDR {quoted(text)}: write an IPv4 network with a prefix of "
            f"{_PREFIXES[0]} to {_PREFIXES[-1]}, like {DEFAULT_CIDR}"
        )
    network = IPv4Network((address, length), strict=False)
    if network.network_address != address:
        raise UsageError(
            f"CIDR needs to be a network address like {network}, not like {address}/{length}"
        )
    check_cidr(network)
    return network


def parse_cidr6(text: str) -> IPv6Network:
    """An IPv6 network address with a prefix of 8 to 119 bits, such as fd00::/64."""
    word, _, prefix = text.partition("/")
    address, length = address_or_none(word), number(prefix)
    is_plain = isinstance(address, IPv6Address) and address.scope_id is None
    if not is_plain or length is None or length not in _PREFIXES_6:
        raise UsageError(
            f"invalid IPv6 CIDR {quoted(text)}: write an IPv6 network with a prefix of "
            f"{_PREFIXES_6[0]} to {_PREFIXES_6[-1]}, like {DEFAULT_CIDR6}"
        )
    network = IPv6Network((str(address), length), strict=False)
    if network.network_address != address:
        raise UsageError(
            f"IPv6 CIDR needs to be a network address like {network}, not like {address}/{length}"
        )
    check_cidr6(network)
    return network


def check_cidr(network: IPv4Network) -> None:
    if network.prefixlen not in _PREFIXES:
        raise UsageError(
            f"invalid CIDR {network}: take a prefix of {_PREFIXES[0]} to {_PREFIXES[-1]}, "
            f"which has room for the guest at +{GUEST_OFFSET}"
        )
    _require_ordinary(network, DEFAULT_CIDR)


def check_cidr6(network: IPv6Network | None) -> None:
    if network is None:
        return
    if network.prefixlen not in _PREFIXES_6:
        raise UsageError(
            f"invalid IPv6 CIDR {network}: take a prefix of {_PREFIXES_6[0]} to "
            f"{_PREFIXES_6[-1]}, which has room for the guest at ::{GUEST_OFFSET_6:x}"
        )
    _require_ordinary(network, DEFAULT_CIDR6)


def _require_ordinary(
    network: IPv4Network | IPv6Network, example: IPv4Network | IPv6Network
) -> None:
    for special, name in _SPECIAL_NETWORKS.items():
        if network.version == special.version and network.overlaps(special):
            raise UsageError(
                f"invalid CIDR {network}: it overlaps {special} ({name}), "
                f"take a private network like {example}"
            )

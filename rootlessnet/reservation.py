"""Addresses that DHCP, of either family, keeps for a node of the guest's network: text to values.

Read: RFC 2131 4.3.1; dnsmasq(8), --dhcp-host, for the name of the option.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from rootlessnet.errors import UsageError
from rootlessnet.hardware_address import check_mac, parse_mac
from rootlessnet.words import HostAddress, address_or_none, quoted, require


@dataclass(frozen=True, slots=True)
class Reservation:
    """`mac` is the 6 bytes of a node's hardware address. Raises `UsageError`."""

    mac: bytes
    address: HostAddress

    def __post_init__(self) -> None:
        require("hardware address", self.mac, bytes, "6 bytes")
        check_mac(self.mac)
        require("reserved address", self.address, HostAddress, "ip_address('10.0.2.50')")
        if isinstance(self.address, IPv6Address) and self.address.scope_id is not None:
            raise UsageError(f"{self.address} names an interface: leave that out")

    @property
    def node(self) -> tuple[bytes, int]:
        """What may have one address: a node, in one family."""
        return self.mac, self.address.version

    def __str__(self) -> str:
        return f"{self.mac.hex(':')}={self.address}"


def parse_reservation(text: str) -> Reservation:
    """A hardware address and an IP address, as in 52:54:00:12:34:56=10.0.2.50."""
    mac, _, word = text.partition("=")
    address = address_or_none(word)
    if address is None:
        raise UsageError(
            f"reservation {quoted(text)} is not MAC=ADDRESS: "
            "write it like 52:54:00:12:34:56=10.0.2.50"
        )
    return Reservation(_parse_mac(mac), address)


def require_each_once(reservations: Sequence[Reservation]) -> None:
    """Refuse two reservations of one address, or for one node."""
    for place, one in enumerate(reservations):
        for other in reservations[:place]:
            if one.address == other.address or one.node == other.node:
                raise UsageError(f"{other} and {one} contradict each other: leave one out")


def _parse_mac(word: str) -> bytes:
    if len(word) != len("52:54:00:12:34:56"):
        raise UsageError(f"{quoted(word)} is not a MAC address: write it like 52:54:00:12:34:56")
    return parse_mac(word.replace("-", ":"))

"""Who has which address, of either family: on the host that tests make, and in its guests.

A test that takes `ip` (conftest.py) runs once for each family; one that costs much time names the
few runs that it needs itself.

Read: RFC 5737, RFC 3849 for addresses that are nobody's.
"""

from dataclasses import dataclass


def bracketed(address: str) -> str:
    """An address as URLs spell it."""
    return f"[{address}]" if ":" in address else address


@dataclass(frozen=True)
class Addresses:
    """Those of one family."""

    version: int
    address: str  # where servers listen
    other_address: str  # where clients come from
    no_route: str
    loopback: str
    every: str  # of a socket that listens on all
    gateway: str  # this and the next three are of the guest's network
    dns: str
    guest: str
    nobody: str  # a neighbour that does not exist
    header: int  # bytes in front of what a packet carries

    def __str__(self) -> str:
        return f"IPv{self.version}"

    def at(self, port: int) -> str:
        """A port where servers listen, as URLs spell it."""
        return f"{bracketed(self.address)}:{port}"


IPV4 = Addresses(
    version=4,
    address="192.0.2.1",
    other_address="198.51.100.1",
    no_route="203.0.113.1",
    loopback="127.0.0.1",
    every="0.0.0.0",
    gateway="10.0.2.2",
    dns="10.0.2.3",
    guest="10.0.2.100",
    nobody="10.0.2.7",
    header=20,
)
IPV6 = Addresses(
    version=6,
    address="2001:db8::1",
    other_address="2001:db8:3::1",
    no_route="2001:db8:1::1",
    loopback="::1",
    every="::",
    gateway="fd72:6c6e:6574::2",
    dns="fd72:6c6e:6574::3",
    guest="fd72:6c6e:6574::100",
    nobody="fd72:6c6e:6574::7",
    header=40,
)
FAMILIES = (IPV4, IPV6)

"""How much of everything there may be for one guest: the numbers that a user may change.

They are counted against an attacker, so there is no "unlimited". What takes a descriptor is bounded
by a share of those besides. What happens at each bound is in docs/design.md, Bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """`config` judges the values. Sizes are in bytes."""

    tcp_flows: int = 32768
    tcp_connecting: int = 1024  # of them, those whose host still connects
    tcp_bytes: int = 256 << 20  # held for all connections together, in both directions
    tcp_connection_bytes: int = 1 << 20  # held for one of them in each direction, and its window
    udp_flows: int = 4096
    echo_flows: int = 256
    openings: int = 16384  # frames of each kind that wait for a flow to be opened
    fragmented: int = 64  # datagrams in reassembly
    neighbours: int = 1024  # nodes of the guest's network whose hardware address is known
    leases: int = 28  # of DHCP, and as many of DHCPv6, besides those that are reserved
    dns_queries: int = 128  # in flight over UDP
    # In flight over TCP. dnsmasq serves 20 connections at a time, unbound 10 (RFC 7766 6.2.2).
    dns_tcp_queries: int = 8
    dns_connections: int = 256  # of the guest's to its DNS address
    splices: int = 32768  # connections of clients on the host's loopback
    to_host_splices: int = 32768  # connections of the guest's by `to_host`
    to_host_udp: int = 512  # clients of each of its UDP ports
    control_clients: int = 64  # of each of the sockets on which an instance is asked


DEFAULTS = Bounds()
RANGES: Mapping[str, range] = {
    "tcp_flows": range(1, _MOST + 1),
    "tcp_connecting": range(1, _MOST + 1),
    "tcp_bytes": range(1 << 20, (1 << 33) + 1),
    "tcp_connection_bytes": range(1 << 16, (0xFFFF << 5) + 1),  # what a scaled window expresses
    "udp_flows": range(1, _MOST + 1),
    "echo_flows": range(1, _MOST + 1),
    "openings": range(1, _MOST + 1),
    "fragmented": range(1, 4097),
    "neighbours": range(1, _MOST + 1),
    "leases": range(1, 29),  # there are no more addresses for them
    "dns_queries": range(1, 4097),
    "dns_tcp_queries": range(1, 4097),
    "dns_connections": range(1, 32769),
    "splices": range(_MOST + 1),  # none: they come by the TAP
    "to_host_splices": range(1, _MOST + 1),
    "to_host_udp": range(1, _MOST + 1),
    "control_clients": range(1, 1025),
}

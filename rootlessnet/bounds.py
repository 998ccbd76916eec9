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
    fragmented: int = 64  # datagrams in reassembly
    dns_queries: int = 128  # in flight over UDP
    splices: int = 32768  # connections of clients on the host's loopback
    control_clients: int = 64  # of each of the sockets on which an instance is asked


DEFAULTS = Bounds()
RANGES: Mapping[str, range] = {
    "tcp_flows": range(1, _MOST + 1),
    "tcp_connecting": range(1, _MOST + 1),
    "tcp_bytes": range(1 << 20, (1 << 33) + 1),
    "tcp_connection_bytes": range(1 << 16, (0xFFFF << 5) + 1),  # what a scaled window expresses
    "udp_flows": range(1, _MOST + 1),
    "echo_flows": range(1, _MOST + 1),
    "fragmented": range(1, 4097),
    "dns_queries": range(1, 4097),
    "splices": range(_MOST + 1),  # none: they come by the TAP
    "control_clients": range(1, 1025),
}

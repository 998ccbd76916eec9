"""A chain of routers between the host of a test and a far end: what tools see of a path.

    host ── first router ── second router ── far end
                         ↑ an MTU of 1400

Each is a network namespace within the user namespace of the host, bound to a file in a tmpfs that
only the host's mount namespace has: no process holds them, and all vanish with the host's holder.
The addresses are for tests of networks (RFC 2544). Read: unshare(1), veth(4), ip-route(8).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.outside import Outside, make_outside

FIRST_ROUTER, SECOND_ROUTER, FAR_END = "198.18.1.2", "198.18.2.2", "198.18.3.2"
PATH_MTU = 1400
# Whither the second router refuses to send.
UNREACHABLE, PROHIBITED = "203.0.113.1", "203.0.113.2"

_DIRECTORY = "/mnt"
_CHAIN = f"""
mount -t tmpfs none {_DIRECTORY}
cd {_DIRECTORY}
for name in first second far; do
    : > $name
    unshare --net=$name true
done
on() {{ nsenter --net=$1 sh -euc "$2"; }}

ip link add to-first type veth peer name to-host netns ./first
on first "ip link add to-second mtu {PATH_MTU} type veth \\
    peer name to-first mtu {PATH_MTU} netns ./second"
on second "ip link add to-far type veth peer name to-second netns ./far"

ip address add 198.18.1.1/24 dev to-first
ip link set to-first up
ip route add default via {FIRST_ROUTER}
on first "
    ip address add {FIRST_ROUTER}/24 dev to-host
    ip address add 198.18.2.1/24 dev to-second
    ip link set to-host up
    ip link set to-second up
    ip route add default via {SECOND_ROUTER}
"
on second "
    ip address add {SECOND_ROUTER}/24 dev to-first
    ip address add 198.18.3.1/24 dev to-far
    ip link set to-first up
    ip link set to-far up
    ip route add default via 198.18.2.1
    ip route add unreachable {UNREACHABLE}
    ip route add prohibit {PROHIBITED}
"
on far "
    ip address add {FAR_END}/24 dev to-second
    ip link set to-second up
    ip route add default via 198.18.3.1 mtu {PATH_MTU}
"
for name in first second far; do
    on $name "
        echo 1 > /proc/sys/net/ipv4/ip_forward
        echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
    "
done
cd /
"""


class Routed:
    """The host, where guests run, and the far end of the chain."""

    def __init__(self, host: Outside) -> None:
        self.host = host
        self.far_end = host.beyond(f"{_DIRECTORY}/far")


@contextmanager
def make_routers() -> Iterator[Routed]:
    """A host with a chain of routers; it knows nothing of the path yet."""
    with make_outside(_CHAIN) as host:
        yield Routed(host)

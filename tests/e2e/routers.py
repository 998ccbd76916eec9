"""A chain of routers between the host of a test and a far end: what tools see of a path.

    host ── first router ── second router ── far end
                         ↑ an MTU of 1400

Each is a network namespace within the user namespace of the host, bound to a file in a tmpfs that
only the host's mount namespace has: no process holds them, and all vanish with the host's holder.
The addresses are for tests of networks (RFC 2544, RFC 5180).

Read: unshare(1), veth(4), ip-route(8).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.addresses import IPV4, IPV6
from tests.e2e.outside import Outside, make_outside


@dataclass(frozen=True)
class Chain:
    """The addresses of one family; those of each network begin with one of `networks`."""

    networks: tuple[str, str, str]
    prefix: int
    unreachable: str  # whither the second router refuses to send
    prohibited: str

    def near(self, network: int) -> str:
        """The address of the end that is nearer to the host."""
        return f"{self.networks[network]}1"

    def hop(self, network: int) -> str:
        """Of the other end, which a path tells: the first router, the second, the far end."""
        return f"{self.networks[network]}2"


CHAINS = {
    IPV4: Chain(("198.18.1.", "198.18.2.", "198.18.3."), 24, "203.0.113.1", "203.0.113.2"),
    IPV6: Chain(
        ("2001:2:0:1::", "2001:2:0:2::", "2001:2:0:3::"), 64, "2001:db8:1::1", "2001:db8:1::2"
    ),
}
PATH_MTU = 1400

_DIRECTORY = "/mnt"
_CHAIN = f"""
mount -t tmpfs none {_DIRECTORY}
cd {_DIRECTORY}
for name in first second far; do
    : > $name
    unshare --net=$name true
done
on() {{ nsenter --net=$1 sh -euc "$2"; }}

# Addresses can be used at once: nobody else would have them.
no_dad="echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad"
eval "$no_dad"
for name in first second far; do on $name "$no_dad"; done

ip link add to-first type veth peer name to-host netns ./first
on first "ip link add to-second mtu {PATH_MTU} type veth \\
    peer name to-first mtu {PATH_MTU} netns ./second"
on second "ip link add to-far type veth peer name to-second netns ./far"

ip link set to-first up
on first "ip link set to-host up; ip link set to-second up"
on second "ip link set to-first up; ip link set to-far up"
on far "ip link set to-second up"
for name in first second far; do
    on $name "
        echo 1 > /proc/sys/net/ipv4/ip_forward
        echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
        echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
        echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
    "
done
"""
_ADDRESSES = "".join(
    f"""
ip address add {chain.near(0)}/{chain.prefix} dev to-first
on first "
    ip address add {chain.hop(0)}/{chain.prefix} dev to-host
    ip address add {chain.near(1)}/{chain.prefix} dev to-second
    ip {family} route add default via {chain.hop(1)}
"
on second "
    ip address add {chain.hop(1)}/{chain.prefix} dev to-first
    ip address add {chain.near(2)}/{chain.prefix} dev to-far
    ip {family} route add default via {chain.near(1)}
    ip route add unreachable {chain.unreachable}
    ip route add prohibit {chain.prohibited}
"
on far "
    ip address add {chain.hop(2)}/{chain.prefix} dev to-second
    ip {family} route add default via {chain.near(2)} mtu {PATH_MTU}
"
ip {family} route add default via {chain.hop(0)}
"""
    for family, chain in (("-4", CHAINS[IPV4]), ("-6", CHAINS[IPV6]))
)


class Routed:
    """The host, where guests run, and the far end of the chain."""

    def __init__(self, host: Outside) -> None:
        self.host = host
        self.far_end = host.beyond(f"{_DIRECTORY}/far")


@contextmanager
def make_routers() -> Iterator[Routed]:
    """A host with a chain of routers; it knows nothing of the path yet."""
    with make_outside(f"{_CHAIN}{_ADDRESSES}cd /\n") as host:
        yield Routed(host)

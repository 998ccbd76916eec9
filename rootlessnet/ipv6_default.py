"""Whether a guest gets IPv6 when nobody said so, and which network then: what the host has decides.

A host has IPv6 when one of its interfaces has an address that is neither the loopback's nor
link-local. The guest's network is a fixed one, so that it is the same every time, unless an address
or a route of the host's is within it, as in a guest of a guest: then the next that is free. A route
that covers much more than a site is no use of it.

Read: RFC 4193, proc(5) for /proc/net/if_inet6 and ipv6_route.
"""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Network
from typing import TypeVar

from rootlessnet.addressing import DEFAULT_CIDR6
from rootlessnet.config import MTU_MIN_6, AttachConfig, NetworkConfig, RunConfig
from rootlessnet.errors import RootlessnetError

PROC_NET = "/proc/net"

_CANDIDATES = 16  # networks that are tried
_SITE = 48  # bits of a prefix; a route of fewer leads to more than one site

Config = TypeVar("Config", RunConfig, AttachConfig)


def settled(config: Config) -> Config:
    """The config with its IPv6 network, or without IPv6. Raises RootlessnetError."""
    return replace(config, network=settled_network(config.network))


def settled_network(network: NetworkConfig, proc_net: str = PROC_NET) -> NetworkConfig:
    """The same for the network alone. `ipv6` stays None where the namespace still has a say."""
    wanted = network.ipv6
    if wanted is None and (network.mtu < MTU_MIN_6 or not _host_has_ipv6(proc_net)):
        wanted = False if network.cidr6 is None else None
    if wanted is False or network.cidr6 is not None:
        return replace(network, ipv6=wanted)
    used = [*_addresses(proc_net), *_routes(proc_net)]
    for candidate in _candidates():
        if not any(candidate.overlaps(one) for one in used):
            return replace(network, cidr6=candidate)
    if wanted:
        raise RootlessnetError(
            f"the host uses {DEFAULT_CIDR6} and what follows: name another network with --cidr6"
        )
    return replace(network, ipv6=False)


def _candidates() -> Iterator[IPv6Network]:
    first = int(DEFAULT_CIDR6.network_address)
    for number in range(_CANDIDATES):
        yield IPv6Network((first + (number << 64), DEFAULT_CIDR6.prefixlen))


def _host_has_ipv6(proc_net: str) -> bool:
    return any(
        not (one.network_address.is_loopback or one.network_address.is_link_local)
        for one in _addresses(proc_net)
    )


def _addresses(proc_net: str) -> Iterator[IPv6Network]:
    """Those of the host's interfaces."""
    for line in _lines(f"{proc_net}/if_inet6"):
        yield IPv6Network(int(line.split()[0], 16))


def _routes(proc_net: str) -> Iterator[IPv6Network]:
    """Where the host has routes to, but for those to nearly everywhere."""
    for line in _lines(f"{proc_net}/ipv6_route"):
        destination, length, *_ = line.split()
        if int(length, 16) >= _SITE:
            yield IPv6Network((int(destination, 16), int(length, 16)), strict=False)


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:  # a kernel without IPv6
        return []

"""Whether a guest gets IPv6, and which network: by files as /proc/net has them."""

from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from rootlessnet.addressing import DEFAULT_CIDR6
from rootlessnet.config import NetworkConfig, RunConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.ipv6_default import settled, settled_network

LOOPBACK, LINK_LOCAL, GLOBAL = "::1", "fe80::1", "2001:db8::1"
FIRST, SECOND = DEFAULT_CIDR6, IPv6Network("fd72:6c6e:6574:1::/64")
ALL = IPv6Network("fd72:6c6e:6574::/48")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host's /proc/net, without IPv6."""
    return tmp_path


def give(host: Path, *addresses: str, routes: tuple[str, ...] = ()) -> Path:
    lines = [f"{int(IPv6Address(one)):032x} 02 40 00 80     eth0\n" for one in addresses]
    (host / "if_inet6").write_text("".join(lines))
    lines = []
    for route in map(IPv6Network, routes):
        rest = f"{0:032x} 00 {0:032x} 00000400 00000001 00000000 00000001     eth0"
        lines.append(f"{int(route.network_address):032x} {route.prefixlen:02x} {rest}\n")
    (host / "ipv6_route").write_text("".join(lines))
    return host


def outcome(host: Path, **options: object) -> IPv6Network | None:
    """The guest's network."""
    plan = settled_network(NetworkConfig(**options), str(host)).plan6  # type: ignore[arg-type]
    return None if plan is None else plan.cidr


@pytest.mark.parametrize(
    ("addresses", "network"),
    [
        ((), None),
        ((LOOPBACK,), None),
        ((LOOPBACK, LINK_LOCAL), None),
        ((LOOPBACK, LINK_LOCAL, GLOBAL), FIRST),
        (("fd00::2",), FIRST),
    ],
)
def test_the_guest_has_what_the_host_has(
    host: Path, addresses: tuple[str, ...], network: IPv6Network | None
) -> None:
    assert outcome(give(host, *addresses)) == network


def test_a_kernel_without_ipv6(host: Path) -> None:
    assert outcome(host) is None
    assert outcome(host, ipv6=True) == FIRST


def test_what_was_said_counts(host: Path) -> None:
    other = IPv6Network("fd00::/64")
    give(host, GLOBAL, "fd00::2", routes=("fd00::/64",))
    assert outcome(host, ipv6=False) is None
    assert outcome(host, ipv6=False, cidr6=other) is None
    assert outcome(host, cidr6=other) == other
    give(host, LOOPBACK)
    assert outcome(host, ipv6=True) == FIRST
    assert outcome(host, cidr6=other) == other


@pytest.mark.parametrize("ipv6", [None, True])
def test_whether_it_was_said_stays_known(host: Path, ipv6: bool | None) -> None:
    """The namespace may have a say where nobody else has."""
    assert settled_network(NetworkConfig(ipv6=ipv6), str(give(host, GLOBAL))).ipv6 is ipv6


@pytest.mark.parametrize(
    ("addresses", "routes", "network"),
    [
        ((GLOBAL, "fd72:6c6e:6574::100"), (), SECOND),  # a guest is the host
        ((GLOBAL,), (str(FIRST),), SECOND),
        ((GLOBAL,), ("fd72:6c6e:6574::77/128",), SECOND),
        ((GLOBAL,), ("::/0", "fc00::/7", "fd72:6c6e::/32", "2001:db8::/64"), FIRST),
        ((GLOBAL,), (str(ALL),), None),
    ],
)
def test_what_the_host_uses_is_not_the_guest_s(
    host: Path, addresses: tuple[str, ...], routes: tuple[str, ...], network: IPv6Network | None
) -> None:
    assert outcome(give(host, *addresses, routes=routes)) == network


def test_none_is_free_for_who_asked(host: Path) -> None:
    with pytest.raises(RootlessnetError, match="name another network with --cidr6"):
        outcome(give(host, GLOBAL, routes=(str(ALL),)), ipv6=True)


def test_a_small_mtu_leaves_no_room_for_ipv6(host: Path) -> None:
    give(host, GLOBAL)
    assert outcome(host, mtu=1279) is None
    assert outcome(host, mtu=1280) == FIRST


def test_a_config_keeps_the_rest() -> None:
    config = RunConfig(("true",), NetworkConfig(mtu=1500, ipv6=False), name="one")
    assert settled(config) == config

"""IPv6 between real kernels and by real programs: what is its own, or between it and IPv4.

What either family does is tested where IPv4's is: tests that take `ip` run for both.

Everything happens on a host of its own (`outside`), which has IPv6 because lo has an address beyond
the loopback. Read: RFC 8305 for "happy eyeballs".
"""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.addresses import IPV6
from tests.e2e.conftest import needs
from tests.e2e.guest import make_guest
from tests.e2e.outside import ADDRESS, ADDRESS_6, Outside, make_outside, peer

GATEWAY, GUEST, NO_ROUTE = IPV6.gateway, IPV6.guest, IPV6.no_route
LINK_LOCAL = "fe80::2%tap0"
SILENT = "2001:db8:2::1"
BOTH = "both.example"  # whose IPv6 is dead, its IPv4 not
CURL = ("curl", "--silent", "--show-error", "--noproxy", "*", "--http0.9", "--max-time", "15")
PREPARE = f"""
ip link add silent0 type veth peer name silent1 # nobody is behind it
ip link set silent0 up
ip link set silent1 up
ip -6 address add 2001:db8:2::2/64 dev silent0 nodad
ip -6 neighbour add {SILENT} lladdr 02:00:00:00:00:01 dev silent0
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Outside]:
    with make_outside(PREPARE) as made:
        yield made


def guest(host: Outside, *words: str, options: tuple[str, ...] = ()) -> str:
    """What a program in a guest says."""
    done = host.rootlessnet.run("run", *options, "--", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def client(host: Outside, *words: str) -> str:
    done = host.program(*words).run()
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ── the interface ────────────────────────────────────────────────────────────────────────────────


def test_the_address_can_be_used_at_once_and_is_the_only_one(host: Outside) -> None:
    said = guest(host, "ip", "-6", "-oneline", "address", "show", "dev", "tap0", "scope", "global")
    assert said.count("inet6") == 1
    assert f"inet6 {GUEST}/64 scope global nodad" in said
    assert "tentative" not in said
    assert f"default via {GATEWAY} dev tap0" in guest(host, "ip", "-6", "route")


def test_another_network(host: Outside) -> None:
    script = "ip -6 address show dev tap0; ping -n -c1 -W10 fd00::2"
    said = guest(host, "sh", "-c", script, options=("--cidr6", "fd00::/64"))
    assert "inet6 fd00::100/64" in said


@pytest.mark.parametrize("options", [("--no-ipv6",), ("--mtu", "1279")])
def test_a_guest_without_ipv6(host: Outside, options: tuple[str, ...]) -> None:
    script = "ip -6 address show dev tap0 scope global; ip -6 route show default"
    assert guest(host, "sh", "-c", script, options=options) == ""


def test_a_host_without_ipv6() -> None:
    with make_outside("ip -6 address flush dev lo scope global\n") as host:
        assert guest(host, "ip", "-6", "route", "show", "default") == ""
        assert GATEWAY in guest(host, "ip", "-6", "route", "show", "default", options=("--ipv6",))


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (("--cidr6", "fd00:1::/64"), ["fd00:1::/64", "fd00:1::2", "fd00:1::3", "fd00:1::100"]),
        (("--no-ipv6",), [None] * 4),
    ],
)
def test_the_addresses_are_shown(
    host: Outside, options: tuple[str, ...], shown: list[str | None]
) -> None:
    with make_guest(host, *options):
        (described,) = json.loads(host.rootlessnet.run("ps", "--json").stdout)
    network = described["network"]
    assert [network[key] for key in ("cidr6", "gateway6", "dns6", "guest6")] == shown


def test_an_address_of_the_gateway_is_found_to_be_taken(host: Outside) -> None:
    script = f"""
        echo 1 > /proc/sys/net/ipv6/conf/tap0/dad_transmits
        ip -6 address add {GATEWAY}/64 dev tap0
        ip -6 address add fd72:6c6e:6574::50/64 dev tap0
        until ip -6 address show dev tap0 dadfailed | grep inet6; do sleep 0.05; done
        while ip -6 address show dev tap0 tentative | grep -v failed | grep -q ::50; do
            sleep 0.05
        done
        ip -6 address show dev tap0 dadfailed
    """
    said = guest(host, "sh", "-euc", script)
    assert f"inet6 {GATEWAY}/64" in said
    assert "::50/64" not in said


def test_a_guest_of_a_guest(host: Outside) -> None:
    inner = ("run", "--cidr", "10.0.3.0/24", "--", "ping", "-n", "-c1", "-W10", ADDRESS_6)
    said = guest(host, *host.rootlessnet.words[-3:], *inner)
    assert f"bytes from {ADDRESS_6}" in said


def test_attach_to_a_namespace_where_ipv6_is_disabled(host: Outside) -> None:
    """By default there is none; who asked for it is told."""
    holder = """
        sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1
        echo ready; exec cat
    """
    words = ("unshare", "--user", "--map-root-user", "--net", "sh", "-euc", holder)
    with host.program(*words).serving() as target:
        refused = host.rootlessnet.run("attach", "--ipv6", str(target.pid))
        assert refused.returncode == 1
        assert refused.stderr.startswith("rootlessnet: cannot give the namespace IPv6 (")
        assert "or give --no-ipv6" in refused.stderr
    with (
        host.program(*words).serving() as target,
        host.rootlessnet.started("attach", "-p", "5000", str(target.pid)) as process,
    ):
        assert process.stderr is not None
        assert process.stderr.readline().startswith("rootlessnet: published")
        (described,) = json.loads(host.rootlessnet.run("ps", "--json").stdout)
        assert described["network"]["guest6"] is None


# ── ping ─────────────────────────────────────────────────────────────────────────────────────────


@needs("ping")
@pytest.mark.parametrize("options", [(), ("--map-user",)], ids=["root", "user"])
def test_ping_of_the_gateway_s_link_local_address(host: Outside, options: tuple[str, ...]) -> None:
    said = guest(host, "ping", "-n", "-c1", "-W10", LINK_LOCAL, options=options)
    assert f"bytes from {LINK_LOCAL}: icmp_seq=1" in said


# ── UDP and TCP, outbound ────────────────────────────────────────────────────────────────────────


@needs("curl")
@pytest.mark.parametrize("options", [(), ("--no-offload",), ("--mtu", "1500")])
def test_curl(host: Outside, options: tuple[str, ...]) -> None:
    with host.program(*peer("tcp", "tell_address", ADDRESS_6, 5000)).serving():
        words = (*CURL, "-6", f"http://[{ADDRESS_6}]:5000/")
        assert guest(host, *words, options=options) == ADDRESS_6


@needs("curl")
@pytest.mark.parametrize("dead", [NO_ROUTE, SILENT, ADDRESS_6], ids=["route", "silent", "refused"])
def test_happy_eyeballs(host: Outside, dead: str) -> None:
    """A host whose IPv6 is dead is reached by IPv4, as on the host."""
    with host.program(*peer("tcp", "tell_address", ADDRESS, 5000)).serving():
        resolve = ("--resolve", f"{BOTH}:5000:[{dead}],{ADDRESS}")
        assert guest(host, *CURL, *resolve, f"http://{BOTH}:5000/") == ADDRESS


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_no_disguise_leads_to_the_host_s_loopback(host: Outside, protocol: str) -> None:
    with host.program(*peer(protocol, "tell_address", "::", 5000)).serving():
        for spelling in ("::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"):
            words = peer(protocol, "hear", spelling, 5000)
            said = guest(host, *words, options=("--host-loopback",))
            assert said in ("ENETUNREACH", "ECONNREFUSED"), "there is nothing, or the guest itself"


# ── published ports ──────────────────────────────────────────────────────────────────────────────

SEEN = [(ADDRESS_6, ADDRESS_6), ("::1", GATEWAY), (ADDRESS, ADDRESS)]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("listening", ["::", "0.0.0.0"])
def test_the_guest_sees_its_client(host: Outside, protocol: str, listening: str) -> None:
    """Or the gateway of the other family, where its server listens in that alone. How a client that
    is spliced appears is in test_splice.py.
    """
    server = peer(protocol, "tell_address", listening, 5000)
    options = ("run", "--no-splice", "-p", f"8080:5000/{protocol}", "--", *server)
    with host.rootlessnet.serving(*options):
        for address, seen in SEEN:
            said = client(host, *peer(protocol, "hear", address, 8080))
            if listening == "::":
                assert said in (seen, f"::ffff:{seen}")
            else:
                assert said == (seen if address == ADDRESS else "10.0.2.2")

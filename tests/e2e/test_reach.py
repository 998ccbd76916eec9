"""What of the host a guest reaches: not its loopback, unless --host-loopback opens it, and neither
a cloud's metadata nor other addresses that were refused, however they are spelled.
"""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.addresses import IPV4, Addresses
from tests.e2e.conftest import Program, needs
from tests.e2e.outside import ADDRESS, ADDRESS_6, OTHER_ADDRESS, Outside, make_outside, peer

GATEWAY, DNS = IPV4.gateway, IPV4.dns
PREFIX_6 = "fd72:6c6e:6574::"
PROHIBITED = ("EACCES", "EHOSTUNREACH")  # as kernels tell of it over IPv6 and IPv4
UNREACHED = ("ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED")


def hear(outside: Outside, protocol: str, address: str, *options: str) -> str:
    """What a client in a guest says that asks port 5000 of an address."""
    done = outside.rootlessnet.run("run", *options, "--", *peer(protocol, "hear", address, 5000))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_loopback_is_out_of_reach(
    outside: Outside, ip: Addresses, protocol: str, everywhere: bool
) -> None:
    bound = ip.every if everywhere else ip.loopback
    with outside.program(*peer(protocol, "tell_address", bound, 5000)).serving():
        for address in (ip.gateway, ip.dns, ip.loopback):
            assert hear(outside, protocol, address) in UNREACHED


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_loopback_is_opened(outside: Outside, ip: Addresses, protocol: str) -> None:
    """At the gateway's address; 127.0.0.1 and ::1 remain the guest's own."""
    with outside.program(*peer(protocol, "tell_address", ip.loopback, 5000)).serving():
        assert hear(outside, protocol, ip.gateway, "--host-loopback") == ip.loopback
        assert hear(outside, protocol, ip.loopback, "--host-loopback") == "ECONNREFUSED"
        assert hear(outside, protocol, ip.dns, "--host-loopback") in UNREACHED


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_loopback_that_is_opened_where_nobody_listens(
    outside: Outside, ip: Addresses, protocol: str
) -> None:
    assert hear(outside, protocol, ip.gateway, "--host-loopback") == "ECONNREFUSED"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_other_addresses_of_the_host_are_in_reach(
    outside: Outside, ip: Addresses, protocol: str
) -> None:
    with outside.program(*peer(protocol, "tell_address", ip.address, 5000)).serving():
        assert hear(outside, protocol, ip.address) == ip.address


# ── frames of a hostile guest ────────────────────────────────────────────────────────────────────

# Where the host's loopback, 0.0.0.0 and the guest's own network would answer, if they were asked:
# the outside gives itself those of them that a host can have.
TRANSLATED = (
    *("64:ff9b::7f00:1", "64:ff9b::a00:202", "64:ff9b::", "64:ff9b:1::7f00:1"),
    *("2002:7f00:1::", "2002:7f00:1::1", "2002:a00:202::1", "2002::1", "::7f00:1"),
)
LOOPBACKS = (
    *("127.0.0.1", "127.0.0.53", "127.255.255.254", "0.0.0.0", "0.0.0.1", GATEWAY, DNS),
    *("::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", f"::ffff:{ADDRESS}", "::ffff:0:7f00:1"),
    *(f"{PREFIX_6}2", f"{PREFIX_6}3", "fe80::2", "fe80::1", *TRANSLATED),
)
NO_HOSTS = (
    *("224.0.0.1", "255.255.255.255", "10.0.2.255", "10.0.2.0", "240.0.0.1", "192.0.2.255"),
    *("ff02::1", "ff01::1", "ff05::1", "ff0e::1", PREFIX_6),
)
TRANSLATED_METADATA = ("64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1")
METADATA = (
    *("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16"),
    *("fd00:ec2::254", "fd20:ce::254", *TRANSLATED_METADATA),
)
IN_REACH = (ADDRESS, ADDRESS_6)


@pytest.fixture
def cloud() -> Iterator[Outside]:
    """A host that has every address that is to be refused, as far as a host can."""
    commands = [
        f"ip address add {one}/{128 if ':' in one else 32} dev lo\n"
        for one in (*TRANSLATED, *METADATA)
    ]
    with make_outside("".join(commands) + "ip address add 192.0.2.9/24 brd + dev lo\n") as host:
        yield host


def echo_requests(outside: Outside) -> tuple[int, int]:
    """How many pings this host has received, of IPv4 and IPv6."""
    lines = outside.program("cat", "/proc/net/snmp").run().stdout.splitlines()
    names, numbers = (line.split() for line in lines if line.startswith("Icmp:"))
    more = outside.program("cat", "/proc/net/snmp6").run().stdout.split()
    return int(numbers[names.index("InEchos")]), int(more[more.index("Icmp6InEchos") + 1])


def seen(outside: Outside, *addresses: str, options: tuple[str, ...] = ()) -> list[set[str]]:
    """What a host sees of a guest that sends to these addresses, and then to some in reach, with
    which all before has come: the addresses that connections came to, and datagrams.
    """
    guest = peer("raw", 5000, *addresses, *IN_REACH)
    with (
        outside.program(*peer("tcp", "echo", "::", 5000)).serving() as tcp,
        outside.program(*peer("udp", "show", "::", 5000)).serving() as udp,
    ):
        done = outside.rootlessnet.run("run", "--ipv6", *options, "--", *guest)
        assert done.returncode == 0, done.stderr
        return [until_the_last_in_reach(tcp), until_the_last_in_reach(udp)]


def until_the_last_in_reach(server: subprocess.Popen[str]) -> set[str]:
    assert server.stdout is not None
    found: set[str] = set()
    while not found.issuperset(IN_REACH):
        line = server.stdout.readline()
        assert line, "it ended"
        found.add(line.split()[-1].removeprefix("::ffff:"))
    return found


@needs("ping")
def test_every_spelling_of_what_is_out_of_reach(cloud: Outside) -> None:
    """By TCP, UDP and ping, from the guest's address and from others."""
    before = echo_requests(cloud)
    assert seen(cloud, *LOOPBACKS, *NO_HOSTS, *METADATA) == [set(IN_REACH)] * 2
    assert echo_requests(cloud) == (before[0] + 1, before[1] + 1), "of those in reach, once each"


@needs("ping")
def test_metadata_that_is_given(cloud: Outside) -> None:
    """Which also shows that the others would have been seen, had they come through."""
    before = echo_requests(cloud)
    given = {*METADATA, *IN_REACH}
    assert seen(cloud, *METADATA, options=("--metadata",)) == [given] * 2
    of_ipv6 = sum(":" in one for one in given)
    assert echo_requests(cloud) == (before[0] + len(given) - of_ipv6, before[1] + of_ipv6)


# ── the host's own addresses ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_own_addresses_of_the_host_that_are_refused(outside: Outside, protocol: str) -> None:
    with outside.program(*peer(protocol, "tell_address", "::", 5000)).serving():
        for address in (ADDRESS, OTHER_ADDRESS, ADDRESS_6):
            options = ("--ipv6", "--no-host-addresses")
            assert hear(outside, protocol, address, *options) in PROHIBITED
        options = ("--host-loopback", "--no-host-addresses")
        assert hear(outside, protocol, GATEWAY, *options).endswith("127.0.0.1")


FOLLOW = f"""
import ipaddress, subprocess
from rootlessnet.host.own_addresses import OwnAddresses

own = OwnAddresses()
for interface in map(ipaddress.ip_interface, ("{ADDRESS}/32", "{ADDRESS_6}/128")):
    for word in ("add", "del") * 2:
        subprocess.run(["ip", "address", word, str(interface), "dev", "lo"], check=True)
        assert (interface.packed in own) is (word == "add"), f"{{interface}} after {{word}}"
"""


def test_addresses_that_come_and_go_are_followed() -> None:
    words = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c")
    setup = 'ip link set lo up; exec "$0" -c "$1"'
    done = Program(*words, setup, sys.executable, FOLLOW).run()
    assert (done.returncode, done.stderr) == (0, "")

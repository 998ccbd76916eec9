"""Guests that configure themselves by IPv6: the kernel, rdisc6, dhclient and dhcpcd.

The guest's interface is made to listen to routers first, and loses its address. Where DHCPv6 is to
give the only one, the kernel takes the routes of the router, and makes no address of its prefix.
Read: Documentation/networking/ip-sysctl.rst, rdisc6(8).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import SEARCH, Place, bridge, make_place
from tests.e2e.conftest import needs, wait_for
from tests.e2e.outside import ADDRESS_6

SERVER = ("python3", "-u", "-m", "http.server", "--bind", ADDRESS_6, "5000")
CURL = f"curl --silent --show-error --noproxy {ADDRESS_6} -g http://[{ADDRESS_6}]:5000/page"
PREFIX = "fd72:6c6e:6574:"
STATIC, NAMESERVER = f"{PREFIX}:100", f"{PREFIX}:3"

pytestmark = [pytest.mark.usefixtures("needs_namespaces"), needs("curl")]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A host with a web server."""
    with make_place(tmp_path) as made:
        server = made.outside.program(*SERVER, "--directory", str(tmp_path))
        with server.started() as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("Serving")
            yield made


def listening(interface: str = "tap0", *, autoconf: int = 1) -> str:
    """A script that has the interface configured by the router, and waits until it is."""
    return f"""
        cd /proc/sys/net/ipv6/conf/{interface}
        ip link set dev {interface} down
        echo 1 >accept_ra
        echo {autoconf} >autoconf
        echo 0 >dad_transmits
        echo 0 >router_solicitation_delay
        echo 1 >router_solicitation_interval
        ip link set dev {interface} up
        until ip -6 route show default | grep -q "proto ra"; do :; done
        cd /
    """


ADDRESSES = "ip -6 address show scope global dev {}"


def test_the_kernel_configures_itself(place: Place) -> None:
    """It uses an address that it made itself, of the prefix, and the MTU of the router."""
    script = f"{listening()} {ADDRESSES.format('tap0')}; cat /proc/sys/net/ipv6/conf/tap0/mtu"
    said = place.guest(f"{script}; {CURL}", "--mtu", "1400")
    assert f"inet6 {PREFIX}" in said
    assert STATIC not in said
    assert said.endswith("1400\nthe page\n")


@needs("rdisc6")
def test_a_guest_that_is_configured_believes_no_router(place: Place) -> None:
    """It can ask, and hears all; but it keeps the one address that it has."""
    addresses = "ip -6 -o address show scope global dev tap0"
    said = place.guest(f"{addresses}; rdisc6 -1 tap0; {addresses}; ip -6 route show default")
    before, after = (line for line in said.splitlines() if "inet6" in line)
    assert f"inet6 {STATIC}/64" in before
    assert before == after
    assert "proto ra" not in said
    assert f"Prefix                   : {PREFIX}:/64" in said
    assert f"Recursive DNS server     : {NAMESERVER}" in said
    assert f"DNS search list          : {SEARCH}" in said
    assert " from fe80::2" in said


@needs("dhclient")
def test_dhclient_gets_the_address_that_ports_are_published_for(place: Place) -> None:
    serve = "exec python3 -u -m http.server --bind :: 5000"
    client = place.dhclient("-6")
    script = f"{listening(autoconf=0)} {client} >&2; {CURL} >&2; echo ready; cd {place.folder}"
    guest = ("run", "-p", "8080:5000", "--", *place.shell(f"{script}; {serve}"))
    ask = place.outside.program(
        "curl", "--silent", "--noproxy", "*", "-g", "http://[::1]:8080/page"
    )
    with place.outside.rootlessnet.serving(*guest):
        assert wait_for(lambda: ask.run().stdout, "the server") == "the page\n"
    assert f"BOUND6 address={STATIC} dns={NAMESERVER}" in place.events[-1]
    assert f"search={SEARCH}" in place.events[-1].replace(". ", " ").removesuffix(".")


@needs("dhclient")
def test_dhclient_asks_for_names_alone(place: Place) -> None:
    place.guest(f"{listening()} {place.dhclient('-6 -S')}; {CURL}")
    assert f"dns={NAMESERVER} search={SEARCH}" in place.events[-1].replace(". ", " ").removesuffix(
        "."
    )


@needs("dhcpcd")
def test_dhcpcd_listens_to_router_and_server(place: Place) -> None:
    script = f"""
        ip link set dev tap0 down; ip link set dev tap0 up
        {place.dhcpcd("-6 -B")} >&2 &
        until {ADDRESSES.format("tap0")} -tentative | grep -q {STATIC}; do :; done
        {ADDRESSES.format("tap0")}; ip -6 route show default; {CURL}; kill $!
    """
    said = place.guest(script)
    assert said.count(f"inet6 {PREFIX}") == 2
    assert "default via fe80::2 dev tap0 proto ra" in said
    assert said.endswith("the page\n")


def test_a_node_behind_a_bridge_has_an_address_of_its_own(place: Place) -> None:
    """What is for it goes to its own interface, and what is for the guest's to the guest's."""
    beyond = listening("eth0") + ADDRESSES.format("eth0")
    said = place.guest(bridge(listening("br0"), beyond, CURL))
    assert f"inet6 {PREFIX}0:0:ff:fe00:77/64" in said.replace(f"{PREFIX}:ff", f"{PREFIX}0:0:ff")
    assert said.count("the page\n") == 2

"""Guests that configure themselves by DHCP: udhcpc, dhclient and dhcpcd.

The guest's interface loses its address first.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import NODE_MAC, SEARCH, Place, bridge, make_place
from tests.e2e.conftest import needs
from tests.e2e.outside import ADDRESS, peer

NODE = "10.0.2.15"
BARE = "ip address flush dev tap0; ip link set tap0 mtu 1400"
SAID = "ip -4 address show dev {}; ip route"
CURL = f"curl --silent --show-error --noproxy {ADDRESS} http://{ADDRESS}:5000/"

pytestmark = [pytest.mark.usefixtures("needs_namespaces"), needs("curl", "busybox")]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A host with a web server."""
    with make_place(tmp_path) as made:
        files = peer("http_files", ADDRESS, 5000, tmp_path / "page")
        with made.outside.program(*files).serving():
            yield made


@pytest.mark.parametrize("client", ["udhcpc", pytest.param("dhclient", marks=needs("dhclient"))])
def test_a_client_configures_the_guest(place: Place, client: str) -> None:
    program = place.udhcpc() if client == "udhcpc" else place.dhclient("-4")
    said = place.guest(f"{BARE}; {program}; {SAID.format('tap0')}; {CURL}")
    assert "inet 10.0.2.100/24" in said
    assert "default via 10.0.2.2" in said
    assert "mtu 65520" in said
    assert said.endswith("the page\n")
    event = place.events[-1]
    assert "address=10.0.2.100 dns=10.0.2.3" in event
    assert f"search={SEARCH}" in event.replace(". ", " ").replace(".,", "")


@needs("dhcpcd")
def test_dhcpcd_configures_the_guest(place: Place) -> None:
    said = place.guest(f"{BARE}; {place.dhcpcd('-4 -1')}; {SAID.format('tap0')}; {CURL}")
    assert "inet 10.0.2.100/24" in said
    assert "default via 10.0.2.2" in said
    assert "mtu 65520" in said
    assert said.endswith("the page\n")


def test_a_published_port_reaches_a_guest_that_configured_itself(place: Place) -> None:
    serve = f"exec {shlex.join(peer('http_files', '0.0.0.0', 5000, place.folder / 'page'))}"
    guest = ("run", "-p", "8080:5000", "--", *place.shell(f"{BARE}; {place.udhcpc()} >&2; {serve}"))
    ask = place.outside.program("curl", "--silent", "--noproxy", "*", "http://127.0.0.1:8080/")
    with place.outside.rootlessnet.serving(*guest):
        assert ask.run().stdout == "the page\n"


@pytest.mark.parametrize("address", [NODE, "10.0.2.50"])
def test_a_node_behind_a_bridge_has_an_address_of_its_own(place: Place, address: str) -> None:
    """What is for it goes to its own interface, and what is for the guest's to the guest's."""
    beyond = f"ip link set dev eth0 up; {place.udhcpc('eth0')}; {SAID.format('eth0')}"
    options = ("--dhcp-host", f"{NODE_MAC}={address}") if address != NODE else ()
    said = place.guest(bridge(place.udhcpc("br0"), beyond, CURL), *options)
    assert f"inet {address}/24" in said
    assert said.count("the page\n") == 2


def test_a_lease_is_renewed_and_released(place: Place) -> None:
    """By the client's own signals for it."""
    client = place.udhcpc().replace(" -q", " -f")
    script = f"""
        told() {{ until grep -q "^$1" "$EVENTS"; do :; done; }}
        {BARE}
        {client} &
        told bound
        kill -USR1 $!
        told renew
        {CURL}
        echo >"$EVENTS"
        kill -USR2 $!
        told deconfig
        kill $!
    """
    assert "the page\n" in place.guest(script)


@needs("dhclient")
def test_a_lease_of_another_network_is_refused(place: Place) -> None:
    """The client comes back to its old address, hears no, and gets one that it can have."""
    (place.folder / "leases").write_text("""lease {
        interface "tap0"; fixed-address 10.77.0.7; option subnet-mask 255.255.255.0;
        option dhcp-server-identifier 10.77.0.2; option routers 10.77.0.2;
        renew 6 2036/01/05 00:00:00; rebind 6 2036/01/05 00:00:00; expire 6 2036/01/05 00:00:00;
    }\n""")
    said = place.guest(f"{BARE}; {place.dhclient('-4')} -v 2>&1; {SAID.format('tap0')}; {CURL}")
    assert "DHCPNAK from 10.0.2.2" in said
    assert "inet 10.0.2.100/24" in said


def test_no_dhcp(place: Place) -> None:
    client = place.udhcpc().replace("-t 10", "-t 1")
    assert "nobody\n" in place.guest(f"{BARE}; {client} || echo nobody", "--no-dhcp")

"""Guests that configure themselves by DHCP: udhcpc, dhclient and dhcpcd, run by the guest's root.

The guest's interface loses its address first. What clients keep goes into the test's own folder.
Read: udhcpc's README, dhclient(8), dhclient.conf(5), dhcpcd(8).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, needs, wait_for
from tests.e2e.outside import ADDRESS, Outside, make_outside, peer

HOOK = ROOT / "tests" / "e2e" / "peers" / "dhcp_hook.sh"
SEARCH = "corp.example example.org"
NODE, NODE_MAC = "10.0.2.15", "02:00:00:00:00:77"
BARE = "ip address flush dev tap0; ip link set tap0 mtu 1400"
SAID = "ip -4 address show dev {}; ip route"
CURL = f"curl --silent --show-error --noproxy {ADDRESS} http://{ADDRESS}:5000/"

pytestmark = [pytest.mark.usefixtures("needs_namespaces"), needs("curl", "busybox")]


@dataclass
class Place:
    """Where the guests of a test are, and what their clients leave behind."""

    outside: Outside
    folder: Path

    @property
    def events(self) -> list[str]:
        """What the clients' hook has told."""
        file = self.folder / "events"
        return file.read_text().splitlines() if file.exists() else []

    def client(self, name: str, interface: str = "tap0") -> str:
        """The command line of a client that ends, or goes on in the background, with a lease."""
        folder = self.folder
        if name == "udhcpc":
            options = "-n -q -t 10 -T 1 -O search -O mtu -O staticroutes"
            return f"busybox udhcpc -i {interface} {options} -s {HOOK}"
        if name == "dhclient":
            files = f"-lf {folder}/leases -pf {folder}/pid -cf {folder}/conf -sf {HOOK}"
            return f"dhclient -4 -1 {files} -e EVENTS={folder}/events {interface}"
        state = "mount -t tmpfs none /var/lib/dhcpcd; mount -t tmpfs none /run"
        options = "-4 -1 -f /dev/null --noarp --nodelay -o interface_mtu -c /bin/true"
        return f"{state}; dhcpcd {options} {interface}"

    def guest(self, script: str, *options: str) -> str:
        """What a shell script in a guest says, which must succeed."""
        shell = ("sh", "-euc", f"export EVENTS={self.folder}/events; {script}")
        done = self.outside.rootlessnet.run("run", *options, "--", *shell)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A host that looks for names in some domains, with a web server."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text(f"search {SEARCH}\nnameserver 127.0.0.2\n")
    (tmp_path / "page").write_text("the page\n")
    (tmp_path / "conf").write_text("also request interface-mtu, domain-search;\n")
    with make_outside(f"mount --bind {resolv_conf} /etc/resolv.conf") as outside:
        files = peer("http_files", ADDRESS, 5000, tmp_path / "page")
        with outside.program(*files).serving():
            yield Place(outside, tmp_path)


@pytest.mark.parametrize(
    "client",
    ["udhcpc", pytest.param("dhclient", marks=needs("dhclient"))],
)
def test_a_client_configures_the_guest(place: Place, client: str) -> None:
    script = f"{BARE}; {place.client(client)}; {SAID.format('tap0')}; {CURL}"
    said = place.guest(script)
    assert "inet 10.0.2.100/24" in said
    assert "default via 10.0.2.2" in said
    assert "mtu 65520" in said
    assert said.endswith("the page\n")
    event = place.events[-1]
    assert "address=10.0.2.100 dns=10.0.2.3" in event
    assert f"search={SEARCH}" in event.replace(". ", " ").replace(".,", "")


@needs("dhcpcd")
def test_dhcpcd_configures_the_guest(place: Place) -> None:
    said = place.guest(f"{BARE}; {place.client('dhcpcd')}; {SAID.format('tap0')}; {CURL}")
    assert "inet 10.0.2.100/24" in said
    assert "default via 10.0.2.2" in said
    assert "mtu 65520" in said
    assert said.endswith("the page\n")


def test_a_published_port_reaches_a_guest_that_configured_itself(place: Place) -> None:
    serve = "exec busybox nc -l -p 5000 -e echo 'from the guest'"
    script = f"{BARE}; {place.client('udhcpc')} >&2; echo ready; {serve}"
    shell = ("sh", "-euc", f"export EVENTS={place.folder}/events; {script}")
    client = place.outside.program("busybox", "nc", "127.0.0.1", "8080")
    with place.outside.rootlessnet.serving("run", "-p", "8080:5000", "--", *shell):
        assert wait_for(lambda: client.run().stdout, "the server") == "from the guest\n"


def bridged(place: Place, script: str) -> str:
    """A script for a guest that is a bridge to a node beyond it, which runs `script`."""
    return f"""
        {BARE}
        ip link add br0 address "$(ip -br link show dev tap0 | awk '{{print $3}}')" type bridge
        ip link set dev br0 up
        ip link set dev tap0 master br0
        unshare --net sh -euc 'until ip link show dev eth0 >/dev/null 2>&1; do :; done
            ip link set dev eth0 up
            {script}' &
        until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
        ip link add name veth0 type veth peer name eth0 address {NODE_MAC} netns $!
        ip link set dev veth0 master br0 up
        {place.client("udhcpc", "br0")}
        {CURL}
        wait $!
    """


@pytest.mark.parametrize("address", [NODE, "10.0.2.50"])
def test_a_node_behind_a_bridge_has_an_address_of_its_own(place: Place, address: str) -> None:
    """What is for it goes to its own interface, and what is for the guest's to the guest's."""
    script = f"{place.client('udhcpc', 'eth0')}; ip -4 address show dev eth0; {CURL}"
    options = ("--dhcp-host", f"{NODE_MAC}={address}") if address != NODE else ()
    said = place.guest(bridged(place, script), *options)
    assert f"inet {address}/24" in said
    assert said.count("the page\n") == 2


def test_a_lease_is_renewed_and_released(place: Place) -> None:
    """By the client's own signals for it."""
    client = place.client("udhcpc").replace(" -q", " -f")
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
    said = place.guest(f"{BARE}; {place.client('dhclient')} -v 2>&1; {SAID.format('tap0')}; {CURL}")
    assert "DHCPNAK from 10.0.2.2" in said
    assert "inet 10.0.2.100/24" in said


def test_no_dhcp(place: Place) -> None:
    client = place.client("udhcpc").replace("-t 10", "-t 1")
    assert "nobody\n" in place.guest(f"{BARE}; {client} || echo nobody", "--no-dhcp")

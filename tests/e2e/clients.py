"""Clients of DHCP, run by a guest's root; what they keep goes into the test's own folder.

Read: udhcpc's README, dhclient(8), dhclient.conf(5), dhcpcd(8).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.conftest import ROOT
from tests.e2e.outside import Outside, make_outside

HOOK = ROOT / "tests" / "e2e" / "peers" / "dhcp_hook.sh"
SEARCH = "corp.example example.org"
NODE_MAC = "02:00:00:00:00:77"
_DHCPCD = "-f /dev/null --noarp --nodelay -o interface_mtu -c /bin/true"


@dataclass
class Place:
    """Where the guests of a test are, and what their clients leave behind; see `make_place`."""

    outside: Outside
    folder: Path

    @property
    def events(self) -> list[str]:
        """What the clients' hook has told."""
        file = self.folder / "events"
        return file.read_text().splitlines() if file.exists() else []

    def udhcpc(self, interface: str = "tap0") -> str:
        """The command line of udhcpc, which ends with a lease."""
        options = "-n -q -t 10 -T 1 -O search -O mtu -O staticroutes"
        return f"busybox udhcpc -i {interface} {options} -s {HOOK}"

    def dhclient(self, options: str) -> str:
        """That of dhclient, which with a lease goes on in the background."""
        folder = self.folder
        files = f"-lf {folder}/leases -pf {folder}/pid -cf {folder}/conf -sf {HOOK}"
        return f"dhclient -1 {options} {files} -e EVENTS={folder}/events tap0"

    def dhcpcd(self, options: str) -> str:
        """That of dhcpcd, with the folders that it wants to write to."""
        state = "mount -t tmpfs none /var/lib/dhcpcd; mount -t tmpfs none /run"
        return f"{state}; dhcpcd {options} {_DHCPCD} tap0"

    def guest(self, script: str, *options: str) -> str:
        """What a shell script in a guest says, which must succeed."""
        done = self.outside.rootlessnet.run("run", *options, "--", *self.shell(script))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shell(self, script: str) -> tuple[str, ...]:
        """The command line of a shell that runs a script."""
        return ("sh", "-euc", f"export EVENTS={self.folder}/events; {script}")


@contextmanager
def make_place(folder: Path) -> Iterator[Place]:
    """A host that looks for names in some domains."""
    resolv_conf = folder / "resolv.conf"
    resolv_conf.write_text(f"search {SEARCH}\nnameserver 127.0.0.2\n")
    (folder / "page").write_text("the page\n")
    (folder / "conf").write_text(
        "also request interface-mtu, domain-search, dhcp6.domain-search, dhcp6.name-servers;\n"
    )
    with make_outside(f"mount --bind {resolv_conf} /etc/resolv.conf") as outside:
        yield Place(outside, folder)


def bridge(client: str, beyond: str, ask: str) -> str:
    """A script that makes the guest a bridge, which runs `client`, to a node that runs `beyond`; in
    the end both `ask`. The bridge takes the hardware address of the guest's interface.
    """
    return f"""
        ip address flush dev tap0
        ip -6 route flush dev tap0
        ip link add br0 address "$(ip -br link show dev tap0 | awk '{{print $3}}')" type bridge
        ip link set dev br0 up
        ip link set dev tap0 master br0
        {client}
        unshare --net sh -euc 'until ip link show dev eth0 >/dev/null 2>&1; do :; done
            {beyond}
            {ask}' &
        until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
        ip link add name veth0 type veth peer name eth0 address {NODE_MAC} netns $!
        ip link set dev veth0 master br0 up
        {ask}
        wait $!
    """

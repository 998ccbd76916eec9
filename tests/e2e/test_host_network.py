"""The host's network vanishes and comes back, elsewhere, while a guest runs.

Its far end is a network namespace at the other end of a veth pair, with a nameserver and echo
servers in both families. Read: veth(4), ip-address(8).
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import needs, wait_for
from tests.e2e.guest import Guest, make_guest
from tests.e2e.outside import Outside, make_outside, peer

pytestmark = needs("dig", "dnsmasq")

FAR, FAR_6 = "198.18.1.9", "2001:db8:1::9"
PORT = 5000
HERE = ("198.18.1.1/24", "2001:db8:1::1/64")
ELSEWHERE = ("198.18.1.2/24", "2001:db8:1::2/64")
NAME, ANSWER = "name.example", "192.0.2.77"

_FAR_END = f"""
mount -t tmpfs none /mnt
: > /mnt/far
unshare --net=/mnt/far true
ip link add near type veth peer name far netns /mnt/far
nsenter --net=/mnt/far sh -euc "
    echo 53 > /proc/sys/net/ipv4/ip_unprivileged_port_start
    ip link set far up
    ip address add {FAR}/24 dev far
    ip -6 address add {FAR_6}/64 dev far nodad
"
"""
_DNSMASQ = (
    *("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"),
    *("--pid-file=", f"--address=/{NAME}/{ANSWER}", "--user=root", "--group=root"),
)
# For each line it says what became of a datagram of each socket, which it has from the beginning,
# and of a new connection in each family.
_TALK = f"""
import os, socket, sys

FAMILIES = ((socket.AF_INET, "{FAR}", (0, 11)), (socket.AF_INET6, "{FAR_6}", (41, 25)))

def result_of(exchange):
    try:
        return exchange()
    except OSError as error:
        return "lost"

def exchange(one, connected, remote):
    one.send(b"x") if connected else one.sendto(b"x", remote)
    return one.recv(9).decode()

def connect(family, remote):
    with socket.socket(family) as one:
        one.settimeout(20)
        one.connect(remote)
        return "connected"

sockets = []
for family, address, receive_errors in FAMILIES:
    for connected in (False, True):
        one = socket.socket(family, socket.SOCK_DGRAM)
        one.settimeout(20)
        one.setsockopt(*receive_errors, 1)
        if connected:
            one.connect((address, {PORT}))
        sockets.append((one, connected, (address, {PORT})))
print("ready", flush=True)
for line in sys.stdin:
    said = [result_of(lambda: exchange(*one)) for one in sockets]
    said += [result_of(lambda: connect(family, (to, 53))) for family, to, _ in FAMILIES]
    print(said, flush=True)
"""
_ALL, _NOTHING = ["x"] * 4 + ["connected"] * 2, ["lost"] * 6


class Host:
    """A host whose network comes and goes; it has none at first."""

    def __init__(self, outside: Outside, asked: Path, done: Path) -> None:
        self.outside = outside
        self.far = outside.beyond("/mnt/far")
        self._asked, self._done = asked, done

    def lose(self) -> None:
        """It has neither address nor route any more, but for those of its loopback."""
        self._have("ip address flush dev near; ip link set near down")

    def gain(self, addresses: tuple[str, str]) -> None:
        """It has these addresses, and what is at the far end of their link."""
        four, six = addresses
        self._have(
            f"ip link set near up; ip address add {four} dev near; "
            f"ip -6 address add {six} dev near nodad"
        )

    def end(self) -> None:
        self._asked.write_text("exit\n")

    def _have(self, script: str) -> None:
        self._asked.write_text(f"{script}\n")
        assert self._done.read_text() == "done\n"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """With nameservers of both families at the far end."""
    resolv_conf, asked, done = (tmp_path / name for name in ("resolv.conf", "asked", "done"))
    resolv_conf.write_text(f"nameserver {FAR_6}\nnameserver {FAR}\n")
    # Whoever asks has no right to change the network: what prepares the host stays for that.
    prepare = f"""
        {_FAR_END}
        mount --bind {resolv_conf} /etc/resolv.conf
        mkfifo {asked} {done}
        while read -r script < {asked}; do
            eval "$script" >&2
            echo done > {done}
        done < /dev/null > /dev/null &
    """
    with make_outside(prepare) as outside:
        made = Host(outside, asked, done)
        with far_servers(made):
            yield made
        made.end()


@contextmanager
def far_servers(host: Host) -> Iterator[None]:
    echo = [host.far.program(*peer("udp", "echo", address, PORT)) for address in (FAR, FAR_6)]
    host.gain(HERE)
    with echo[0].serving(), echo[1].serving(), host.far.program(*_DNSMASQ).started():
        asked = host.outside.program("dig", f"@{FAR_6}", "+short", "+tries=1", NAME)
        wait_for(lambda: asked.run().stdout.strip() == ANSWER, "dnsmasq")
        host.lose()
        yield


def say(talking: subprocess.Popen[str]) -> list[str]:
    assert talking.stdin is not None
    assert talking.stdout is not None
    print(file=talking.stdin, flush=True)
    said: list[str] = ast.literal_eval(talking.stdout.readline())
    return said


def resolved(guest: Guest) -> list[str]:
    """Over UDP and TCP."""
    words = ("dig", "+short", "+tries=1", NAME)
    return [guest.program(*words, option).run().stdout.strip() for option in ("+notcp", "+tcp")]


def test_a_guest_goes_on_where_the_host_s_network_is_back(host: Host) -> None:
    """With the sockets that it has. Without a network it hears so at once."""
    with (
        make_guest(host.outside, "--ipv6") as guest,
        guest.program(sys.executable, "-c", _TALK).serving() as talking,
    ):
        for addresses in (HERE, ELSEWHERE):
            assert say(talking) == _NOTHING
            assert resolved(guest) == ["", ""]
            host.gain(addresses)
            assert say(talking) == _ALL
            assert resolved(guest) == [ANSWER, ANSWER]
            host.lose()

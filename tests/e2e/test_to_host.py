"""Single ports of the host's loopback, as programs of the guest find them.

Everything happens on a host of its own (`outside`).
"""

import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, needs, wait_for
from tests.e2e.guest import Guest, make_guest
from tests.e2e.outside import ADDRESS, Outside, peer
from tests.e2e.processes import child_of, tell
from tests.e2e.target import make_target
from tests.e2e.test_publish_all import ports, reaches, web_server

pytestmark = [pytest.mark.usefixtures("needs_namespaces"), needs("curl", "nsenter")]

GATEWAY, GATEWAY_6 = "10.0.2.2", "fd72:6c6e:6574::2"
LOOPBACK, LOOPBACK_6 = "127.0.0.1", "::1"


def exchanged(guest: Guest, protocol: str, address: str, port: int) -> str:
    """How many bytes came back, in a datagram or a stream; or what was in the way."""
    done = guest.program(*peer(protocol, "exchange", address, port, 1000)).run()
    return done.stdout.strip()


def test_tcp(outside: Outside) -> None:
    """At the guest's own loopback and at the gateway; no other port of the host is.

    The gateway's address of IPv6 leads to 127.0.0.1 as well, where ::1 refuses.
    """
    with (
        web_server(outside, 5432, LOOPBACK),
        web_server(outside, 5433, LOOPBACK),
        make_guest(outside, "--to-host", "5432", "--to-host", "8000:5432") as guest,
    ):
        curl = guest.program("curl")
        for port in (5432, 8000):
            for address in (LOOPBACK, LOOPBACK_6, GATEWAY, GATEWAY_6):
                assert reaches(curl, address, port), (address, port)
        for address in (LOOPBACK, LOOPBACK_6, GATEWAY, GATEWAY_6, ADDRESS):
            assert not reaches(curl, address, 5433)
        assert not reaches(curl, ADDRESS, 5432)  # of the host's loopback alone


def test_a_server_on_ipv6_alone(outside: Outside) -> None:
    with (
        web_server(outside, 5432, LOOPBACK_6),
        make_guest(outside, "--to-host", "8000:5432") as guest,
    ):
        curl = guest.program("curl")
        for address in (LOOPBACK, LOOPBACK_6, GATEWAY, GATEWAY_6):
            assert reaches(curl, address, 8000), address


def test_much_and_both_ways(outside: Outside) -> None:
    with (
        outside.program(*peer("tcp", "echo", LOOPBACK, 5432)).serving(),
        make_guest(outside, "--to-host", "5432") as guest,
    ):
        for address in (LOOPBACK, GATEWAY, GATEWAY_6):
            for role, answer in (("exchange", "200"), ("connect_often", "200"), ("ask", "same")):
                done = guest.program(*peer("tcp", role, address, 5432, 200)).run()
                assert done.stdout.strip() == answer, (role, address)


def test_udp(outside: Outside) -> None:
    with (
        outside.program(*peer("udp", "echo", LOOPBACK, 5353)).serving(),
        outside.program(*peer("udp", "echo", LOOPBACK, 5354)).serving(),
        outside.program(*peer("udp", "echo", LOOPBACK_6, 5353)).serving(),
        make_guest(outside, "--to-host", "53:5353/udp") as guest,
    ):
        for address in (LOOPBACK, LOOPBACK_6, GATEWAY, GATEWAY_6):
            assert exchanged(guest, "udp", address, 53) == "1000", address
        for address in (GATEWAY, GATEWAY_6):
            assert exchanged(guest, "udp", address, 5354) == "ENETUNREACH"
        assert exchanged(guest, "udp", LOOPBACK, 5354) == "ECONNREFUSED"
        assert exchanged(guest, "tcp", LOOPBACK, 53) == "ECONNREFUSED"


def test_many(outside: Outside) -> None:
    """More than one message carries."""
    ways = [word for port in range(6000, 6020) for word in ("--to-host", f"{port}:5432")]
    with web_server(outside, 5432, LOOPBACK), make_guest(outside, *ways) as guest:
        for port in (6000, 6019):
            assert reaches(guest.program("curl"), LOOPBACK_6, port)


def test_nobody_listens_on_the_host(outside: Outside) -> None:
    """The guest's kernel lets a client in at its loopback; then it is reset."""
    with make_guest(outside, "--to-host", "5432") as guest:
        hear = guest.program(*peer("tcp", "hear", LOOPBACK, 5432)).run()
        assert hear.stdout == "ECONNRESET\n"
        assert guest.program(*peer("tcp", "hear", GATEWAY, 5432)).run().stdout == "ECONNREFUSED\n"


def test_what_the_command_has_left_arrives(outside: Outside) -> None:
    """It writes and ends; the host's server hears all of it, and the end."""
    write = "import socket; s = socket.create_connection(('127.0.0.1', 5432)); "
    write += "s.sendall(bytes(3_000_000))"
    count = "import socket; l = socket.create_server(('127.0.0.1', 5432)); "
    count += "print('ready', flush=True); c = l.accept()[0]; n = 0\n"
    count += "while data := c.recv(1 << 16): n += len(data)\n"
    count += "print(n, flush=True)"
    with outside.program(sys.executable, "-c", count).serving() as server:
        words = ("run", "--to-host", "5432", "--", sys.executable, "-c", write)
        done = outside.rootlessnet.run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert server.stdout is not None
        assert server.stdout.readline() == "3000000\n"


def test_last_words_that_nobody_has_accepted_yet(outside: Outside) -> None:
    """The guest's kernel has them all, when the command has ended while the network was held up."""
    write = "import socket\nprint('ready', flush=True)\ninput()\nfor n in range(400):\n"
    write += "  with socket.create_connection(('127.0.0.1', 5432)) as s: s.sendall(b'x')\n"
    count = "import socket; l = socket.create_server(('127.0.0.1', 5432), backlog=400); "
    count += "print('ready', flush=True)\n"
    count += "for n in range(400):\n  c = l.accept()[0]\n"
    count += "  assert (c.recv(2), c.recv(2)) == (b'x', b'')\n"  # no reset
    count += "print('all', flush=True)"
    words = ("run", "--to-host", "5432", "--", sys.executable, "-c", write)
    with (
        outside.program(sys.executable, "-c", count).serving() as server,
        outside.rootlessnet.serving(*words) as network,
    ):
        command = child_of(child_of(network.pid))
        network.send_signal(signal.SIGSTOP)
        try:
            tell(network)
            wait_for(lambda: not Path(f"/proc/{command}").exists(), "the end of the command")
        finally:
            network.send_signal(signal.SIGCONT)
        assert network.wait(PATIENCE) == 0
        assert server.stdout is not None
        assert server.stdout.readline() == "all\n"


def test_its_own_sockets_are_not_published(outside: Outside) -> None:
    """With -P, though they listen in the guest; nor can the same port be published by hand."""
    options = ("-P", "--publish-loopback", "--to-host", "8000:5432", "--to-host", "53:5353/udp")
    with make_guest(outside, *options, "--name", "db") as guest:
        with web_server(guest, 8001, LOOPBACK):
            wait_for(lambda: ports(outside, "db"), "port 8001")
            assert ports(outside, "db") == [f"{LOOPBACK}:8001:8001/tcp"]
        refused = outside.rootlessnet.run("port", "add", "db", "8080:8000")
        assert refused.returncode == 1
        assert (
            "leads to the host, by 8000:5432/tcp, and 8080:8000/tcp publishes it" in refused.stderr
        )
        shown = outside.rootlessnet.run("ps").stdout
        assert "to-host=8000:5432/tcp to-host=53:5353/udp" in shown


def test_attach(outside: Outside) -> None:
    """A port that somebody has in the target is an error, in one line."""
    with web_server(outside, 5432, LOOPBACK), make_target(outside) as target:
        target.inside("ip", "link", "set", "lo", "up")
        options = ("--to-host", "5432", str(target.pid))
        with target.program(*peer("tcp", "echo", LOOPBACK, 5432)).serving():
            done = outside.rootlessnet.run("attach", *options)
        assert done.returncode == 1
        assert done.stderr == (
            "rootlessnet: cannot lead the guest to 5432/tcp of the host: port 5432 is in use on "
            "127.0.0.1 there (EADDRINUSE): take another port of the guest, "
            "--to-host GUEST_PORT:5432/tcp\n"
        )
        with outside.rootlessnet.started("attach", *options):
            curl = target.program("curl")
            wait_for(lambda: reaches(curl, LOOPBACK, 5432), "the host's server")
            assert reaches(curl, GATEWAY, 5432)

"""Every port that the guest listens on, with real servers that come and go.

Everything happens on a host of its own (`outside`), where nobody else has a port; programs are
started in the guest beside its command.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from tests.e2e.addresses import bracketed
from tests.e2e.conftest import PATIENCE, Program, needs, wait_for
from tests.e2e.guest import Guest, make_guest
from tests.e2e.outside import ADDRESS, ADDRESS_6, Outside, peer
from tests.e2e.processes import line_of
from tests.e2e.target import Target, make_target

pytestmark = [pytest.mark.usefixtures("needs_namespaces"), needs("curl", "socat", "nsenter")]

LOOPBACK, LOOPBACK_6 = "127.0.0.1", "::1"
GUEST_6 = "fd72:6c6e:6574::100"
REFUSED = 7  # curl's exit status for a connection that was not made

# Root in a guest sends to every netlink socket there, and to one of the kind that sets interfaces.
FORGER = """
import socket, struct
from rootlessnet.netns.rtnetlink import Rtnetlink

own = Rtnetlink()
for protocol in (socket.NETLINK_ROUTE, 4):
    forging = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    for line in open("/proc/net/netlink").readlines()[1:]:
        _, kind, port, *_ = line.split()
        if int(kind) == protocol and int(port):
            try:
                forging.sendto(struct.pack("=IHHII", 0, 3, 0, 0, 0), (int(port), 0))
                print(protocol, "heard")
            except ConnectionRefusedError:
                print(protocol, "refused")
"""


def reaches(there: Program, address: str, port: int) -> bool:
    """Whether a web server answers: curl runs `there`."""
    url = f"http://{bracketed(address)}:{port}/"
    done = there.run("-sS", "-o", "/dev/null", "--max-time", "10", url)
    return done.returncode == 0


def refuses(there: Program, address: str, port: int) -> bool:
    url = f"http://{bracketed(address)}:{port}/"
    return there.run("-s", "--max-time", "10", url).returncode == REFUSED


def ports(outside: Outside, name: str) -> list[str]:
    done = outside.rootlessnet.run("port", "ls", name)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def host_ip(outside: Outside, name: str) -> str:
    """What both forms of `ps` say."""
    (as_json,) = (
        one
        for one in json.loads(outside.rootlessnet.run("ps", "--json").stdout)
        if one["name"] == name
    )
    (as_text,) = (
        line.split()[3]
        for line in outside.rootlessnet.run("ps").stdout.splitlines()
        if line.startswith(f"{name} ")
    )
    assert as_text == as_json["network"]["host_ip"]
    assert isinstance(as_text, str)
    return as_text


@contextmanager
def web_server(
    where: Guest | Outside | Target, port: int, address: str = "0.0.0.0"
) -> Iterator[None]:
    words = (sys.executable, "-um", "http.server", "--bind", address, str(port))
    with where.program(*words).started() as process:
        assert line_of(process).startswith("Serving HTTP")
        yield


def test_ports_come_and_go(outside: Outside) -> None:
    curl = outside.program("curl")
    question = outside.program(*peer("udp", "exchange", ADDRESS, 5353, 100))
    with make_guest(outside, "-P", "--name", "all") as guest:
        assert ports(outside, "all") == []
        with web_server(guest, 8000):
            for address in (ADDRESS, ADDRESS_6, LOOPBACK, LOOPBACK_6):
                wait_for(partial(reaches, curl, address, 8000), f"port 8000 of {address}")
            with guest.program(*peer("udp", "echo", "0.0.0.0", 5353)).serving():
                wait_for(lambda: question.run().stdout == "100\n", "port 5353")
                assert ports(outside, "all") == ["8000:8000/tcp", "5353:5353/udp"]
            wait_for(lambda: ports(outside, "all") == ["8000:8000/tcp"], "the end of port 5353")
        wait_for(lambda: not ports(outside, "all"), "the end of port 8000")
        assert refuses(curl, ADDRESS, 8000)
        with web_server(guest, 8000, "::"):  # which has IPv4 as well
            wait_for(lambda: reaches(curl, ADDRESS, 8000), "port 8000 again")


def test_a_server_on_ipv6_alone(outside: Outside) -> None:
    """Clients of every address reach it, in whichever family."""
    curl = outside.program("curl")
    with make_guest(outside, "-P", "--name", "all") as guest, web_server(guest, 8000, GUEST_6):
        for address in (ADDRESS, ADDRESS_6, LOOPBACK, LOOPBACK_6):
            wait_for(partial(reaches, curl, address, 8000), f"port 8000 of {address}")
        question = peer("udp", "exchange", ADDRESS_6, 5353, 100)
        with guest.program(*peer("udp", "echo", GUEST_6, 5353)).serving():
            wait_for(lambda: outside.program(*question).run().stdout == "100\n", "port 5353")
        assert ports(outside, "all")[0] == "8000:8000/tcp"


def test_what_listens_on_the_guests_loopback_alone(outside: Outside) -> None:
    """Only where that was asked for, and for the host's loopback."""
    curl = outside.program("curl")
    with (
        make_guest(outside, "-P", "--name", "all") as guest,
        web_server(guest, 8001, LOOPBACK),
        web_server(guest, 8000),
    ):
        wait_for(lambda: reaches(curl, LOOPBACK, 8000), "port 8000")
        assert ports(outside, "all") == ["8000:8000/tcp"]
    with make_guest(outside, "-P", "--publish-loopback", "--name", "too") as guest:
        with web_server(guest, 8001, LOOPBACK):
            wait_for(lambda: reaches(curl, LOOPBACK, 8001), "port 8001")
            assert refuses(curl, ADDRESS, 8001)
            assert ports(outside, "too") == [f"{LOOPBACK}:8001:8001/tcp"]
        wait_for(lambda: refuses(curl, LOOPBACK, 8001), "the end of port 8001")


def test_a_client_of_udp_is_no_server(outside: Outside) -> None:
    """Its port is one that the guest's kernel gave it, as a resolver's is."""
    client = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 0)); "
    client += "print('ready', flush=True); input()"
    with (
        make_guest(outside, "-P", "--name", "all") as guest,
        guest.program(sys.executable, "-c", client).serving(),
        guest.program(*peer("udp", "echo", "0.0.0.0", 5353)).serving(),
    ):
        wait_for(lambda: ports(outside, "all"), "a port")
        assert ports(outside, "all") == ["5353:5353/udp"]


def test_what_p_publishes_is_left_alone(outside: Outside) -> None:
    curl = outside.program("curl")
    with make_guest(outside, "-P", "-p", "8080:8000", "--name", "all") as guest:
        with web_server(guest, 8000), web_server(guest, 8001):
            wait_for(lambda: reaches(curl, ADDRESS, 8001), "port 8001")
            assert reaches(curl, ADDRESS, 8080)
            assert ports(outside, "all") == ["8080:8000/tcp", "8001:8001/tcp"]
        wait_for(lambda: len(ports(outside, "all")) == 1, "the end of port 8001")
        assert ports(outside, "all") == ["8080:8000/tcp"]


def test_ports_that_cannot_be_had_are_told_of_once(outside: Outside) -> None:
    """The one in use is taken when it becomes free; the privileged one is beyond us."""
    curl = outside.program("curl")
    start = "".join(f"{sys.executable} -m http.server {port} & " for port in (80, 8000, 8001))
    command = ("sh", "-c", f"{start} echo ready; exec cat")
    with ExitStack() as there:
        there.enter_context(web_server(outside, 8000, ADDRESS))
        with outside.rootlessnet.serving("run", "-P", "--name", "all", "--", *command) as process:
            wait_for(lambda: "8001:8001/tcp" in ports(outside, "all"), "port 8001")
            there.close()
            wait_for(lambda: "8000:8000/tcp" in ports(outside, "all"), "port 8000")
            assert reaches(curl, ADDRESS, 8000)
            process.terminate()
            assert process.stderr is not None
            lines = process.stderr.read().splitlines()
    told = sorted(line for line in lines if line.startswith("rootlessnet: "))
    assert [line.split(":")[2] for line in told] == ["8000/tcp", "80/tcp"]
    assert "port 80 is privileged on 0.0.0.0 (EACCES)" in told[1]
    assert "port 8000 is in use on 0.0.0.0 (EADDRINUSE)" in told[0]


# ── an address of the host for each guest ────────────────────────────────────────────────────────


def test_guests_on_addresses_of_their_own(outside: Outside) -> None:
    """With the same port; the one without an address has what is left."""
    with (
        make_guest(outside, "-P=127.0.0.2", "--name", "two") as two,
        make_guest(outside, "-P", "--host-ip", "127.0.0.3", "--name", "three") as three,
        web_server(two, 8000),
        web_server(three, 8000),
    ):
        curl = outside.program("curl")
        wait_for(lambda: reaches(curl, "127.0.0.2", 8000), "the one")
        wait_for(lambda: reaches(curl, "127.0.0.3", 8000), "the other")
        assert refuses(curl, ADDRESS, 8000)
        assert refuses(curl, LOOPBACK, 8000)
        assert ports(outside, "two") == ["127.0.0.2:8000:8000/tcp"]
        assert host_ip(outside, "three") == "127.0.0.3"


def test_an_address_that_is_found(outside: Outside) -> None:
    """It is told, and shown; ports are given it that name none, and taken from it so."""
    options = ("-p", "8080:8000", "-p", f"{ADDRESS}:8081:8000", "--host-ip", "auto")
    with make_guest(outside, *options, "--name", "one") as one, web_server(one, 8000):
        with make_guest(outside, *options[:2], "--host-ip", "auto", "--name", "other"):
            address, other = host_ip(outside, "one"), host_ip(outside, "other")
            assert address != other
            assert ports(outside, "other") == [f"{other}:8080:8000/tcp"]
        curl = outside.program("curl")
        assert reaches(curl, address, 8080)
        assert reaches(curl, ADDRESS, 8081)
        assert refuses(curl, LOOPBACK, 8080)
        change = outside.rootlessnet.run("port", "add", "one", "8082:8000")
        assert change.stdout == f"{address}:8082:8000/tcp\n"
        assert reaches(curl, address, 8082)
        assert outside.rootlessnet.run("port", "rm", "one", "8080:8000").returncode == 0
        assert refuses(curl, address, 8080)


# ── namespaces that exist ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by_path", [False, True])
def test_attach(outside: Outside, by_path: bool) -> None:
    """It ends with the target, though sockets of ours are left in that."""
    with make_target(outside) as target:
        words = [str(target.pid)]
        if by_path:
            words = ["--userns-path", target.user, target.network]
        with (
            outside.rootlessnet.started("attach", "-P", "--name", "all", *words) as process,
            web_server(target, 8000),
        ):
            curl = outside.program("curl")
            wait_for(lambda: reaches(curl, ADDRESS, 8000), "port 8000")
            os.kill(target.pid, signal.SIGKILL)
            assert process.wait(PATIENCE) == 0


def test_nobody_answers_for_the_guests_kernel(outside: Outside) -> None:
    done = outside.rootlessnet.run("run", "-P", "--", sys.executable, "-c", FORGER)
    assert (done.stdout, done.stderr) == ("0 refused\n4 refused\n", "")

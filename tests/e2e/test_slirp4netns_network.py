"""The network of `rootlessnet slirp4netns`: what a guest reaches, ports that come and go by the API
socket, and guests that bring frames in another way.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from tests.e2e.conftest import Program, needs, wait_for
from tests.e2e.outside import ADDRESS, ADDRESS_6, OTHER_ADDRESS, Outside, make_outside, peer
from tests.e2e.slirp import Running, add, ask, slirp4netns
from tests.e2e.target import Target, make_target

pytestmark = pytest.mark.usefixtures("needs_namespaces")

GATEWAY = "10.0.2.2"


@pytest.fixture
def outside() -> Iterator[Outside]:
    """A host of the test's own, with a second address of IPv6."""
    with make_outside("ip -6 address add 2001:db8::2/128 dev lo nodad\n") as host:
        yield host


@pytest.fixture
def target(outside: Outside) -> Iterator[Target]:
    """A process in namespaces of its own, made by a user of the host `outside`."""
    with make_target(outside) as made:
        yield made


@pytest.fixture
def api() -> str:
    """The path of an API socket."""
    return in_runtime_folder("api.sock")


def in_runtime_folder(name: str) -> str:
    return str(Path(os.environ["XDG_RUNTIME_DIR"]) / name)


@contextmanager
def served(outside: Outside, target: Target, *options: str) -> Iterator[Running]:
    program = Program(*outside.rootlessnet.words, "slirp4netns")
    with slirp4netns("-c", *options, str(target.pid), "tap0", program=program) as running:
        yield running


def hear(target: Target, protocol: str, address: str) -> str:
    """What a client in the guest says that asks port 5000 of an address."""
    return target.inside(*peer(protocol, "hear", address, 5000)).strip()


# ── what the guest reaches ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("disabled", [False, True])
def test_the_host_s_loopback(
    outside: Outside, target: Target, protocol: str, disabled: bool
) -> None:
    options = ("--disable-host-loopback",) if disabled else ()
    server = outside.program(*peer(protocol, "tell_address", "127.0.0.1", 5000))
    with server.serving(), served(outside, target, *options):
        expected = "ENETUNREACH" if disabled else "127.0.0.1"
        assert hear(target, protocol, GATEWAY) == expected
        target.inside("ping", "-c1", "-W5", GATEWAY)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", ["", ADDRESS, OTHER_ADDRESS])
def test_the_address_that_connections_come_from(
    outside: Outside, target: Target, protocol: str, address: str
) -> None:
    """The kernel's own choice is the address that is asked."""
    options = (f"--outbound-addr={address}",) if address else ()
    server = outside.program(*peer(protocol, "tell_address", ADDRESS, 5000))
    with server.serving(), served(outside, target, *options):
        assert hear(target, protocol, ADDRESS) == (address or ADDRESS)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_address_of_an_interface(outside: Outside, target: Target, protocol: str) -> None:
    """Its first one, which nobody would choose without being told to."""
    server = outside.program(*peer(protocol, "tell_address", ADDRESS, 5000))
    with server.serving(), served(outside, target, "--outbound-addr=lo"):
        assert hear(target, protocol, ADDRESS) == "127.0.0.1"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_host_s_loopback_in_spite_of_such_an_address(
    outside: Outside, target: Target, protocol: str
) -> None:
    """A UDP socket of the guest's has one address for all that it sends."""
    server = outside.program(*peer(protocol, "tell_address", "127.0.0.1", 5000))
    with server.serving(), served(outside, target, f"--outbound-addr={OTHER_ADDRESS}"):
        source = "127.0.0.1" if protocol == "tcp" else OTHER_ADDRESS
        assert hear(target, protocol, GATEWAY) == source


# ── names ────────────────────────────────────────────────────────────────────────────────────────


@needs("dig")
@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize("protocol", ["+notcp", "+tcp"])
def test_the_dns_address(outside: Outside, target: Target, protocol: str, disabled: bool) -> None:
    """When it is disabled, nobody has that address; the rest of the network is as it was."""
    options = ("--disable-dns",) if disabled else ()
    patience = "+time=2" if disabled else "+time=10"  # UDP is told of no neighbour that is missing
    dig = ("dig", "@10.0.2.3", protocol, "+tries=1", patience, "+short")
    with served(outside, target, *options):
        done = target.program(*dig, "host.rootlessnet.internal").run()
        if disabled:
            assert done.returncode == 9  # dig's word for no answer
            assert "no servers could be reached" in done.stdout
        else:
            assert (done.returncode, done.stdout) == (0, f"{GATEWAY}\n")
        target.inside("ping", "-c1", "-W5", GATEWAY)


# ── IPv6 ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "network"), [(("-6",), "fd00::"), (("--cidr6=fd12:3456::/64",), "fd12:3456::")]
)
def test_ipv6_can_be_used_at_once(
    outside: Outside, target: Target, options: tuple[str, ...], network: str
) -> None:
    server = outside.program(*peer("tcp", "tell_address", ADDRESS_6, 5000))
    with server.serving(), served(outside, target, *options):
        assert hear(target, "tcp", ADDRESS_6) == ADDRESS_6
        addresses = target.inside("ip", "-6", "address", "show", "tap0")
        assert f"inet6 {network}100/64" in addresses
        assert f"default via {network}2" in target.inside("ip", "-6", "route")
        target.inside("ping", "-c1", "-W5", f"{network}2")


def test_without_ipv6(outside: Outside, target: Target) -> None:
    with served(outside, target):
        assert target.inside("ip", "-6", "route", "show", "default") == ""
        assert hear(target, "tcp", ADDRESS_6) == "ENETUNREACH"


def test_ipv6_that_the_caller_configures(outside: Outside, target: Target) -> None:
    program = Program(*outside.rootlessnet.words, "slirp4netns")
    server = outside.program(*peer("tcp", "tell_address", ADDRESS_6, 5000))
    with server.serving(), slirp4netns("-6", str(target.pid), "tap0", program=program):
        for words in (
            "link set tap0 up",
            "address add fd00::100/64 dev tap0 nodad",
            "-6 route add default via fd00::2 dev tap0",
        ):
            target.inside("ip", *words.split())
        assert hear(target, "tcp", ADDRESS_6) == ADDRESS_6


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", ["2001:db8::2", "lo"])
def test_the_address_that_connections_over_ipv6_come_from(
    outside: Outside, target: Target, protocol: str, address: str
) -> None:
    """Of an interface it is the first global one that the kernel tells of; the kernel's own choice
    is the one asked.
    """
    source = address
    if address == "lo":
        told = outside.program("awk", "$4 == 0 { print $1; exit }", "/proc/net/if_inet6").run()
        source = str(IPv6Address(bytes.fromhex(told.stdout)))
    asked = "2001:db8::1" if source == "2001:db8::2" else "2001:db8::2"
    server = outside.program(*peer(protocol, "tell_address", asked, 5000))
    with server.serving(), served(outside, target, "-6", f"--outbound-addr6={address}"):
        assert hear(target, protocol, asked) == source


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_over_ipv6(outside: Outside, target: Target, api: str, protocol: str) -> None:
    """To the guest's first address, whatever its family, or to one that is named."""
    with (
        served(outside, target, "-6", "-a", api),
        target.program(*peer(protocol, "tell_address", "fd00::100", 80)).serving(),
    ):
        add(api, proto=f"{protocol}6", host_port=8080, guest_port=80)
        assert ask_port(outside, protocol, ADDRESS_6, 8080) == ADDRESS_6
        add(api, proto=protocol, host_port=8081, guest_addr="fd00::100", guest_port=80)
        assert ask_port(outside, protocol, ADDRESS, 8081) == "fd00::2"


# ── ports ────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def serving(target: Target, protocol: str, port: int, address: str = "0.0.0.0") -> Iterator[None]:
    """While a server in the guest tells its clients who they are."""
    with target.program(*peer(protocol, "tell_address", address, port)).serving():
        yield


def ask_port(outside: Outside, protocol: str, address: str, port: int) -> str:
    return outside.program(*peer(protocol, "hear", address, port)).run().stdout.strip()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_comes_and_goes(outside: Outside, target: Target, api: str, protocol: str) -> None:
    with served(outside, target, "-a", api), serving(target, protocol, 80):
        identity = add(api, proto=protocol, host_port=8080, guest_port=80)
        assert ask_port(outside, protocol, ADDRESS, 8080) == ADDRESS
        assert ask_port(outside, protocol, "127.0.0.1", 8080) == GATEWAY
        entry = {
            "id": identity,
            "proto": protocol,
            "host_addr": "0.0.0.0",
            "host_port": 8080,
            "guest_addr": "10.0.2.100",
            "guest_port": 80,
        }
        listed = ask(api, {"execute": "list_hostfwd"})
        assert listed == {"return": {"entries": [entry]}, "entries": [entry]}
        gone = ask(api, {"execute": "remove_hostfwd", "arguments": {"id": identity}})
        assert gone == {"return": {}}
        assert ask_port(outside, protocol, ADDRESS, 8080) == "ECONNREFUSED"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_another_address_of_the_guest_s(
    outside: Outside, target: Target, api: str, protocol: str
) -> None:
    with served(outside, target, "-a", api):
        target.inside("ip", "address", "add", "10.0.2.15/24", "dev", "tap0")
        with serving(target, protocol, 80, "10.0.2.15"):
            add(api, proto=protocol, host_port=8080, guest_addr="10.0.2.15", guest_port=80)
            assert ask_port(outside, protocol, ADDRESS, 8080) == ADDRESS


@pytest.mark.parametrize(
    ("proto", "address"), [("tcp6", "::1"), ("udp6", "::1"), ("tcp4", ADDRESS), ("udp4", ADDRESS)]
)
def test_a_family_of_the_host(
    outside: Outside, target: Target, api: str, proto: str, address: str
) -> None:
    protocol = proto[:3]
    with served(outside, target, "-a", api), serving(target, protocol, 80):
        add(api, proto=proto, host_port=8080, guest_port=80)
        assert ask_port(outside, protocol, address, 8080) in (GATEWAY, ADDRESS)


def test_a_port_that_is_in_use(outside: Outside, target: Target, api: str) -> None:
    server = outside.program(*peer("tcp", "echo", ADDRESS, 8080))
    with server.serving(), served(outside, target, "-a", api):
        arguments = {"proto": "tcp", "host_port": 8080, "guest_port": 80}
        answer = ask(api, {"execute": "add_hostfwd", "arguments": arguments})
        assert "slirp_add_hostfwd failed: cannot publish 0.0.0.0:8080:80/tcp: port 8080" in str(
            answer
        )
        assert "is in use on 0.0.0.0 (EADDRINUSE)" in str(answer)


def test_loopback_of_the_host_disabled_and_ports_open(
    outside: Outside, target: Target, api: str
) -> None:
    """What a client on the host's loopback is answered is no new flow of the guest's."""
    options = ("--disable-host-loopback", "-a", api)
    for protocol in ("tcp", "udp"):
        with served(outside, target, *options), serving(target, protocol, 80):
            add(api, proto=protocol, host_port=8080, guest_port=80)
            assert ask_port(outside, protocol, "127.0.0.1", 8080) == GATEWAY


def test_clients_that_say_nothing_stop_nobody(outside: Outside, target: Target, api: str) -> None:
    with served(outside, target, "-a", api), serving(target, "tcp", 80):
        add(api, proto="tcp", host_port=8080, guest_port=80)
        silent = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        try:
            for one in silent:
                one.connect(api)
            assert ask_port(outside, "tcp", ADDRESS, 8080) == ADDRESS
            assert "entries" in ask(api, {"execute": "list_hostfwd"})
        finally:
            for one in silent:
                one.close()


def test_this_project_s_own_requests(outside: Outside, target: Target, api: str) -> None:
    with served(outside, target, "-a", api), serving(target, "tcp", 80):
        ports = {"ports": ["8080:80"]}
        added = ask(api, {"execute": "port_add", "arguments": ports})
        assert added == {"return": {"ports": ["8080:80/tcp"]}}
        assert ask_port(outside, "tcp", ADDRESS, 8080) == ADDRESS
        described = ask(api, {"execute": "ps"})["return"]
        assert isinstance(described, dict)
        assert (described["target"], described["ports"]) == (target.pid, ["8080:80/tcp"])


def test_the_socket_is_there_when_all_is_ready_and_goes_at_the_end(
    outside: Outside, target: Target, api: str
) -> None:
    with served(outside, target, "-a", api) as running:
        assert ask(api, {"execute": "list_hostfwd"})["entries"] == []
        running.hang_up()
        assert running.status() == 0
        assert not os.path.lexists(api)


# ── frames by a socket ───────────────────────────────────────────────────────────────────────────


@contextmanager
def machine(outside: Outside, path: str) -> Iterator[Target]:
    """A guest that brings its frames to the socket."""
    words = ("unshare", "--user", "--map-root-user", "--net", *peer("bess", path))
    with outside.program(*words).serving() as process:
        yield Target(process.pid)


@needs("ping")
def test_bess(outside: Outside, api: str) -> None:
    path = in_runtime_folder("bess.sock")
    program = Program(*outside.rootlessnet.words, "slirp4netns")
    options = ("--target-type=bess", "-a", api, path)
    with slirp4netns(*options, program=program) as running:
        with machine(outside, path) as target:
            target.inside("ping", "-c1", "-W5", GATEWAY)
            with outside.program(*peer("tcp", "answer_late", ADDRESS, 5000)).serving():
                assert target.inside(*peer("tcp", "ask", ADDRESS, 5000)).strip() == "same"
            with serving(target, "tcp", 80):
                add(api, proto="tcp", host_port=8080, guest_port=80)
                assert ask_port(outside, "tcp", ADDRESS, 8080) == ADDRESS
            with outside.program(*peer("udp", "echo", ADDRESS, 5000)).serving():
                sizes = ("1", "1400", "20000")
                assert target.inside(*peer("udp", "exchange", ADDRESS, 5000, *sizes)).split() == [
                    *sizes
                ]
        assert running.status() == 0
        assert not os.path.lexists(path)


def test_bess_takes_one_guest_and_may_be_started_anew(outside: Outside) -> None:
    path = in_runtime_folder("bess.sock")
    for _ in range(2):
        with slirp4netns("--target-type=bess", path) as running, machine(outside, path):
            wait_for(lambda: not _connects(path), "the refusal of a second guest")
            running.process.kill()
            running.status()
        assert os.path.lexists(path)


def _connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as second:
        try:
            second.connect(path)
        except ConnectionRefusedError:
            return False
    return True

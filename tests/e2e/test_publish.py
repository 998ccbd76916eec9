"""The words of -p, each with a real client, and what is said of ports that cannot be had.

What a published port does with data is in test_tcp.py and test_udp.py. Everything happens on a host
of its own (`outside`), where nobody else has a port.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.addresses import IPV4, IPV6, Addresses, bracketed
from tests.e2e.conftest import needs, wait_for
from tests.e2e.outside import ADDRESS, ADDRESS_6, OTHER_ADDRESS, Outside, peer
from tests.e2e.processes import line_of
from tests.e2e.test_tcp import BOTH_WAYS

pytestmark = pytest.mark.usefixtures("needs_namespaces")

GATEWAY = IPV4.gateway
LOOPBACK, LOOPBACK_6 = IPV4.loopback, IPV6.loopback
REFUSED = "ECONNREFUSED"
# A guest that tells who asks, on the TCP and UDP ports 5000 to 5002, with the number of the port;
# of IPv4, or with the argument 6 of IPv6.
SERVERS = """
import selectors, socket, sys
family = socket.AF_INET6 if sys.argv[1:] == ["6"] else socket.AF_INET
ready = selectors.DefaultSelector()
for port in (5000, 5001, 5002):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        bound = socket.socket(family, kind)
        bound.bind(("", port))
        if kind == socket.SOCK_STREAM:
            bound.listen()
        ready.register(bound, selectors.EVENT_READ, port)
print("ready", flush=True)
while True:
    for key, _ in ready.select():
        if key.fileobj.type == socket.SOCK_STREAM:
            client, address = key.fileobj.accept()
            client.recv(100)
            client.sendall(f"{key.data} {address[0]}".encode())
            client.close()
        else:
            _, address = key.fileobj.recvfrom(100)
            key.fileobj.sendto(f"{key.data} {address[0]}".encode(), address)
"""


@contextmanager
def published(outside: Outside, *ports: str, ip: Addresses = IPV4) -> Iterator[list[str]]:
    """What a program says on standard error, line by line, that publishes ports of its servers."""
    words = [word for port in ports for word in ("-p", port)]
    server = (sys.executable, "-c", SERVERS, str(ip.version))
    with outside.rootlessnet.serving("run", *words, "--", *server) as process:
        said: list[str] = []
        yield said
        process.terminate()
        assert process.stderr is not None
        said += process.stderr.read().splitlines()


def hear(outside: Outside, protocol: str, address: str, port: int) -> str:
    """What a client on the host is told."""
    done = outside.program(*peer(protocol, "hear", address, port)).run()
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def complaint(done: "subprocess.CompletedProcess[str]", status: int = 1) -> str:
    """The one line with which the program ended, without its command having run."""
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("rootlessnet: ").removesuffix("\n")


def refusal(outside: Outside, *ports: str, status: int = 1) -> str:
    words = [word for port in ports for word in ("-p", port)]
    return complaint(outside.rootlessnet.run("run", *words, "--", "echo", "it ran"), status)


# ── each form, and the addresses that it means ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("form", "protocol", "answering"),
    [
        ("8080:5000", "tcp", {ADDRESS, OTHER_ADDRESS, ADDRESS_6, LOOPBACK, LOOPBACK_6}),
        ("8080:5000/udp", "udp", {ADDRESS, OTHER_ADDRESS, ADDRESS_6, LOOPBACK, LOOPBACK_6}),
        ("8080:5000/tcp4", "tcp", {ADDRESS, OTHER_ADDRESS, LOOPBACK}),
        ("8080:5000/tcp6", "tcp", {ADDRESS_6, LOOPBACK_6}),
        ("8080:5000/udp4", "udp", {ADDRESS, OTHER_ADDRESS, LOOPBACK}),
        ("8080:5000/udp6", "udp", {ADDRESS_6, LOOPBACK_6}),
        (f"{ADDRESS}:8080:5000", "tcp", {ADDRESS}),
        (f"{ADDRESS}:8080:5000/udp4", "udp", {ADDRESS}),
        (f"[{ADDRESS_6}]:8080:5000/udp", "udp", {ADDRESS_6}),
        (f"[{ADDRESS_6}]:8080:5000/tcp6", "tcp", {ADDRESS_6}),
        ("0.0.0.0:8080:5000", "tcp", {ADDRESS, OTHER_ADDRESS, LOOPBACK}),
        ("[::]:8080:5000", "tcp", {ADDRESS_6, LOOPBACK_6}),
    ],
)
def test_which_addresses_answer(
    outside: Outside, form: str, protocol: str, answering: set[str]
) -> None:
    addresses = (ADDRESS, OTHER_ADDRESS, ADDRESS_6, LOOPBACK, LOOPBACK_6)
    with published(outside, form) as said:
        heard = {address: hear(outside, protocol, address, 8080) for address in addresses}
    answer = dict.fromkeys(addresses, f"5000 {GATEWAY}")
    answer |= {address: f"5000 {address}" for address in (ADDRESS, OTHER_ADDRESS)}
    assert heard == {one: answer[one] if one in answering else REFUSED for one in addresses}
    assert said == []


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_ranges_are_paired(outside: Outside, ip: Addresses, protocol: str) -> None:
    with published(outside, f"8000-8002:5000-5002/{protocol}", ip=ip) as said:
        heard = [hear(outside, protocol, ip.address, port) for port in (8000, 8001, 8002, 8003)]
    assert heard == [*(f"{port} {ip.address}" for port in (5000, 5001, 5002)), REFUSED]
    assert said == []


# ── ports that are found ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("form", "protocol", "line", "address"),
    [
        ("5000", "tcp", r"(\d+):5000/tcp", ADDRESS),
        (":5000/udp", "udp", r"(\d+):5000/udp", ADDRESS_6),
        (f"{ADDRESS}::5000", "tcp", rf"{re.escape(ADDRESS)}:(\d+):5000/tcp", ADDRESS),
        (f"[{ADDRESS_6}]::5000/udp", "udp", rf"\[{ADDRESS_6}\]:(\d+):5000/udp", ADDRESS_6),
        ("5000/tcp6", "tcp", r"\[::\]:(\d+):5000/tcp", ADDRESS_6),
    ],
)
def test_a_free_port_is_told(
    outside: Outside, form: str, protocol: str, line: str, address: str
) -> None:
    """Before the command runs; and it can be had at once."""
    server = (sys.executable, "-c", SERVERS)
    with outside.rootlessnet.serving("run", "-p", form, "--", *server) as process:
        assert process.stderr is not None
        told = re.fullmatch(f"rootlessnet: published {line}\n", process.stderr.readline())
        assert told is not None
        seen = ADDRESS if address == ADDRESS else GATEWAY
        assert hear(outside, protocol, address, int(told[1])) == f"5000 {seen}"


def test_free_ports_for_a_range_of_the_guest(outside: Outside, ip: Addresses) -> None:
    server = (sys.executable, "-c", SERVERS, str(ip.version))
    words = ("run", "-p", "5000-5002", "-p", "8080:5000", "--", *server)
    with outside.rootlessnet.serving(*words) as process:
        assert process.stderr is not None
        for guest_port in (5000, 5001, 5002):
            pattern = rf"rootlessnet: published (\d+):{guest_port}/tcp\n"
            told = re.fullmatch(pattern, process.stderr.readline())
            assert told is not None
            assert hear(outside, "tcp", ip.address, int(told[1])) == f"{guest_port} {ip.address}"


def test_the_first_free_port_of_a_range(outside: Outside, ip: Addresses) -> None:
    """Twice the same words, and a third party in the midst."""
    with (
        outside.program(*peer("tcp", "echo", ip.address, 8001)).serving(),
        published(outside, "8000-8010:5000", ip=ip) as first,
        published(outside, "8000-8010:5001", ip=ip) as second,
    ):
        assert hear(outside, "tcp", ip.address, 8000) == f"5000 {ip.address}"
        assert hear(outside, "tcp", ip.address, 8002) == f"5001 {ip.address}"
    assert first == ["rootlessnet: published 8000:5000/tcp"]
    assert second == ["rootlessnet: published 8002:5001/tcp"]


def test_attach_tells_as_well(outside: Outside) -> None:
    holder = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo ready; exec cat")
    with (
        # nsenter(1) has become unshare(1), and that the shell, and that cat.
        outside.program(*holder).serving() as target,
        outside.rootlessnet.started("attach", "-p", "5000", str(target.pid)) as process,
    ):
        assert process.stderr is not None
        line = process.stderr.readline()
        assert re.fullmatch(r"rootlessnet: published \d+:5000/tcp\n", line)


# ── what cannot be had ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(
    "form", ["{host}:5000/{protocol}", "8080:5000/{protocol}", "8080:5000/{protocol}{version}"]
)
def test_who_holds_a_port_is_told(
    outside: Outside, ip: Addresses, protocol: str, form: str
) -> None:
    with outside.program(*peer(protocol, "echo", ip.address, 8080)).serving() as holder:
        words = form.format(host=ip.at(8080), protocol=protocol, version=ip.version)
        said = refusal(outside, words)
        name = subprocess.run(
            ["ps", "-o", "comm=", "-p", str(holder.pid)], capture_output=True, text=True, check=True
        ).stdout.strip()
    address = ip.address if "host" in form else ip.every
    assert said.endswith(
        f"/{protocol}: port 8080 is in use on {address} (EADDRINUSE) "
        f"by {name!r} (process {holder.pid}): stop it, or take another port"
    )


def test_another_instance_is_named(outside: Outside) -> None:
    with published(outside, "8080:5000"):
        assert re.search(
            r"port 8080 is in use on 127.0.0.1 \(EADDRINUSE\) by '.+' \(process \d+\)",
            refusal(outside, "127.0.0.1:8080:5000"),
        )


def test_all_or_none(outside: Outside) -> None:
    """The ports before the one that is taken are free for others: nobody had them."""
    with outside.program(*peer("tcp", "echo", ADDRESS, 8080)).serving():
        ports = ("8000-8002:5000-5002", "8000:5000/udp", "5000", "8080:5000")
        assert refusal(outside, *ports).startswith(
            "cannot publish 8080:5000/tcp: port 8080 is in use on 0.0.0.0 (EADDRINUSE) by "
        )
        for port in (8000, 8001, 8002):
            assert hear(outside, "tcp", ADDRESS, port) == REFUSED
        assert hear(outside, "udp", ADDRESS, 8000) == REFUSED
        with published(outside, *ports[:3]):
            assert hear(outside, "tcp", ADDRESS, 8001) == f"5001 {ADDRESS}"


def test_a_range_without_a_free_port(outside: Outside) -> None:
    with (
        outside.program(*peer("udp", "echo", ADDRESS, 8000)).serving(),
        outside.program(*peer("udp", "echo", ADDRESS, 8001)).serving() as last,
    ):
        said = refusal(outside, "8000-8001:5000/udp")
    assert said.startswith(
        "cannot publish 8000-8001:5000/udp: none of 8000-8001 is free: "
        "port 8001 is in use on 0.0.0.0 (EADDRINUSE) by "
    )
    assert f"(process {last.pid})" in said


def test_an_address_of_another_host(outside: Outside, ip: Addresses) -> None:
    words = f"{bracketed(ip.no_route)}::5000"
    assert refusal(outside, words) == (
        f"cannot publish {words}/tcp: {ip.no_route} is not an address of this host "
        "(EADDRNOTAVAIL): take one of its own, or leave it out for all"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("8080:unix:/run/app.sock", "names a unix socket"),
        ("8000-8001:80-82", "make both ranges equally long"),
        ("127.0.0.1:80", "or 127.0.0.1::80 for a free port of the host"),
        ("80/sctp", "protocol 'sctp' in '80/sctp' is not known"),
    ],
)
def test_nonsense_is_one_line(outside: Outside, words: str, said: str) -> None:
    assert said in refusal(outside, words, status=2)


@needs("ss")
def test_the_backlog_is_the_limit_of_the_system(outside: Outside) -> None:
    with published(outside, "8080:5000"):
        limit = outside.program("cat", "/proc/sys/net/core/somaxconn").run().stdout.strip()
        listening = outside.program("ss", "-Hltn", "sport = :8080").run().stdout.splitlines()
    assert [line.split()[2] for line in listening] == [limit, limit]


@pytest.mark.parametrize("options", BOTH_WAYS, ids=["splice", "no-splice"])
def test_ports_are_free_when_the_program_was_killed(
    outside: Outside, options: tuple[str, ...]
) -> None:
    """Also those with a connection, which is reset."""
    ports = ("-p", "8080:5000", "-p", "8080:5000/udp", "-p", "8081:6000")
    flood = " ".join(peer("tcp", "flood", "0.0.0.0", 6000))
    script = f'{flood} > /dev/null & exec "$0" -c "$1"'
    words = ("run", *options, *ports, "--", "sh", "-c", script, sys.executable, SERVERS)
    drain = outside.program(*peer("tcp", "drain_stubbornly", LOOPBACK, 8081, 1_000_000))
    with outside.rootlessnet.serving(*words) as process, drain.started() as client:
        assert line_of(client) == "flowing"
        process.kill()
        process.wait()
        assert line_of(client) == "ECONNRESET"
        wait_for(lambda: hear(outside, "tcp", ADDRESS, 8080) == REFUSED, "the port")
        with published(outside, "8080:5000", "8080:5000/udp"):
            assert hear(outside, "tcp", ADDRESS, 8080) == f"5000 {ADDRESS}"

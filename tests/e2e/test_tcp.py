"""TCP, outbound and through published ports, between real kernels and by real programs.

Unless a test is about the host's loopback, everything happens on a host of its own (`outside`).
"""

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.addresses import IPV4, IPV6, Addresses, bracketed
from tests.e2e.conftest import PATIENCE, Program, needs
from tests.e2e.outside import ADDRESS, ADDRESS_6, OTHER_ADDRESS, Outside, peer
from tests.e2e.processes import line_of, tell

MTUS = ("1500", "9000", "65520")
EACH_MTU = [*((IPV4, mtu) for mtu in MTUS), (IPV6, "1500")]  # where much data takes its time
LARGE = 200_000_000  # bytes
GATEWAY = IPV4.gateway
BOTH_WAYS: list[tuple[str, ...]] = [(), ("--no-splice",)]  # of a client on the loopback
CURL = ("curl", "--silent", "--show-error", "--max-time", "20")
CURL_REFUSED, CURL_RESET = 7, 56  # curl(1), EXIT CODES


def outbound(
    outside: Outside, *client: str, options: tuple[str, ...] = (), timeout: float = PATIENCE
) -> str:
    """What a client in a guest says."""
    done = outside.rootlessnet.run("run", *options, "--", *client, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def published(
    outside: Outside, *server: str, mtu: str = "65520", options: tuple[str, ...] = ()
) -> Iterator[None]:
    """While a server in a guest is published, port 8080 for its port 5000."""
    words = ("run", "--mtu", mtu, *options, "-p", "8080:5000", "--", *server)
    with outside.rootlessnet.serving(*words):
        yield


def inbound(outside: Outside, *client: str, timeout: float = PATIENCE) -> str:
    """What a client on the host says."""
    done = outside.program(*client).run(timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ── a web server ─────────────────────────────────────────────────────────────────────────────────


@needs("curl")
@pytest.mark.parametrize("options", BOTH_WAYS, ids=["splice", "no-splice"])
@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "localhost"])
def test_web_server_on_localhost(
    rootlessnet: Program,
    free_port: int,
    tmp_path: Path,
    address: str,
    options: tuple[str, ...],
) -> None:
    (tmp_path / "file").write_text("from the guest")
    server = (sys.executable, "-u", "-m", "http.server", "--directory", str(tmp_path), "5000")
    with rootlessnet.started("run", *options, "-p", f"{free_port}:5000", "--", *server) as guest:
        assert line_of(guest).startswith("Serving HTTP")
        done = Program(*CURL).run("--noproxy", "*", f"http://{address}:{free_port}/file")
        assert (done.returncode, done.stdout) == (0, "from the guest")
        assert guest.stderr is not None
        assert guest.stderr.readline().startswith(f"{GATEWAY} - -"), "the client's address"


@pytest.mark.parametrize(
    ("every", "client", "server", "seen"),
    [
        (IPV4.every, OTHER_ADDRESS, ADDRESS, OTHER_ADDRESS),
        (IPV4.every, ADDRESS, ADDRESS, ADDRESS),
        (IPV4.every, "127.0.0.5", "127.0.0.1", GATEWAY),
        (IPV4.every, ADDRESS_6, ADDRESS_6, GATEWAY),
        (IPV6.every, IPV6.other_address, ADDRESS_6, IPV6.other_address),
        (IPV6.every, ADDRESS_6, ADDRESS_6, ADDRESS_6),
        (IPV6.every, OTHER_ADDRESS, ADDRESS, f"::ffff:{OTHER_ADDRESS}"),
    ],
)
@needs("curl")
def test_guest_sees_the_client(
    outside: Outside, every: str, client: str, server: str, seen: str
) -> None:
    with published(outside, *peer("tcp", "tell_address", every, 5000)):
        # The server speaks HTTP/0.9: an answer without any header.
        curl = (*CURL, "--http0.9", "--interface", client, f"http://{bracketed(server)}:8080/")
        done = outside.program(*curl).run()
    assert (done.returncode, done.stdout) == (0, seen)


def test_published_on_one_address_only(outside: Outside) -> None:
    server = peer("tcp", "tell_address", "0.0.0.0", 5000)
    forwards = (f"{ADDRESS}:8080:5000", f"[{ADDRESS_6}]:8081:5000/tcp")
    options = tuple(word for forward in forwards for word in ("-p", forward))
    with outside.rootlessnet.serving("run", *options, "--", *server):
        assert inbound(outside, *peer("tcp", "hear", ADDRESS, 8080)) == ADDRESS
        assert inbound(outside, *peer("tcp", "hear", ADDRESS_6, 8081)) == GATEWAY
        for address, port in ((OTHER_ADDRESS, 8080), (ADDRESS_6, 8080), (ADDRESS, 8081)):
            assert inbound(outside, *peer("tcp", "hear", address, port)) == "ECONNREFUSED"


# ── much data ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of 200 MB that nothing compresses."""
    path = tmp_path_factory.mktemp("large") / "file"
    source = random.Random(2)
    with path.open("wb") as file:
        for _ in range(200):
            file.write(source.randbytes(LARGE // 200))
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def digest(large: Path) -> str:
    with large.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def transfer(url: str, file: Path) -> tuple[str, ...]:
    """A command that says the digest of what it downloads, then what a server says of an upload."""
    script = """
        set -eu
        "$@" "$0" | sha256sum | cut -d' ' -f1
        "$@" --upload-file "$FILE" "$0"
    """
    return ("env", f"FILE={file}", "sh", "-c", script, url, *CURL, "--noproxy", "*")


@needs("curl")
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("ip", "mtu"), EACH_MTU, ids=str)
def test_large_files_outbound(
    outside: Outside, ip: Addresses, large: Path, digest: str, mtu: str
) -> None:
    server = outside.program(*peer("http_files", ip.address, 8000, large))
    with server.serving():
        said = outbound(outside, *transfer(f"http://{ip.at(8000)}/", large), options=("--mtu", mtu))
    assert said.split() == [digest, digest]


@needs("curl")
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("ip", "mtu"), EACH_MTU, ids=str)
def test_large_files_inbound(
    outside: Outside, ip: Addresses, large: Path, digest: str, mtu: str
) -> None:
    with published(outside, *peer("http_files", ip.every, 5000, large), mtu=mtu):
        said = inbound(outside, *transfer(f"http://{ip.at(8080)}/", large))
    assert said.split() == [digest, digest]


IPERF_MTUS = [(IPV4, "65520"), (IPV6, "1500"), (IPV6, "65520")]
IPERF = ("iperf3", "--json", "--parallel", "8", "--bytes", "400M", "--client")


def iperf_streams(report: str) -> list[int]:
    """The bytes that arrived, by stream."""
    result = json.loads(report)
    assert "error" not in result, result["error"]
    return [stream["receiver"]["bytes"] for stream in result["end"]["streams"]]


@needs("iperf3")
@pytest.mark.parametrize(("ip", "mtu"), IPERF_MTUS, ids=str)
@pytest.mark.parametrize("direction", [(), ("--reverse",)], ids=["up", "down"])
def test_iperf_outbound(
    outside: Outside, ip: Addresses, mtu: str, direction: tuple[str, ...]
) -> None:
    server = outside.program("iperf3", "--server", "--one-off", "--forceflush")
    with server.started("--bind", ip.address) as process:
        wait_until_listening(process)
        client = (*IPERF, ip.address, *direction)
        streams = iperf_streams(outbound(outside, *client, options=("--mtu", mtu)))
    assert len(streams) == 8
    assert all(streams)


@needs("iperf3")
@pytest.mark.parametrize(("ip", "mtu"), IPERF_MTUS, ids=str)
@pytest.mark.parametrize("direction", [(), ("--reverse",)], ids=["up", "down"])
def test_iperf_inbound(
    outside: Outside, ip: Addresses, mtu: str, direction: tuple[str, ...]
) -> None:
    server = ("iperf3", "--server", "--one-off", "--forceflush")
    options = ("--mtu", mtu, "-p", "5201:5201")
    with outside.rootlessnet.started("run", *options, "--", *server) as process:
        wait_until_listening(process)
        streams = iperf_streams(inbound(outside, *IPERF, ip.address, *direction))
    assert len(streams) == 8
    assert all(streams)


def wait_until_listening(iperf: subprocess.Popen[str]) -> None:
    while "listening" not in (line := line_of(iperf)):
        assert line, "iperf3 ended"


# ── how connections begin and end ────────────────────────────────────────────────────────────────

# Who ends its direction first, as a server and a client that fit together.
HALF_CLOSES = [("answer_late", "ask"), ("speak_first", "listen_first")]


@pytest.mark.parametrize(("server", "client"), HALF_CLOSES)
def test_half_close_outbound(outside: Outside, ip: Addresses, server: str, client: str) -> None:
    with outside.program(*peer("tcp", server, ip.address, 5000)).serving() as process:
        assert outbound(outside, *peer("tcp", client, ip.address, 5000)) == "same"
        line_of(process)
        if server == "speak_first":
            assert line_of(process) == "same"


@pytest.mark.parametrize(("server", "client"), HALF_CLOSES)
def test_half_close_inbound(outside: Outside, ip: Addresses, server: str, client: str) -> None:
    words = peer("tcp", server, ip.every, 5000)
    with outside.rootlessnet.serving("run", "-p", "8080:5000", "--", *words) as guest:
        assert inbound(outside, *peer("tcp", client, ip.address, 8080)) == "same"
        line_of(guest)
        if server == "speak_first":
            assert line_of(guest) == "same"


@needs("socat")
def test_half_close_by_socat(outside: Outside, ip: Addresses) -> None:
    """socat ends its direction with its input, and waits for what sort(1) says after that."""
    listening = f"TCP{ip.version}-LISTEN:5000,bind={bracketed(ip.address)}"
    sort = outside.program("socat", "-d", "-d", listening, "EXEC:sort")
    with sort.started() as process:
        assert process.stderr is not None
        while "listening on" not in (line := process.stderr.readline()):
            assert line, "socat ended"
        done = outside.rootlessnet.run(
            "run", "--", "socat", "-t", "20", "-", f"TCP:{ip.at(5000)}", stdin="b\nc\na\n"
        )
    assert (done.returncode, done.stdout) == (0, "a\nb\nc\n")


@needs("curl")
def test_refused(outside: Outside, ip: Addresses) -> None:
    done = outside.rootlessnet.run("run", "--", *CURL, f"http://{ip.at(5000)}/")
    assert done.returncode == CURL_REFUSED
    assert outbound(outside, *peer("tcp", "hear", ip.address, 5000)) == "ECONNREFUSED"


@needs("curl")
def test_reset_by_the_host(outside: Outside, ip: Addresses) -> None:
    with outside.program(*peer("tcp", "reset", ip.address, 5000)).serving():
        done = outside.rootlessnet.run("run", "--", *CURL, f"http://{ip.at(5000)}/")
        assert done.returncode == CURL_RESET
        assert outbound(outside, *peer("tcp", "hear", ip.address, 5000)) == "ECONNRESET"


@needs("curl")
def test_reset_by_the_guest(outside: Outside, ip: Addresses) -> None:
    with published(outside, *peer("tcp", "reset", ip.every, 5000)):
        done = outside.program(*CURL, f"http://{ip.at(8080)}/").run()
        assert done.returncode == CURL_RESET


def test_no_route(outside: Outside, ip: Addresses) -> None:
    """The same error as on the host, and no time-out."""
    client = peer("tcp", "hear", ip.no_route, 5000)
    assert inbound(outside, *client) == "ENETUNREACH"
    assert outbound(outside, *client) == "ENETUNREACH"


def test_neighbour_that_does_not_exist(outside: Outside, ip: Addresses) -> None:
    """The guest's own network has no other host."""
    assert outbound(outside, *peer("tcp", "hear", ip.nobody, 5000)) == "EHOSTUNREACH"


def test_published_port_where_the_guest_does_not_listen(outside: Outside, ip: Addresses) -> None:
    with published(outside, "sh", "-c", "echo ready; exec sleep 1000"):
        assert inbound(outside, *peer("tcp", "hear", ip.address, 8080)) == "ECONNRESET"


def test_guest_ends_mid_transfer(outside: Outside, ip: Addresses) -> None:
    """With the guest's last process, not only with the server's connection."""
    words = peer("tcp", "flood", ip.every, 5000)
    with outside.rootlessnet.serving("run", "-p", "8080:5000", "--", *words) as guest:
        client = outside.program(*peer("tcp", "drain", ip.address, 8080, 10_000_000))
        with client.started() as process:
            assert line_of(process) == "flowing"
            guest.kill()
            assert line_of(process) in ("ECONNRESET", "end of file")


def test_guest_server_dies_mid_transfer(outside: Outside, ip: Addresses) -> None:
    server = " ".join(peer("tcp", "flood", ip.every, 5000))
    script = f"{server} & server=$!; read line; kill -KILL $server; exec sleep 1000"
    with outside.rootlessnet.serving("run", "-p", "8080:5000", "--", "sh", "-c", script) as guest:
        client = outside.program(*peer("tcp", "drain", ip.address, 8080, 10_000_000))
        with client.started() as process:
            assert line_of(process) == "flowing"
            tell(guest)
            assert line_of(process) in ("ECONNRESET", "end of file")
            assert guest.poll() is None


def test_host_server_dies_mid_transfer(outside: Outside, ip: Addresses) -> None:
    client = peer("tcp", "drain", ip.address, 5000, 10_000_000)
    with (
        outside.program(*peer("tcp", "flood", ip.address, 5000)).serving() as server,
        outside.rootlessnet.started("run", "--", *client) as guest,
    ):
        assert line_of(guest) == "flowing"
        server.kill()
        assert line_of(guest) in ("ECONNRESET", "end of file")
        assert guest.wait(PATIENCE) == 0


def test_guest_client_dies_mid_transfer(outside: Outside, ip: Addresses) -> None:
    client = peer("tcp", "drain", ip.address, 5000, 10_000_000)
    with outside.program(*peer("tcp", "flood", ip.address, 5000)).serving() as server:
        with outside.rootlessnet.started("run", "--", *client) as guest:
            assert line_of(guest) == "flowing"
            guest.terminate()
            assert guest.wait(PATIENCE) == 143
        assert line_of(server) == f"connection to {ip.address}"
        assert line_of(server) == "client gone"


# ── small exchanges ──────────────────────────────────────────────────────────────────────────────

SMALL = [
    ("echo", "exchange", "2000"),
    ("answer_late", "connect_often", "500"),
    ("answer_late", "connect_together", "100"),
]


@pytest.mark.parametrize(("server", "client", "count"), SMALL)
def test_small_exchanges_outbound(
    outside: Outside, ip: Addresses, server: str, client: str, count: str
) -> None:
    with outside.program(*peer("tcp", server, ip.address, 5000)).serving():
        assert outbound(outside, *peer("tcp", client, ip.address, 5000, count)) == count


@pytest.mark.parametrize(("server", "client", "count"), SMALL)
@pytest.mark.parametrize(
    ("local", "options"), [(False, ()), *((True, options) for options in BOTH_WAYS)]
)
def test_small_exchanges_inbound(
    outside: Outside,
    ip: Addresses,
    server: str,
    client: str,
    count: str,
    local: bool,
    options: tuple[str, ...],
) -> None:
    address = ip.loopback if local else ip.address
    with published(outside, *peer("tcp", server, ip.every, 5000), options=options):
        assert inbound(outside, *peer("tcp", client, address, 8080, count)) == count

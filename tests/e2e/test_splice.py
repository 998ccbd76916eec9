"""Clients on the host's loopback, whose connections are spliced into the guest."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, needs, wait_for
from tests.e2e.outside import ADDRESS, Outside, make_outside, peer
from tests.e2e.processes import children_of, line_of, tell
from tests.e2e.test_last_words import SMALL_BUFFERS
from tests.e2e.test_tcp import (
    BOTH_WAYS,
    CURL,
    CURL_REFUSED,
    CURL_RESET,
    HALF_CLOSES,
    digest,
    inbound,
    large,
    transfer,
)
from tests.e2e.test_urgent import SENDERS, judgement

__all__ = ["digest", "large"]  # fixtures

LOOPBACK, LOOPBACK_6, GUEST, GATEWAY = "127.0.0.1", "::1", "10.0.2.100", "10.0.2.2"
EVERY, EVERY_6, MAPPED = "0.0.0.0", "::", "::ffff:"
MTUS = ("1500", "65520")


@contextmanager
def published(
    outside: Outside, *server: str, options: tuple[str, ...] = ()
) -> Iterator["subprocess.Popen[str]"]:
    """While a server in a guest is published, port 8080 for its port 5000."""
    words = ("run", *options, "-p", "8080:5000", "--", *server)
    with outside.rootlessnet.serving(*words) as guest:
        yield guest


@pytest.fixture
def small_buffers() -> Iterator[Outside]:
    """A host whose kernel holds little."""
    with make_outside(SMALL_BUFFERS) as host:
        yield host


# ── which socket of the guest's a client reaches, and whom it sees ───────────────────────────────


ARRIVALS = [  # where a server listens, which address is reached, and whom it sees
    (LOOPBACK, LOOPBACK, GATEWAY),
    (GUEST, GUEST, GATEWAY),
    (EVERY, LOOPBACK, GATEWAY),
    (EVERY_6, MAPPED + LOOPBACK, MAPPED + GATEWAY),
    (LOOPBACK_6, LOOPBACK_6, LOOPBACK_6),
]


@pytest.mark.parametrize("client", [LOOPBACK, "127.0.0.9", LOOPBACK_6])
@pytest.mark.parametrize(("server", "arrived", "seen"), ARRIVALS)
def test_where_it_arrives(
    outside: Outside, client: str, server: str, arrived: str, seen: str
) -> None:
    with published(outside, *peer("tcp", "tell_address", server, 5000)) as guest:
        assert inbound(outside, *peer("tcp", "hear", client, 8080)) == seen
        assert line_of(guest) == f"connection to {arrived}"


@pytest.mark.parametrize("option", ["--no-pid", "--map-user"])
def test_in_every_kind_of_guest(outside: Outside, option: str) -> None:
    server = peer("tcp", "tell_address", GUEST, 5000)
    with published(outside, *server, options=(option,)):
        assert inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == GATEWAY


def test_the_guest_itself_reaches_the_gateway_as_ever(outside: Outside) -> None:
    """At the same time, from a program that has accepted from there."""
    answer = outside.program(*peer("tcp", "echo", LOOPBACK, 8081))
    server = peer("tcp", "relay", EVERY, 5000, 8081)
    with answer.serving(), published(outside, *server, options=("--host-loopback",)):
        assert inbound(outside, *peer("tcp", "exchange", LOOPBACK, 8080, 10)) == "10"


READ_ONLY = "mount --rbind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys\n"


@pytest.mark.parametrize("server", [LOOPBACK, GUEST])
def test_where_the_kernel_cannot_show_the_gateway(server: str) -> None:
    """Then it is the guest's own loopback that a server sees."""
    with (
        make_outside(READ_ONLY) as host,
        published(host, *peer("tcp", "tell_address", server, 5000), options=("--no-pid",)),
    ):
        assert inbound(host, *peer("tcp", "hear", LOOPBACK, 8080)) == LOOPBACK


def test_ports_are_reused(outside: Outside) -> None:
    """After a second, not a minute. The client ends first, so it is the ports towards the server
    that have to wait.
    """
    few = "echo 40001 40400 > /proc/sys/net/ipv4/ip_local_port_range"
    for address in (LOOPBACK, GUEST):
        echo = " ".join(peer("tcp", "echo", address, 5000, 0))
        with published(outside, "sh", "-euc", f"{few}; exec {echo}"):
            client = peer("tcp", "connect_stubbornly", LOOPBACK, 8080, 1000)
            assert inbound(outside, *client, timeout=60) == "1000"


@pytest.mark.parametrize("options", BOTH_WAYS, ids=["splice", "no-splice"])
def test_what_listens_on_the_loopback_alone(outside: Outside, options: tuple[str, ...]) -> None:
    """Others do not reach it, nor does anybody with --no-splice."""
    server = peer("tcp", "tell_address", LOOPBACK, 5000)
    with published(outside, *server, options=options):
        spliced = inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080))
        assert spliced == ("ECONNRESET" if options else GATEWAY)
        assert inbound(outside, *peer("tcp", "hear", ADDRESS, 8080)) == "ECONNRESET"


def test_the_loopback_comes_first(outside: Outside) -> None:
    """Where servers listen on both."""
    one, other = (" ".join(peer("tcp", "tell_address", at, 5000)) for at in (GUEST, LOOPBACK))
    script = f"{one} & read line; exec {other}"
    with published(outside, "sh", "-c", script) as guest:
        assert inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == GATEWAY
        assert line_of(guest) == f"connection to {GUEST}"
        tell(guest)
        assert line_of(guest) == "ready"
        assert inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == GATEWAY
        assert line_of(guest) == f"connection to {LOOPBACK}"


# ── either way that a client on the loopback can go ──────────────────────────────────────────────

# Where a server listens, and the words that make clients go so.
either_way = pytest.mark.parametrize(
    ("server_at", "options"), [(LOOPBACK, ()), (EVERY, ("--no-splice",))]
)


@needs("curl")
@either_way
def test_refused(outside: Outside, server_at: str, options: tuple[str, ...]) -> None:
    """At once, before there is a server as when there is none any more."""
    server = " ".join(peer("tcp", "tell_address", server_at, 5000))
    script = f"echo ready; read line; {server} & server=$!; read line; kill $server; wait; exec cat"
    with published(outside, "sh", "-c", script, options=options) as guest:
        assert inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == "ECONNRESET"
        tell(guest)
        assert line_of(guest) == "ready"
        assert inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == GATEWAY
        tell(guest)
        wait_for(
            lambda: inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == "ECONNRESET",
            "the end of the server",
        )
        done = outside.program(*CURL, "--noproxy", "*", "http://localhost:8080/").run()
        # The reset may come before curl has seen that it is connected.
        assert done.returncode in (CURL_REFUSED, CURL_RESET)


# ── data ─────────────────────────────────────────────────────────────────────────────────────────


@needs("curl")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("mtu", MTUS)
def test_large_files(outside: Outside, large: Path, digest: str, mtu: str) -> None:
    server = peer("http_files", LOOPBACK, 5000, large)
    with published(outside, *server, options=("--mtu", mtu)):
        said = inbound(outside, *transfer(f"http://{LOOPBACK}:8080/", large))
    assert said.split() == [digest, digest]


def test_many_connections_after_another(outside: Outside) -> None:
    with published(outside, *peer("tcp", "echo", LOOPBACK, 5000, 0)):
        assert inbound(outside, *peer("tcp", "connect_often", LOOPBACK, 8080, 1000)) == "1000"


@pytest.mark.parametrize(("server", "client"), SENDERS)
@either_way
def test_urgent_data(
    outside: Outside, server: str, client: str, server_at: str, options: tuple[str, ...]
) -> None:
    with published(outside, *peer("tcp", server, server_at, 5000), options=options) as guest:
        said = inbound(outside, *peer("tcp", client, LOOPBACK, 8080))
        assert judgement(guest, said) == "same"


# ── how connections end ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("server", "client"), HALF_CLOSES)
@either_way
def test_half_close(
    outside: Outside, server: str, client: str, server_at: str, options: tuple[str, ...]
) -> None:
    with published(outside, *peer("tcp", server, server_at, 5000), options=options) as guest:
        assert inbound(outside, *peer("tcp", client, LOOPBACK, 8080)) == "same"
        line_of(guest)
        if server == "speak_first":
            assert line_of(guest) == "same"


@either_way
def test_reset_by_the_guest(outside: Outside, server_at: str, options: tuple[str, ...]) -> None:
    with published(outside, *peer("tcp", "reset", server_at, 5000), options=options):
        assert inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == "ECONNRESET"


@either_way
def test_reset_by_the_client(outside: Outside, server_at: str, options: tuple[str, ...]) -> None:
    """A client that dies with data unread resets its connection: so the server is told."""
    with published(outside, *peer("tcp", "flood", server_at, 5000), options=options) as guest:
        drain = outside.program(*peer("tcp", "drain", LOOPBACK, 8080, 10_000_000))
        with drain.started() as client:
            assert line_of(client) == "flowing"
            client.kill()
        assert line_of(guest).startswith("connection")
        assert line_of(guest) == "client gone"


@either_way
def test_the_server_dies_mid_transfer(
    outside: Outside, server_at: str, options: tuple[str, ...]
) -> None:
    server = " ".join(peer("tcp", "flood", server_at, 5000))
    script = f"{server} & server=$!; read line; kill -KILL $server; exec cat"
    with published(outside, "sh", "-c", script, options=options) as guest:
        drain = outside.program(*peer("tcp", "drain", LOOPBACK, 8080, 10_000_000))
        with drain.started() as client:
            assert line_of(client) == "flowing"
            tell(guest)
            assert line_of(client) in ("ECONNRESET", "end of file")
            assert guest.poll() is None


@contextmanager
def answered(outside: Outside) -> Iterator[tuple["subprocess.Popen[str]", "subprocess.Popen[str]"]]:
    """A guest whose server has answered and ended, and its command with it, and a client that reads
    the answer when told. Most of it waits in the guest.
    """
    client = outside.program(*peer("tcp", "listen_when_told", LOOPBACK, 8080))
    with (
        published(outside, *peer("tcp", "send_and_die", LOOPBACK, 5000)) as guest,
        client.started() as process,
    ):
        assert line_of(process) == "connected"
        assert line_of(guest).startswith("connection")
        assert line_of(guest) == "sent"
        yield guest, process


def test_an_answer_outlives_its_server(small_buffers: Outside) -> None:
    with answered(small_buffers) as (guest, client):
        tell(client)
        assert line_of(client) == "same"
        assert guest.wait(PATIENCE) == 0


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_an_answer_that_is_cut_short_is_no_complete_one(small_buffers: Outside, how: str) -> None:
    with answered(small_buffers) as (guest, client):
        wait_for(lambda: not children_of(guest.pid), "the end of the command")
        if how == "terminate":
            guest.terminate()
        else:
            guest.kill()
        guest.wait(PATIENCE)
        tell(client)
        assert line_of(client) == "ECONNRESET"

"""Clients on the host's loopback, whose connections are spliced into the guest."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, needs, wait_for
from tests.e2e.outside import Outside, make_outside, peer
from tests.e2e.test_last_words import SMALL_BUFFERS, has_no_child, tell
from tests.e2e.test_tcp import (
    CURL,
    CURL_RESET,
    HALF_CLOSES,
    digest,
    inbound,
    large,
    line_of,
    transfer,
)
from tests.e2e.test_urgent import SENDERS, judgement

__all__ = ["digest", "large"]  # fixtures

LOOPBACK, LOOPBACK_6, GUEST = "127.0.0.1", "::1", "10.0.2.100"
EVERY = "0.0.0.0"
MTUS = ("1500", "65520")
MANY_FILES = ("sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"')  # before a command


@contextmanager
def published(
    outside: Outside, *server: str, options: tuple[str, ...] = ()
) -> Iterator["subprocess.Popen[str]"]:
    """While a server in a guest is published, port 8080 for its port 5000."""
    words = ("run", "--splice", *options, "-p", "8080:5000", "--", *server)
    with outside.rootlessnet.serving(*words) as guest:
        yield guest


@pytest.fixture
def small_buffers() -> Iterator[Outside]:
    """A host whose kernel holds little."""
    with make_outside(SMALL_BUFFERS) as host:
        yield host


# ── which socket of the guest's a client reaches, and whom it sees ───────────────────────────────


@pytest.mark.parametrize("client", [LOOPBACK, "127.0.0.9", LOOPBACK_6])
@pytest.mark.parametrize("server", [LOOPBACK, GUEST, EVERY])
@pytest.mark.parametrize("pid", [(), ("--no-pid",)], ids=["pid", "no-pid"])
def test_where_it_arrives(outside: Outside, client: str, server: str, pid: tuple[str, ...]) -> None:
    arrived = GUEST if server == GUEST else LOOPBACK
    with published(outside, *peer("tcp", "tell_address", server, 5000), options=pid) as guest:
        assert inbound(outside, *peer("tcp", "hear", client, 8080)) == LOOPBACK
        assert line_of(guest) == f"connection to {arrived}"


def test_the_loopback_comes_first(outside: Outside) -> None:
    """Where servers listen on both."""
    one, other = (" ".join(peer("tcp", "tell_address", at, 5000)) for at in (GUEST, LOOPBACK))
    script = f"{one} & read line; exec {other}"
    with published(outside, "sh", "-c", script) as guest:
        assert inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == LOOPBACK
        assert line_of(guest) == f"connection to {GUEST}"
        tell(guest)
        assert line_of(guest) == "ready"
        assert inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == LOOPBACK
        assert line_of(guest) == f"connection to {LOOPBACK}"


@needs("curl")
def test_refused(outside: Outside) -> None:
    with published(outside, "sh", "-c", "echo ready; exec cat"):
        assert inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == "ECONNRESET"
        done = outside.program(*CURL, "--noproxy", "*", "http://localhost:8080/").run()
        assert done.returncode == CURL_RESET


# ── data ─────────────────────────────────────────────────────────────────────────────────────────


@needs("curl")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("mtu", MTUS)
def test_large_files(outside: Outside, large: Path, digest: str, mtu: str) -> None:
    server = peer("http_files", LOOPBACK, 5000, large)
    with published(outside, *server, options=("--mtu", mtu)):
        said = inbound(outside, *transfer(f"http://{LOOPBACK}:8080/", large))
    assert said.split() == [digest, digest]


@pytest.mark.timeout(120)
def test_many_connections_at_a_time(outside: Outside) -> None:
    """Each is used twice."""
    with published(outside, *MANY_FILES, *peer("tcp", "echo", LOOPBACK, 5000, 0)):
        client = peer("tcp", "hold_together", LOOPBACK, 8080, 2000)
        assert inbound(outside, *MANY_FILES, *client, timeout=100) == "4000"


def test_many_connections_after_another(outside: Outside) -> None:
    with published(outside, *peer("tcp", "echo", LOOPBACK, 5000, 0)):
        assert inbound(outside, *peer("tcp", "connect_often", LOOPBACK, 8080, 1000)) == "1000"


@pytest.mark.parametrize(("server", "client"), SENDERS)
def test_urgent_data(outside: Outside, server: str, client: str) -> None:
    with published(outside, *peer("tcp", server, LOOPBACK, 5000)) as guest:
        said = inbound(outside, *peer("tcp", client, LOOPBACK, 8080))
        assert judgement(guest, said) == "same"


# ── how connections end ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("server", "client"), HALF_CLOSES)
def test_half_close(outside: Outside, server: str, client: str) -> None:
    with published(outside, *peer("tcp", server, LOOPBACK, 5000)) as guest:
        assert inbound(outside, *peer("tcp", client, LOOPBACK, 8080)) == "same"
        line_of(guest)
        if server == "speak_first":
            assert line_of(guest) == "same"


def test_reset_by_the_guest(outside: Outside) -> None:
    with published(outside, *peer("tcp", "reset", LOOPBACK, 5000)):
        assert inbound(outside, *peer("tcp", "hear", LOOPBACK, 8080)) == "ECONNRESET"


def test_reset_by_the_client(outside: Outside) -> None:
    """A client that dies with data unread resets its connection: so the server is told."""
    with published(outside, *peer("tcp", "flood", LOOPBACK, 5000)) as guest:
        drain = outside.program(*peer("tcp", "drain", LOOPBACK, 8080, 10_000_000))
        with drain.started() as client:
            assert line_of(client) == "flowing"
            client.kill()
        assert line_of(guest).startswith("connection")
        assert line_of(guest) == "client gone"


def test_the_server_dies_mid_transfer(outside: Outside) -> None:
    server = " ".join(peer("tcp", "flood", LOOPBACK, 5000))
    script = f"{server} & server=$!; read line; kill -KILL $server; exec cat"
    with published(outside, "sh", "-c", script) as guest:
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
        wait_for(lambda: has_no_child(guest), "the end of the command")
        if how == "terminate":
            guest.terminate()
        else:
            guest.kill()
        guest.wait(PATIENCE)
        tell(client)
        assert line_of(client) == "ECONNRESET"

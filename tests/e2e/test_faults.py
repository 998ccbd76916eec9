"""What goes wrong on the host and in the guest, and that connections outlive it where they can.

Read: tcp(7) for ip_local_port_range, signal(7) for SIGSTOP.
"""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from tests.e2e.conftest import PATIENCE, Program, wait_for
from tests.e2e.guest import Guest, make_guest
from tests.e2e.outside import ADDRESS, Outside, make_outside, peer
from tests.e2e.processes import descriptors, is_at_rest, line_of, tell
from tests.e2e.target import make_target
from tests.e2e.test_churn import NO_TIME_WAIT
from tests.e2e.test_last_words import SMALL_BUFFERS
from tests.e2e.test_stall import COUNT, end_of, stopped_at

REPORTS = int(os.environ.get("ROOTLESSNET_STOPPED", "2")) * 5  # of a sender, one each 0.2 seconds
FEW_PORTS = NO_TIME_WAIT + "echo 40000 40007 > /proc/sys/net/ipv4/ip_local_port_range\n"
DATAGRAMS = f"""
import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    for _ in range(3):
        one.sendto(b"lost", ("{ADDRESS}", 5002))
"""
NO_PROC = "mount -t tmpfs none /proc\n"

# An instance that soon gives up what its command has sent.
IMPATIENT = """
import sys

from rootlessnet import app
from rootlessnet.cli.main import main

app._LINGER = 0.1
sys.exit(main(["run", "--", *sys.argv[1:]]))
"""


@contextmanager
def stalled(outside: Outside, *words: str) -> Iterator[tuple[Guest, Popen[str], Popen[str]]]:
    """A guest of these words, a reader on the host that waits for a word, and the client of the
    guest's that has come to rest in the middle of what it sends.
    """
    with (
        outside.program(*peer("tcp", "stall", ADDRESS, 5000)).serving() as server,
        make_guest(outside, *words) as guest,
        guest.program(*peer("tcp", "pour_out", ADDRESS, 5000, COUNT)).started() as client,
    ):
        assert line_of(server).startswith("connection to")
        assert line_of(server) == "stalling"
        stopped_at(client)
        yield guest, server, client


def assert_all_arrives(server: Popen[str], client: Popen[str]) -> None:
    assert line_of(server) == f"read {COUNT}"
    assert end_of(client) == f"sent {COUNT}"


# ── the guest ────────────────────────────────────────────────────────────────────────────────────


def test_the_interface_is_removed(outside: Outside, tmp_path: Path) -> None:
    """By the guest: its command goes on, and nothing spins."""
    path = tmp_path / "log"
    with make_guest(outside, "--log-file", str(path)) as guest:
        assert guest.program("ip", "link", "delete", "tap0").run().returncode == 0
        wait_for(lambda: "interface was removed" in path.read_text(), "a line in the log")
        wait_for(lambda: is_at_rest(guest.network), "rest")
        assert guest.program("true").run().returncode == 0
        assert len(path.read_text().splitlines()) == 1


@pytest.mark.usefixtures("needs_namespaces")
def test_the_interface_of_an_attachment_is_removed(rootlessnet: Program) -> None:
    with (
        make_target() as target,
        rootlessnet.started("attach", str(target.pid)) as process,
    ):
        target.wait_until_served()
        target.inside("ip", "link", "delete", "tap0")
        assert process.wait(PATIENCE) == 0


def test_the_interface_is_down_and_up(outside: Outside) -> None:
    """Of the guest: what stands goes on."""
    with stalled(outside) as (guest, server, client):
        guest.program("ip", "link", "set", "tap0", "down").run()
        guest.program("ip", "link", "set", "tap0", "up").run()
        guest.program("ip", "route", "add", "default", "via", "10.0.2.2").run()
        tell(server)
        assert_all_arrives(server, client)


def test_last_words_that_are_given_up() -> None:
    upload = peer("tcp", "send_and_leave", ADDRESS, 5000)
    with (
        make_outside(SMALL_BUFFERS) as outside,
        outside.program(*peer("tcp", "read_when_told", ADDRESS, 5000)).serving(),
        outside.program(sys.executable, "-c", IMPATIENT).started(*upload) as guest,
    ):
        assert guest.stderr is not None
        assert guest.stderr.read() == (
            "rootlessnet: what the command has sent is given up on 1 connections: their far ends "
            "took nothing for 0 seconds\n"
        )
        assert guest.wait(PATIENCE) == 0


# ── the host ─────────────────────────────────────────────────────────────────────────────────────


def take_turns(guest: Guest, log: Path, count: int, line: str) -> None:
    """So many connections at once are too many: those that stand go on, and each has its turn."""
    with guest.program(*peer("crowd", "take_turns", ADDRESS, 5000, count)).started() as clients:
        wait_for(lambda: line in log.read_text(), "a line in the log")
        tell(clients)
        assert line_of(clients) == str(count)
    assert len(log.read_text().splitlines()) == 1


def test_no_ports_are_left(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        make_outside(FEW_PORTS) as outside,
        outside.program(*peer("crowd", "serve", ADDRESS, 5000)).serving(),
        make_guest(outside, "--log-file", str(log)) as guest,
    ):
        take_turns(guest, log, 20, "no port of this host is left")


def test_no_descriptors_are_left(outside: Outside, tmp_path: Path) -> None:
    """Because the limit is lowered, and the tables have the bounds of another one."""
    log = tmp_path / "log"
    with (
        outside.program(*peer("crowd", "serve", ADDRESS, 5000)).serving(),
        make_guest(outside, "--log-file", str(log)) as guest,
    ):
        limit = max(descriptors(guest.network)) + 9
        resource.prlimit(guest.network, resource.RLIMIT_NOFILE, (limit, limit))
        take_turns(guest, log, 20, "no descriptor is left")


@contextmanager
def switched(folder: Path) -> Iterator[Outside]:
    """A host that runs each command that `switch` writes to a file, and says when it has."""
    words, said = folder / "words", folder / "said"
    os.mkfifo(words)
    obey = f"""
        exec 9<> {words}
        while read -r word <&9 && [ "$word" != end ]; do
            $word && echo "$word" >> {said}
        done &
        exec 9>&-
    """
    with make_outside(obey) as outside:
        try:
            yield outside
        finally:
            words.write_text("end\n")


def switch(folder: Path, command: str) -> None:
    """Have the host of `switched` run this command."""
    said = folder / "said"
    (folder / "words").write_text(f"{command}\n")
    wait_for(lambda: said.exists() and said.read_text().endswith(f"{command}\n"), command)


def test_the_interface_of_the_host_is_down_and_up(tmp_path: Path) -> None:
    with (
        switched(tmp_path) as outside,
        outside.program(*peer("tcp", "echo", ADDRESS, 5001)).serving(),
        stalled(outside) as (guest, server, client),
    ):
        switch(tmp_path, "ip link set lo down")
        tell(server)
        assert line_of(client) == line_of(client)
        with guest.program(*peer("tcp", "exchange", ADDRESS, 5001, 10)).started() as late:
            assert line_of(client) == line_of(client)
            switch(tmp_path, "ip link set lo up")
            assert line_of(late) == "10"
        assert_all_arrives(server, client)


def test_no_buffers_are_left(tmp_path: Path) -> None:
    """The queue of the host's interface takes nothing, which is ENOBUFS to who sends a datagram."""
    log = tmp_path / "log"
    with (
        switched(tmp_path) as outside,
        stalled(outside, "--log-file", str(log)) as (guest, server, client),
    ):
        switch(tmp_path, "tc qdisc replace dev lo root pfifo limit 0")
        tell(server)
        sent = guest.program(sys.executable, "-c", DATAGRAMS).run()
        assert sent.returncode == 0, sent.stderr
        wait_for(lambda: "has no memory" in log.read_text(), "the refusal in the log")
        switch(tmp_path, "tc qdisc delete dev lo root")
        assert_all_arrives(server, client)
    assert len(log.read_text().splitlines()) == 1


def test_the_process_outside_is_stopped_for_a_while(outside: Outside) -> None:
    """ROOTLESSNET_STOPPED seconds, in the middle of a transfer: to it they are as nothing."""
    with stalled(outside) as (guest, server, client):
        os.kill(guest.network, signal.SIGSTOP)
        tell(server)
        for _ in range(REPORTS):
            assert line_of(client).startswith("stopped")
        os.kill(guest.network, signal.SIGCONT)
        assert_all_arrives(server, client)


def test_the_control_socket_is_removed(rootlessnet: Program) -> None:
    """The instance is out of reach, and goes on."""
    command = ("sh", "-c", "echo ready; read line; echo $line; exit 7")
    with rootlessnet.serving("run", "--name", "web", "--", *command) as process:
        assert "web" in rootlessnet.run("ps").stdout
        (left,) = Path(os.environ["XDG_RUNTIME_DIR"]).rglob("web.sock")
        left.unlink()
        assert "web" not in rootlessnet.run("ps").stdout
        tell(process)
        assert line_of(process) == "go on"
        assert process.wait(PATIENCE) == 7
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("words", [("run", "--", "true"), ("attach", "1"), ("doctor",)])
def test_there_is_no_proc(words: tuple[str, ...]) -> None:
    with make_outside(NO_PROC) as outside:
        done = outside.rootlessnet.run(*words)
    assert done.returncode == 1
    assert "mount -t proc proc /proc" in done.stdout + done.stderr
    assert "internal error" not in done.stderr

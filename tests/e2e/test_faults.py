"""What goes wrong on the host and in the guest, and that connections outlive it where they can.

Read: tcp(7) for ip_local_port_range, signal(7) for SIGSTOP, proc_pid_stat(5).
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, Program, wait_for
from tests.e2e.guest import Guest, make_guest
from tests.e2e.outside import ADDRESS, Outside, make_outside, peer
from tests.e2e.target import Target, make_target
from tests.e2e.test_churn import NO_TIME_WAIT
from tests.e2e.test_last_words import SMALL_BUFFERS
from tests.e2e.test_stall import COUNT, end_of, stopped_at
from tests.e2e.test_tcp import line_of

REPORTS = int(os.environ.get("ROOTLESSNET_STOPPED", "2")) * 5  # of a sender, one each 0.2 seconds
TICKS = 30  # of a hundred a second: what a process that has nothing to do stays far below
FEW_PORTS = NO_TIME_WAIT + "echo 40000 40007 > /proc/sys/net/ipv4/ip_local_port_range\n"
NO_PROC = "mount -t tmpfs none /proc\n"

# An instance that soon gives up what its command has sent.
IMPATIENT = """
import sys

from rootlessnet import app
from rootlessnet.cli.main import main

app._LINGER = 0.1
sys.exit(main(["run", "--", *sys.argv[1:]]))
"""


def go_on(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()


def ticks(process: int) -> int:
    """The processor time that a process has used."""
    stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(stat[11]) + int(stat[12])


# ── the guest ────────────────────────────────────────────────────────────────────────────────────


def test_the_interface_is_removed(outside: Outside, tmp_path: Path) -> None:
    """By the guest: its command goes on, and nothing spins."""
    path = tmp_path / "log"
    with make_guest(outside, "--log-file", str(path)) as guest:
        assert guest.program("ip", "link", "delete", "tap0").run().returncode == 0
        wait_for(lambda: "interface was removed" in path.read_text(), "a line in the log")
        before = ticks(guest.network)
        assert guest.program("ping", "-c", "6", "-i", "0.2", "127.0.0.1").run().returncode == 0
        assert ticks(guest.network) - before < TICKS
        assert len(path.read_text().splitlines()) == 1


@pytest.mark.usefixtures("needs_namespaces")
def test_the_interface_of_an_attachment_is_removed(rootlessnet: Program) -> None:
    with (
        make_target(os.environ) as target,
        rootlessnet.started("attach", str(target.pid)) as process,
    ):
        wait_until_served(target)
        target.inside("ip", "link", "delete", "tap0")
        assert process.wait(PATIENCE) == 0


def wait_until_served(target: Target) -> None:
    wait_for(lambda: "default via" in target.inside("ip", "route"), "the network")
    target.inside("ping", "-c1", "10.0.2.2")


def test_the_interface_is_down_and_up(outside: Outside) -> None:
    """Of the guest: what stands goes on."""
    with (
        outside.program(*peer("tcp", "stall", ADDRESS, 5000)).serving() as server,
        make_guest(outside) as guest,
        guest.program(*peer("tcp", "pour_out", ADDRESS, 5000, COUNT)).started() as client,
    ):
        line_of(server)
        assert line_of(server) == "stalling"
        stopped_at(client)
        guest.program("ip", "link", "set", "tap0", "down").run()
        guest.program("ip", "link", "set", "tap0", "up").run()
        guest.program("ip", "route", "add", "default", "via", "10.0.2.2").run()
        go_on(server)
        assert line_of(server) == f"read {COUNT}"
        assert end_of(client) == f"sent {COUNT}"


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
        go_on(clients)
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
        opened = (int(one.name) for one in Path(f"/proc/{guest.network}/fd").iterdir())
        limit = max(opened) + 9
        resource.prlimit(guest.network, resource.RLIMIT_NOFILE, (limit, limit))
        take_turns(guest, log, 20, "no descriptor is left")


@contextmanager
def switched(folder: Path) -> Iterator[tuple[Outside, Path]]:
    """A host whose interface goes up and down as the words say that are written to a file."""
    words, said = folder / "words", folder / "said"
    os.mkfifo(words)
    switch = f"""
        exec 9<> {words}
        while read -r word <&9 && [ "$word" != end ]; do
            ip link set lo "$word"; echo "$word" >> {said}
        done &
        exec 9>&-
    """
    with make_outside(switch) as outside:
        try:
            yield outside, said
        finally:
            words.write_text("end\n")


def test_the_interface_of_the_host_is_down_and_up(tmp_path: Path) -> None:
    def switch(word: str) -> None:
        (tmp_path / "words").write_text(f"{word}\n")
        wait_for(lambda: said.exists() and said.read_text().endswith(f"{word}\n"), word)

    with (
        switched(tmp_path) as (outside, said),
        outside.program(*peer("tcp", "stall", ADDRESS, 5000)).serving() as server,
        outside.program(*peer("tcp", "echo", ADDRESS, 5001)).serving(),
        make_guest(outside) as guest,
        guest.program(*peer("tcp", "pour_out", ADDRESS, 5000, COUNT)).started() as client,
    ):
        line_of(server)
        assert line_of(server) == "stalling"
        stopped_at(client)
        switch("down")
        go_on(server)
        assert line_of(client) == line_of(client)
        with guest.program(*peer("tcp", "exchange", ADDRESS, 5001, 10)).started() as late:
            assert line_of(client) == line_of(client)
            switch("up")
            assert line_of(late) == "10"
        assert line_of(server) == f"read {COUNT}"
        assert end_of(client) == f"sent {COUNT}"


def test_the_process_outside_is_stopped_for_a_while(outside: Outside) -> None:
    """ROOTLESSNET_STOPPED seconds, in the middle of a transfer: to it they are as nothing."""
    with (
        outside.program(*peer("tcp", "stall", ADDRESS, 5000)).serving() as server,
        make_guest(outside) as guest,
        guest.program(*peer("tcp", "pour_out", ADDRESS, 5000, COUNT)).started() as client,
    ):
        line_of(server)
        assert line_of(server) == "stalling"
        stopped_at(client)
        os.kill(guest.network, signal.SIGSTOP)
        go_on(server)
        for _ in range(REPORTS):
            assert line_of(client).startswith("stopped")
        os.kill(guest.network, signal.SIGCONT)
        assert line_of(server) == f"read {COUNT}"
        assert end_of(client) == f"sent {COUNT}"


def test_the_control_socket_is_removed(rootlessnet: Program) -> None:
    """The instance is out of reach, and goes on."""
    command = ("sh", "-c", "echo ready; read line; echo $line; exit 7")
    with rootlessnet.serving("run", "--name", "web", "--", *command) as process:
        assert "web" in rootlessnet.run("ps").stdout
        (left,) = Path(os.environ["XDG_RUNTIME_DIR"]).rglob("web.sock")
        left.unlink()
        assert "web" not in rootlessnet.run("ps").stdout
        go_on(process)
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

"""`rootlessnet run` as its users meet it: how it ends, what signals do, what it finds and refuses.

What the guest's network does has files of its own, the terminal too. Here is the real program,
where test_netns.py has a parent without a stack.

Read: bash(1), EXIT STATUS; signal(7); getrlimit(2).
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, ROOTLESSNET, Program, needs, wait_for
from tests.e2e.processes import child_of

pytestmark = pytest.mark.usefixtures("needs_namespaces")

OPTIONS = pytest.mark.parametrize("options", [(), ("--no-pid",)], ids=["pid", "no-pid"])
RUN = shlex.join([*ROOTLESSNET, "run"])
OUTSIDE_USER = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc")


def line_of(done: "subprocess.CompletedProcess[str]", status: int = 1) -> str:
    """The one line with which the program ended."""
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("rootlessnet: ")
    return done.stderr.removeprefix("rootlessnet: ").removesuffix("\n")


# The end


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 77", 77),
        ("exit 130", 130),
        ("kill -INT $$", 130),
        ("kill -TERM $$", 143),
    ],
)
def test_exit_status(rootlessnet: Program, script: str, status: int) -> None:
    assert rootlessnet.run("run", "--", "sh", "-c", script).returncode == status


def test_command_not_found(rootlessnet: Program) -> None:
    assert "not found" in line_of(rootlessnet.run("run", "no-such-command-here"), 127)


def test_command_not_executable(rootlessnet: Program, tmp_path: Path) -> None:
    assert "directory" in line_of(rootlessnet.run("run", str(tmp_path)), 126)


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH"])
def test_a_signal_reaches_the_command(rootlessnet: Program, name: str) -> None:
    script = f"trap 'exit 7' {name}; echo ready; while :; do sleep 0.02; done"
    with rootlessnet.serving("run", "--", "sh", "-c", script) as process:
        process.send_signal(signal.Signals[f"SIG{name}"])
        assert process.wait(10) == 7


@OPTIONS
@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, -signal.SIGINT),  # a shell asks for that (bash(1), SIGNALS)
        (signal.SIGQUIT, -signal.SIGQUIT),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGHUP, 128 + signal.SIGHUP),
    ],
)
def test_a_signal_that_ends_the_command_ends_the_program(
    rootlessnet: Program, number: signal.Signals, status: int, options: tuple[str, ...]
) -> None:
    command = ("sh", "-c", "echo ready; exec sleep 1000")
    with rootlessnet.serving("run", *options, "--", *command) as process:
        process.send_signal(number)
        assert process.wait(10) == status
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_command_that_has_dealt_with_an_interrupt_has_not_died_of_it(
    rootlessnet: Program,
) -> None:
    script = "trap 'exit 130' INT; echo ready; while :; do sleep 0.02; done"
    with rootlessnet.serving("run", "--", "sh", "-c", script) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


@OPTIONS
@pytest.mark.parametrize("victim", ["parent", "init", "command"])
def test_a_death_takes_all_along(
    rootlessnet: Program, victim: str, options: tuple[str, ...]
) -> None:
    script = "setsid sh -c 'sleep 1000 & sleep 1000' & echo ready; sleep 1000; true"
    with rootlessnet.serving("run", *options, "--", "sh", "-c", script) as process:
        init = child_of(process.pid)
        victims = {"parent": process.pid, "init": init, "command": child_of(init)}
        os.kill(victims[victim], signal.SIGKILL)
        assert process.wait(10) == (-9 if victim == "parent" else 137)


INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["rootlessnet", "run", "--", "sleep", "1000"]
from rootlessnet.__main__ import main
main()
"""


@pytest.mark.parametrize(
    "name", ["rootlessnet.cli.main", "argparse", "rootlessnet.netns.launch", "uvloop"]
)
def test_an_interrupt_during_the_imports(name: str) -> None:
    """Before the fork and after it: no traceback, and nothing is left."""
    done = Program(sys.executable, "-c", INTERRUPTED.format(name=name)).run()
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_an_ignored_interrupt_stays_ignored(rootlessnet: Program) -> None:
    script = "grep SigIgn /proc/self/status"
    done = Program("sh", "-c", f'trap "" INT; {RUN} {script}; {script}').run()
    inside, bare = done.stdout.splitlines()
    assert inside == bare
    assert int(bare.split()[1], 16) & 1 << signal.SIGINT - 1


# What the command finds


@pytest.mark.parametrize("options", [(), ("--no-pid",)])
@pytest.mark.parametrize(
    "closed",
    [those for size in (1, 2, 3) for those in combinations((0, 1, 2), size)],
    ids=lambda closed: "".join(map(str, closed)),
)
def test_closed_standard_streams(closed: tuple[int, ...], options: tuple[str, ...]) -> None:
    """They are closed for the command as well; its exit status is a sum that says which."""
    command = "s=8; for n in 0 1 2; do [ -e /proc/$$/fd/$n ] || s=$((s + (1 << n))); done; exit $s"
    close = " ".join(f"{descriptor}>&-" for descriptor in closed)
    words = shlex.join([*options, "--", "sh", "-c", command])
    done = Program("sh", "-c", f"exec {RUN} {words} {close}").run()
    assert (done.returncode, done.stderr) == (8 + sum(1 << n for n in closed), "")


def test_the_environment_is_the_callers() -> None:
    """Without what Python adds in the C locale."""
    python_path = f"PYTHONPATH={ROOT}"
    kept = [f"{name}={os.environ[name]}" for name in ("PATH", "XDG_RUNTIME_DIR")]
    bare = ("env", "-i", *kept, python_path, "MINE=1")
    assert Program(*bare, *ROOTLESSNET).run("run", "env").stdout == Program(*bare).run("env").stdout
    chosen = Program(*bare, "LC_CTYPE=C.UTF-8", *ROOTLESSNET).run("run", "env").stdout
    assert "LC_CTYPE=C.UTF-8\n" in chosen


def test_a_guest_within_a_guest(rootlessnet: Program) -> None:
    inner = (*ROOTLESSNET, "run", "--", "sh", "-c", "cat /etc/resolv.conf; exit 9")
    done = rootlessnet.run("run", "--", *inner)
    assert (done.returncode, done.stderr) == (9, "")
    assert "nameserver 10.0.2.3\n" in done.stdout


@needs("ping")
def test_a_guest_within_a_guest_has_a_network(rootlessnet: Program) -> None:
    inner = (*ROOTLESSNET, "run", "--cidr", "10.0.3.0/24", "--", "ping", "-c1", "10.0.3.2")
    done = rootlessnet.run("run", "--", *inner)
    assert done.returncode == 0, done.stderr


# What cannot be


def test_a_port_that_is_taken(rootlessnet: Program, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        witness = tmp_path / "ran"
        done = rootlessnet.run("run", "-p", f"127.0.0.1:{port}:80", "--", "touch", str(witness))
        assert f"port {port} is in use" in line_of(done)
        assert not witness.exists()


@pytest.mark.parametrize(
    ("obstacle", "remedy"),
    [
        ("mount -t tmpfs tmpfs /dev/net", "mknod"),
        ("mount -t tmpfs tmpfs /dev", "mknod"),
        ("echo 0 > /proc/sys/user/max_user_namespaces", "user.max_user_namespaces"),
        ("echo 0 > /proc/sys/user/max_net_namespaces", "user.max_net_namespaces"),
    ],
    ids=["no tun", "empty dev", "no user namespaces", "no network namespaces"],
)
def test_a_machine_that_lacks_something(obstacle: str, remedy: str) -> None:
    words = (f'{obstacle}; exec "$@"', "sh", *ROOTLESSNET, "run", "--", "true")
    assert remedy in line_of(Program(*OUTSIDE_USER, *words).run())


@pytest.mark.parametrize("limit", [5, 8, 12, 15, 20, 26, 28, 40])
def test_few_descriptors(limit: int) -> None:
    """Enough, or one line."""
    done = Program("sh", "-c", f"ulimit -n {limit}; exec {RUN} true").run()
    if done.returncode:
        assert "ulimit -n" in line_of(done)
    else:
        assert done.stderr == ""


def test_more_ports_than_descriptors(free_port: int) -> None:
    ports = " ".join(f"-p 127.0.1.{last}:{free_port}:80" for last in range(1, 65))
    done = Program("sh", "-c", f"ulimit -n 64; exec {RUN} {ports} true").run()
    assert "Too many open files: raise the limit (ulimit -n)" in line_of(done)


def test_a_signal_during_start_up_leaves_nothing(rootlessnet: Program) -> None:
    """At once after the children are there."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with rootlessnet.started("run", "--", "sleep", "1000") as process:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            wait_for(children.read_text, "a child")
            process.send_signal(number)
            assert process.wait(10) in (-number, 128 + number)
            assert process.stderr is not None
            assert process.stderr.read() == ""

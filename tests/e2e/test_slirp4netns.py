"""`rootlessnet slirp4netns` in every way that it is called: what names the namespace, who calls,
what it inherits, how it ends.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.e2e.conftest import ROOTLESSNET, Program, needs, wait_for
from tests.e2e.processes import status_of
from tests.e2e.slirp import SLIRP4NETNS, add, slirp4netns
from tests.e2e.target import Target
from tests.e2e.test_hardening import BIND_SERVICE

pytestmark = [pytest.mark.usefixtures("needs_namespaces"), needs("ping")]

PERSISTENT = """
ip tuntap add name tap0 mode tap
ip link set tap0 address 02:00:00:00:00:07 mtu 65520 up
ip address add 10.0.2.15/24 dev tap0
ip route add default via 10.0.2.2
"""


def ping(target: Target) -> None:
    """The gateway answers, whatever else it may refuse."""
    target.inside("ping", "-c1", "-W5", "10.0.2.2")


def words_for(target: Target, kind: str) -> tuple[str, ...]:
    """The operand and the options that go with it."""
    if kind == "pid":
        return (str(target.pid),)
    return ("--netns-type=path", "--userns-path", target.user, target.network)


# ── the namespace ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["pid", "path"])
def test_configured(target: Target, kind: str) -> None:
    with slirp4netns("-c", *words_for(target, kind), "tap7"):
        ping(target)
        link = target.inside("ip", "link", "show", "tap7")
        assert "mtu 1500" in link
        assert "UP" in link
        assert "UP" in target.inside("ip", "link", "show", "lo").split(">")[0]
        assert "inet 10.0.2.100/24" in target.inside("ip", "address", "show", "tap7")
        assert "default via 10.0.2.2 dev tap7" in target.inside("ip", "route")


def test_configured_otherwise(target: Target) -> None:
    options = ("--mtu=9000", "--cidr", "192.168.44.0/25", "--macaddress=02:00:00:00:00:09")
    with slirp4netns("-c", *options, str(target.pid), "tap0"):
        link = target.inside("ip", "link", "show", "tap0")
        assert "mtu 9000" in link
        assert "02:00:00:00:00:09" in link
        assert "inet 192.168.44.100/25" in target.inside("ip", "address")
        target.inside("ping", "-c1", "-W5", "192.168.44.2")
        assert "52:55:c0:a8:2c:02" in target.inside("ip", "neighbour", "show", "192.168.44.2")


def test_not_configured(target: Target) -> None:
    """The interface is there, and nothing else was done: the caller does it."""
    with slirp4netns(str(target.pid), "tap0"):
        assert "state DOWN" in target.inside("ip", "link", "show", "tap0")
        assert target.inside("ip", "route") == ""
        target.inside("ip", "link", "set", "tap0", "up")
        target.inside("ip", "address", "add", "10.0.2.15/24", "dev", "tap0")
        ping(target)


@pytest.mark.parametrize("kind", ["pid", "path"])
def test_an_interface_made_beforehand(target: Target, kind: str) -> None:
    """RootlessKit's way: it persists, and is attached to as it is, one after the other."""
    target.inside("sh", "-ec", PERSISTENT)
    before = target.inside("ip", "address", "show", "tap0").partition("qdisc")[0]
    for _ in range(2):
        with slirp4netns("--mtu=65520", *words_for(target, kind), "tap0") as running:
            ping(target)
            now = target.inside("ip", "address", "show", "tap0")
            assert "mtu 65520" in now
            assert "qlen 10000" in now  # in bursts, frames beyond it are lost
            assert "02:00:00:00:00:07" in now
            assert "inet 10.0.2.15/24" in now
            assert now.partition("<")[0] == before.partition("<")[0]
            running.process.kill()
            assert running.status() == -signal.SIGKILL


def test_an_interface_made_beforehand_is_configured_again(target: Target) -> None:
    """What a killed process has configured is in nobody's way, nor is what the caller has."""
    target.inside("ip", "tuntap", "add", "name", "tap0", "mode", "tap")
    target.inside("ip", "address", "add", "10.0.2.100/24", "dev", "tap0")
    for _ in range(2):
        with slirp4netns("-c", "-6", str(target.pid), "tap0") as running:
            ping(target)
            assert target.inside("ip", "route").count("default via 10.0.2.2 dev tap0") == 1
            assert target.inside("ip", "-6", "route").count("default via fd00::2 dev tap0") == 1
            assert target.inside("ip", "address", "show", "tap0").count("inet 10.0.2.100/24") == 1
            running.process.kill()
            assert running.status() == -signal.SIGKILL


def test_an_address_that_another_interface_has(target: Target) -> None:
    target.inside("ip", "address", "add", "10.0.2.100/32", "dev", "lo")
    target.inside("ip", "tuntap", "add", "name", "tap0", "mode", "tap")
    assert "10.0.2.100 is the address of another" in fails("-c", str(target.pid), "tap0")


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("kind", ["pid", "path"])
def test_the_end_of_the_namespace(target: Target, kind: str, persistent: bool) -> None:
    if persistent:
        target.inside("sh", "-ec", PERSISTENT)
    with slirp4netns(*words_for(target, kind), "tap0") as running:
        os.kill(target.pid, signal.SIGKILL)
        assert running.status() == 0
        assert running.complaint() == ""


@contextmanager
def podman(folder: Path) -> Iterator[Target]:
    """A process that is uid 0 of a user namespace, but in the network namespace of its user; it
    has bound another one to the file `ns`.
    """
    words = ["unshare", "--user", "--map-root-user", "--mount"]
    script = f"cd {folder}; touch ns; unshare --net=ns true; echo ready; exec cat"
    with subprocess.Popen(
        [*words, "sh", "-ec", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Target(process.pid)
        process.kill()


def within(caller: Target, *words: str) -> Program:
    """A program as uid 0 of the caller's user namespace, which it is in."""
    enter = ("nsenter", f"--target={caller.pid}", "--user", "--mount", "--preserve-credentials")
    return Program(*enter, *words)


def test_uid_0_of_the_user_namespace_by_path(tmp_path: Path) -> None:
    """podman's way: it is where the namespace belongs, and names no user namespace."""
    with podman(tmp_path) as caller:
        path = str(tmp_path / "ns")
        program = within(caller, *ROOTLESSNET, "slirp4netns")
        options = ("--disable-host-loopback", "--mtu=65520", "-c", "--netns-type=path")
        with slirp4netns(*options, path, "tap0", program=program) as running:
            inside = within(caller, "nsenter", f"--net={path}")
            done = inside.run("ping", "-c1", "-W5", "10.0.2.2")
            assert done.returncode == 0, done.stderr + done.stdout
            assert within(caller, "umount").run(path).returncode == 0
            assert running.status() == 0


def test_uid_0_of_the_user_namespace_by_process(tmp_path: Path) -> None:
    """podman's way with --userns: the process has a user namespace below that of the caller."""
    with podman(tmp_path) as caller:
        program = within(caller, "unshare", "--user", "--map-root-user", "--net", "sh", "-c")
        with program.serving("echo ready; exec cat") as process:
            target = Target(process.pid)
            called = within(caller, *ROOTLESSNET, "slirp4netns")
            with slirp4netns("-c", str(target.pid), "tap0", program=called):
                ping(target)


_OPEN_TAP = """
import os, socket, sys, pytun
flags = pytun.IFF_TAP | pytun.IFF_NO_PI | int(sys.argv[2])
tap = pytun.TunTapDevice("tap0", flags)
with socket.socket(fileno=int(sys.argv[1])) as channel:
    socket.send_fds(channel, [b"tap"], [tap.fileno()])
"""


@pytest.mark.parametrize("vnet", [0, 0x4000], ids=["plain", "offload"])
def test_a_tap_that_is_open(target: Target, vnet: int) -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        enter = ["nsenter", f"--target={target.pid}", "--user", "--preserve-credentials", "--net"]
        opener = [sys.executable, "-c", _OPEN_TAP, str(theirs.fileno()), str(vnet)]
        with subprocess.Popen([*enter, *opener], pass_fds=(theirs.fileno(),)) as process:
            _, (tap,), _, _ = socket.recv_fds(mine, 16, 1)
            assert process.wait() == 0
    try:
        with slirp4netns("--netns-type=tapfd", str(tap), inherits=(tap,)):
            target.inside("ip", "link", "set", "tap0", "up")
            target.inside("ip", "address", "add", "10.0.2.15/24", "dev", "tap0")
            ping(target)
    finally:
        os.close(tap)


def test_a_descriptor_that_is_no_tap_s() -> None:
    with slirp4netns("--netns-type=tapfd", "0", wait=False) as running:
        assert "descriptor 0 is not a TAP's" in running.complaint()
        assert running.status() == 1


# ── its end ──────────────────────────────────────────────────────────────────────────────────────


def test_the_exit_descriptor_tells_by_its_hang_up_alone(target: Target) -> None:
    with slirp4netns("-c", str(target.pid), "tap0") as running:
        running.send_data()
        ping(target)
        assert running.process.poll() is None
        running.hang_up()
        assert running.status() == 0
        assert running.complaint() == ""
    assert "tap0" not in target.inside("ip", "link")


def test_an_exit_descriptor_that_is_hung_up_already(target: Target) -> None:
    with slirp4netns("-c", str(target.pid), "tap0", wait=False) as running:
        running.hang_up()
        assert running.status() == 0


def test_an_exit_descriptor_without_another_end(target: Target) -> None:
    """A file is never hung up; the last of two options counts."""
    with Path(os.devnull).open("rb") as null:
        descriptor = null.fileno()
        words = ("-c", f"-e{descriptor}", str(target.pid), "tap0")
        with slirp4netns(*words, inherits=(descriptor,)) as running:
            ping(target)
            running.hang_up()
            ping(target)
            assert running.process.poll() is None


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_a_signal(target: Target, name: str) -> None:
    with slirp4netns("-c", str(target.pid), "tap0") as running:
        running.process.send_signal(signal.Signals[f"SIG{name}"])
        assert running.status() == 0
    assert "tap0" not in target.inside("ip", "link")


def test_a_kill_leaves_nothing_in_the_way(target: Target) -> None:
    """Neither a process, nor the interface, nor a file that the next one stumbles over."""
    path = Path(os.environ["XDG_RUNTIME_DIR"]) / "api.sock"
    for _ in range(2):
        with slirp4netns("-c", f"--api-socket={path}", str(target.pid), "tap0") as running:
            ping(target)
            running.process.kill()
            assert running.status() == -signal.SIGKILL
        assert path.is_socket()
        wait_for(lambda: "tap0" not in target.inside("ip", "link"), "the end of the interface")


def test_one_process_stays(target: Target) -> None:
    """The one that was started, whose children have ended."""
    with slirp4netns("-c", str(target.pid), "tap0") as running:
        pid = running.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert children == []


# ── what it inherits ─────────────────────────────────────────────────────────────────────────────


def test_descriptors_that_are_not_its_own(target: Target) -> None:
    """They are left alone, and do no harm."""
    read, write = os.pipe()
    try:
        with slirp4netns("-c", str(target.pid), "tap0", inherits=(read, write)):
            ping(target)
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("streams", ["</dev/null >log 2>&1", "<&- >&- 2>&-"])
def test_standard_streams_of_every_kind(target: Target, tmp_path: Path, streams: str) -> None:
    words = " ".join([*ROOTLESSNET, "slirp4netns"])
    program = Program("sh", "-c", f'cd {tmp_path}; exec {words} "$@" {streams}', "sh")
    with slirp4netns("-c", str(target.pid), "tap0", program=program) as running:
        ping(target)
        running.hang_up()
        assert running.status() == 0


@pytest.mark.parametrize("option", ["-r", "-e"])
def test_a_descriptor_that_is_not_open(target: Target, option: str) -> None:
    done = SLIRP4NETNS.run(option, "999", "-c", str(target.pid), "tap0")
    assert done.returncode == 1
    assert "descriptor 999 is not open" in done.stderr


# ── failures ─────────────────────────────────────────────────────────────────────────────────────


def fails(*words: str) -> str:
    """Its complaint. It is never ready."""
    with slirp4netns(*words, wait=False) as running:
        assert running.says_nothing()
        error = running.complaint()
        assert running.status() == 1
    assert error.count("\n") == 1
    return error


def test_no_such_process() -> None:
    assert "does not exist" in fails("-c", str(2**22 + 1), "tap0")


def test_an_interface_in_use(target: Target) -> None:
    with slirp4netns("-c", str(target.pid), "tap0"):
        error = fails(str(target.pid), "tap0")
        assert "cannot make the interface 'tap0'" in error
        ping(target)


def test_a_default_route_that_is_there(target: Target) -> None:
    with slirp4netns("-c", str(target.pid), "tap0"):
        words = ("-c", "--cidr=10.0.3.0/24", str(target.pid), "tap1")
        assert "has a default route already" in fails(*words)
        ping(target)


def test_an_outbound_address_that_is_not_here(target: Target) -> None:
    words = ("-c", "--outbound-addr=203.0.113.77", str(target.pid), "tap0")
    assert "cannot send from 203.0.113.77" in fails(*words)


def test_a_socket_in_a_folder_that_is_not_there(target: Target) -> None:
    assert "cannot make the socket" in fails("-c", "-a", "/nosuch/s", str(target.pid), "tap0")


def test_it_is_an_instance_as_any_other(target: Target) -> None:
    with slirp4netns("-c", str(target.pid), "tap0"):
        listed = Program(*ROOTLESSNET).run("ps")
        assert str(target.pid) in listed.stdout


@pytest.mark.parametrize(
    "sandbox", [(), ("--enable-sandbox", "--enable-seccomp")], ids=["", "sandbox"]
)
def test_what_it_gives_up(target: Target, sandbox: tuple[str, ...]) -> None:
    """All works from there, and the API socket is removed in the end."""
    api = Path(os.environ["XDG_RUNTIME_DIR"]) / "api"
    with slirp4netns("-c", *sandbox, "-a", str(api), str(target.pid)) as running:
        pid = running.process.pid
        status = status_of(pid)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert int(status["CapEff"], 16) & ~BIND_SERVICE == 0
        assert Path(f"/proc/{pid}/root/bin").exists() != bool(sandbox)
        port = find_free_port()
        assert add(str(api), proto="tcp", host_addr="127.0.0.1", host_port=port, guest_port=80)
        assert "1 received" in target.inside("ping", "-nc1", "10.0.2.2")
        running.hang_up()
        assert running.status() == 0
        assert not api.exists()


def test_the_log_is_in_the_environment(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever calls it passes fixed options."""
    path = tmp_path / "log"
    monkeypatch.setenv("ROOTLESSNET_LOG_FILE", str(path))
    with slirp4netns("-c", *words_for(target, "pid"), "tap0") as running:
        running.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: "faults: " in path.read_text(), "the report")
        running.hang_up()
        assert running.status() == 0
        assert running.complaint() == ""

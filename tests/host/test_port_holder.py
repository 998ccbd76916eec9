"""Who holds a port: real sockets of this and of other processes, and a /proc made of files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rootlessnet.forward import Protocol
from rootlessnet.host import port_holder
from rootlessnet.host.port_holder import holder
from tests.host.world import LOOPBACK, LOOPBACK_6, FarEnd, port_of

PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")
NAME = Path("/proc/self/comm").read_text().strip()
OURSELVES = f"{NAME!r} (process {os.getpid()})"
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid ...\n"


def take(far_end: FarEnd, protocol: Protocol, address: str) -> int:
    bound = far_end.listen(address) if protocol == "tcp" else far_end.udp(address)
    return port_of(bound)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("taken", "wanted", "found"),
    [
        (LOOPBACK, LOOPBACK, True),
        (LOOPBACK, "0.0.0.0", True),
        ("0.0.0.0", LOOPBACK, True),
        (LOOPBACK, "127.0.0.2", False),
        (LOOPBACK, "::", False),
        (LOOPBACK_6, LOOPBACK_6, True),
        (LOOPBACK_6, "::", True),
        (LOOPBACK_6, LOOPBACK, False),
        ("::", LOOPBACK_6, True),
        ("::", LOOPBACK, True),
        ("::ffff:127.0.0.1", LOOPBACK, True),
        ("::ffff:127.0.0.1", LOOPBACK_6, False),
    ],
)
def test_which_address_is_in_the_way_of_which(
    far_end: FarEnd, protocol: Protocol, taken: str, wanted: str, found: bool
) -> None:
    port = take(far_end, protocol, taken)
    assert (holder(protocol, wanted, port) == OURSELVES) is found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody(free_port: int, protocol: Protocol) -> None:
    assert holder(protocol, "0.0.0.0", free_port) is None


def test_a_port_of_the_other_protocol(far_end: FarEnd) -> None:
    assert holder("udp", LOOPBACK, port_of(far_end.listen())) != OURSELVES


def test_who_listens_comes_before_who_is_connected(far_end: FarEnd) -> None:
    """The connection of another process has the same port of ours."""
    listening = far_end.listen()
    client = far_end.connect(LOOPBACK, port_of(listening))
    accepted = far_end.accept(listening)
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[accepted.fileno()]
    ):
        accepted.close()
        assert holder("tcp", LOOPBACK, port_of(listening)) == OURSELVES
        listening.close()
        assert holder("tcp", LOOPBACK, port_of(client)) == OURSELVES


class FakeProc:
    """A /proc with one socket, of a user and maybe of a process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "net").mkdir()

    def socket(self, uid: int, inode: int, *, local: str = "0100007F:1F90") -> None:
        zeros = "00000000:00000000 00:00000000 00000000"
        line = f"   0: {local} 00000000:0000 0A {zeros} {uid:5d} 0 {inode} 1 0000 100 0 0 10 0\n"
        (self.root / "net" / "tcp").write_text(HEADER + line)

    def process(self, pid: int, name: str, inode: int) -> None:
        directory = self.root / str(pid)
        (directory / "fd").mkdir(parents=True)
        (directory / "comm").write_text(f"{name}\n")
        (directory / "fd" / "3").symlink_to(f"socket:[{inode}]")


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProc:
    monkeypatch.setattr(port_holder, "_PROC", str(tmp_path))
    return FakeProc(tmp_path)


@pytest.mark.skipif(sys.byteorder != "little", reason="its addresses are those of another machine")
class TestFakeProc:
    @pytest.mark.parametrize(
        ("uid", "said"),
        [
            (0 if os.getuid() else 1, "a program of user "),
            (4_000_000_000, "a program of user 4000000000"),  # whom no database has
        ],
    )
    def test_the_process_of_another_user(self, proc: FakeProc, uid: int, said: str) -> None:
        proc.socket(uid, 77)
        proc.process(5, "other", 78)
        told = holder("tcp", LOOPBACK, 8080)
        assert told is not None
        assert told.startswith(said)

    @pytest.mark.parametrize("uid", [os.getuid(), 65534], ids=["ours", "unknown here"])
    def test_a_user_who_says_nothing(self, proc: FakeProc, uid: int) -> None:
        proc.socket(uid, 77)
        assert holder("tcp", LOOPBACK, 8080) is None

    def test_the_eldest_of_several_processes(self, proc: FakeProc) -> None:
        proc.socket(0, 77)
        for pid in (100, 20, 3):
            proc.process(pid, f"one of {pid}", 77 if pid > 10 else 78)
        assert holder("tcp", LOOPBACK, 8080) == "'one of 20' (process 20)"

    def test_a_name_without_manners_stays_on_one_line(self, proc: FakeProc) -> None:
        proc.socket(0, 77)
        proc.process(5, "\x1b[2J\nx", 77)
        assert holder("tcp", LOOPBACK, 8080) == r"'\x1b[2J\nx' (process 5)"

    def test_what_is_left_of_a_closed_connection_holds_nothing(self, proc: FakeProc) -> None:
        proc.socket(0, 0)
        assert holder("tcp", LOOPBACK, 8080) is None

    def test_no_proc_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(port_holder, "_PROC", "/nowhere")
        assert holder("tcp", LOOPBACK, 8080) is None


def test_a_process_that_may_not_be_looked_into(
    far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This one, as one of another user's is."""

    def refuse(path: str) -> None:
        raise PermissionError(path)

    port = port_of(far_end.listen())
    monkeypatch.setattr(os, "scandir", refuse)
    assert holder("tcp", LOOPBACK, port) is None

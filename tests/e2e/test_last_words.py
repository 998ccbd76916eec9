"""What a command has sent before its end, and what is seen of it when even that is cut short.

On a bare host the kernel goes on sending for a program that has ended. Here the guest's kernel
does, so the network outlives the command for as long as that takes.
"""

import shlex
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.addresses import Addresses
from tests.e2e.conftest import PATIENCE, wait_for
from tests.e2e.outside import Outside, make_outside, peer
from tests.e2e.processes import children_of, line_of, tell

# The kernel of this host holds little, so most of what is sent waits in the network.
SMALL_BUFFERS = """
for name in tcp_rmem tcp_wmem; do echo 4096 65536 65536 > /proc/sys/net/ipv4/$name; done
"""

# An instance whose network outlives its command for long.
PATIENT = """
import sys

from rootlessnet import app
from rootlessnet.cli.main import main

app._LINGER = 1000
sys.exit(main(["run", "--name", "web", "--", *sys.argv[1:]]))
"""


@pytest.fixture
def outside() -> Iterator[Outside]:
    with make_outside(SMALL_BUFFERS) as host:
        yield host


def test_an_upload_outlives_its_command(outside: Outside, ip: Addresses) -> None:
    sink = outside.program(*peer("tcp", "read_when_told", ip.address, 5000))
    upload = peer("tcp", "send_and_leave", ip.address, 5000)
    with sink.serving() as server, outside.rootlessnet.started("run", "--", *upload) as guest:
        assert line_of(guest) == "sent"
        assert line_of(server).startswith("connection")
        tell(server)
        assert line_of(server) == "same"
        assert guest.wait(PATIENCE) == 0


def test_an_answer_outlives_its_server(outside: Outside, ip: Addresses) -> None:
    words = peer("tcp", "send_and_die", ip.every, 5000)
    with outside.rootlessnet.serving("run", "-p", "8080:5000", "--", *words) as guest:
        client = outside.program(*peer("tcp", "listen_when_told", ip.address, 8080))
        with client.started() as process:
            assert line_of(process) == "connected"
            assert line_of(guest).startswith("connection")
            assert line_of(guest) == "sent"
            tell(process)
            assert line_of(process) == "same"
            assert guest.wait(PATIENCE) == 0


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_an_upload_that_is_cut_short_is_no_complete_one(
    outside: Outside, ip: Addresses, how: str
) -> None:
    """The far end sees a reset, never an early but regular end."""
    sink = outside.program(*peer("tcp", "read_when_told", ip.address, 5000))
    upload = peer("tcp", "send_and_leave", ip.address, 5000)
    with sink.serving() as server, outside.rootlessnet.started("run", "--", *upload) as guest:
        assert line_of(guest) == "sent"
        assert line_of(server).startswith("connection")
        wait_for(lambda: not children_of(guest.pid), "the end of the command")
        if how == "terminate":
            guest.terminate()
            assert guest.wait(PATIENCE) == 0
        else:
            guest.kill()
            assert guest.wait(PATIENCE) == -9
        tell(server)
        assert line_of(server) == "ECONNRESET"


@pytest.mark.parametrize("then", ["exit", "exec sleep 1000", "trap '' TERM; while :; do :; done"])
def test_who_is_stopped_has_no_last_words_after_its_time(
    outside: Outside, ip: Addresses, then: str
) -> None:
    """The far end never reads, and the network would wait for it."""
    sink = outside.program(*peer("tcp", "read_when_told", ip.address, 5000))
    upload = shlex.join(peer("tcp", "send_and_leave", ip.address, 5000))
    patient = outside.program(sys.executable, "-c", PATIENT)
    with sink.serving() as server, patient.started("sh", "-c", f"{upload}; {then}") as guest:
        assert line_of(guest) == "sent"
        assert line_of(server).startswith("connection")
        stopped = outside.rootlessnet.run("stop", "--time", "0.1", "web")
        assert (stopped.returncode, stopped.stderr) == (0, "")
        assert guest.wait(PATIENCE) in (0, 128 + signal.SIGTERM, 128 + signal.SIGKILL)
        tell(server)
        assert line_of(server) == "ECONNRESET"

"""The log of running instances: where its lines go, what SIGUSR1 asks for, and a disk that is full.

Read: signal(7), the default effect of SIGUSR1; tmpfs(5).
"""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Program, wait_for
from tests.e2e.guest import make_guest
from tests.e2e.outside import ADDRESS, Outside, make_outside, peer
from tests.e2e.processes import line_of
from tests.e2e.target import Target

CATCH = """
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"caught\\n"))
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""
# A connection that stands until standard input ends.
STAND = f"exec 3<>/dev/tcp/{ADDRESS}/5000; echo ready; read line"

# There is a small disk, which is full as long as /mnt/rest is there.
FULL = "mount -t tmpfs -o size=8k none /mnt; head -c 4096 /dev/zero > /mnt/rest; : > /mnt/log\n"


def test_sigusr1_has_the_state_written(outside: Outside, tmp_path: Path) -> None:
    """Of what runs hardened, into a file; COMMAND, which would die of the signal, does not."""
    path = tmp_path / "log"
    with (
        outside.program(*peer("tcp", "echo", ADDRESS, 5000)).serving(),
        make_guest(outside, "--log-file", str(path), "--log-level", "error") as guest,
        guest.program("bash", "-c", STAND).serving(),
    ):
        os.kill(guest.network, signal.SIGUSR1)
        wait_for(lambda: f"{ADDRESS}:5000 ESTABLISHED" in path.read_text(), "the report")
        assert " info flows: 1 tcp, 0 udp, 0 echo, 0 spliced\n" in path.read_text()
        assert guest.program("echo", "alive").run().stdout == "alive\n"


def test_a_command_that_catches_sigusr1_has_it(rootlessnet: Program) -> None:
    with rootlessnet.serving("run", "--", sys.executable, "-c", CATCH) as process:
        process.send_signal(signal.SIGUSR1)
        assert line_of(process) == "caught"
        assert process.stderr is not None
        assert process.stderr.readline().startswith("rootlessnet: flows: 0 tcp")


@pytest.mark.usefixtures("needs_namespaces")
def test_attach_says_it_on_standard_error(rootlessnet: Program, target: Target) -> None:
    with rootlessnet.started("attach", "--log-format", "json", str(target.pid)) as process:
        target.wait_until_served()
        process.send_signal(signal.SIGUSR1)
        assert process.stderr is not None
        event = json.loads(process.stderr.readline())
        assert (event["level"], event["message"][:6]) == ("info", "flows:")


def test_a_disk_that_is_full() -> None:
    """The network does not notice; the log goes on when there is room, and says what it lacks."""
    with (
        make_outside(FULL) as outside,
        outside.program(*peer("tcp", "echo", ADDRESS, 5000)).serving(),
        make_guest(outside, "--log-file", "/mnt/log") as guest,
    ):

        def ask() -> str:
            os.kill(guest.network, signal.SIGUSR1)
            return outside.program("cat", "/mnt/log").run().stdout

        client = guest.program(*peer("tcp", "exchange", ADDRESS, 5000, 10))
        wait_for(lambda: len(ask()) == 4096, "a full disk")
        assert client.run().stdout == "10\n"
        ask()
        assert client.run().stdout == "10\n"
        outside.program("rm", "/mnt/rest").run()
        wait_for(lambda: "lines before this one could not be written)" in ask(), "the rest")

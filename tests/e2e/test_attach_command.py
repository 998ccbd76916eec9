"""`rootlessnet attach` as its users meet it: what it serves, how it ends, what it refuses."""

import os
import signal

import pytest

from tests.e2e.conftest import ROOTLESSNET, Program, needs
from tests.e2e.screen import OpenScreen
from tests.e2e.target import Target

pytestmark = pytest.mark.usefixtures("needs_namespaces")


def names(target: Target, by_path: bool) -> tuple[str, ...]:
    """The words that name it."""
    return ("--userns-path", target.user, target.network) if by_path else (str(target.pid),)


@needs("ping")
@pytest.mark.parametrize("by_path", [False, True], ids=["pid", "path"])
def test_until_the_namespace_ends(rootlessnet: Program, target: Target, by_path: bool) -> None:
    with rootlessnet.started("attach", *names(target, by_path)) as process:
        target.wait_until_served()
        os.kill(target.pid, signal.SIGKILL)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT"])
def test_until_it_is_told_to_end(rootlessnet: Program, target: Target, name: str) -> None:
    """The namespace lives on, without the interface."""
    with rootlessnet.started("attach", str(target.pid)) as process:
        target.wait_until_served()
        process.send_signal(signal.Signals[f"SIG{name}"])
        assert process.wait(10) == 0
    assert "tap0" not in target.inside("ip", "link")


@needs("ping")
def test_until_an_interrupt_from_the_terminal(open_screen: OpenScreen, target: Target) -> None:
    screen = open_screen([*ROOTLESSNET, "attach", str(target.pid)])
    target.wait_until_served()
    screen.type("\x03")
    assert screen.read_to_end()[1] == 0


def test_a_published_port(rootlessnet: Program, target: Target, free_port: int) -> None:
    port = f"127.0.0.1:{free_port}:80"
    with rootlessnet.started("attach", "-p", port, str(target.pid)):
        target.wait_until_served()
        refused = rootlessnet.run("run", "-p", port, "true")
        assert f"port {free_port} is in use" in refused.stderr


@pytest.mark.parametrize("close", ["<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(target: Target, close: str) -> None:
    words = " ".join([*ROOTLESSNET, "attach", str(target.pid)])
    with Program("sh", "-c", f"exec {words} {close}").started() as process:
        target.wait_until_served()
        os.kill(target.pid, signal.SIGKILL)
        assert process.wait(10) == 0


def test_a_process_that_is_not_there(rootlessnet: Program) -> None:
    done = rootlessnet.run("attach", str(2**22 + 1))
    assert done.returncode == 1
    assert done.stderr == (f"rootlessnet: process {2**22 + 1} does not exist: name one that runs\n")

"""`rootlessnet attach` as its users meet it: what it serves, how it ends, what it refuses."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import ROOTLESSNET, Program, needs, wait_for
from tests.e2e.screen import OpenScreen
from tests.e2e.target import Target, make_target

pytestmark = pytest.mark.usefixtures("needs_namespaces")


@pytest.fixture
def target() -> Iterator[Target]:
    """A process in namespaces of its own."""
    with make_target(os.environ) as made:
        yield made


def names(target: Target, by_path: bool) -> tuple[str, ...]:
    """The words that name it."""
    return ("--userns-path", target.user, target.network) if by_path else (str(target.pid),)


def wait_until_attached(target: Target) -> None:
    wait_for(lambda: "default via 10.0.2.2" in target.inside("ip", "route"), "the network")


@needs("ping")
@pytest.mark.parametrize("by_path", [False, True], ids=["pid", "path"])
def test_until_the_namespace_ends(rootlessnet: Program, target: Target, by_path: bool) -> None:
    with rootlessnet.started("attach", *names(target, by_path)) as process:
        wait_until_attached(target)
        target.inside("ping", "-c1", "10.0.2.2")
        os.kill(target.pid, signal.SIGKILL)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT"])
def test_until_it_is_told_to_end(rootlessnet: Program, target: Target, name: str) -> None:
    """The namespace lives on, without the interface."""
    with rootlessnet.started("attach", str(target.pid)) as process:
        wait_until_attached(target)
        wait_for_service(target)
        process.send_signal(signal.Signals[f"SIG{name}"])
        assert process.wait(10) == 0
    assert "tap0" not in target.inside("ip", "link")


def wait_for_service(target: Target) -> None:
    """The gateway answers when all is set up."""
    target.inside("ping", "-c1", "10.0.2.2")


@needs("ping")
def test_until_an_interrupt_from_the_terminal(open_screen: OpenScreen, target: Target) -> None:
    screen = open_screen([*ROOTLESSNET, "attach", str(target.pid)])
    wait_until_attached(target)
    wait_for_service(target)
    screen.type("\x03")
    assert screen.read_to_end()[1] == 0


def test_a_published_port(rootlessnet: Program, target: Target, free_port: int) -> None:
    port = f"127.0.0.1:{free_port}:80"
    with rootlessnet.started("attach", "-p", port, str(target.pid)):
        wait_until_attached(target)
        wait_for_service(target)
        refused = rootlessnet.run("run", "-p", port, "true")
        assert f"port {free_port} is in use" in refused.stderr


@pytest.mark.parametrize("close", ["<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(target: Target, close: str) -> None:
    words = " ".join([*ROOTLESSNET, "attach", str(target.pid)])
    with Program("sh", "-c", f"exec {words} {close}").started() as process:
        wait_until_attached(target)
        os.kill(target.pid, signal.SIGKILL)
        assert process.wait(10) == 0


def test_a_process_that_is_not_there(rootlessnet: Program) -> None:
    done = rootlessnet.run("attach", str(2**22 + 1))
    assert done.returncode == 1
    assert done.stderr == (f"rootlessnet: process {2**22 + 1} does not exist: name one that runs\n")

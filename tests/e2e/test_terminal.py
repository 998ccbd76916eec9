"""A guest on a terminal: Ctrl-C, Ctrl-Z, job control, the window's size, hanging up.

Read: pty(7), termios(3), credentials(7).
"""

import shlex
from functools import partial

import pytest

from tests.e2e.family import Family
from tests.e2e.screen import SHELL, OpenScreen

pytestmark = pytest.mark.usefixtures("needs_namespaces")


@pytest.fixture
def open_screen(family: Family, open_screen: OpenScreen) -> OpenScreen:
    """With the family's mark."""
    return partial(open_screen, environment=family.environment)


@pytest.mark.parametrize("options", [(), ("--no-pid",)])
def test_interrupt_and_suspend(
    family: Family, open_screen: OpenScreen, options: tuple[str, ...]
) -> None:
    """From an interactive shell outside, the guest is a job like any other."""
    screen = open_screen(list(SHELL))
    screen.read_until(r"\$ ")
    script = "trap 'echo got it; exit 9' INT; echo running; while read line; do echo [$line]; done"
    screen.type(shlex.join(family.words("sh", "-c", script, options=options)) + "\n")
    screen.read_until("\r\nrunning")
    screen.type("\x1a")
    screen.read_until("Stopped")
    screen.read_until(r"\$ ")
    screen.type("fg\n")
    screen.read_until("parent.py")
    screen.type("hello\n")
    screen.read_until(r"\[hello\]")
    screen.type("\x03")
    screen.read_until("got it")
    screen.read_until(r"\$ ")
    screen.type("echo status $?\n")
    screen.read_until("\r\nstatus 9")


@pytest.mark.parametrize("options", [(), ("--no-pid",)])
def test_interactive_shell_inside(
    family: Family, open_screen: OpenScreen, options: tuple[str, ...]
) -> None:
    """Job control within the guest, and afterwards a terminal that is ours again."""
    guest = shlex.join(family.words(*SHELL, options=options))
    screen = open_screen(["sh", "-c", f"{guest}; read line; echo outside $? [$line]"])
    screen.read_until(r"\$ ")
    screen.type("sh -c 'echo running; exec cat'\n")
    screen.read_until("\r\nrunning")
    screen.type("\x1a")
    screen.read_until("Stopped")
    screen.read_until(r"\$ ")
    screen.type("fg\n")
    screen.read_until("exec cat'\r\n")
    screen.type("hello\n")
    screen.read_until("hello\r\nhello")
    screen.type("\x03")
    screen.read_until(r"\$ ")
    screen.type("exit\n")
    screen.type("hello\n")
    screen.read_until(r"\r\noutside 0 \[hello\]")


@pytest.mark.parametrize("options", [(), ("--no-pid",)])
def test_command_that_stops_itself(
    family: Family, open_screen: OpenScreen, options: tuple[str, ...]
) -> None:
    """The shell outside notices, and can continue it."""
    screen = open_screen(list(SHELL))
    screen.read_until(r"\$ ")
    script = "kill -STOP $$; echo continued; exit 4"
    screen.type(shlex.join(family.words("sh", "-c", script, options=options)) + "\n")
    screen.read_until("Stopped")
    screen.read_until(r"\$ ")
    screen.type("fg\n")
    screen.read_until("\r\ncontinued")
    screen.read_until(r"\$ ")
    screen.type("echo status $?\n")
    screen.read_until("\r\nstatus 4")


def test_window_size(family: Family, open_screen: OpenScreen) -> None:
    script = "trap 'stty size; exit' WINCH; echo running; while :; do sleep 0.05; done"
    screen = open_screen(family.words("sh", "-c", script))
    screen.read_until("running")
    screen.resize(33, 101)
    screen.read_until("33 101")


def test_hang_up(family: Family, open_screen: OpenScreen) -> None:
    screen = open_screen(family.words("sh", "-c", "trap '' HUP; echo running; sleep 1000"))
    screen.read_until("running")
    screen.close()
    assert not family.end()

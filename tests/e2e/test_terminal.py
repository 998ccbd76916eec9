"""A guest on a terminal: Ctrl-C, Ctrl-Z, job control, the window's size, hanging up.

Read: pty(7), termios(3), credentials(7).
"""

import fcntl
import os
import pty
import re
import select
import shlex
import struct
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.family import PATIENCE, Family

pytestmark = pytest.mark.usefixtures("needs_namespaces")


class Screen:
    """The human at a terminal on which `words` run as the session's first process."""

    def __init__(self, family: Family, words: list[str]) -> None:
        self.seen = ""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(words[0], words, family.environment | {"PS1": "$ ", "TERM": "dumb"})
            finally:
                os._exit(127)

    def type(self, text: str) -> None:
        """Press the keys."""
        os.write(self.terminal, text.encode())

    def read_until(self, pattern: str) -> str:
        """Look until the pattern appears; what appeared since the last look, up to its end."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.terminal], [], [], deadline - time.monotonic())
            assert ready, f"{pattern!r} did not appear in {self.seen!r}"
            self.seen += os.read(self.terminal, 4096).decode()
        text, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return text

    def resize(self, rows: int, columns: int) -> None:
        """Drag a corner of the window."""
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def close(self) -> None:
        """Close the window. Idempotent."""
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1
            os.waitpid(self.pid, 0)


SHELL = ("bash", "--norc", "--noprofile", "-i")


@pytest.fixture
def open_screen(family: Family) -> Iterator[Callable[[list[str]], Screen]]:
    screens = []

    def open_one(words: list[str]) -> Screen:
        screens.append(Screen(family, words))
        return screens[-1]

    yield open_one
    for screen in screens:
        screen.close()


OpenScreen = Callable[[list[str]], Screen]


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

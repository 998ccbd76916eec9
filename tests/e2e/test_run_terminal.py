"""`rootlessnet run` on a terminal, with the programs that people use there.

Read: credentials(7), tty_ioctl(4); bash(1), JOB CONTROL and SIGNALS.
"""

import shlex
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOTLESSNET, needs
from tests.e2e.screen import SHELL, OpenScreen

pytestmark = pytest.mark.usefixtures("needs_namespaces")

OPTIONS = pytest.mark.parametrize("options", [(), ("--no-pid",)], ids=["pid", "no-pid"])


def run(*command: str, options: tuple[str, ...] = ()) -> str:
    """The words for a shell."""
    return shlex.join([*ROOTLESSNET, "run", *options, "--", *command])


@OPTIONS
def test_a_job_of_the_shell(open_screen: OpenScreen, options: tuple[str, ...]) -> None:
    """Ctrl-Z, fg, Ctrl-C, the exit status."""
    screen = open_screen(list(SHELL))
    screen.read_until(r"\$ ")
    script = "trap 'echo got it; exit 9' INT; echo running; while read line; do echo [$line]; done"
    screen.type(run("sh", "-c", script, options=options) + "\n")
    screen.read_until("\r\nrunning")
    screen.type("\x1a")
    screen.read_until("Stopped")
    screen.read_until(r"\$ ")
    screen.type("fg\n")
    screen.read_until("rootlessnet run")
    screen.type("hello\n")
    screen.read_until(r"\[hello\]")
    screen.type("\x03")
    screen.read_until("got it")
    screen.read_until(r"\$ ")
    screen.type("echo status $?\n")
    screen.read_until("\r\nstatus 9")


@OPTIONS
def test_a_command_that_stops_itself(open_screen: OpenScreen, options: tuple[str, ...]) -> None:
    screen = open_screen(list(SHELL))
    screen.read_until(r"\$ ")
    screen.type(run("sh", "-c", "kill -STOP $$; echo continued; exit 4", options=options) + "\n")
    screen.read_until("Stopped")
    screen.read_until(r"\$ ")
    screen.type("fg\n")
    screen.read_until("\r\ncontinued")
    screen.read_until(r"\$ ")
    screen.type("echo status $?\n")
    screen.read_until("\r\nstatus 4")


@OPTIONS
def test_a_shell_within(open_screen: OpenScreen, options: tuple[str, ...]) -> None:
    """With job control of its own, and afterwards the terminal is ours again."""
    shell = run(*SHELL, options=options)
    screen = open_screen(["sh", "-c", f"{shell}; read line; echo outside $? [$line]"])
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


@pytest.mark.parametrize("key", ["\x03", "\x1c"], ids=["Ctrl-C", "Ctrl-backslash"])
def test_an_interrupt_stops_a_script(open_screen: OpenScreen, key: str) -> None:
    """For Ctrl-C, a shell ends when the program that it waits for dies of the signal too."""
    loop = run("sh", "-c", "echo running; exec sleep 1000")
    screen = open_screen(["bash", "-c", f"for i in 1 2; do echo round $i; {loop}; done"])
    screen.read_until("running")
    screen.type(key)
    if key == "\x03":
        text, status = screen.read_to_end()
        assert status == -signal.SIGINT
        assert "round 2" not in text
    else:  # which a shell ignores while it waits
        screen.read_until("round 2")
        screen.read_until("running")
        screen.type("\x03")
        screen.read_to_end()


def test_an_interrupt_that_the_command_handles_stops_no_script(open_screen: OpenScreen) -> None:
    command = run("sh", "-c", "trap 'exit 3' INT; echo running; while :; do sleep 0.02; done")
    screen = open_screen(["bash", "-c", f"{command}; echo went on, $?"])
    screen.read_until("running")
    screen.type("\x03")
    screen.read_until("went on, 3")


def test_window_size(open_screen: OpenScreen) -> None:
    script = "trap 'stty size; exit' WINCH; echo running; while :; do sleep 0.02; done"
    screen = open_screen(shlex.split(run("sh", "-c", script)))
    screen.read_until("running")
    screen.resize(33, 101)
    screen.read_until("33 101")


@OPTIONS
def test_hang_up(open_screen: OpenScreen, tmp_path: Path, options: tuple[str, ...]) -> None:
    """The command hears of it, and its end is ours."""
    heard = tmp_path / "heard"
    script = f"trap 'touch {heard}; exit' HUP; echo running; while :; do sleep 0.02; done"
    screen = open_screen(shlex.split(run("sh", "-c", script, options=options)))
    screen.read_until("running")
    screen.close()
    assert heard.exists()


@OPTIONS
def test_hang_up_that_is_ignored(
    open_screen: OpenScreen, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """The command goes on, as it would bare, until it finds that nobody types any more."""
    went_on = tmp_path / "went on"
    script = f"trap '' HUP; echo running; while read line; do :; done; touch '{went_on}'"
    screen = open_screen(shlex.split(run("sh", "-c", script, options=options)))
    screen.read_until("running")
    screen.close()
    assert went_on.exists()


@needs("vim.tiny")
def test_vim(open_screen: OpenScreen, tmp_path: Path) -> None:
    """An editing session, suspended in between, with a window that grows."""
    note = tmp_path / "note"
    screen = open_screen(list(SHELL), term="xterm")
    screen.read_until(r"\$ ")
    screen.resize(24, 80)
    screen.type(run("vim.tiny", "-u", "NONE", "-i", "NONE", str(note)) + "\n")
    screen.read_until(r"\[New")
    screen.type("ihello\x1b")
    screen.read_until("hello")
    screen.type("\x1a")
    screen.read_until("Stopped")
    screen.read_until(r"\$ ")
    screen.type("fg\n")
    screen.read_until("hello")
    screen.resize(40, 100)
    screen.read_until(r"\x1b\[39;1H")  # drawn anew, to the new last line but one
    screen.type(":set lines? columns?\r")
    screen.read_until("lines=40")
    screen.read_until("columns=100")
    screen.type("\r")
    screen.type("a world\x1b:wq\r")
    screen.read_until(r"\$ ")
    screen.type("echo status $?\n")
    screen.read_until("\rstatus 0")
    assert note.read_text() == "hello world\n"


@needs("top")
def test_top(open_screen: OpenScreen) -> None:
    """It sees the guest's processes, redraws, and ends on its key."""
    screen = open_screen(["sh", "-c", f"{run('top')}; echo status $?"], term="xterm")
    screen.read_until("load average")
    screen.read_until("COMMAND")
    screen.read_until("top")
    screen.type(" ")  # draw at once
    screen.read_until("load average")
    screen.type("q")
    screen.read_until("status 0")

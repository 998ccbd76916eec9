"""Signals: which ones are told of, and which of them the terminal sent.

What is sent to a process may go to any of its threads, and pytest's may have others than the one
that has these signals blocked: so they are sent to processes that have one.
"""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rootlessnet.host.signals import Signals
from tests.host.world import PATIENCE

ROOT = Path(__file__).parents[2]
PASSED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
CTRL_C, CTRL_BACKSLASH = b"\x03", b"\x1c"

# Says what is passed, until that were so many signals as its first argument tells; its second is
# what it does before.
LISTENER = """
import fcntl, os, signal, sys, termios, uvloop
from rootlessnet.host.signals import Signals

loop = uvloop.new_event_loop()
expected = int(sys.argv[1])

def passed(number, from_terminal):
    global expected
    print(signal.Signals(number).name, "from the terminal" * from_terminal, flush=True)
    expected -= 1
    if not expected:
        loop.stop()

signals = Signals(loop, passed)
exec(sys.argv[2])
print("ready", flush=True)
loop.run_forever()
signals.close()
loop.close()
"""
SEND_ALL = f"for number in {[*map(int, PASSED)]}: os.kill(os.getpid(), number)"
# Its standard input is the terminal of which it is the leader.
TAKE_TERMINAL = "fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
END_AT_THE_LAST_MOMENT = """
os.kill(os.getpid(), signal.SIGUSR1)
signals.close()
print(sorted(signals.received))
sys.exit()
"""


class Listener:
    """A process that runs `LISTENER`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.send = process.send_signal
        self._process = process

    def hear(self) -> str:
        """The next line."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def rest(self) -> list[str]:
        """All further lines, once it has ended in order; none has come since the last one."""
        said, _ = self._process.communicate(timeout=PATIENCE)
        assert self._process.returncode == 0
        return said.splitlines()


@contextmanager
def listening(count: int, first: str = "", stdin: int = subprocess.DEVNULL) -> Iterator[Listener]:
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER, str(count), first],
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Listener(process)
        finally:
            process.kill()


def test_what_a_process_sends_is_passed_on() -> None:
    with listening(len(PASSED)) as listener:
        assert listener.hear() == "ready\n"
        for number in PASSED:
            listener.send(number)
            assert listener.hear() == f"{number.name} \n"
        assert listener.rest() == []


def test_all_at_once() -> None:
    with listening(len(PASSED), SEND_ALL) as listener:
        ready, *said = listener.rest()
        assert ready == "ready"
        assert set(said) == {f"{number.name} " for number in PASSED}


def test_their_own_effects_return(loop: asyncio.AbstractEventLoop) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    signals = Signals(loop, lambda number, from_terminal: None)
    assert before | set(PASSED) == signal.pthread_sigmask(signal.SIG_BLOCK, [])
    signals.close()
    assert before == signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_what_came_at_the_last_moment_has_no_effect_of_its_own() -> None:
    """It is known to have come, though: by default it would have ended the process."""
    with listening(1, END_AT_THE_LAST_MOMENT) as listener:
        assert listener.rest() == [str([int(signal.SIGUSR1)])]


def test_what_the_terminal_sends_is_known() -> None:
    """It sends that to the command as well. Hanging up it tells its session's leader alone."""
    master, slave = pty.openpty()
    with listening(6, TAKE_TERMINAL, slave) as leader:
        os.close(slave)
        assert leader.hear() == "ready\n"
        for key, echoed in ((CTRL_C, b"^C"), (CTRL_BACKSLASH, b"^\\")):
            os.write(master, key)
            assert os.read(master, 100) == echoed
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", 50, 100, 0, 0))
        said = {leader.hear() for _ in range(3)}
        assert said == {f"SIG{name} from the terminal\n" for name in ("INT", "QUIT", "WINCH")}
        for number in (signal.SIGUSR1, signal.SIGINT):
            leader.send(number)
            assert leader.hear() == f"{number.name} \n"
        os.close(master)
        assert leader.rest() == ["SIGHUP "]

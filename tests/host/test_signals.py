"""Signals: which ones are told of, and which of them the terminal sent."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from rootlessnet.host.signals import Signals
from tests.host.world import PATIENCE, HostReactor

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

# Leads a session on the terminal that is its standard input, and says what is passed.
LEADER = """
import asyncio, fcntl, signal, termios
from rootlessnet.host.signals import Signals

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
loop = asyncio.new_event_loop()

def passed(number, from_terminal):
    print(signal.Signals(number).name, "from the terminal" * from_terminal, flush=True)
    if number == signal.SIGHUP:
        loop.stop()

signals = Signals(loop, passed)
print("ready", flush=True)
loop.run_forever()
signals.close()
loop.close()
"""


@pytest.mark.parametrize("number", PASSED, ids=lambda number: number.name)
def test_what_a_process_sends_is_passed_on(
    loop: asyncio.AbstractEventLoop, reactor: HostReactor, number: signal.Signals
) -> None:
    passed: list[tuple[int, bool]] = []
    signals = Signals(loop, lambda number, from_terminal: passed.append((number, from_terminal)))
    try:
        os.kill(os.getpid(), number)
        reactor.wait(lambda: passed, "the signal")
    finally:
        signals.close()
    assert passed == [(number, False)]


def test_all_at_once(loop: asyncio.AbstractEventLoop, reactor: HostReactor) -> None:
    passed: list[tuple[int, bool]] = []
    signals = Signals(loop, lambda number, from_terminal: passed.append((number, from_terminal)))
    try:
        for number in PASSED:
            os.kill(os.getpid(), number)
        reactor.wait(lambda: len(passed) == len(PASSED), "all of them")
    finally:
        signals.close()
    assert set(passed) == {(number, False) for number in PASSED}


def test_their_own_effects_return(loop: asyncio.AbstractEventLoop) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    signals = Signals(loop, lambda number, from_terminal: None)
    assert before | set(PASSED) == signal.pthread_sigmask(signal.SIG_BLOCK, [])
    signals.close()
    assert before == signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_what_came_at_the_last_moment_has_no_effect_of_its_own(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """It is known to have come, though: by default it would have ended the process."""
    passed: list[int] = []
    signals = Signals(loop, lambda number, from_terminal: passed.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    signals.close()
    assert (passed, signals.received) == ([], {signal.SIGUSR1})


def test_what_the_terminal_sends_is_known() -> None:
    """It sends that to the command as well. Hanging up it tells its session's leader alone."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", LEADER],
        cwd=ROOT,
        stdin=slave,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as leader:
        os.close(slave)
        assert leader.stdout is not None
        assert leader.stdout.readline() == "ready\n"
        for key, echoed in ((CTRL_C, b"^C"), (CTRL_BACKSLASH, b"^\\")):
            os.write(master, key)
            assert os.read(master, 100) == echoed
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", 50, 100, 0, 0))
        said = {leader.stdout.readline() for _ in range(3)}
        assert said == {f"SIG{name} from the terminal\n" for name in ("INT", "QUIT", "WINCH")}
        for number in (signal.SIGUSR1, signal.SIGINT):
            leader.send_signal(number)
            assert leader.stdout.readline() == f"{number.name} \n"
        os.close(master)
        rest, _ = leader.communicate(timeout=PATIENCE)
    assert rest == "SIGHUP \n"
    assert leader.returncode == 0

"""Children found and ended, in a process that has nothing else to lose."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rootlessnet.netns import processes, syscalls

ROOT = Path(__file__).parents[2]

FAMILY = """
import os, subprocess, time
from rootlessnet.netns import processes, syscalls
processes.Subreaper.claim()
subprocess.Popen(["sh", "-c", "setsid sh -c 'sleep 1000 & sleep 1000' & sleep 1000"])
processes.end_children()
assert list(processes.children()) == []
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("nobody is left")
"""


def test_end_children() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAMILY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "nobody is left\n"


def test_children_with_a_strange_name(tmp_path: Path) -> None:
    program = tmp_path / ") R 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "1000"]) as child:
        assert child.pid in processes.children()
        child.kill()


@pytest.mark.parametrize("before", [True, False])
def test_subreaper_until_the_last_claim(before: bool) -> None:
    found = syscalls.is_child_subreaper()
    syscalls.set_child_subreaper(before)
    try:
        processes.Subreaper.claim()
        processes.Subreaper.claim()
        processes.Subreaper.release()
        assert syscalls.is_child_subreaper()
        processes.Subreaper.release()
        assert syscalls.is_child_subreaper() == before
    finally:
        syscalls.set_child_subreaper(found)


def test_lives_below_its_own_user_namespace() -> None:
    own = processes.user_namespace_of(os.getpid())
    assert processes.lives_below(own, os.getpid())
    assert not processes.lives_below(own + 1, os.getpid())


@pytest.mark.parametrize(
    ("prepare", "minded"),
    [
        ("pass", False),
        ("signal.signal(signal.SIGUSR1, lambda *_: None)", True),
        ("signal.signal(signal.SIGUSR1, signal.SIG_IGN)", True),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})", True),
        ("signal.signal(signal.SIGUSR2, signal.SIG_IGN)", False),
    ],
)
def test_who_minds_a_signal(prepare: str, minded: bool) -> None:
    script = f"import signal, sys; {prepare}; print('ready', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert processes.minds(process.pid, signal.SIGUSR1) is minded
        process.communicate()
    assert processes.minds(process.pid, signal.SIGUSR1) is False

"""A signal that comes as soon as the command runs, before this program has settled."""

import sys

import pytest

from tests.e2e.conftest import Program

pytestmark = pytest.mark.usefixtures("needs_namespaces")

SCRIPT = """
import os, signal, sys

from rootlessnet.cli.main import main
from rootlessnet.netns.launch import Guest

start_command = Guest.start_command

def start_and_terminate(self):
    start_command(self)
    os.kill(os.getpid(), signal.SIGTERM)

Guest.start_command = start_and_terminate
sys.exit(main(["run", "--", "sleep", "1000"]))
"""


def test_early_signal_reaches_the_command() -> None:
    """The command's death by it is the exit status; our own would be -15 here."""
    done = Program(sys.executable, "-c", SCRIPT).run()
    assert done.returncode == 143, done.stderr

"""A guest whose programs are started one by one, beside its command, by nsenter(1)."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.conftest import Program
from tests.e2e.outside import Outside
from tests.e2e.processes import child_of


class Guest:
    """A guest; `make_guest` makes one. `network` is the process id of its rootlessnet."""

    def __init__(self, network: int, command: int) -> None:
        self.network = network
        options = ("--preserve-credentials", "--user", "--net", "--mount")
        self._enter = ("nsenter", f"--target={command}", *options)

    def program(self, *words: str) -> Program:
        """A program that runs there; its directory is the root."""
        return Program(*self._enter, *words)


@contextmanager
def make_guest(outside: Outside, *options: str) -> Iterator[Guest]:
    """A guest of `outside`; `options` are those of `rootlessnet run`."""
    wait = ("sh", "-c", "echo ready; exec cat")
    with outside.rootlessnet.serving("run", *options, "--", *wait) as process:
        init = child_of(process.pid)
        yield Guest(process.pid, child_of(init))

"""A namespace to attach to, held by a process."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.conftest import Program, wait_for
from tests.e2e.outside import Outside

_HOLD = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo ready; exec cat")


class Target:
    """The process `pid` in a user and a network namespace of its own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.network = f"/proc/{pid}/ns/net"
        self.user = f"/proc/{pid}/ns/user"
        self._enter = ("nsenter", f"--target={pid}", "--user", "--preserve-credentials", "--net")

    def program(self, *words: str) -> Program:
        """A program that runs in there."""
        return Program(*self._enter, *words)

    def inside(self, *command: str) -> str:
        """What a command says in there, which must succeed."""
        done = self.program(*command).run()
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def wait_until_served(self) -> None:
        """It has a route, and a gateway that answers once all is set up."""
        wait_for(lambda: "default via 10.0.2.2" in self.inside("ip", "route"), "the network")
        self.inside("ping", "-c1", "10.0.2.2")


@contextmanager
def make_target(outside: Outside | None = None) -> Iterator[Target]:
    """Until the end of the block, or until somebody kills it. Its user is one of that host."""
    holder = Program(*_HOLD) if outside is None else outside.program(*_HOLD)
    with holder.serving() as process:
        yield Target(process.pid)

"""A namespace to attach to, held by a process."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.conftest import wait_for


class Target:
    """The process `pid` in a user and a network namespace of its own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.network = f"/proc/{pid}/ns/net"
        self.user = f"/proc/{pid}/ns/user"

    def inside(self, *command: str) -> str:
        """What a command says in there, which must succeed."""
        enter = ["nsenter", f"--target={self.pid}", "--user", "--preserve-credentials", "--net"]
        done = subprocess.run([*enter, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def wait_until_served(self) -> None:
        """It has a route, and a gateway that answers once all is set up."""
        wait_for(lambda: "default via 10.0.2.2" in self.inside("ip", "route"), "the network")
        self.inside("ping", "-c1", "10.0.2.2")


@contextmanager
def make_target() -> Iterator[Target]:
    """Until the end of the block, or until somebody kills it."""
    words = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo; exec cat"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield Target(process.pid)
        process.kill()

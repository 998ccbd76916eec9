"""A namespace to attach to, held by a process."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


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


@contextmanager
def make_target(environment: Mapping[str, str]) -> Iterator[Target]:
    """Until the end of the block, or until somebody kills it."""
    words = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo; exec cat"]
    with subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield Target(process.pid)
        process.kill()

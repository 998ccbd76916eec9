"""`rootlessnet slirp4netns` as its callers start it: with pipes that it inherits.

The caller reads from one end of the first pipe that all is ready, and by closing the second tells
it to end.
"""

import json
import os
import select
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.e2e.conftest import PATIENCE, ROOTLESSNET, Program

SLIRP4NETNS = Program(*ROOTLESSNET, "slirp4netns")
LARGEST_ANSWER = 2048  # bytes: all that podman reads, once


class Running:
    """The program, once it was started."""

    def __init__(self, process: subprocess.Popen[str], ready: int, ending: int) -> None:
        self.process = process
        self._ready = ready
        self._ending = ending

    def wait_until_ready(self) -> None:
        """It says so with one byte and closes the pipe."""
        assert self._read() == b"1", self.complaint()
        assert self._read() == b""

    def says_nothing(self) -> bool:
        """Whether it has ended without being ready."""
        return self._read() == b""

    def hang_up(self) -> None:
        os.close(self._ending)
        self._ending = -1

    def send_data(self) -> None:
        """On the pipe that tells of the end."""
        os.write(self._ending, b"data")

    def complaint(self) -> str:
        """What it said before its end, which comes by itself."""
        return self.process.communicate(timeout=PATIENCE)[1]

    def status(self) -> int:
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)
        for descriptor in (self._ready, self._ending):
            if descriptor >= 0:
                os.close(descriptor)

    def _read(self) -> bytes:
        readable, _, _ = select.select([self._ready], [], [], PATIENCE)
        if not readable:
            pytest.fail(f"waited {PATIENCE} seconds for its word")
        return os.read(self._ready, 16)


@contextmanager
def slirp4netns(
    *words: str, program: Program = SLIRP4NETNS, inherits: Iterable[int] = (), wait: bool = True
) -> Iterator[Running]:
    """While it runs, once it is ready unless the caller does not `wait`."""
    ready_read, ready_write = os.pipe()
    exit_read, exit_write = os.pipe()
    process = subprocess.Popen(
        [*program.words, f"--ready-fd={ready_write}", "-e", str(exit_read), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=(ready_write, exit_read, *inherits),
    )
    os.close(ready_write)
    os.close(exit_read)
    running = Running(process, ready_read, exit_write)
    try:
        if wait:
            running.wait_until_ready()
        yield running
    finally:
        running.close()


def ask(path: str, request: object) -> dict[str, object]:
    """What the API socket answers, in one piece, as podman asks it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(path)
        client.sendall(json.dumps(request).encode())
        with suppress(OSError):  # it has answered already
            client.shutdown(socket.SHUT_WR)
        answer: dict[str, object] = json.loads(client.recv(LARGEST_ANSWER))
        assert client.recv(1) == b""
    return answer


def add(path: str, **arguments: object) -> object:
    """The id of a port that is published."""
    answer = ask(path, {"execute": "add_hostfwd", "arguments": arguments})
    match answer:
        case {"return": {"id": identity}}:
            return identity
    raise AssertionError(answer)

"""A socket of an instance's on a loop, and the clients that a test makes."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from time import monotonic

from tests.host.world import no_descriptor_left

PATIENCE = 10.0  # seconds for what takes milliseconds
TAKEN = 666  # a port that cannot be had


class Clients:
    """Those of the socket at `path`, which is served on `loop`. They are gone when `ending` is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str, ending: ExitStack) -> None:
        self.loop = loop
        self._path = path
        self._ending = ending

    def client(self, sends: bytes = b"") -> socket.socket:
        made = self._ending.enter_context(closing(socket.socket(socket.AF_UNIX)))
        made.connect(self._path)
        made.setblocking(False)
        made.sendall(sends)
        return made

    def run_until(self, condition: Callable[[], object]) -> None:
        async def watch() -> None:
            deadline = monotonic() + PATIENCE
            while not condition():
                assert monotonic() < deadline, f"waited {PATIENCE} seconds"
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(watch())

    def let_run(self) -> None:
        """Let happen what is about to."""
        self.loop.run_until_complete(_take_turns())

    def starve(self, at_the_end: Callable[[], None]) -> None:
        """The same while this process gets no new descriptor, and does not yet when `at_the_end` is
        called: the loop goes on a little after that.
        """

        async def take_turns() -> None:
            with no_descriptor_left():
                await _take_turns()
                at_the_end()

        self.loop.run_until_complete(take_turns())

    def receive(self, client: socket.socket) -> list[bytes]:
        """What the client gets until the end, which is empty, in the pieces in which it came."""
        pieces: list[bytes] = []

        def read() -> bool:
            try:
                pieces.append(client.recv(1 << 20))
            except BlockingIOError:
                return False
            except ConnectionResetError:
                pieces.append(b"")
            return not pieces[-1]

        self.run_until(read)
        return pieces


async def _take_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0.001)

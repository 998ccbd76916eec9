"""Spliced connections on the host's loopback, which stands for the guest's as well.

What the guest's init does is done here: `Supply` makes the sockets that are asked for.
"""

import asyncio
import select
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import TypeVar

from rootlessnet.bounds import DEFAULTS
from rootlessnet.forward import Forward
from rootlessnet.host.forwards import Forwards
from rootlessnet.host.splice import Splices
from rootlessnet.netns.inbound import open_socket
from tests.host.world import LOOPBACK, FarEnd, HostWorld, is_readable, port_of

GUEST_ADDRESS = "127.0.0.2"  # the guest's own, which is not its loopback

T = TypeVar("T")


class Supply:
    """Makes sockets. `is_held` keeps the answer back, `is_over` is the end of the guest."""

    def __init__(self, world: HostWorld, most: int = DEFAULTS.splices) -> None:
        self._reactor = world.reactor
        self.asked: list[tuple[int, int]] = []  # families and numbers
        self.is_held = self.is_over = False
        self.splices: Splices = world.host.splice(self.ask, [GUEST_ADDRESS], most)

    def ask(self, family: int, count: int) -> bool:
        if self.is_over:
            return False
        self.asked.append((family, count))
        if not self.is_held:
            self._reactor.defer(self.deliver)
        return True

    def deliver(self) -> None:
        """Answer the last question with all that was asked for."""
        family, count = self.asked[-1]
        made = [open_socket(family, LOOPBACK).detach() for _ in range(count)]
        self.splices.arrived(family, made)


class Splicing:
    """A published port, and what comes about when clients connect to it."""

    def __init__(self, world: HostWorld, forwards: Forwards, far_end: FarEnd, port: int) -> None:
        self.reactor = world.reactor
        self.host = world.host
        self.supply = Supply(world)
        self._far_end = far_end
        self._port = port
        self._listening = far_end.listen(LOOPBACK)
        self.guest_port = port_of(self._listening)
        publish(forwards, port, self.guest_port)

    def move(self, address: str) -> None:
        """The guest's server listens there only."""
        self.stop_server()
        self._listening = self._far_end.listen(address, self.guest_port)

    def fill_queue(self) -> None:
        """The guest's server has a full queue, so no connection to it comes about."""
        self._listening.listen(0)
        self._far_end.connect(LOOPBACK, self.guest_port)

    def empty_queue(self) -> None:
        """After `fill_queue`: there is room. The kernel asks again once a second has passed."""
        self._listening.listen()
        self._far_end.accept(self._listening)

    def stop_server(self) -> None:
        self._listening.close()

    def call(self) -> socket.socket:
        return self._far_end.connect(LOOPBACK, self._port)

    def answer(self) -> socket.socket:
        """What the guest's server accepts."""
        self.reactor.wait(lambda: is_readable(self._listening), "a connection")
        return self._far_end.accept(self._listening)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """The client's end and the server's."""
        client = self.call()
        return client, self.answer()

    def hear(self, one: socket.socket, size: int = 1 << 16) -> bytes:
        """What one end receives next; nothing at the end."""
        self.reactor.wait(lambda: is_readable(one), "something to read")
        return one.recv(size)

    def pour(self, one: socket.socket, data: bytes) -> bytes:
        """Send `data` over and over until nothing moves; what was sent."""
        one.setblocking(False)
        poured = bytearray()
        while True:
            try:
                poured += data[: one.send(data)]
            except BlockingIOError:
                self.reactor.let_run()
                if not is_writable(one):
                    return bytes(poured)

    def gone(self) -> None:
        """Wait until no connection is left."""
        self.reactor.wait(lambda: not self.supply.splices, "the end of all connections")

    def meanwhile(self, *actions: Callable[[], T]) -> list[T]:
        """What the actions give, which block and take place at the same time as the loop runs."""

        async def act() -> list[T]:
            loop = asyncio.get_running_loop()
            with ThreadPoolExecutor(len(actions)) as threads:
                return await asyncio.gather(
                    *(loop.run_in_executor(threads, action) for action in actions)
                )

        return self.reactor.loop.run_until_complete(act())


def is_writable(one: socket.socket) -> bool:
    return bool(select.select([], [one], [], 0)[1])


def publish(forwards: Forwards, port: int, guest_port: int) -> None:
    forwards.open(Forward(port, guest_port, "tcp", ip_address(LOOPBACK)))


def read_to_end(one: socket.socket) -> bytes:
    pieces = []
    while piece := one.recv(1 << 18):
        pieces.append(piece)
    return b"".join(pieces)


def send_all(one: socket.socket, data: bytes) -> bytes:
    """Send it and the end."""
    one.sendall(data)
    one.shutdown(socket.SHUT_WR)
    return b""

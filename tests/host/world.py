"""A gateway on a real loop with real sockets, all on the host's loopback; scapy plays the guest.

What waits for seconds in the field (`Reactor.after`) waits here for `HostReactor.time_is_up`, so no
test depends on how fast the machine is.
"""

import asyncio
import os
import resource
import select
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from time import monotonic

from scapy.packet import Packet

from rootlessnet.host.dns.nameservers import Nameservers
from rootlessnet.host.dns.own_names import OwnNames
from rootlessnet.host.dns.resolver import Resolver
from rootlessnet.host.reactor import Reactor
from rootlessnet.host.sockets import HostSockets
from rootlessnet.log import Log
from rootlessnet.stack.gateway import Gateway
from rootlessnet.stack.host import SocketAddress
from rootlessnet.stack.reach import Reach
from tests.conftest import find_free_port
from tests.stack import world as stack_world
from tests.stack.world import GATEWAY, FakeLink, network
from tests.wire.oracle import from_guest, kernel_view

PATIENCE = 20.0  # seconds; what is waited for takes a fraction of one
LOOPBACK, LOOPBACK_6 = "127.0.0.1", "::1"
NEVER = 3600.0  # seconds
OWN_NAME = "own.example"  # the gateway's


class HostReactor(Reactor):
    """A reactor whose pauses end when the test says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.ending = ExitStack()  # what ends with it
        self._pauses: list[tuple[asyncio.TimerHandle, Callable[[], None]]] = []

    def close(self) -> None:
        self.ending.close()
        super().close()

    def after(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        pause = self.loop.call_later(NEVER, callback)
        self._pauses.append((pause, callback))
        return pause

    def time_is_up(self) -> int:
        """End every pause that was not cancelled; how many there were."""
        waiting = [(pause, callback) for pause, callback in self._pauses if not pause.cancelled()]
        self._pauses.clear()
        for pause, callback in waiting:
            pause.cancel()
            super().after(0, callback)
        return len(waiting)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Let the loop run until `condition` holds; `what` was missing if it never does."""

        async def watch() -> None:
            deadline = monotonic() + PATIENCE
            while not condition():
                assert monotonic() < deadline, f"waited {PATIENCE} seconds for {what}"
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(watch())

    def let_run(self) -> None:
        """Let happen what is about to, before a test finds that something did not."""
        self.loop.run_until_complete(_take_turns())

    def starve(self) -> None:
        """The same while this process gets no new descriptor."""

        async def take_turns() -> None:
            with no_descriptor_left():
                await _take_turns()

        self.loop.run_until_complete(take_turns())


class HostWorld:
    """Guest, gateway and host sockets. The gateway's address is the host's loopback."""

    def __init__(self, reactor: HostReactor, servers: Sequence[SocketAddress] = ()) -> None:
        self.reactor = reactor
        self.link = FakeLink()
        self.lines: list[str] = []  # of the log
        self.log = Log(lambda _level, text: self.lines.append(text))
        names = OwnNames({OWN_NAME: (ip_address(GATEWAY),)})
        resolver = Resolver(reactor, Nameservers(servers), names, stack_world.BOUNDS, self.log)
        self.host = HostSockets(reactor, resolver, log=self.log)
        plan = network(reach=Reach(host_loopback=True))
        self.gateway = Gateway(plan, self.link, self.host, bytes(16), bounds=stack_world.BOUNDS)
        reactor.drive(self.gateway)

    def send(self, packet: Packet) -> None:
        """The guest sends one packet, in a round of its own."""
        self.reactor.run(lambda: self.gateway.receive(from_guest(packet), monotonic()))

    def heard(self) -> list[Packet]:
        """What the guest has received since this was last asked."""
        written = self.link.written[:]
        self.link.written.clear()
        return [kernel_view(header, payload) for header, payload in written]

    def hear(self, count: int = 1) -> list[Packet]:
        """What the guest receives, once it is `count` packets."""
        self.reactor.wait(lambda: len(self.link.written) >= count, f"{count} packets to the guest")
        return self.heard()

    def close(self) -> None:
        self.host.close()


class FarEnd:
    """Sockets of the far end. They block, and are closed in the end."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def udp(self, address: str = LOOPBACK, port: int = 0) -> socket.socket:
        return self._bind(socket.SOCK_DGRAM, address, port)

    def listen(self, address: str = LOOPBACK, port: int = 0) -> socket.socket:
        listening = self._bind(socket.SOCK_STREAM, address, port)
        listening.listen()
        return listening

    def silent(self, address: str = LOOPBACK) -> socket.socket:
        """As a host that is down: its queue is full, so no connection comes about."""
        listening = self._bind(socket.SOCK_STREAM, address, 0)
        listening.listen(0)
        self.connect(address, port_of(listening))
        return listening

    def accept(self, listening: socket.socket) -> socket.socket:
        accepted, _ = listening.accept()
        return self._keep(accepted)

    def connect(self, address: str, port: int) -> socket.socket:
        connected = self._keep(socket.socket(_family(address), socket.SOCK_STREAM))
        connected.connect((address, port))
        return connected

    def _bind(self, kind: socket.SocketKind, address: str, port: int) -> socket.socket:
        bound = self._keep(socket.socket(_family(address), kind))
        bound.bind((address, port))
        return bound

    def _keep(self, opened: socket.socket) -> socket.socket:
        opened.settimeout(PATIENCE)
        return self._stack.enter_context(opened)


def address_of(bound: socket.socket) -> SocketAddress:
    """Address and port, without what IPv6 has behind them."""
    address, port = bound.getsockname()[:2]
    return address, port


def port_of(bound: socket.socket) -> int:
    return address_of(bound)[1]


def closed_port(address: str = LOOPBACK) -> SocketAddress:
    """Where nobody listens, neither for TCP nor for UDP."""
    return address, find_free_port()


def reset(connected: socket.socket) -> None:
    """Close so that the other end sees RST."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connected.close()


def is_taken(protocol: str, address: str, port: int) -> bool:
    """Whether somebody has this port, and would not share it with a listener."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(_family(address), kind) as probe:
        if probe.family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False


def is_readable(bound: socket.socket) -> bool:
    return bool(select.select([bound], [], [], 0)[0])


async def _take_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0.001)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def descriptors() -> set[str]:
    """The open descriptors of this process, with what they lead to."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found.add(f"{entry.name} {entry.readlink()}")
    return found


def ours(name: tuple[str, int]) -> socket.socket:
    """A duplicate of the socket of this process with this name."""
    for entry in descriptors():
        number, _, target = entry.partition(" ")
        if target.startswith("socket:"):
            duplicate = socket.fromfd(int(number), socket.AF_INET, socket.SOCK_STREAM)
            if duplicate.getsockname() == name:
                return duplicate
            duplicate.close()
    raise AssertionError(f"no socket is {name}")


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """While this process gets no new descriptor."""
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

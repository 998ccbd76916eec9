"""A host datagram socket and who remembers what it receives."""

import socket
from dataclasses import dataclass, field

from rootlessnet.host.datagram import DatagramSocket
from rootlessnet.log import Log
from rootlessnet.stack.host import PMTU_WANT, Payload, SocketAddress
from tests.host.world import HostReactor, address_of


@dataclass
class Recorder:
    """A Receiver that remembers."""

    datagrams: list[tuple[bytes, SocketAddress, int]] = field(default_factory=list)
    errors: list[tuple[bytes, SocketAddress, int, int, str, int]] = field(default_factory=list)
    refusals: list[tuple[bytes, SocketAddress, int]] = field(default_factory=list)
    socket: DatagramSocket | None = None
    closes: bool = False  # the socket, with the first datagram

    def received(
        self, payload: memoryview, remote: SocketAddress, segment: int, now: float
    ) -> None:
        self.datagrams.append((bytes(payload), remote, segment))
        if self.closes and self.socket is not None:
            self.socket.close()

    def failed(
        self, payload: bytes, remote: SocketAddress, kind: int, code: int, offender: str, info: int
    ) -> None:
        self.errors.append((payload, remote, kind, code, offender, info))

    def refused(self, payload: Payload, remote: SocketAddress, error: int) -> None:
        self.refusals.append((bytes(payload), remote, error))


@dataclass
class Opened:
    reactor: HostReactor
    bound: socket.socket
    recorder: Recorder
    datagrams: DatagramSocket

    @property
    def address(self) -> SocketAddress:
        return address_of(self.bound)

    def send(
        self,
        payload: Payload,
        remote: SocketAddress,
        segment: int = 0,
        hop_limit: int = 63,
        discovery: int = PMTU_WANT,
    ) -> None:
        self.reactor.run(
            lambda: self.datagrams.send(payload, remote, segment, hop_limit, discovery)
        )


def open_on(reactor: HostReactor, bound: socket.socket, *, joins: bool = False) -> Opened:
    recorder = Recorder()
    recorder.socket = DatagramSocket(reactor, bound, recorder, set(), Log(), joins=joins)
    return Opened(reactor, bound, recorder, recorder.socket)

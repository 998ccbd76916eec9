"""UDP from the guest's own loopback to a port of the host's loopback.

The socket that the guest's programs send to was made in the guest's network namespace. Each of its
clients gets a socket of the host's, whose answers go back to it; nobody else's do. A client ends as
Linux' conntrack ends a flow. That nobody listens on the host's port cannot be said: from a program
to one beside it no ICMP error of ours has a way.

Read: RFC 4787 4 and 5; udp(7).
"""

import asyncio
import socket

from rootlessnet.bounds import DEFAULTS
from rootlessnet.host.reactor import Reactor
from rootlessnet.host.sockets import HostSockets
from rootlessnet.stack.datagram_flows import ONE_WAY_TIMEOUT, TWO_WAY_TIMEOUT
from rootlessnet.stack.host import PMTU_WANT, HostDatagram, Payload, SocketAddress
from rootlessnet.wire import families
from rootlessnet.wire.ip import DEFAULT_HOP_LIMIT

_SWEEP = 5.0  # seconds between two looks for clients that have ended


class _Client:
    """A program of the guest's. This is the `Receiver` of its socket on the host."""

    socket: HostDatagram

    def __init__(self, relay: "DatagramRelay", address: SocketAddress, now: float) -> None:
        self._relay = relay
        self._address = address
        self._is_answered = False
        self.active = now

    @property
    def deadline(self) -> float:
        return self.active + (TWO_WAY_TIMEOUT if self._is_answered else ONE_WAY_TIMEOUT)

    def received(
        self, payload: memoryview, remote: SocketAddress, segment: int, now: float
    ) -> None:
        if remote == self._relay.target:
            self.active = now
            self._is_answered = True
            self._relay.answer(payload, self._address, segment)

    def failed(
        self, payload: bytes, remote: SocketAddress, kind: int, code: int, offender: str, info: int
    ) -> None:
        """It cannot be said."""

    def refused(self, payload: Payload, remote: SocketAddress, error: int) -> None:
        """Nor can this."""


class DatagramRelay:
    """A port of the guest's loopback, and its `Receiver`."""

    def __init__(
        self,
        reactor: Reactor,
        sockets: HostSockets,
        bound: socket.socket,
        target: SocketAddress,
        most: int = DEFAULTS.to_host_udp,
    ) -> None:
        """`bound` is owned from here on; `target` is the host's port. Past `most` clients the
        longest idle ends. Raises OSError.
        """
        self.target = target
        self._reactor = reactor
        self._sockets = sockets
        self._most = max(1, min(most, sockets.capacity() // 16))
        self._clients: dict[SocketAddress, _Client] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._socket = sockets.publish_udp(bound, self)

    def received(
        self, payload: memoryview, remote: SocketAddress, segment: int, now: float
    ) -> None:
        client = self._clients.get(remote)
        if client is None:
            try:
                client = self._open(remote, now)
            except OSError:  # descriptors are used up: it is lost, as on its way
                return
        client.active = now
        _send(client.socket, payload, self.target, segment)

    def failed(
        self, payload: bytes, remote: SocketAddress, kind: int, code: int, offender: str, info: int
    ) -> None:
        """A client has gone: it ends by its time."""

    def refused(self, payload: Payload, remote: SocketAddress, error: int) -> None:
        """The same."""

    def answer(self, payload: memoryview, client: SocketAddress, segment: int) -> None:
        """The host's port has answered to a client."""
        _send(self._socket, payload, client, segment)

    def read(self) -> None:
        """Pass on what clients have sent already."""
        self._socket.read()

    def close(self) -> None:
        """End all clients and give the sockets back."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for address in list(self._clients):
            self._end(address)
        self._socket.close()

    def _open(self, address: SocketAddress, now: float) -> _Client:
        if len(self._clients) >= self._most:
            self._end(min(self._clients, key=lambda one: self._clients[one].active))
        client = _Client(self, address, now)
        client.socket = self._sockets.open_udp(client, families.IPV4)
        self._clients[address] = client
        if self._sweeping is None:
            self._sweeping = self._reactor.after(_SWEEP, self._sweep)
        return client

    def _sweep(self) -> None:
        now = self._reactor.now
        for address in [one for one, client in self._clients.items() if client.deadline <= now]:
            self._end(address)
        again = self._clients
        self._sweeping = self._reactor.after(_SWEEP, self._sweep) if again else None

    def _end(self, address: SocketAddress) -> None:
        self._clients.pop(address).socket.close()


def _send(out: HostDatagram, payload: memoryview, to: SocketAddress, segment: int) -> None:
    out.send(payload, to, segment, DEFAULT_HOP_LIMIT, PMTU_WANT)

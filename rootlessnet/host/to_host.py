"""Ports of the host's loopback, at the guest's own loopback.

Sockets that were made in the guest's network namespace listen there (see netns/inside.py). A TCP
client that they accept is spliced to a connection to the host's port, on 127.0.0.1 or, where that
is refused, on ::1. When both are refused the client, whom the guest's kernel has let in already, is
reset. Datagrams are relayed. That the same ports are found at the gateway's address is the stack's
business (see `Network.targets`).
"""

import socket
from collections.abc import Sequence
from functools import partial

from rootlessnet.bounds import DEFAULTS, Bounds
from rootlessnet.forward import Protocol
from rootlessnet.host.datagram_relay import DatagramRelay
from rootlessnet.host.listener import Listener
from rootlessnet.host.reactor import Reactor
from rootlessnet.host.sockets import HostSockets
from rootlessnet.host.splice import SpliceTable
from rootlessnet.host.stock import Use, prepare
from rootlessnet.stack.host import SocketAddress
from rootlessnet.to_host import ToHost

_LOOPBACK, _LOOPBACK_6 = "127.0.0.1", "::1"


class _HostSupply:
    """Sockets of the host's, made when they are wanted."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self._family = family

    def take(self, use: Use) -> None:
        try:
            one = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:  # descriptors are used up, or the host has no IPv6
            use(None)
            return
        prepare(one)
        use(one)

    def end(self) -> None:
        """There is nothing to give back."""


class WaysToHost:
    """What listens in the guest for the host's ports."""

    def __init__(
        self,
        reactor: Reactor,
        sockets: HostSockets,
        ways: Sequence[ToHost],
        bound: Sequence[socket.socket],
        bounds: Bounds = DEFAULTS,
    ) -> None:
        """`bound` are sockets on ports of the guest's loopback, which are owned from here on; their
        ports tell to which of the `ways` they belong. Raises OSError.
        """
        self._reactor = reactor
        self._listeners: list[Listener] = []
        self._relays: list[DatagramRelay] = []
        self._splices = SpliceTable(
            reactor,
            (_LOOPBACK, _LOOPBACK_6),
            _HostSupply(socket.AF_INET),
            _HostSupply(socket.AF_INET6),
            sockets.capacity(),
            most=bounds.to_host_splices,
            leads_to_host=True,
        )
        sockets.splices_to_host = self._splices
        ports = {(one.protocol, one.guest_port): one.host_port for one in ways}
        for one in bound:
            protocol: Protocol = "tcp" if one.type == socket.SOCK_STREAM else "udp"
            host_port = ports[protocol, one.getsockname()[1]]
            if protocol == "tcp":
                self._listeners.append(self._listen(one, host_port))
            else:
                target = (_LOOPBACK, host_port)
                relay = DatagramRelay(reactor, sockets, one, target, bounds.to_host_udp)
                self._relays.append(relay)

    def read_all(self) -> None:
        """Take on what the guest has sent already: its programs have ended."""
        for listener in self._listeners:
            listener.accept_all()
        for relay in self._relays:
            relay.read()

    def close(self) -> None:
        """Serve nobody any more; connections that stand go on. Idempotent."""
        while self._listeners:
            self._listeners.pop().close()
        while self._relays:
            self._relays.pop().close()

    def _listen(self, listening: socket.socket, host_port: int) -> Listener:
        prepare(listening)
        join = partial(self._join, host_port)
        # Clients who wait for others to end wait in the guest's kernel, as with any busy server.
        return Listener(self._reactor, listening, join, self._splices.is_full, lambda: None)

    def _join(self, host_port: int, client: socket.socket, _address: SocketAddress) -> None:
        self._splices.join(client, host_port)

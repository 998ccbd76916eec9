"""Published ports: host listeners whose connections and datagrams go to the guest.

The guest sees the client's own address, or the gateway's where it cannot: clients of a family that
the guest does not have, and clients on the loopback. Those are spliced, for which see `splice`.
When the guest refuses a client, it is asked again in the other family, for many servers listen in
one alone.
"""

import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

from rootlessnet import limits
from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Forward
from rootlessnet.host.binding import Binding, bind_all, explain
from rootlessnet.host.listener import Listener
from rootlessnet.host.reactor import Reactor
from rootlessnet.host.sockets import HostSockets
from rootlessnet.host.splice import is_loopback
from rootlessnet.log import Log
from rootlessnet.stack.gateway import Gateway
from rootlessnet.stack.host import SocketAddress
from rootlessnet.tcp.connection import Connection
from rootlessnet.words import HostAddress


class Forwards:
    """The published ports of a guest."""

    def __init__(
        self,
        reactor: Reactor,
        gateway: Gateway,
        sockets: HostSockets,
        log: Log,
        address: HostAddress | None = None,
    ) -> None:
        """`address` is the host's for forwards that name none, None: every address."""
        self._reactor = reactor
        self._gateway = gateway
        self._sockets = sockets
        self._log = log
        self.address = address
        self._closers: dict[Forward, list[Callable[[], None]]] = {}

    @property
    def published(self) -> tuple[Forward, ...]:
        """The forwards that stand, oldest first, each with its one host port."""
        return tuple(self._closers)

    def placed(self, forward: Forward) -> Forward:
        """The forward as it is published here: with an address of the host, if there is one."""
        if forward.host_address is None and self.address is not None:
            return replace(forward, host_address=self.address)
        return forward

    def open(self, *forwards: Forward) -> tuple[Forward, ...]:
        """Publish ports, all or none, and say which they are: a free one has its number then.

        Raises RootlessnetError that names the one in the way and the remedy.
        """
        forwards = tuple(map(self.placed, forwards))
        for forward in forwards:
            if forward in self._closers:
                raise RootlessnetError(f"cannot publish {forward}: it is published already")
            if self._reactor.closed:
                raise RootlessnetError(
                    f"cannot publish {forward}: the network has ended, start anew"
                )
        bindings = bind_all(forwards)
        opened: dict[Forward, list[Callable[[], None]]] = {}
        try:
            for binding in bindings:
                self._serve(binding, opened.setdefault(binding.forward, []))
        except BaseException:
            for closer in (
                *(closer for closers in opened.values() for closer in closers),
                *(binding.close for binding in bindings),
            ):
                closer()
            raise
        self._closers |= opened
        return tuple(opened)

    def close(self, forward: Forward) -> None:
        """Withdraw a port. Connections that stand go on. Raises RootlessnetError."""
        forward = self.placed(forward)
        closers = self._closers.pop(forward, None)
        if closers is None:
            raise RootlessnetError(f"cannot withdraw {forward}: it is not published")
        for closer in closers:
            closer()

    def close_all(self) -> None:
        """Withdraw every port."""
        for forward in list(self._closers):
            self.close(forward)

    def _serve(self, binding: Binding, closers: list[Callable[[], None]]) -> None:
        """Add what closes it to `closers`. Raises RootlessnetError."""
        forward = binding.forward
        open_one = self._open_tcp if forward.protocol == "tcp" else self._open_udp
        for bound in binding.sockets:
            try:
                closers.append(open_one(bound, forward))
            except OSError as error:
                address, port = bound.getsockname()[:2]
                raise explain(forward, error, address, port) from None

    def _open_tcp(self, bound: socket.socket, forward: Forward) -> Callable[[], None]:
        join = partial(self._join, forward)
        is_full = self._gateway.tcp.is_full
        return Listener(self._reactor, bound, join, is_full, self._no_room).close

    def _join(self, forward: Forward, client: socket.socket, address: SocketAddress) -> None:
        port, guest = forward.guest_port, _guest_of(forward)
        splices = self._sockets.splices
        if (
            splices is not None
            and guest is None
            and is_loopback(address[0])
            and not splices.is_full()
        ):
            splices.join(client, port)
            return
        client.setblocking(False)
        inbound = self._sockets.open_tcp()
        attempts = count()

        def open_next() -> Connection:
            now, attempt = self._reactor.now, next(attempts)
            return self._gateway.tcp.open_inbound(inbound, address, port, now, attempt, guest)

        try:
            inbound.accepted(client)
            inbound.join(open_next(), open_next)
        except OSError:
            inbound.abort()

    def _no_room(self) -> None:
        self._log.fault(
            "no room for clients",
            "published ports have no room for more connections: clients wait until others end; "
            f"for more, {limits.MORE_DESCRIPTORS}",
        )

    def _open_udp(self, bound: socket.socket, forward: Forward) -> Callable[[], None]:
        port = self._gateway.udp.publish(forward.guest_port, _guest_of(forward))
        port.socket = self._sockets.publish_udp(bound, port)
        return port.withdraw


def _guest_of(forward: Forward) -> bytes | None:
    return None if forward.guest_address is None else forward.guest_address.packed

"""Published ports: host listeners whose connections and datagrams go to the guest.

The guest sees the client's own address, or the gateway's where it cannot: clients of a family that
the guest does not have, and clients on the loopback. Those are spliced, for which see `splice`.
When the guest refuses a client, it is asked again in the other family, for many servers listen in
one alone.

Where there is no room for more connections none is accepted: clients wait in the kernel's queue,
and come to the guest as others end. Read: accept(2), ERRORS; listen(2) on the queue.
"""

import errno
import socket
from collections.abc import Callable
from itertools import count

from rootlessnet import limits
from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Forward
from rootlessnet.host.binding import Binding, bind_all, explain
from rootlessnet.host.reactor import LEVEL, Reactor
from rootlessnet.host.sockets import HostSockets
from rootlessnet.host.splice import is_loopback
from rootlessnet.stack.gateway import Gateway
from rootlessnet.tcp.connection import Connection

_ACCEPTS = 64  # connections accepted at most before others get their turn
_RETRY = 0.1  # seconds to wait when descriptors are used up
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """A published TCP port on one host address."""

    def __init__(
        self,
        reactor: Reactor,
        gateway: Gateway,
        sockets: HostSockets,
        listening: socket.socket,
        forward: Forward,
        no_room: Callable[[], None],
    ) -> None:
        """`no_room` is called whenever clients have to wait."""
        self._no_room = no_room
        self._reactor = reactor
        self._gateway = gateway
        self._sockets = sockets
        self._socket = listening
        self._guest_port = forward.guest_port
        self._guest = _guest_of(forward)
        self._burst = 1  # how many to accept at a time: to find that nobody is left costs as well
        self._resume()

    def close(self) -> None:
        self._reactor.remove(self._socket.fileno())
        self._socket.close()

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._reactor.add(self._socket.fileno(), LEVEL, self._ready)

    def _ready(self, _events: int) -> None:
        if self._gateway.tcp.is_full():
            self._pause()
            return
        for _ in range(self._burst):
            try:
                client, address = self._socket.accept()
            except BlockingIOError:
                self._burst = 1
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause()
                    return
                continue  # the client went away before it was accepted
            self._join(client, (address[0], address[1]))
            if self._gateway.tcp.is_full():
                return  # and maybe nobody waits
        self._burst = min(2 * self._burst, _ACCEPTS)

    def _pause(self) -> None:
        self._reactor.remove(self._socket.fileno())
        self._reactor.after(_RETRY, self._resume)
        self._no_room()

    def _join(self, client: socket.socket, address: tuple[str, int]) -> None:
        splices = self._sockets.splices
        if (
            splices is not None
            and self._guest is None
            and is_loopback(address[0])
            and not splices.is_full()
        ):
            splices.join(client, self._guest_port)
            return
        client.setblocking(False)
        inbound = self._sockets.open_tcp()
        attempts = count()

        def open_next() -> Connection:
            now, attempt = self._reactor.now, next(attempts)
            return self._gateway.tcp.open_inbound(
                inbound, address, self._guest_port, now, attempt, self._guest
            )

        try:
            inbound.accepted(client)
            inbound.join(open_next(), open_next)
        except OSError:
            inbound.abort()


class Forwards:
    """The published ports of a guest."""

    def __init__(
        self,
        reactor: Reactor,
        gateway: Gateway,
        sockets: HostSockets,
        tell: Callable[[str], None],
    ) -> None:
        """`tell` is called once, with a line for the user, when clients wait for others to end."""
        self._reactor = reactor
        self._gateway = gateway
        self._sockets = sockets
        self._tell = tell
        self._has_told = False
        self._closers: dict[Forward, list[Callable[[], None]]] = {}

    @property
    def published(self) -> tuple[Forward, ...]:
        """The forwards that stand, oldest first, each with its one host port."""
        return tuple(self._closers)

    def open(self, *forwards: Forward) -> tuple[Forward, ...]:
        """Publish ports, all or none, and say which they are: a free one has its number then.

        Raises RootlessnetError that names the one in the way and the remedy.
        """
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
        return Listener(
            self._reactor, self._gateway, self._sockets, bound, forward, self._no_room
        ).close

    def _no_room(self) -> None:
        if not self._has_told:
            self._has_told = True
            self._tell(
                "published ports have no room for more connections: clients wait until others "
                f"end; for more, {limits.MORE_DESCRIPTORS}"
            )

    def _open_udp(self, bound: socket.socket, forward: Forward) -> Callable[[], None]:
        port = self._gateway.udp.publish(forward.guest_port, _guest_of(forward))
        port.socket = self._sockets.publish_udp(bound, port)
        return port.withdraw


def _guest_of(forward: Forward) -> bytes | None:
    return None if forward.guest_address is None else forward.guest_address.packed

"""Published ports: host listeners whose connections and datagrams go to the guest.

Without a host address a port is published on every address of the host, of both families. The guest
sees the client's own address, or the gateway's where it cannot: clients on the loopback and clients
of a family that the guest does not have. Read: ip(7), ipv6(7) for IPV6_V6ONLY, listen(2).
"""

import errno
import os
import socket
from collections.abc import Callable

from rootlessnet import limits
from rootlessnet.config import Forward
from rootlessnet.errors import RootlessnetError
from rootlessnet.host.reactor import LEVEL, Reactor
from rootlessnet.host.sockets import HostSockets
from rootlessnet.stack.gateway import Gateway

_ACCEPTS = 64  # connections accepted before others get their turn
_BACKLOG = 65535  # the kernel cuts it to net.core.somaxconn
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
        guest_port: int,
    ) -> None:
        self._reactor = reactor
        self._gateway = gateway
        self._sockets = sockets
        self._socket = listening
        self._guest_port = guest_port
        self._resume()

    def close(self) -> None:
        self._reactor.remove(self._socket.fileno())
        self._socket.close()

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._reactor.add(self._socket.fileno(), LEVEL, self._ready)

    def _ready(self, _events: int) -> None:
        for _ in range(_ACCEPTS):
            try:
                client, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    # The client waits in the kernel's queue meanwhile.
                    self._reactor.remove(self._socket.fileno())
                    self._reactor.after(_RETRY, self._resume)
                    return
                continue  # the client went away before it was accepted
            self._join(client, (address[0], address[1]))

    def _join(self, client: socket.socket, address: tuple[str, int]) -> None:
        client.setblocking(False)
        inbound = self._sockets.open_tcp()
        try:
            inbound.accepted(client)
            now = self._reactor.now
            inbound.join(self._gateway.tcp.open_inbound(inbound, address, self._guest_port, now))
        except OSError:
            inbound.abort()


class Forwards:
    """The published ports of a guest."""

    def __init__(self, reactor: Reactor, gateway: Gateway, sockets: HostSockets) -> None:
        self._reactor = reactor
        self._gateway = gateway
        self._sockets = sockets
        self._closers: dict[Forward, list[Callable[[], None]]] = {}

    def open(self, forward: Forward) -> None:
        """Publish a port. Raises RootlessnetError that names it and the remedy."""
        if forward in self._closers:
            raise RootlessnetError(f"cannot publish {forward}: it is published already")
        if self._reactor.closed:
            raise RootlessnetError(f"cannot publish {forward}: the network has ended, start anew")
        open_one = self._open_tcp if forward.protocol == "tcp" else self._open_udp
        bound = _bind(forward)
        closers: list[Callable[[], None]] = []
        try:
            closers.extend(open_one(one, forward.guest_port) for one in bound)
        except OSError as error:
            for close in (*closers, *(one.close for one in bound)):
                close()
            raise _explain(forward, error) from None
        self._closers[forward] = closers

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

    def _open_tcp(self, bound: socket.socket, guest_port: int) -> Callable[[], None]:
        return Listener(self._reactor, self._gateway, self._sockets, bound, guest_port).close

    def _open_udp(self, bound: socket.socket, guest_port: int) -> Callable[[], None]:
        port = self._gateway.udp.publish(guest_port)
        port.socket = self._sockets.publish_udp(bound, port)
        return port.withdraw


def _bind(forward: Forward) -> list[socket.socket]:
    """Sockets for every address that the forward means: all, or none and RootlessnetError."""
    bound: list[socket.socket] = []
    try:
        if forward.host_address is not None:
            bound.append(_bind_one(str(forward.host_address), forward))
        else:
            bound.append(_bind_one("0.0.0.0", forward))
            try:
                bound.append(_bind_one("::", forward))
            except OSError as error:
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise  # those two: a host without IPv6
    except OSError as error:
        for one in bound:
            one.close()
        raise _explain(forward, error) from None
    return bound


def _bind_one(address: str, forward: Forward) -> socket.socket:
    kind = socket.SOCK_STREAM if forward.protocol == "tcp" else socket.SOCK_DGRAM
    family, _, _, _, name = socket.getaddrinfo(
        address, forward.host_port, type=kind, flags=socket.AI_NUMERICHOST
    )[0]
    one = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if forward.protocol == "tcp":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(name)
        if forward.protocol == "tcp":
            one.listen(_BACKLOG)
    except OSError:
        one.close()
        raise
    return one


def _explain(forward: Forward, error: OSError) -> RootlessnetError:
    port = forward.host_port
    match error.errno:
        case errno.EADDRINUSE:
            remedy = f"port {port} is in use: stop the program that holds it, or take another port"
        case errno.EACCES:
            remedy = (
                f"port {port} is privileged: take one from 1024 on, or as root run "
                f"sysctl net.ipv4.ip_unprivileged_port_start={port}"
            )
        case errno.EADDRNOTAVAIL | socket.EAI_NONAME:  # the latter: its scope is no interface
            remedy = (
                f"{forward.host_address} is not an address of this host: "
                "take one of its own, or leave it out for all"
            )
        case number if number in limits.DESCRIPTORS_USED_UP:
            remedy = f"{os.strerror(number)}: {limits.MORE_DESCRIPTORS}, or publish fewer ports"
        case number:
            remedy = f"{os.strerror(number or 0)}: take another address or port"
    return RootlessnetError(f"cannot publish {forward}: {remedy}")

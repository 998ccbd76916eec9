"""Sockets of the guest's network namespace, made before it is served and used by the parent.

A socket belongs for ever to the namespace that it was made in. The child that configures the
interface makes them there and hands them over with the TAP: one that asks the kernel which ports
are listened on, and one for each address of the loopback at which a port of the host is to be
found. All or none: a port that is taken there is an error.

They keep the namespace alive as any process in it would, which matters to nobody who has a command
or a process whose end is awaited; for a namespace that is named by a path see `Attachment.gone`.

Read: network_namespaces(7), unix(7) for SCM_RIGHTS, sock_diag(7), ipv6(7) for IPV6_V6ONLY.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from rootlessnet.config import NetworkConfig
from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import kernel_file, rtnetlink
from rootlessnet.netns.child import Child
from rootlessnet.netns.messages import DESCRIPTORS_MAX, Channel, Kind, Message
from rootlessnet.to_host import ToHost

_NETLINK_SOCK_DIAG = 4
_EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"
_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_WITHOUT_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_BACKLOG = 65535  # the kernel cuts it to net.core.somaxconn


class Inside(NamedTuple):
    """The parent's, to be closed by it: `sockets` are the one that asks (AF_NETLINK), if ports are
    to be published as they appear, and those at which the ports of the host are found, each bound
    to its port of the guest. `ephemeral` are the ports that the guest's kernel gives away.
    """

    sockets: tuple[socket.socket, ...] = ()
    ephemeral: range = range(0)

    @property
    def asking(self) -> socket.socket | None:
        """The one that asks."""
        return next((one for one in self.sockets if one.family == socket.AF_NETLINK), None)

    @property
    def bound(self) -> list[socket.socket]:
        """The others."""
        return [one for one in self.sockets if one.family != socket.AF_NETLINK]

    def close(self) -> None:
        for one in self.sockets:
            one.close()


def hand_over(network: NetworkConfig, channel: Channel) -> None:
    """In the child, whose namespace is the guest's: make them and send them to the parent.

    Raises RootlessnetError, OSError.
    """
    if not network.needs_sockets_inside:
        return
    with ExitStack() as stack:
        made = [stack.enter_context(one) for one in _make(network)]
        ports = " ".join(kernel_file.read(_EPHEMERAL).split())
        for first in range(0, len(made), DESCRIPTORS_MAX):
            batch = made[first : first + DESCRIPTORS_MAX]
            descriptors = tuple(one.fileno() for one in batch)
            remain = len(made) - first - len(batch)
            channel.send(Message(Kind.INSIDE, remain, ports, descriptors))


def receive(network: NetworkConfig, child: Child) -> Inside:
    """In the parent: wait for them. Raises RootlessnetError."""
    made: list[socket.socket] = []
    if not network.needs_sockets_inside:
        return Inside()
    try:
        while True:
            message = child.receive(Kind.INSIDE)
            made += (socket.socket(fileno=descriptor) for descriptor in message.descriptors)
            if not message.number:
                break
    except BaseException:
        Inside(tuple(made)).close()
        raise
    first, last = map(int, message.text.split())
    return Inside(tuple(made), range(first, last + 1))


def _make(network: NetworkConfig) -> Iterator[socket.socket]:
    if network.publish_all is not None:
        asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        asking.connect(rtnetlink.KERNEL)
        yield asking
    for way in network.to_host:
        for family, address in _LOOPBACKS:
            try:
                yield _bind(way, family, address)
            except OSError as error:
                if family != socket.AF_INET6 or error.errno not in _WITHOUT_IPV6:
                    raise _explain(way, address, error) from None


def _bind(way: ToHost, family: int, address: str) -> socket.socket:
    kind = socket.SOCK_STREAM if way.protocol == "tcp" else socket.SOCK_DGRAM
    one = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, way.guest_port))
        if kind == socket.SOCK_STREAM:
            one.listen(_BACKLOG)
    except OSError:
        one.close()
        raise
    return one


def _explain(way: ToHost, address: str, error: OSError) -> RootlessnetError:
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    other = f"{way.host_port}/{way.protocol}"
    if error.errno == errno.EADDRINUSE:
        reason = f"port {way.guest_port} is in use on {address} there ({name})"
    elif error.errno in (errno.EACCES, errno.EPERM):
        reason = f"port {way.guest_port} is privileged there ({name})"
    else:
        said = f"{os.strerror(error.errno or 0)} ({name})"
        reason = f"port {way.guest_port} cannot be had on {address} there: {said}"
    return RootlessnetError(
        f"cannot lead the guest to {way} of the host: {reason}: "
        f"take another port of the guest, --to-host GUEST_PORT:{other}"
    )

"""The sockets of published ports: bound all or none, and what to say when one cannot be.

Without a host address a port is taken on every address of the host, by a socket for each family.
An IPv6 socket takes IPv6 alone, so each form means the same whatever net.ipv6.bindv6only says.

Ports that leave no choice are bound first, lest the kernel gives one of them away as a free one.
Read: ip(7), ip_local_port_range; ipv6(7), IPV6_V6ONLY; listen(2); bind(2), ERRORS.
"""

import errno
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from rootlessnet import limits
from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import FREE, Forward, Protocol
from rootlessnet.host.stock import prepare

_BACKLOG = 65535  # the kernel cuts it to net.core.somaxconn
_TRIES = 64  # for a port that is free on both families
_ANY_4, _ANY_6 = "0.0.0.0", "::"
_WITHOUT_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)  # what such a host says of ::
_NAMES = {**errno.errorcode, socket.EAI_NONAME: "EAI_NONAME"}  # getaddrinfo(3) has its own


class Binding(NamedTuple):
    """A forward that is settled, and the sockets that have its host port."""

    forward: Forward
    sockets: tuple[socket.socket, ...]

    def close(self) -> None:
        for one in self.sockets:
            one.close()


def bind_all(forwards: Sequence[Forward]) -> list[Binding]:
    """Sockets for every forward, in their order. All, or none and RootlessnetError."""
    bindings: dict[int, Binding] = {}
    by_choice = sorted(enumerate(forwards), key=lambda item: not item[1].is_settled)
    try:
        for index, forward in by_choice:
            bindings[index] = _bind(forward)
    except RootlessnetError:
        for binding in bindings.values():
            binding.close()
        raise
    return [bindings[index] for index in range(len(forwards))]


def is_free(forward: Forward) -> bool:
    """Whether the one host port of a settled forward could be had now, which costs next to nothing:
    who has it is not looked up.
    """
    try:
        _bind_port(forward, forward.host_port).close()
    except _Refused:
        return False
    return True


def explain(forward: Forward, error: OSError, address: str, port: int) -> RootlessnetError:
    """What to say of a forward when `port` of `address` cannot be had."""
    name = _NAMES.get(error.errno or 0, str(error.errno))
    match error.errno:
        case errno.EADDRINUSE if port == FREE:
            remedy = (
                f"no port is free on {address} ({name}): "
                "name one, beyond net.ipv4.ip_local_port_range"
            )
        case errno.EADDRINUSE:
            remedy = _in_use(forward, address, port, name)
        case errno.EACCES:
            remedy = (
                f"port {port} is privileged on {address} ({name}): take one from 1024 on, or as "
                f"root run sysctl net.ipv4.ip_unprivileged_port_start={port}"
            )
        case errno.EADDRNOTAVAIL | socket.EAI_NONAME:  # the latter: its scope is no interface
            remedy = (
                f"{address} is not an address of this host ({name}): "
                "take one of its own, or leave it out for all"
            )
        case number if number in limits.DESCRIPTORS_USED_UP:
            remedy = f"{os.strerror(number)}: {limits.MORE_DESCRIPTORS}, or publish fewer ports"
        case number:
            remedy = (
                f"port {port} cannot be had on {address}: {os.strerror(number or 0)} ({name}): "
                "take another address or port"
            )
    return RootlessnetError(f"cannot publish {forward}: {remedy}")


def _in_use(forward: Forward, address: str, port: int, name: str) -> str:
    from rootlessnet.host.port_holder import holder  # which nobody needs as long as all is well

    who = holder(forward.protocol, address, port)
    by, stop = (f" by {who}", "stop it") if who else ("", "stop the program that holds it")
    ports = forward.host_ports
    none = f"none of {ports[0]}-{ports[-1]} is free: " if len(ports) > 1 else ""
    return f"{none}port {port} is in use on {address} ({name}){by}: {stop}, or take another port"


class _Refused(Exception):
    """A socket that could not be bound: where, and why."""

    def __init__(self, address: str, port: int, error: OSError) -> None:
        super().__init__(address, port, error)
        self.address = address
        self.port = port
        self.error = error


def _bind(forward: Forward) -> Binding:
    """Sockets on the first host port that will do. Raises RootlessnetError."""
    is_any = forward.host_port == FREE
    for port in [FREE] * _TRIES if is_any else forward.host_ports:
        try:
            return _bind_port(forward, port)
        except _Refused as refused:
            refusal = refused
            if refused.error.errno != errno.EADDRINUSE:
                break
    port = FREE if is_any else refusal.port
    raise explain(forward, refusal.error, refusal.address, port) from None


def _bind_port(forward: Forward, port: int) -> Binding:
    """A socket on every address that the forward means, on one port. Raises _Refused."""
    bound: list[socket.socket] = []
    for address in (_ANY_4, _ANY_6) if forward.host_address is None else (forward.host_address,):
        try:
            bound.append(_bind_one(forward.protocol, str(address), port))
        except OSError as error:
            if bound and error.errno in _WITHOUT_IPV6:
                continue
            for one in bound:
                one.close()
            raise _Refused(str(address), port, error) from None
        port = bound[-1].getsockname()[1]  # the same on the next address
    return Binding(replace(forward, host_port=port, host_port_end=None), tuple(bound))


def _bind_one(protocol: Protocol, address: str, port: int) -> socket.socket:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    family, _, _, _, name = socket.getaddrinfo(
        address, port, type=kind, flags=socket.AI_NUMERICHOST
    )[0]
    one = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if protocol == "tcp":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            prepare(one)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(name)
        if protocol == "tcp":
            one.listen(_BACKLOG)
    except OSError:
        one.close()
        raise
    return one

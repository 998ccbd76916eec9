"""Sockets for connections to the guest's servers: the init makes them, the parent connects them.

A server sees the gateway as its client, whichever way a connection comes: by the TAP, or by one of
these. No interface of the guest has that address, so what a server answers to it would leave by the
TAP. But these sockets have a mark, what a server accepts from them has it too, and a rule leads
marked packets to lo. The guest's own have none, and take their usual way to the gateway.

A kernel without policy routing, or a /proc/sys that cannot be written, leaves them the loopback's
address. The last setting that is made tells which it is to be.

Read: ip(7) for IP_TRANSPARENT and IP_BIND_ADDRESS_NO_PORT; socket(7) for SO_MARK; ip-rule(8);
Documentation/networking/ip-sysctl.rst.
"""

import socket
from contextlib import suppress
from ipaddress import IPv4Address

from rootlessnet.netns import kernel_file

MARK = 0x726E6574  # "rnet": a number that nobody else is likely to choose, of a table as well
PREFERENCE = 1  # of the rule: before those of programs in the guest, such as a VPN's

_SETTINGS = "/proc/sys/net/ipv4"
_ACCEPT = f"{_SETTINGS}/tcp_fwmark_accept"
_LOOPBACK = "127.0.0.1"


def appear_as_gateway() -> None:
    """Make the settings, once there is the rule. Raises OSError where that is not possible."""
    # Ports of an address other than the loopback's are not used anew for a minute otherwise.
    kernel_file.write(f"{_SETTINGS}/tcp_tw_reuse", "1")
    kernel_file.write(f"{_SETTINGS}/fwmark_reflect", "1")  # a refusal has the mark as well
    kernel_file.write(_ACCEPT, "1")


def source(gateway: IPv4Address) -> str:
    """The address that an IPv4 socket of these is to have."""
    with suppress(OSError):
        if kernel_file.read(_ACCEPT).strip() == "1":
            return str(gateway)
    return _LOOPBACK


def open_socket(family: int, address: str) -> socket.socket:
    """A TCP socket that is ready to connect, from `address` if it is IPv4's. Raises OSError."""
    one = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    if family == socket.AF_INET:
        try:
            if address != _LOOPBACK:
                one.setsockopt(socket.IPPROTO_IP, socket.IP_TRANSPARENT, 1)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
            one.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
            one.bind((address, 0))
        except OSError:
            one.close()
            raise
    return one

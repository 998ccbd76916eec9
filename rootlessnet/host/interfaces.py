"""The addresses of the host's interfaces, as far as an unprivileged process is told.

Read: netdevice(7) for SIOCGIFADDR, proc(5) for /proc/net/if_inet6.
"""

import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

from rootlessnet.words import HostAddress, is_interface_name

_SIOCGIFADDR = 0x8915
_IFREQ = struct.Struct("16s24x")
_IPV4 = struct.Struct("20x4s16x")  # of the struct sockaddr_in in it
_IF_INET6 = "/proc/net/if_inet6"
_GLOBAL, _UNUSABLE = 0x00, 0x40 | 0x08  # scopes; flags: tentative, and found to be a duplicate


def address_of(interface: str, version: int) -> HostAddress | None:
    """The first address of an interface of the host, of IP version 4 or 6; over IPv6 a global one.

    None when there is no such interface or address.
    """
    if not is_interface_name(interface):
        return None
    return _first_ipv4(interface) if version == 4 else next(_global_ipv6(interface), None)


def _first_ipv4(interface: str) -> IPv4Address | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket, suppress(OSError):
        answer = fcntl.ioctl(any_socket, _SIOCGIFADDR, _IFREQ.pack(interface.encode()))
        (packed,) = _IPV4.unpack(answer)
        return IPv4Address(packed)
    return None


def _global_ipv6(interface: str) -> Iterator[IPv6Address]:
    with suppress(FileNotFoundError), open(_IF_INET6, encoding="ascii") as file:  # without IPv6
        for line in file:
            address, _, _, scope, flags, name = line.split()
            if name == interface and int(scope, 16) == _GLOBAL and not int(flags, 16) & _UNUSABLE:
                yield IPv6Address(bytes.fromhex(address))

"""The source address of what the guest opens, where the user has chosen one.

What goes to the host's loopback keeps the address that goes with it. A port is chosen by the kernel
when a socket connects, so that connections to different hosts may share one. Read: ip(7),
IP_BIND_ADDRESS_NO_PORT; ipv6(7).
"""

import errno
import os
import socket
from collections.abc import Iterable

from rootlessnet.errors import RootlessnetError
from rootlessnet.words import HostAddress

_IP_BIND_ADDRESS_NO_PORT = 24
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
_LOOPBACK = {socket.AF_INET: "127.", socket.AF_INET6: "::1"}  # how such addresses begin


class Sources:
    """At most one address for each family; the kernel's choice for one that has none."""

    def __init__(self, addresses: Iterable[HostAddress] = ()) -> None:
        """Raises RootlessnetError for an address that the host does not have."""
        self._addresses: dict[int, str] = {}
        for address in addresses:
            family = _FAMILIES[address.version]
            self._addresses[family] = str(address)
            with socket.socket(family, socket.SOCK_DGRAM) as trial:
                try:
                    self.bind(trial)
                except OSError as error:
                    raise RootlessnetError(
                        f"cannot send from {address} ({os.strerror(error.errno or errno.EIO)}): "
                        "take an address of this host"
                    ) from None

    def bind(self, datagrams: socket.socket) -> None:
        """Bind a datagram socket to a port of the kernel's choice. Raises OSError."""
        family = datagrams.family
        datagrams.bind((self._addresses.get(family, _ANY[socket.AddressFamily(family)]), 0))

    def bind_before_connect(self, stream: socket.socket, remote: str) -> None:
        """Raises OSError."""
        if not self._addresses:  # nearly always: spares a look-up of the family
            return
        address = self._addresses.get(stream.family)
        if address is None or remote.startswith(_LOOPBACK[socket.AddressFamily(stream.family)]):
            return
        stream.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        stream.bind((address, 0))

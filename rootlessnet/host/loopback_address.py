"""An address of 127.0.0.0/8 that is one guest's own.

The host answers at each of the sixteen million, so one is drawn, and drawn again when it is taken.
Who takes one binds an abstract unix socket that has it for a name: such names exist once in a
network namespace, as the addresses do, whoever's program it is, and the kernel frees them at its
death. Addresses on which another program listens are left alone as well.

Read: unix(7), "Abstract sockets"; proc(5), /proc/net/tcp; RFC 1122 3.2.1.3 (g).
"""

import random
import socket
from contextlib import suppress
from ipaddress import IPv4Address

from rootlessnet.errors import RootlessnetError
from rootlessnet.host.port_holder import parse_address
from rootlessnet.words import HostAddress

_TRIES = 64
_NAME = "\0rootlessnet/host-ip/{}"
_TABLES = ("/proc/net/tcp", "/proc/net/udp")


class LoopbackAddress:
    """`address` is no other guest's until `close`."""

    def __init__(self) -> None:
        """Raises RootlessnetError, OSError."""
        self._claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self.address = self._find()
        except BaseException:
            self._claim.close()
            raise

    def close(self) -> None:
        """Idempotent."""
        self._claim.close()

    def _find(self) -> IPv4Address:
        listening = _addresses_in_use()
        for _ in range(_TRIES):
            address = _draw()
            with suppress(OSError):  # it is another guest's
                self._claim.bind(_NAME.format(address))
                if address not in listening:
                    return address
                self._claim.close()
                self._claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        raise RootlessnetError(
            "no address of 127.0.0.0/8 was found that nobody uses: name one with --host-ip"
        )


def _draw() -> IPv4Address:
    """Beyond 127.0.0.0/16, where those are that people and programs choose."""
    network = random.randrange(1, 255)
    return IPv4Address(f"127.{network}.{random.randrange(256)}.{random.randrange(1, 255)}")


def _addresses_in_use() -> set[HostAddress]:
    found = set()
    for table in _TABLES:
        with suppress(OSError), open(table, encoding="ascii") as lines:
            next(lines, None)  # the names of the columns
            for line in lines:
                found.add(parse_address(line.split()[1].partition(":")[0]))
    return found

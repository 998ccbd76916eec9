"""The host's own addresses, as the host has them at the moment of the question.

The kernel is asked how it would route a packet: what it would keep, and what goes to everybody on a
network of the host's, is the host's own. That needs no list that could be out of date, and knows
whole networks that are kept as well ("local" routes). Read: rtnetlink(7), RTM_GETROUTE; netlink(7).
"""

import errno
import os
import socket
from struct import Struct

from rootlessnet.errors import RootlessnetError

_RTM_NEWROUTE, _RTM_GETROUTE = 24, 26
_NLM_F_REQUEST = 1
_RTA_DST = 1
_RTN_LOCAL, _RTN_BROADCAST, _RTN_ANYCAST = 2, 3, 4
_NETLINK_ROUTE = 0

_HEADER = Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
# struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags
_ROUTE = Struct("=BBBBBBBBI")
_ATTRIBUTE = Struct("=HH")  # struct rtattr: length, type
_ROUTE_TYPE_AT = _HEADER.size + 7
_ANSWER_SIZE = 4096
_FAMILIES = {4: socket.AF_INET, 16: socket.AF_INET6}  # by the size of an address


class OwnAddresses:
    """A container of addresses, as they stand in a packet."""

    def __init__(self) -> None:
        """Raises RootlessnetError where the kernel answers no such question."""
        self._netlink: socket.socket | None = None
        self._sequence = 0
        try:
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE)
            self._netlink.setblocking(False)  # the answer is there when the question is sent
            self._route_type(socket.inet_aton("127.0.0.1"))
        except OSError as error:
            self.close()
            raise RootlessnetError(
                "this system does not tell the host's own addresses "
                f"({os.strerror(error.errno or errno.EIO)}): leave out --no-host-addresses"
            ) from None

    def __contains__(self, address: object) -> bool:
        """Whether the host has this address. What cannot be found out counts as its own."""
        assert isinstance(address, bytes)
        try:
            return self._route_type(address) in (_RTN_LOCAL, _RTN_BROADCAST, _RTN_ANYCAST)
        except OSError:
            return True

    def close(self) -> None:
        """Idempotent. What is asked from then on counts as the host's own."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _route_type(self, address: bytes) -> int:
        """RTN_... of the route to an address, 0 if there is none. Raises OSError."""
        if self._netlink is None:
            raise OSError(errno.EBADF, "it is closed")
        self._sequence = self._sequence + 1 & 0xFFFFFFFF
        route = _ROUTE.pack(_FAMILIES[len(address)], 8 * len(address), 0, 0, 0, 0, 0, 0, 0)
        attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address), _RTA_DST) + address
        size = _HEADER.size + len(route) + len(attribute)
        header = _HEADER.pack(size, _RTM_GETROUTE, _NLM_F_REQUEST, self._sequence, 0)
        self._netlink.sendto(header + route + attribute, (0, 0))
        while True:
            answer = self._netlink.recv(_ANSWER_SIZE)
            _, kind, _, sequence, _ = _HEADER.unpack_from(answer)
            if sequence == self._sequence:  # not one that came too late for its question
                return answer[_ROUTE_TYPE_AT] if kind == _RTM_NEWROUTE else 0

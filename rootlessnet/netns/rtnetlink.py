"""rtnetlink, as far as a guest's interface needs it: a request, and the kernel's answer to it.

A message is a header of netlink's, a header of its kind's, and attributes, each of which begins at
a multiple of four. A request has one of our few layouts; of an answer, the attributes are read that
are of use. A library that knows them all takes longer to import than all the rest of a start.

Read: netlink(7), rtnetlink(7), linux/netlink.h, linux/if_link.h, linux/fib_rules.h.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from struct import Struct

from rootlessnet.words import HostAddress

# Of <linux/rtnetlink.h> and <linux/netlink.h>
_NEW_LINK, _NEW_ADDRESS, _GET_ADDRESS, _NEW_ROUTE, _GET_ROUTE, _NEW_RULE = 16, 20, 22, 24, 26, 32
_ERROR, _DONE = 2, 3
_REQUEST, _ACKNOWLEDGE, _DUMP = 0x01, 0x04, 0x300
_REPLACE, _EXCLUSIVE, _CREATE = 0x100, 0x200, 0x400
_HEADER = Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence number, port
_RESULT = Struct("=i")  # behind it, of an answer: 0 or a negative errno
_LONGEST = 1 << 16  # bytes that the kernel answers at a time, at most

_LINK = Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, which flags change
_ADDRESS = Struct("=BBBBI")  # struct ifaddrmsg: family, length of the prefix, flags, scope, index
# struct rtmsg: family, lengths of the destination and the source, TOS, table, protocol, scope,
# type, flags. struct fib_rule_hdr has two unused bytes instead of protocol and scope.
_ROUTE = Struct("=8BI")

_ATTRIBUTE = Struct("=HH")  # struct rtattr: length with this, type
_NUMBER = Struct("=I")
_ALIGNMENT = 4

# Attributes of links, for `set_link`
IFLA_ADDRESS, IFLA_MTU, IFLA_TXQLEN, IFLA_NET_NS_FD = 1, 4, 13, 28
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_TABLE = 1, 4, 5, 15
_FRA_PRIORITY, _FRA_FWMARK, _FRA_TABLE = 6, 10, 15

# Whom to connect to. A socket that is not hears others, too: who is root in its network namespace
# may send it what looks like an answer.
KERNEL = (0, 0)

_UP = 1  # IFF_UP of <linux/if.h>
_MAIN = 254  # the table of routes that nobody names
_STATIC = 4  # a route that an administrator made
_UNICAST, _LOCAL = 1, 2  # types of a route
_HOST = 254  # the scope of one to an address of this machine
_TO_TABLE = 1  # what a rule does

Attributes = Mapping[int, int | bytes]
"""By their types; an integer has 32 bits."""


class Rtnetlink:
    """A socket for this process's network namespace, to be closed. Each method raises the OSError
    with which the kernel refuses the request.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.connect(KERNEL)

    def close(self) -> None:
        """Idempotent."""
        self._socket.close()

    def set_link(self, index: int, attributes: Attributes, *, up: bool = False) -> None:
        """Change the interface `index`, which comes `up` or stays as it is."""
        flags = _UP if up else 0
        self._change(_NEW_LINK, _LINK.pack(0, 0, index, flags, flags), attributes)

    def replace_address(
        self, index: int, address: HostAddress, network: IPv4Network | IPv6Network, flags: int = 0
    ) -> None:
        """Give the interface an address of the network; it may have it already. `flags` as
        IFA_F_NODAD.
        """
        attributes: dict[int, int | bytes] = {
            _IFA_LOCAL: address.packed,
            _IFA_ADDRESS: address.packed,
        }
        if isinstance(network, IPv4Network):
            attributes[_IFA_BROADCAST] = network.broadcast_address.packed
        head = _ADDRESS.pack(_family(address), network.prefixlen, flags, 0, index)
        self._change(_NEW_ADDRESS, head, attributes, _CREATE | _REPLACE)

    def add_default_route(self, gateway: HostAddress, index: int) -> None:
        """By the interface `index`."""
        head = _ROUTE.pack(_family(gateway), 0, 0, 0, _MAIN, _STATIC, 0, _UNICAST, 0)
        self._add_route(head, {_RTA_GATEWAY: gateway.packed, _RTA_OIF: index})

    def add_local_route(self, address: HostAddress, index: int, table: int) -> None:
        """Have `table` lead to the interface what is for the address, as if it were its own."""
        length = address.max_prefixlen
        head = _ROUTE.pack(_family(address), length, 0, 0, 0, _STATIC, _HOST, _LOCAL, 0)
        self._add_route(head, {_RTA_DST: address.packed, _RTA_OIF: index, _RTA_TABLE: table})

    def add_rule(self, family: int, priority: int, mark: int, table: int) -> None:
        """Packets with the mark go by the table."""
        head = _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, _TO_TABLE, 0)
        attributes = {_FRA_PRIORITY: priority, _FRA_FWMARK: mark, _FRA_TABLE: table}
        self._change(_NEW_RULE, head, attributes, _CREATE | _EXCLUSIVE)

    def addresses(self, family: int) -> list[tuple[HostAddress, int]]:
        """All, each with the index of its interface."""
        # Of a point-to-point interface of IPv4 the other attribute is the far end's.
        own = _IFA_LOCAL if family == socket.AF_INET else _IFA_ADDRESS
        found = []
        for answer in self._ask(_GET_ADDRESS, _ADDRESS.pack(family, 0, 0, 0, 0), _DUMP):
            *_, index = _ADDRESS.unpack_from(answer, _HEADER.size)
            told = read_attributes(answer, _ADDRESS)
            if own in told:
                found.append((ip_address(told[own]), index))
        return found

    def default_routes(self, family: int) -> list[tuple[HostAddress, int]]:
        """The gateway and the index of the interface of each in the main table that has a gateway
        and an interface.
        """
        found = []
        for answer in self._ask(_GET_ROUTE, _ROUTE.pack(family, *8 * [0]), _DUMP):
            _, length, _, _, table, *_ = _ROUTE.unpack_from(answer, _HEADER.size)
            told = read_attributes(answer, _ROUTE)
            if (length, table) == (0, _MAIN) and told.keys() >= {_RTA_GATEWAY, _RTA_OIF}:
                (index,) = _NUMBER.unpack(told[_RTA_OIF])
                found.append((ip_address(told[_RTA_GATEWAY]), index))
        return found

    def _add_route(self, head: bytes, attributes: Attributes) -> None:
        self._change(_NEW_ROUTE, head, attributes, _CREATE | _EXCLUSIVE)

    def _change(self, kind: int, head: bytes, attributes: Attributes, flags: int = 0) -> None:
        body = head + b"".join(_encode(name, value) for name, value in attributes.items())
        self._ask(kind, body, flags | _ACKNOWLEDGE)

    def _ask(self, kind: int, body: bytes, flags: int) -> list[bytes]:
        """Send it, and have the messages of the answer but for the one that ends it."""
        header = _HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST, 0, 0)
        self._socket.send(header + body)
        answers: list[bytes] = []
        while True:
            for sort, answer in split(self._socket.recv(_LONGEST)):
                if sort in (_ERROR, _DONE):
                    (result,) = _RESULT.unpack_from(answer, _HEADER.size)
                    if result:
                        raise OSError(-result, os.strerror(-result))
                    return answers
                answers.append(answer)


def split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages of a datagram, each with its type; they begin at multiples of four."""
    start = 0
    while start < len(data):
        length, kind, *_ = _HEADER.unpack_from(data, start)
        yield kind, data[start : start + length]
        start += _padded(length)


def read_attributes(message: bytes, head: Struct) -> dict[int, bytes]:
    """The attributes that stand behind the `head` of the message's kind, by their types."""
    found = {}
    start = _HEADER.size + _padded(head.size)
    while start < len(message):
        length, name = _ATTRIBUTE.unpack_from(message, start)
        found[name] = message[start + _ATTRIBUTE.size : start + length]
        start += _padded(length)
    return found


def _encode(name: int, value: int | bytes) -> bytes:
    data = _NUMBER.pack(value) if isinstance(value, int) else value
    length = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(length, name) + data + bytes(_padded(length) - length)


def _padded(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT


def _family(address: HostAddress) -> int:
    return socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6

"""rtnetlink, as far as a guest's interface needs it: a request, and the kernel's answer to it.

pyroute2 encodes and decodes the messages. Its sockets are not used: to import them imports asyncio
and most of the package, which was the longest step of the start of `run`. For the same reason the
package itself is not executed: only the messages are loaded.

Read: netlink(7), rtnetlink(7), linux/fib_rules.h.
"""

import importlib.util
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from struct import Struct
from typing import Protocol

# Of <linux/rtnetlink.h> and <linux/netlink.h>
_NEW_LINK, _NEW_ADDRESS, _GET_ADDRESS, _NEW_ROUTE, _GET_ROUTE, _NEW_RULE = 16, 20, 22, 24, 26, 32
_ERROR, _DONE = 2, 3
_REQUEST, _ACKNOWLEDGE, _DUMP = 0x01, 0x04, 0x300
_REPLACE, _EXCLUSIVE, _CREATE = 0x100, 0x200, 0x400
_HEADER = Struct("=IHHII")  # length, type, flags, sequence number, port
_RESULT = Struct("=i")  # behind it, of an answer: 0 or a negative errno
_LONGEST = 1 << 16  # bytes that the kernel answers at a time, at most

_UP = 1  # IFF_UP of <linux/if.h>
_MAIN = 254  # the table of routes that nobody names
_STATIC = 4  # a route that an administrator made
_UNICAST, _LOCAL = 1, 2  # types of a route
_HOST = 254  # the scope of one to an address of this machine
_TO_TABLE = 1  # what a rule does

Fields = Mapping[str, int]
Attributes = Mapping[str, object]


class _Message(Protocol):
    """What is used of pyroute2's: fields by their names, `attrs` and `header` among them."""

    data: bytes

    def __init__(self, data: bytes = b"") -> None: ...
    def __setitem__(self, name: str, value: object) -> None: ...
    def __getitem__(self, name: str) -> object: ...
    def get_attr(self, name: str) -> object: ...
    def encode(self) -> None: ...
    def decode(self) -> None: ...


class Rtnetlink:
    """A socket for this process's network namespace, to be closed. Each method raises the OSError
    with which the kernel refuses the request.
    """

    def __init__(self) -> None:
        _load_messages_alone()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def close(self) -> None:
        """Idempotent."""
        self._socket.close()

    def set_link(self, index: int, attributes: Attributes, *, up: bool = False) -> None:
        """Change the interface `index`, which comes `up` or stays as it is."""
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

        flags = _UP if up else 0
        fields = {"index": index, "flags": flags, "change": flags}
        self._change(_NEW_LINK, ifinfmsg(), fields, attributes)

    def replace_address(
        self, index: int, family: int, length: int, attributes: Attributes, *, flags: int = 0
    ) -> None:
        """Give the interface an address of a network whose prefix has `length` bits; it may have
        it already. `flags` as IFA_F_NODAD.
        """
        from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

        fields = {"family": family, "prefixlen": length, "flags": flags, "index": index}
        self._change(_NEW_ADDRESS, ifaddrmsg(), fields, attributes, _CREATE | _REPLACE)

    def add_default_route(self, family: int, gateway: str, index: int) -> None:
        """By the interface `index`."""
        fields = {"family": family, "table": _MAIN, "type": _UNICAST}
        self._add_route(fields, {"RTA_GATEWAY": gateway, "RTA_OIF": index})

    def add_local_route(self, address: IPv4Address, index: int, table: int) -> None:
        """Have `table` lead to the interface what is for the address, as if it were its own."""
        fields = {
            "family": socket.AF_INET,
            "dst_len": address.max_prefixlen,
            "type": _LOCAL,
            "scope": _HOST,
        }
        self._add_route(fields, {"RTA_DST": str(address), "RTA_OIF": index, "RTA_TABLE": table})

    def add_rule(self, family: int, priority: int, mark: int, table: int) -> None:
        """Packets with the mark go by the table."""
        from pyroute2.netlink.rtnl.fibmsg import fibmsg

        fields = {"family": family, "action": _TO_TABLE}
        attributes = {"FRA_PRIORITY": priority, "FRA_FWMARK": mark, "FRA_TABLE": table}
        self._change(_NEW_RULE, fibmsg(), fields, attributes, _CREATE | _EXCLUSIVE)

    def addresses(self, family: int) -> list[tuple[object, object]]:
        """All, each with the index of its interface."""
        from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

        # Of a point-to-point interface of IPv4 the other attribute is the far end's.
        name = "IFA_LOCAL" if family == socket.AF_INET else "IFA_ADDRESS"
        found = self._dump(_GET_ADDRESS, ifaddrmsg, family)
        return [(message.get_attr(name), message["index"]) for message in found]

    def default_routes(self, family: int) -> list[tuple[object, object]]:
        """The gateway and the index of the interface of each in the main table."""
        from pyroute2.netlink.rtnl.rtmsg import rtmsg

        return [
            (message.get_attr("RTA_GATEWAY"), message.get_attr("RTA_OIF"))
            for message in self._dump(_GET_ROUTE, rtmsg, family)
            if (message["dst_len"], message.get_attr("RTA_TABLE")) == (0, _MAIN)
        ]

    def _add_route(self, fields: Fields, attributes: Attributes) -> None:
        from pyroute2.netlink.rtnl.rtmsg import rtmsg

        fields = {**fields, "proto": _STATIC}
        self._change(_NEW_ROUTE, rtmsg(), fields, attributes, _CREATE | _EXCLUSIVE)

    def _change(
        self, kind: int, message: _Message, fields: Fields, attributes: Attributes, flags: int = 0
    ) -> None:
        for name, value in fields.items():
            message[name] = value
        message["attrs"] = list(attributes.items())
        self._ask(kind, message, flags | _ACKNOWLEDGE)

    def _dump(self, kind: int, message_class: type[_Message], family: int) -> list[_Message]:
        question = message_class()
        question["family"] = family
        answers = [message_class(answer) for answer in self._ask(kind, question, _DUMP)]
        for answer in answers:
            answer.decode()
        return answers

    def _ask(self, kind: int, message: _Message, flags: int) -> list[bytes]:
        """Send it, and have the messages of the answer but for the one that ends it."""
        header = {"type": kind, "flags": flags | _REQUEST, "sequence_number": 0, "pid": 0}
        message["header"] = header
        message.encode()
        self._socket.send(message.data)
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
        start += -(-length // 4) * 4


def _load_messages_alone() -> None:
    if "pyroute2" not in sys.modules:
        spec = importlib.util.find_spec("pyroute2")
        assert spec is not None, "pyroute2 is a dependency of this package"
        sys.modules["pyroute2"] = importlib.util.module_from_spec(spec)

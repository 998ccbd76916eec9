"""Which ports of a network namespace are listened on, as the kernel tells by sock_diag.

The netlink socket that asks was made in that namespace, and is answered about it wherever it is
read. A dump of the sockets in one state looks at no others: it takes microseconds however many
connections there are, where /proc/net/tcp takes milliseconds. The kernel makes the first part of
an answer within send(2) and each further one within recv(2), so nothing here waits. A guest may
have hundreds of thousands of sockets: no more than some pieces are read at a time, the rest of them
the next time, and of very many sockets the first ones count.

TCP ports that are listened on are those of sockets in LISTEN. UDP has no such state: a server's
socket is bound and not connected, which is CLOSE to the kernel. So is the socket of many a client,
for as long as it waits for an answer, and then its port is one of those that the kernel gives away:
UDP ports of that range are left out.

Read: sock_diag(7), netlink(7); ip(7), ip_local_port_range; linux/net/tcp_states.h.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import Struct

from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Protocol
from rootlessnet.words import HostAddress

PROTOCOL = 4  # NETLINK_SOCK_DIAG, of such a socket

_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_LISTEN, _CLOSE = 1 << 10, 1 << 7
_BUFFER_SIZE = 1 << 16  # the kernel's pieces have at most half of it
_PIECES = 16  # read at a time: about 5,000 sockets
_KEPT = 1 << 18  # bytes of an answer that count: about 2,500 sockets

_MESSAGE = Struct("=IHHII")  # struct nlmsghdr
_REQUEST = Struct("=BBBxI48x")  # struct inet_diag_req_v2
# struct inet_diag_msg: family, state, (timer, retransmits,) source port and address, owner, inode
_ENTRY = Struct("=BBxx2s2x16s44xI")
_ERROR = Struct("=i")
_ALIGNMENT = 4

_PROTOCOLS: dict[Protocol, tuple[int, int]] = {
    "tcp": (socket.IPPROTO_TCP, _LISTEN),
    "udp": (socket.IPPROTO_UDP, _CLOSE),
}
_QUESTIONS = [
    (protocol, family) for protocol in _PROTOCOLS for family in (socket.AF_INET, socket.AF_INET6)
]


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A port that is listened on; `is_loopback`: by nobody but on 127.0.0.1 or ::1."""

    protocol: Protocol
    number: int
    is_loopback: bool


class ListeningPorts:
    """The ports of a namespace that are listened on."""

    def __init__(self, asking: socket.socket, ephemeral: range, own: frozenset[int]) -> None:
        """`asking` was made in the namespace, and is its user's to close; `ephemeral` are the ports
        that the kernel gives away there, `own` the inodes of sockets that do not count.
        """
        self._asking = asking
        self._ephemeral = ephemeral
        self._own = own
        self._told: list[bytes] = []  # the answers that were read last
        self._answers: list[bytes] = []  # those to the first questions, which were asked anew
        self._answer: bytearray | None = None  # what there is of the one that is being read
        self._buffer = memoryview(bytearray(_BUFFER_SIZE))

    def read(self) -> frozenset[Port] | None:
        """All of them; None when they are what they were, or so many that more calls are needed.

        Raises RootlessnetError, OSError.
        """
        for _ in range(_PIECES):
            protocol, family = _QUESTIONS[len(self._answers)]
            if self._answer is None:
                self._ask(protocol, family)
                self._answer = bytearray()
            if not self._hear(protocol, self._answer):
                continue
            self._answers.append(bytes(self._answer))
            self._answer = None
            if len(self._answers) == len(_QUESTIONS):
                return self._compare()
        return None

    def _compare(self) -> frozenset[Port] | None:
        """The ports, if they are not what they were."""
        before, self._told, self._answers = self._told, self._answers, []
        if before == self._told:
            return None
        found: dict[tuple[Protocol, int], bool] = {}
        for (protocol, _), answer in zip(_QUESTIONS, self._told, strict=True):
            for port, address, inode in _entries(answer):
                if self._counts(protocol, port, address, inode):
                    key = (protocol, port)
                    found[key] = found.get(key, True) and _is_loopback(address)
        return frozenset(Port(*key, is_loopback) for key, is_loopback in found.items())

    def _counts(self, protocol: Protocol, port: int, address: HostAddress, inode: int) -> bool:
        """Whether it is a server's, whom a client could reach."""
        if inode in self._own or not port or address.is_multicast:
            return False
        return protocol == "tcp" or port not in self._ephemeral

    def _ask(self, protocol: Protocol, family: int) -> None:
        """Ask for the sockets of a protocol and a family. Raises OSError."""
        number, states = _PROTOCOLS[protocol]
        request = _REQUEST.pack(family, number, 0, states)
        head = _MESSAGE.pack(
            _MESSAGE.size + len(request),
            _SOCK_DIAG_BY_FAMILY,
            _NLM_F_REQUEST | _NLM_F_DUMP,
            0,
            0,
        )
        self._asking.send(head + request)

    def _hear(self, protocol: Protocol, answer: bytearray) -> bool:
        """Add a piece to the answer, as far as it counts; whether it was the last. Raises
        RootlessnetError, OSError.
        """
        size = self._asking.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
        piece = bytes(self._buffer[:size])
        if len(answer) < _KEPT:
            answer += piece
        for kind, body in _messages(piece):
            if kind in (_NLMSG_ERROR, _NLMSG_DONE):  # either tells how the dump ended
                (error,) = _ERROR.unpack_from(body)
                if error:
                    raise _refused(protocol, -error)
                return True
        return False


def _messages(piece: bytes) -> Iterator[tuple[int, bytes]]:
    """The kind and the body of each message of a datagram."""
    offset = 0
    while offset + _MESSAGE.size <= len(piece):
        length, kind, *_ = _MESSAGE.unpack_from(piece, offset)
        yield kind, piece[offset + _MESSAGE.size : offset + length]
        offset += max(length, _MESSAGE.size) + -length % _ALIGNMENT


def _entries(answer: bytes) -> Iterator[tuple[int, HostAddress, int]]:
    """The port, the address and the inode of each socket."""
    for kind, body in _messages(answer):
        if kind != _SOCK_DIAG_BY_FAMILY:
            continue
        family, _, port, packed, inode = _ENTRY.unpack_from(body)
        address: HostAddress = IPv6Address(packed)
        if family == socket.AF_INET:
            address = IPv4Address(packed[:4])
        yield int.from_bytes(port, "big"), address, inode


def _is_loopback(address: HostAddress) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _refused(protocol: Protocol, number: int) -> RootlessnetError:
    return RootlessnetError(
        f"the kernel does not tell which {protocol.upper()} ports the guest listens on "
        f"({os.strerror(number)}): have root run modprobe {protocol}_diag, or publish each with -p"
    )

"""What the stack asks of the host, and what the host tells the stack: the injected interfaces.

`rootlessnet.host` implements them on sockets; tests implement them on lists.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from rootlessnet.tcp.connection import Connection
from rootlessnet.tcp.interface import User
from rootlessnet.wire.families import Family

SocketAddress = tuple[str, int]  # an IP address as text, and a port
Payload = bytes | bytearray | memoryview
# What becomes of a datagram larger than the path's MTU, in the words and numbers of ip(7).
PMTU_DONT = 0  # fragments; it never carries DF
PMTU_WANT = 1  # fragments; DF is for what fits
PMTU_DO = 2  # it is not sent, its sender is to hear of it
UNSPECIFIED = "0.0.0.0"  # as an offender: this host itself


class Device(Protocol):
    """The guest's link."""

    def write(self, header: bytes | bytearray, payload: Payload) -> None:
        """Send one frame, in two parts. Both buffers may be reused on return. Never raises."""


class OutboundFlow(Protocol):
    """A connection the guest opens, as the host's side of it sees it."""

    connection: Connection

    def connect_failed(self, error: int) -> None:
        """The host's connect ended with this errno."""


class HostDns(User, Protocol):
    """Who answers the guest's DNS queries on one connection, as if it were their far end."""

    def join(self, connection: Connection) -> None:
        """The guest's half, which is accepted at once."""


class HostTcp(User, Protocol):
    """A host socket that is or becomes the far half of a connection."""

    def connect(self, flow: OutboundFlow, targets: Sequence[SocketAddress]) -> None:
        """Connect to the first target that accepts, then `Connection.accept`."""


class Receiver(Protocol):
    """Who gets what a host datagram socket receives."""

    def received(
        self, payload: memoryview, remote: SocketAddress, segment: int, now: float
    ) -> None:
        """A datagram; several of `segment` bytes each (the last maybe less) if not 0."""

    def failed(
        self, payload: bytes, remote: SocketAddress, kind: int, code: int, offender: str, info: int
    ) -> None:
        """An ICMP error came from `offender` about a datagram to `remote` that began with
        `payload`. `kind` and `code` are those of the family of `remote`; `info` is the MTU of the
        next hop or the octet at fault, if it tells of one.
        """

    def refused(self, payload: Payload, remote: SocketAddress, error: int) -> None:
        """The host's kernel did not send this datagram, for this errno."""


class HostDatagram(Protocol):
    """A host datagram socket. Never raises: a datagram that cannot be sent is lost."""

    def send(
        self,
        payload: Payload,
        remote: SocketAddress,
        segment: int,
        hop_limit: int,
        discovery: int,
    ) -> None:
        """Send a datagram, or several of `segment` bytes each if that is not 0. `discovery` is one
        of PMTU_...; `Receiver.failed` hears of what PMTU_DO stops. `hop_limit` counts as 1 if it is
        less.
        """

    def close(self) -> None:
        """Give the socket back."""


class Host(Protocol):
    """The host's actions."""

    def capacity(self) -> int:
        """How many sockets it may have open at a time: each table of flows takes a share, so that
        one that is full leaves the others theirs.
        """

    def tcp_sockets(self) -> int:
        """How many TCP sockets are open, those of connections that have ended for the guest too."""

    def full(self, bound: str) -> None:
        """A table of flows is full: the one with this bound's name in `Bounds`."""

    def open_tcp(self) -> HostTcp:
        """A TCP socket that is not connected yet."""

    def open_udp(self, receiver: Receiver, family: Family) -> HostDatagram:
        """A UDP socket on a port of the host's choice. Raises OSError."""

    def open_echo(self, receiver: Receiver, family: Family) -> HostDatagram:
        """A ping socket: ICMP messages with an identifier of its own. Raises OSError."""

    def resolve(self, query: bytes, answer: Callable[[bytes], None]) -> None:
        """A DNS query of the guest's over UDP; `answer` is called at most once."""

    def open_dns(self) -> HostDns:
        """The same for a connection of the guest's."""

    def search_domains(self) -> Sequence[str]:
        """The domains in which the host looks for names that have no dot, in this order."""

"""The nameservers: in which order they are asked, and which of them are dead.

One that stays silent while others may answer is asked last for half a minute. Then it is tried by
a copy of somebody's query, which waits for it no longer than for any other: a dead nameserver
costs time once. Read: resolv.conf(5) on the order, RFC 1035 7.2.
"""

from collections.abc import Iterable

from rootlessnet.stack.host import SocketAddress

RETRY = 30.0  # seconds until a dead one is tried again


class Nameserver:
    """One of them. Times are the reactor's, in seconds."""

    __slots__ = ("_heard", "address", "retry")

    def __init__(self, address: SocketAddress) -> None:
        self.address = address
        self.retry: float | None = None  # when a dead one is tried again
        self._heard = 0.0

    def answered(self, now: float) -> None:
        """It lives, whatever it said."""
        self._heard = now
        self.retry = None

    def failed(self, now: float) -> None:
        """Nobody is there."""
        self.retry = now + RETRY

    def silent(self, since: float, now: float) -> None:
        """It has left a query of that time unanswered, and is dead unless it answered another."""
        if self._heard < since:
            self.failed(now)


class Nameservers:
    """All of them."""

    def __init__(self, addresses: Iterable[SocketAddress] = ()) -> None:
        self.replace(addresses)

    def replace(self, addresses: Iterable[SocketAddress]) -> None:
        """Others are to be asked from now on; each address counts once."""
        self._servers = [Nameserver(address) for address in dict.fromkeys(addresses)]

    def in_order(self) -> list[Nameserver]:
        """Those to ask, one after the other: as they were given, but the dead last."""
        return sorted(self._servers, key=lambda server: server.retry is not None)

    def to_try(self, now: float) -> list[Nameserver]:
        """The dead ones whose turn to be tried again has come; the next is half a minute later.

        None while all are dead: then each query is a try.
        """
        if all(server.retry is not None for server in self._servers):
            return []
        due = [server for server in self._servers if server.retry and server.retry <= now]
        for server in due:
            server.failed(now)
        return due

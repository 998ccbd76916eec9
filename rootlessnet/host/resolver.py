"""The DNS forwarder: the guest's queries over UDP to the host's nameservers, one after the other.

Each try has a connected socket of its own, so its port is random and only the nameserver can
answer, and an identifier of its own. A nameserver that refuses, fails or stays silent gives way to
the next, and the one that answered last is asked first. When all have failed the guest is told so
(SERVFAIL) instead of being left to its own time-outs. Read: RFC 1035 4.1.1, RFC 5452,
resolv.conf(5).
"""

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence

from rootlessnet import limits
from rootlessnet.host.reactor import LEVEL, Reactor
from rootlessnet.stack.host import SocketAddress

MAX_QUERIES = 512  # in flight, and at most a sixteenth of the descriptors; then the oldest goes
_PATIENCE = 2.0  # seconds; two tries fit into the five that a stub resolver waits
_LARGEST = 65535
_HEADER_SIZE = 12
_SERVFAIL, _NOTIMP, _REFUSED = 2, 4, 5  # RFC 1035 4.1.1
_IS_ANSWER, _RECURSION_AVAILABLE = 0x80, 0x80


class Resolver:
    """Forwards queries. `servers` is not empty."""

    def __init__(self, reactor: Reactor, servers: Sequence[SocketAddress]) -> None:
        self.reactor = reactor
        self._servers = list(servers)
        self._queries: dict[Query, None] = {}  # oldest first
        self._share = max(limits.descriptor_limit() // 16, 1)

    def nameservers(self) -> Sequence[SocketAddress]:
        """The nameservers, the one that answered last first."""
        return tuple(self._servers)

    def resolve(self, query: bytes, answer: Callable[[bytes], None]) -> None:
        """Forward a query; `answer` gets the message for the guest, once or never."""
        if len(query) < _HEADER_SIZE or query[2] & _IS_ANSWER:
            return
        if len(self._queries) >= min(MAX_QUERIES, self._share):
            next(iter(self._queries)).close()
        pending = Query(self, query, answer)
        self._queries[pending] = None
        pending.ask_next()

    def close(self) -> None:
        """Give up every query."""
        for query in list(self._queries):
            query.close()

    def prefer(self, server: SocketAddress) -> None:
        """Ask this nameserver first from now on."""
        if self._servers[0] != server:
            self._servers.remove(server)
            self._servers.insert(0, server)

    def ended(self, query: "Query") -> None:
        """A query has its answer, or never will."""
        self._queries.pop(query, None)


class Query:
    """One query of the guest's and the nameserver that is being asked."""

    def __init__(self, resolver: Resolver, query: bytes, answer: Callable[[bytes], None]) -> None:
        self._resolver = resolver
        self._reactor = resolver.reactor
        self._query = query
        self._answer = answer
        self._servers = list(resolver.nameservers())
        self._server = self._servers[0]
        self._identifier = b""
        self._socket: socket.socket | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._failure = b""  # what a nameserver said that could not help

    def ask_next(self) -> None:
        """Ask the next nameserver, or tell the guest that there is none left."""
        self._hang_up()
        while self._servers:
            self._server = self._servers.pop(0)
            family = socket.AF_INET6 if ":" in self._server[0] else socket.AF_INET
            try:
                asking = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            except OSError:
                break
            self._identifier = secrets.token_bytes(2)
            try:
                asking.connect(self._server)
                asking.send(self._identifier + self._query[2:])
            except OSError:
                asking.close()
                continue
            self._socket = asking
            self._reactor.add(asking.fileno(), LEVEL, self._ready)
            self._patience = self._reactor.after(_PATIENCE, self.ask_next)
            return
        self._finish(self._failure or self._servfail())

    def close(self) -> None:
        """Give up without an answer."""
        self._hang_up()
        self._resolver.ended(self)

    def _ready(self, _events: int) -> None:
        if self._socket is None:
            return
        try:
            message = self._socket.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError:  # nobody listens there
            self.ask_next()
            return
        is_answer = len(message) >= _HEADER_SIZE and message[2] & _IS_ANSWER
        if not is_answer or message[:2] != self._identifier:
            return  # not an answer to this: forged, or from another time
        message = self._query[:2] + message[2:]
        if message[3] & 0x0F in (_SERVFAIL, _NOTIMP, _REFUSED):
            self._failure = message
            self.ask_next()
        else:
            self._resolver.prefer(self._server)
            self._finish(message)

    def _finish(self, message: bytes) -> None:
        self.close()
        self._answer(message)

    def _servfail(self) -> bytes:
        """The query as an answer that says: server failure."""
        flags = bytes((self._query[2] | _IS_ANSWER, _RECURSION_AVAILABLE | _SERVFAIL))
        return self._query[:2] + flags + self._query[4:]

    def _hang_up(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._socket is not None:
            self._reactor.remove(self._socket.fileno())
            self._socket.close()
            self._socket = None

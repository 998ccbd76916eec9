"""One query on its way through the nameservers, and the socket on which one of them is asked.

Each attempt has a connected socket of its own, so its port is random and only the nameserver can
answer, and an identifier of its own. One that refuses, fails or stays silent gives way to the next.
When all have failed the guest is told so (SERVFAIL) instead of being left to its own time-outs.

Read: RFC 1035 4.2, RFC 5452, RFC 7766 8, resolver(3).
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Protocol

from rootlessnet import limits
from rootlessnet.host.dns.nameservers import Nameserver
from rootlessnet.host.reactor import EDGE, LEVEL, Reactor
from rootlessnet.stack.host import SocketAddress
from rootlessnet.wire import dns
from rootlessnet.wire.dns import Query

_PATIENCE = 2.0  # seconds until the next is asked
_STUB_PATIENCE = 4.5  # seconds for all of them: a stub resolver waits for five
_LARGEST = 65535
_LENGTH = 2  # bytes before each message on a stream
NO_HELP = (dns.SERVFAIL, dns.NOTIMP, dns.REFUSED)


class Asker(Protocol):
    """Who hears of an attempt, until it is closed."""

    def received(self, message: bytes) -> bool:
        """A message came; False: it is not an answer."""

    def refused(self, *, is_dead: bool) -> None:
        """The nameserver takes no query, or no more."""


class DatagramAttempt:
    """A query over UDP."""

    def __init__(
        self, reactor: Reactor, server: SocketAddress, message: bytes, asker: Asker
    ) -> None:
        """Raises OSError when it cannot be sent."""
        self._reactor = reactor
        self._asker = asker
        self._socket = socket.socket(_family(server), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.connect(server)
            self._socket.send(message)
        except OSError:
            self._socket.close()
            raise
        reactor.add(self._socket.fileno(), LEVEL, self._ready)

    def close(self) -> None:
        self._reactor.remove(self._socket.fileno())
        self._socket.close()

    def _ready(self, _events: int) -> None:
        try:
            message = self._socket.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError:  # nobody listens there
            self._asker.refused(is_dead=True)
            return
        self._asker.received(message)  # if it is forged, or from another time, the true one follows


class StreamAttempt:
    """A query over TCP, on a connection of its own."""

    def __init__(
        self, reactor: Reactor, server: SocketAddress, message: bytes, asker: Asker
    ) -> None:
        """Raises OSError when no connection can be begun."""
        self._reactor = reactor
        self._asker = asker
        self._unsent = len(message).to_bytes(_LENGTH, "big") + message
        self._text = bytearray()
        self._socket = socket.socket(_family(server), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            error = self._socket.connect_ex(server)
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, os.strerror(error))
        except OSError:
            self._socket.close()
            raise
        reactor.add(self._socket.fileno(), EDGE, self._ready)

    def close(self) -> None:
        self._reactor.remove(self._socket.fileno())
        self._socket.close()

    def _ready(self, _events: int) -> None:
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            while len(self._text) < self._wanted():
                data = self._socket.recv(_LARGEST)
                if not data:
                    break
                self._text += data
        except BlockingIOError:
            return
        except OSError:  # it may serve others over UDP all the same
            self._asker.refused(is_dead=False)
            return
        message = bytes(self._text[_LENGTH : self._wanted()])
        whole = len(self._text) >= self._wanted()
        if not whole or not self._asker.received(message):
            self._asker.refused(is_dead=False)

    def _wanted(self) -> int:
        """How many bytes must have come before it can go on."""
        if len(self._text) < _LENGTH:
            return _LENGTH
        return _LENGTH + int.from_bytes(self._text[:_LENGTH], "big")


Attempt = DatagramAttempt | StreamAttempt
Transport = type[DatagramAttempt] | type[StreamAttempt]


class Exchange:
    """One query, and the nameserver that is being asked."""

    def __init__(
        self,
        reactor: Reactor,
        query: Query,
        servers: list[Nameserver],
        transport: Transport,
        ended: Callable[["Exchange", bytes], None],
    ) -> None:
        """`begin` asks the first of `servers`; `ended` has the answer, once, until it is closed."""
        self._reactor = reactor
        self._query = query
        self._servers = servers  # those left to ask
        self._transport = transport
        self._ended = ended
        self._server: Nameserver | None = None
        self._identifier = b""
        self._attempt: Attempt | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._failure = b""  # what a nameserver said that could not help
        self._began = self._asked = 0.0

    def begin(self) -> None:
        """Ask the first nameserver."""
        self._began = self._reactor.now
        self._ask_next()

    def close(self) -> None:
        """Give up, without an answer."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._attempt is not None:
            self._attempt.close()
            self._attempt = None

    def received(self, message: bytes) -> bool:
        if not dns.is_answer(message, self._identifier, self._query):
            return False
        if self._server is not None:
            self._server.answered(self._reactor.now)
        message = self._query.message[:2] + message[2:]
        if dns.code_of(message) in NO_HELP:
            self._failure = message
            self._ask_next()
        else:
            self._end(message)
        return True

    def refused(self, *, is_dead: bool) -> None:
        if is_dead and self._server is not None:
            self._server.failed(self._reactor.now)
        self._ask_next()

    def _ask_next(self) -> None:
        self.close()
        while self._servers:
            server = self._servers.pop(0)
            self._identifier = os.urandom(2)
            message = self._identifier + self._query.message[2:]
            try:
                self._attempt = self._transport(self._reactor, server.address, message, self)
            except OSError as error:
                if error.errno in limits.DESCRIPTORS_USED_UP:
                    break
                server.failed(self._reactor.now)
                continue
            self._server, self._asked = server, self._reactor.now
            self._patience = self._reactor.after(self._pause(), self._lose_patience)
            return
        self._end(self._failure or dns.failure(self._query, dns.SERVFAIL))

    def _pause(self) -> float:
        """Seconds that this nameserver has: the last one has what is left."""
        if self._servers:
            return _PATIENCE
        return max(_PATIENCE, self._began + _STUB_PATIENCE - self._asked)

    def _lose_patience(self) -> None:
        if self._server is not None:
            self._server.silent(self._asked, self._reactor.now)
        self._ask_next()

    def _end(self, message: bytes) -> None:
        self.close()
        self._ended(self, message)


def _family(server: SocketAddress) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server[0] else socket.AF_INET

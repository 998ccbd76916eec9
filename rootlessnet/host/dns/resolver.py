"""The guest's queries: judged, answered from our own names, or asked of the nameservers.

So many at a time are in flight, each on a socket of the host's; more wait their turn, a second or
two while thousands come at once. One that has waited longer than its stub resolver does is told
so, and at the bound the oldest is: a program that floods its DNS address harms no one outside.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from rootlessnet import limits
from rootlessnet.host.dns.exchange import DatagramAttempt, Exchange, StreamAttempt, Transport
from rootlessnet.host.dns.nameservers import Nameservers
from rootlessnet.host.dns.own_names import OwnNames
from rootlessnet.host.dns.stream import DnsStream
from rootlessnet.host.reactor import Reactor
from rootlessnet.wire import MalformedError, dns
from rootlessnet.wire.dns import Query

MAX_QUERIES = 512  # in flight, and at most a sixteenth of the descriptors; more wait
MAX_WAITING = 4096
MAX_CONNECTIONS = 256  # of the guest's; then the one that was silent for longest is reset
LARGEST_QUERY = 4096  # bytes; what programs send has a few hundred
_WORTH_ASKING = 5.0  # seconds that a stub resolver waits for an answer
_TRANSFERS = (dns.AXFR, dns.IXFR)  # many messages, and none of a resolver's business


class _Waiting(NamedTuple):
    query: Query
    transport: Transport
    answer: Callable[[bytes], None]
    since: float


class Resolver:
    """Answers queries. `nameservers` may change at any time, and be none."""

    def __init__(self, reactor: Reactor, nameservers: Nameservers, names: OwnNames) -> None:
        self._reactor = reactor
        self._nameservers = nameservers
        self._names = names
        self._exchanges: dict[Exchange, Callable[[bytes], None]] = {}
        self._waiting: deque[_Waiting] = deque()  # oldest first
        self._streams: dict[DnsStream, None] = {}  # longest silent first
        self._most = min(MAX_QUERIES, max(limits.descriptor_limit() // 16, 1))

    def resolve(self, message: bytes, answer: Callable[[bytes], None]) -> None:
        """A datagram of the guest's; `answer` gets the one for the guest, once or never."""
        try:
            query = dns.parse_query(message)
        except MalformedError:
            if dns.is_query(message):
                answer(dns.format_error(message))
            return
        self._ask(query, DatagramAttempt, lambda reply: answer(dns.fitting(reply, query)))

    def resolve_by_stream(self, message: bytes, answer: Callable[[bytes], None]) -> None:
        """The same of a message on a connection of the guest's, whose answer may be of any size.

        Raises MalformedError for what is no query, and gets no answer.
        """
        try:
            query = dns.parse_query(message)
        except MalformedError:
            if not dns.is_query(message):
                raise
            answer(dns.format_error(message))
            return
        self._ask(query, StreamAttempt, answer)

    def open_stream(self) -> DnsStream:
        """A connection of the guest's to its DNS address."""
        if len(self._streams) >= MAX_CONNECTIONS:
            next(iter(self._streams)).reset()
        stream = DnsStream(self._reactor, self)
        self._streams[stream] = None
        return stream

    def heard(self, stream: DnsStream) -> None:
        """The guest has said something on this connection."""
        self._streams.pop(stream)
        self._streams[stream] = None

    def closed(self, stream: DnsStream) -> None:
        """A connection of the guest's has ended."""
        self._streams.pop(stream, None)

    def close(self) -> None:
        """Give up every query."""
        self._waiting.clear()
        for exchange in self._exchanges:
            exchange.close()
        self._exchanges.clear()

    def _ask(self, query: Query, transport: Transport, answer: Callable[[bytes], None]) -> None:
        if len(query.message) > LARGEST_QUERY:
            answer(dns.failure(query, dns.FORMERR))
        elif query.kind in _TRANSFERS:
            answer(dns.failure(query, dns.REFUSED))
        elif (own := self._names.answer(query)) is not None:
            answer(own)
        elif len(self._exchanges) < self._most:
            self._begin(query, transport, answer)
        else:
            if len(self._waiting) >= MAX_WAITING:
                _give_up(self._waiting.popleft())
            self._waiting.append(_Waiting(query, transport, answer, self._reactor.now))

    def _begin(self, query: Query, transport: Transport, answer: Callable[[bytes], None]) -> None:
        for server in self._nameservers.to_try(self._reactor.now):
            self._exchange(Exchange(self._reactor, query, [server], transport, self._end), _ignore)
        servers = self._nameservers.in_order()
        self._exchange(Exchange(self._reactor, query, servers, transport, self._end), answer)

    def _exchange(self, exchange: Exchange, answer: Callable[[bytes], None]) -> None:
        self._exchanges[exchange] = answer
        exchange.begin()

    def _end(self, exchange: Exchange, message: bytes) -> None:
        self._exchanges.pop(exchange)(message)
        if self._waiting:
            self._reactor.defer(self._go_on)

    def _go_on(self) -> None:
        while self._waiting and len(self._exchanges) < self._most:
            waiting = self._waiting.popleft()
            if self._reactor.now - waiting.since > _WORTH_ASKING:
                _give_up(waiting)
            else:
                self._begin(waiting.query, waiting.transport, waiting.answer)


def _give_up(waiting: _Waiting) -> None:
    waiting.answer(dns.failure(waiting.query, dns.SERVFAIL))


def _ignore(_message: bytes) -> None:
    pass

"""The guest's queries: judged, answered from our own names, or asked of the nameservers."""

from collections.abc import Callable

from rootlessnet import limits
from rootlessnet.bounds import DEFAULTS, Bounds
from rootlessnet.host.dns.exchange import DatagramAttempt, StreamAttempt
from rootlessnet.host.dns.lane import Lane
from rootlessnet.host.dns.nameservers import Nameservers
from rootlessnet.host.dns.own_names import OwnNames
from rootlessnet.host.dns.stream import DnsStream
from rootlessnet.host.faults import names_unresolved
from rootlessnet.host.reactor import Reactor
from rootlessnet.log import Log
from rootlessnet.wire import MalformedError, dns
from rootlessnet.wire.dns import Query

HELPLESS = 3  # queries in a row that are told: any one may be about a name that is broken itself
LARGEST_QUERY = 4096  # bytes; what programs send has a few hundred

_TRANSFERS = (dns.AXFR, dns.IXFR)  # many messages, and none of a resolver's business


class Resolver:
    """Answers queries. `nameservers` may change at any time, and be none."""

    def __init__(
        self,
        reactor: Reactor,
        nameservers: Nameservers,
        names: OwnNames,
        bounds: Bounds = DEFAULTS,
        log: Log | None = None,
    ) -> None:
        """Queries of either transport have a sixteenth of the descriptors at most. More wait."""
        self._reactor = reactor
        self._names = names
        share = max(limits.descriptor_limit() // 16, 1)
        self._log = log or Log()
        self._helpless = 0  # queries in a row with which no nameserver helped
        most, connected = min(bounds.dns_queries, share), min(bounds.dns_tcp_queries, share)
        self._datagrams = Lane(reactor, nameservers, DatagramAttempt, most, self._heard)
        self._connections = Lane(reactor, nameservers, StreamAttempt, connected, self._heard)
        self._most_streams = bounds.dns_connections
        self._streams: dict[DnsStream, None] = {}  # longest silent first

    def resolve(self, message: bytes, answer: Callable[[bytes], None]) -> None:
        """A datagram of the guest's; `answer` gets the one for the guest, once or never."""
        try:
            query = dns.parse_query(message)
        except MalformedError:
            if dns.is_query(message):
                answer(dns.format_error(message))
            return
        self._ask(query, self._datagrams, lambda reply: answer(dns.fitting(reply, query)))

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
        self._ask(query, self._connections, answer)

    def _heard(self, *, helped: bool) -> None:
        """The nameservers are done with a query."""
        self._helpless = 0 if helped else self._helpless + 1
        if self._helpless >= HELPLESS:
            names_unresolved(self._log)

    def open_stream(self) -> DnsStream:
        """A connection of the guest's to its DNS address. At the bound the one that was silent for
        longest is reset.
        """
        if len(self._streams) >= self._most_streams:
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
        self._datagrams.close()
        self._connections.close()

    def _ask(self, query: Query, lane: Lane, answer: Callable[[bytes], None]) -> None:
        if len(query.message) > LARGEST_QUERY:
            answer(dns.failure(query, dns.FORMERR))
        elif query.kind in _TRANSFERS:
            answer(dns.failure(query, dns.REFUSED))
        elif (own := self._names.answer(query)) is not None:
            answer(own)
        else:
            lane.ask(query, answer)

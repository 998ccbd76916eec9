"""The queries that go by one transport: so many at a time, and more wait their turn.

A second or two pass where thousands come at once. What has waited longer than its stub resolver
does is told so instead of being asked, and at the bound the one that waits for longest is: a
program that floods its DNS address harms no one outside, and nobody for long inside.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from rootlessnet.host.dns.exchange import NO_HELP, Exchange, Transport
from rootlessnet.host.dns.nameservers import Nameservers
from rootlessnet.host.reactor import Reactor
from rootlessnet.wire import dns
from rootlessnet.wire.dns import Query

MAX_WAITING = 4096

_WORTH_ASKING = 5.0  # seconds that a stub resolver waits for an answer


class Heard(Protocol):
    """Who hears how each query of the guest's ended."""

    def __call__(self, *, helped: bool) -> None:
        """Whether a nameserver helped."""


class _Waiting(NamedTuple):
    query: Query
    answer: Callable[[bytes], None]
    since: float


class Lane:
    """Asks the nameservers by one transport."""

    def __init__(
        self,
        reactor: Reactor,
        nameservers: Nameservers,
        transport: Transport,
        most: int,
        heard: Heard,
    ) -> None:
        """At most `most` queries are in flight."""
        self._reactor = reactor
        self._nameservers = nameservers
        self._transport = transport
        self._most = most
        self._heard = heard
        self._exchanges: dict[Exchange, Callable[[bytes], None]] = {}
        self._waiting: deque[_Waiting] = deque()  # oldest first

    def ask(self, query: Query, answer: Callable[[bytes], None]) -> None:
        """Ask now or later; `answer` is called once, until the lane is closed."""
        if len(self._exchanges) < self._most and not self._waiting:
            self._begin(query, answer)
            return
        if len(self._waiting) >= MAX_WAITING:
            _give_up(self._waiting.popleft())
        self._waiting.append(_Waiting(query, answer, self._reactor.now))

    def close(self) -> None:
        """Give up every query."""
        self._waiting.clear()
        for exchange in self._exchanges:
            exchange.close()
        self._exchanges.clear()

    def _begin(self, query: Query, answer: Callable[[bytes], None]) -> None:
        for server in self._nameservers.to_try(self._reactor.now):
            self._exchange(Exchange(self._reactor, query, [server], self._transport, self._ended))
        servers = self._nameservers.in_order()
        if len(servers) == 1:  # nobody else can make up for a datagram that was lost
            servers *= 2
        self._exchange(
            Exchange(self._reactor, query, servers, self._transport, self._ended), answer
        )

    def _exchange(self, exchange: Exchange, answer: Callable[[bytes], None] | None = None) -> None:
        self._exchanges[exchange] = answer or _ignore
        exchange.begin()

    def _ended(self, exchange: Exchange, message: bytes) -> None:
        answer = self._exchanges.pop(exchange)
        if answer is not _ignore:
            self._heard(helped=dns.code_of(message) not in NO_HELP)
        answer(message)
        if self._waiting:
            self._reactor.defer(self._go_on)

    def _go_on(self) -> None:
        while self._waiting and len(self._exchanges) < self._most:
            query, answer, since = waiting = self._waiting.popleft()
            if self._reactor.now - since > _WORTH_ASKING:
                _give_up(waiting)
            else:
                self._begin(query, answer)


def _give_up(waiting: _Waiting) -> None:
    waiting.answer(dns.failure(waiting.query, dns.SERVFAIL))


def _ignore(_message: bytes) -> None:
    pass

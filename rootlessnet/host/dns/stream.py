"""A TCP connection of the guest's to its DNS address: the engine's `User`.

There is no far end: messages, each behind its length, are taken one after the other, several may be
in flight, and each answer leaves when it is there, in any order. Who does not read its answers is
not read from: what is held is bounded, and the window closes. Read: RFC 1035 4.2.2, RFC 7766.
"""

from collections.abc import Callable
from typing import Protocol

from rootlessnet.host.reactor import Reactor
from rootlessnet.tcp.connection import Connection
from rootlessnet.wire import MalformedError

_LENGTH = 2  # bytes before each message
_IN_FLIGHT = 64  # queries of one connection
_HELD = 8192  # bytes of queries that are taken before they can be asked
_BACKLOG = 65536  # bytes of answers that wait for the guest, before no more is asked


class Asked(Protocol):
    """Whom a stream asks, and who knows of all streams."""

    def resolve_by_stream(self, message: bytes, answer: Callable[[bytes], None]) -> None:
        """Answer, once or never. Raises MalformedError for what is no query."""

    def heard(self, stream: "DnsStream") -> None:
        """The guest has said something."""

    def closed(self, stream: "DnsStream") -> None:
        """It has ended."""


class DnsStream:
    """One connection, from its first SYN on."""

    _connection: Connection

    def __init__(self, reactor: Reactor, asked: Asked) -> None:
        self._reactor = reactor
        self._asked = asked
        self._queries = bytearray()
        self._answers = bytearray()
        self._in_flight = 0
        self._is_open = True
        self._finished = False  # the guest will ask no more
        self._due = False  # `_go_on` is

    def join(self, connection: Connection) -> None:
        """The guest's half."""
        self._connection = connection

    def reset(self) -> None:
        """Make room for another."""
        self._drop()
        self._connection.abort()

    # ── what the engine asks ─────────────────────────────────────────────────────────────────────

    def established(self, now: float) -> None:
        self._be_due()

    def deliver(self, data: memoryview | bytes) -> int:
        if not self._is_open:
            return -1
        taken = data[: max(_HELD - len(self._queries), 0)]
        self._queries += taken
        self._asked.heard(self)
        self._be_due()
        return len(taken)

    def finish(self) -> None:
        self._finished = True
        self._be_due()

    def resume(self, now: float) -> None:
        self._be_due()

    def orphaned(self) -> None:
        """Nobody would hear the answers."""
        self.reset()

    def abort(self) -> None:
        self._drop()

    # ── in a round of its own, behind a batch of frames or of answers ────────────────────────────

    def _be_due(self) -> None:
        if not self._due:
            self._due = True
            self._reactor.defer(self._go_on)

    def _go_on(self) -> None:
        self._due = False
        if not self._is_open:
            return
        try:
            self._proceed()
        except MalformedError:  # then nobody knows where the next one begins
            self.reset()

    def _proceed(self) -> None:
        held = len(self._queries)
        while message := self._next_query():
            self._in_flight += 1
            self._asked.resolve_by_stream(message, self._answer)
        self._send()
        more = self._next_length() > 0
        if self._finished and not (more or self._in_flight or self._answers):
            self._drop()
            self._connection.close(self._reactor.now)
            return
        if len(self._queries) < held:
            self._connection.user_ready()
        if more and self._may_ask():
            self._be_due()

    def _may_ask(self) -> bool:
        return self._in_flight < _IN_FLIGHT and len(self._answers) < _BACKLOG

    def _next_length(self) -> int:
        """How many bytes the next query has, with its length; 0 while it is not all there."""
        if len(self._queries) < _LENGTH:
            return 0
        length = _LENGTH + int.from_bytes(self._queries[:_LENGTH], "big")
        if length > _HELD:
            raise MalformedError("a DNS query of more bytes than any has")
        return length if length <= len(self._queries) else 0

    def _next_query(self) -> bytes:
        """Empty: none that can be asked now."""
        length = self._next_length()
        if not length or not self._may_ask():
            return b""
        message = bytes(self._queries[_LENGTH:length])
        del self._queries[:length]
        if not message:
            raise MalformedError("an empty DNS message")
        return message

    def _answer(self, message: bytes) -> None:
        self._in_flight -= 1
        self._answers += len(message).to_bytes(_LENGTH, "big") + message
        self._be_due()

    def _send(self) -> None:
        """Send as many bytes of answers as the guest takes."""
        now = self._reactor.now
        if room := min(self._connection.room(), len(self._answers)):
            self._connection.send(bytes(self._answers[:room]), now)
            del self._answers[:room]
        if self._answers:
            self._connection.wait_for_room(now)

    def _drop(self) -> None:
        self._is_open = False
        self._asked.closed(self)

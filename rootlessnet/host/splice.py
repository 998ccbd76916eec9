"""Connections between the host and the guest whose ends are sockets in both: spliced.

Those of clients on the host's loopback to published TCP ports do not pass the TAP. A socket made in
the guest's namespace connects to the port there: on 127.0.0.1, where that is refused on the guest's
own address, then on ::1 and on its own address of IPv6. When all are refused, or none answers in
time, the client is reset. In the other direction, for which see `to_host`, the client is the
guest's and its server the host's.

From then on what one socket receives is written to the other: little by recv(2) and send(2), which
need no second look to know that the source is empty; much through a pipe by splice(2), which does
not copy it.

Nothing is taken from a source before its sink has what was taken before, so a slow reader slows its
writer by the window that the kernel announces. An end passes once all before it has, and a reset as
a reset. splice(2) never passes the mark of urgent data, so a direction that has had some is copied.

Read: splice(2), tcp(7).
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from rootlessnet.bounds import DEFAULTS
from rootlessnet.host.pipes import Pipe, Pipes
from rootlessnet.host.reactor import (
    EDGE,
    EDGE_IN,
    FAILED,
    HALF_CLOSED,
    READABLE,
    URGENT,
    WRITABLE,
    Reactor,
)
from rootlessnet.host.stock import Stock, Use
from rootlessnet.host.tcp import RESET_ON_CLOSE, SEND_ON_CLOSE, unacknowledged

_TURNS = 8  # pieces passed on before others get their turn
_LITTLE = 16384  # bytes up to which copying is cheaper than splicing
_MUCH = 1 << 16  # bytes copied at once where splicing is not possible
_PATIENCE = 20.0  # seconds for the guest to answer, as the stack has them
_LOOPBACK, _LOOPBACK_6 = "127.0.0.1", "::1"


def is_loopback(address: str) -> bool:
    """Whether a client's address, as accept(2) tells it, is of the host's loopback."""
    return address.startswith("127.") or address == "::1"


def _has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError as error:
        return error.errno != errno.EAFNOSUPPORT
    return True


class _Way:
    """One direction of a connection."""

    __slots__ = (
        *("ended", "finished", "in_pipe", "is_deferred", "is_empty", "is_much", "is_stalled"),
        *("more_behind", "pipe", "rest", "sent", "sink", "source", "urgent"),
    )

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.pipe: Pipe | None = None
        self.in_pipe = 0  # bytes in it
        self.rest = memoryview(b"")  # bytes that were copied and that the sink has not taken
        self.sent = 0  # bytes that it has
        self.is_much = False  # so splice
        self.is_empty = False  # the source, until its next event
        self.is_deferred = False  # to the next round
        self.is_stalled = False  # the sink has been full once: its room is an event from then on
        # The source's FIN or urgent data lies in it: a short read does not empty it.
        self.more_behind = False
        self.urgent = False
        self.ended = False  # the source's end has been read
        self.finished = False  # and the sink has been told


class Splice:
    """One connection."""

    __slots__ = (
        *("_client", "_guest", "_guest_port", "_inward", "_is_connected", "_is_lost", "_is_open"),
        *("_outward", "_patience", "_splices", "_target", "_targets"),
    )

    _target: tuple[str, int]  # of the connect
    _inward: _Way  # from the client to its server
    _outward: _Way

    def __init__(self, splices: "SpliceTable", client: socket.socket, guest_port: int) -> None:
        self._splices = splices
        self._client = client
        self._guest: socket.socket | None = None
        self._guest_port = guest_port
        self._targets = list(splices.targets)
        self._patience: asyncio.TimerHandle | None = None
        self._is_open = True
        self._is_connected = self._is_lost = False

    # ── opening ──────────────────────────────────────────────────────────────────────────────────

    def connect(self, guest: socket.socket | None) -> None:
        """Connect by a socket of the guest's namespace; None: there will be none."""
        if guest is None:
            self.reset()
        elif not self._is_open:
            guest.close()
        else:
            self._guest = guest
            self._connect_next(guest)

    def _connect_next(self, guest: socket.socket) -> None:
        while self._targets:
            target = (self._targets[0], self._guest_port)
            if (guest.family == socket.AF_INET6) != (":" in target[0]):
                self._guest = None
                guest.close()
                self._splices.supply_6.take(self.connect)
                return
            del self._targets[0]
            self._target = target
            error = guest.connect_ex(target)
            if error == errno.EINPROGRESS:
                # On loopback the answer came meanwhile, unless the listener's queue is full.
                error = guest.connect_ex(target)
            if not error:
                self._connected(guest)
                return
            if error == errno.EALREADY:
                self._wait(guest)
                return
        self.reset()

    def _wait(self, guest: socket.socket) -> None:
        reactor = self._splices.reactor
        reactor.add(guest.fileno(), EDGE, self._check_connect)
        reactor.add(self._client.fileno(), EDGE, self._client_waits)
        if self._patience is None:
            self._patience = reactor.after(_PATIENCE, self.reset)

    def _check_connect(self, events: int) -> None:
        guest = self._guest
        if guest is None or not events & (WRITABLE | FAILED):
            return
        error = guest.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._splices.reactor.remove(guest.fileno())
        self._splices.reactor.remove(self._client.fileno())
        if error:
            self._connect_next(guest)
        else:
            self._connected(guest)

    def _client_waits(self, events: int) -> None:
        if events & FAILED:
            self.reset()

    def _connected(self, guest: socket.socket) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if guest.getsockname()[:2] == self._target:
            # Nobody listens, and by chance the kernel chose the very port that the connection is
            # for: it was connected to itself (RFC 9293 3.5, simultaneous open).
            self.reset()
            return
        self._inward = _Way(self._client, guest)
        self._outward = _Way(guest, self._client)
        self._is_connected = True
        reactor = self._splices.reactor
        # Not for WRITABLE: that would be two events more, and nobody waits for them yet.
        reactor.add(self._client.fileno(), EDGE_IN, self._client_ready)
        reactor.add(guest.fileno(), EDGE_IN, self._guest_ready)
        self._pass_on(self._inward)  # most clients have spoken already

    # ── events ───────────────────────────────────────────────────────────────────────────────────

    def _client_ready(self, events: int) -> None:
        self._ready(events, self._inward, self._outward)

    def _guest_ready(self, events: int) -> None:
        self._ready(events, self._outward, self._inward)

    def _ready(self, events: int, out_of: _Way, into: _Way) -> None:
        if events & FAILED:
            self._lose(out_of)
            return
        if events & READABLE and not out_of.ended:
            out_of.is_empty = False
            if events & (HALF_CLOSED | URGENT):
                out_of.more_behind = True
                if events & URGENT:
                    out_of.urgent, out_of.is_much = True, False
            self._pass_on(out_of)
        if events & WRITABLE and (into.in_pipe or into.rest):
            self._pass_on(into)

    # ── data ─────────────────────────────────────────────────────────────────────────────────────

    def _pass_on(self, way: _Way) -> None:
        """Pass on what the source has, as far as the sink takes it."""
        for _ in range(_TURNS):
            # It may have finished since this turn was deferred: an end is told once.
            if not self._is_open or way.finished or not self._flush(way):
                return
            if way.ended:
                self._finish(way)
                return
            if way.is_empty or not self._take(way):
                return
        if not way.is_deferred:
            way.is_deferred = True
            self._splices.reactor.defer(lambda: self._go_on(way))

    def _go_on(self, way: _Way) -> None:
        way.is_deferred = False
        self._pass_on(way)

    def _flush(self, way: _Way) -> bool:
        """Whether the sink took all that was taken for it."""
        try:
            while way.rest:
                sent = way.sink.send(way.rest)
                way.rest = way.rest[sent:]
                way.sent += sent
            while way.pipe is not None and way.in_pipe:
                sent = os.splice(
                    way.pipe.read, way.sink.fileno(), way.in_pipe, flags=os.SPLICE_F_NONBLOCK
                )
                way.in_pipe -= sent
                way.sent += sent
        except BlockingIOError:
            if not way.is_stalled:
                way.is_stalled = True
                self._splices.reactor.change(way.sink.fileno(), EDGE)
            return False
        except OSError:
            self._lose(self._opposite(way))
            return False
        return True

    def _take(self, way: _Way) -> bool:
        """Take a piece from the source; False when there is none."""
        try:
            if way.is_much:
                if way.pipe is None:
                    way.pipe = self._splices.pipes.take()
                if way.pipe is not None and self._splice(way, way.pipe):
                    return True
            data = way.source.recv(_MUCH if way.is_much or way.urgent else _LITTLE)
        except BlockingIOError:
            self._rest(way)
            return False
        except OSError:
            self._lose(way)
            return False
        way.ended = not data
        if len(data) < _LITTLE:
            way.is_empty = not way.more_behind
            self._rest(way)
        else:
            way.is_much = not way.urgent
        way.rest = memoryview(data)
        return True

    def _splice(self, way: _Way, pipe: Pipe) -> bool:
        """Fill the pipe; False when recv(2) must tell what there is. Raises OSError."""
        way.in_pipe = os.splice(
            way.source.fileno(), pipe.write, pipe.size, flags=os.SPLICE_F_NONBLOCK
        )
        return way.in_pipe > 0

    def _rest(self, way: _Way) -> None:
        """The source is empty for now: others can use the pipe, which is empty as well."""
        way.is_much = False
        if way.pipe is not None:
            self._splices.pipes.give_back(way.pipe)
            way.pipe = None

    # ── closing ──────────────────────────────────────────────────────────────────────────────────

    def _finish(self, way: _Way) -> None:
        """Tell the sink of the end."""
        way.finished = True
        self._rest(way)
        way.sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SEND_ON_CLOSE)
        if self._inward.finished and self._outward.finished:
            self._drop()
            return
        try:
            way.sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._lose(self._opposite(way))

    def _opposite(self, way: _Way) -> _Way:
        return self._outward if way is self._inward else self._inward

    def _lose(self, way: _Way) -> None:
        """The source of this way was reset, or is gone: so is the other end.

        What it sent before that is still the other's to hear.
        """
        if self._is_lost:
            return
        self._is_lost = True
        try:
            while self._flush(way) and (data := way.source.recv(_MUCH)):
                way.rest = memoryview(data)
        except OSError:
            pass
        self.reset()

    def reset(self) -> None:
        """Close, so that both ends see a reset. Idempotent."""
        if self._is_open:
            for one in (self._client, self._guest):
                if one is not None:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self._drop()

    def close(self) -> None:
        """The network ends. Who lacks something of the other end's sees a reset. Idempotent."""
        if self._is_open:
            self._drop()

    @property
    def lacks_bytes(self) -> bool:
        """Whether the guest may have more to say than the kernel has for the other end."""
        if not self._is_connected:  # the guest's kernel has let its client in, who may have spoken
            return self._splices.leads_to_host
        return not self._from_guest.finished

    @property
    def progress(self) -> tuple[int, int]:
        """Changes with every byte that comes from the guest or arrives at the other end."""
        if not self._is_connected:
            return 0, 0
        way = self._from_guest
        return way.sent, way.in_pipe + len(way.rest) + unacknowledged(way.sink)

    @property
    def _from_guest(self) -> _Way:
        return self._inward if self._splices.leads_to_host else self._outward

    def _drop(self) -> None:
        self._is_open = False
        if self._patience is not None:
            self._patience.cancel()
        for one in (self._client, self._guest):
            if one is not None:
                self._splices.reactor.closing(one.fileno())
                one.close()
        if self._is_connected:
            for way in (self._inward, self._outward):
                if way.pipe is not None and way.in_pipe:
                    self._splices.pipes.discard(way.pipe)
                    way.pipe = None
                self._rest(way)
        self._splices.forget(self)


class Supply(Protocol):
    """Where the sockets come from that connect to servers: a `Stock`, if those are the guest's."""

    def take(self, use: Use) -> None:
        """Call `use` with one that is ready to connect, now or later; with None for none."""

    def end(self) -> None:
        """No more are wanted. Idempotent."""


class SpliceTable:
    """All spliced connections that lead the same way."""

    def __init__(
        self,
        reactor: Reactor,
        targets: Sequence[str],
        supply: Supply,
        supply_6: Supply,
        capacity: int,
        *,
        most: int = DEFAULTS.splices,
        leads_to_host: bool = False,
    ) -> None:
        """`targets` are the addresses where servers may listen, those of IPv6 last; the supplies
        have sockets for them; `capacity` is how many descriptors this process may have. At
        most `most` connections are spliced, each with two of them. The clients
        are the host's, or the guest's if this way `leads_to_host`.
        """
        self.reactor = reactor
        self.targets = targets
        self.supply_6 = supply_6
        self.leads_to_host = leads_to_host
        self.pipes = Pipes()
        self._supply = supply
        self._most = min(most, capacity // 4)
        self._splices: set[Splice] = set()

    def __len__(self) -> int:
        return len(self._splices)

    def is_full(self) -> bool:
        """Whether clients are to go the way of all others, which costs one descriptor, not two."""
        return len(self._splices) >= self._most

    def join(self, client: socket.socket, port: int) -> None:
        """Take a client, accepted by a listener with `prepare`, and connect it to a server."""
        client.setblocking(False)
        splice = Splice(self, client, port)
        self._splices.add(splice)
        self._supply.take(splice.connect)

    def end_supply(self) -> None:
        """No more sockets come: the guest's processes have ended. Connections that stand go on."""
        self._supply.end()
        self.supply_6.end()

    def forget(self, splice: Splice) -> None:
        """It has closed its sockets."""
        self._splices.discard(splice)

    def unfinished(self) -> dict[object, tuple[int, int]]:
        """The connections whose other end lacks bytes of the guest, or its FIN, with the
        progress.
        """
        return {one: one.progress for one in self._splices if one.lacks_bytes}

    def close(self) -> None:
        """Close everything. Idempotent."""
        self.end_supply()
        for splice in list(self._splices):
            splice.close()
        self.pipes.close()


class Splices(SpliceTable):
    """Those of the host's clients with the guest's servers."""

    def __init__(
        self,
        reactor: Reactor,
        ask: Callable[[int, int], bool],
        guest_addresses: Sequence[str],
        capacity: int,
        most: int,
    ) -> None:
        """`ask` and `capacity` are those of `Stock`; `guest_addresses` are the guest's own; `most`
        is that of `SpliceTable`.
        """
        self._stocks = {
            family: Stock(reactor, family, ask, capacity)
            for family in (socket.AF_INET, socket.AF_INET6)
        }
        targets = [_LOOPBACK, _LOOPBACK_6, *guest_addresses]
        if not _has_ipv6():
            targets = [one for one in targets if ":" not in one]
        targets.sort(key=lambda one: ":" in one)  # those of IPv6 need a socket of their own
        stock, stock_6 = self._stocks.values()
        super().__init__(reactor, targets, stock, stock_6, capacity, most=most)

    def arrived(self, family: int, descriptors: Sequence[int]) -> None:
        """Sockets that were asked for; none when descriptors are used up."""
        self._stocks[socket.AddressFamily(family)].arrived(descriptors)

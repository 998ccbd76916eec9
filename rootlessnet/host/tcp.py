"""The host socket of a TCP connection: the engine's `User`.

Data goes straight from the frame's buffer to the socket, and from the socket in pieces of up to 64
KB to the guest; what is in between waits in the kernel's socket buffers. The socket is registered
once, edge triggered, for both directions: after an event it is read until it is empty, the guest's
window is full, or others must have their turn. Read: tcp(7), epoll(7), socket(7) for SO_LINGER.
"""

import asyncio
import errno
import fcntl
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from struct import Struct

from rootlessnet.host.faults import socket_refused
from rootlessnet.host.reactor import (
    BROKEN,
    EDGE,
    FAILED,
    HALF_CLOSED,
    READABLE,
    URGENT,
    WRITABLE,
    Reactor,
)
from rootlessnet.host.sources import Sources
from rootlessnet.log import Log
from rootlessnet.stack.host import OutboundFlow, SocketAddress
from rootlessnet.tcp.connection import Connection

_READS = 4  # reads before others get their turn
# Frames' worth of one read. Two: +13 % inbound over one, for the sender is woken and acknowledged
# half as often; four gain no more, and their buffers would be mapped anew each time (mallopt(3)).
_BURSTS = 2
_ORPHANED = 60.0  # seconds without progress that a far end is given when the guest has ended
_SIOCOUTQ = 0x5411  # tcp(7)
_INT = Struct("i")
_LINGER = Struct("ii")
RESET_ON_CLOSE, SEND_ON_CLOSE = _LINGER.pack(1, 0), _LINGER.pack(0, 0)


def unacknowledged(connected: socket.socket) -> int:
    """How many bytes the kernel holds for the far end."""
    (count,) = _INT.unpack(fcntl.ioctl(connected.fileno(), _SIOCOUTQ, bytes(_INT.size)))
    assert isinstance(count, int)
    return count


class TcpSocket:
    """One host socket. Outbound it connects; inbound it was accepted."""

    __slots__ = (
        "_connected",
        "_connection",
        "_end_of_file",
        "_established",
        "_again",
        "_finished",
        "_flow",
        "_log",
        "_more_behind",
        "_opened",
        "_orphaned",
        "_reactor",
        "_socket",
        "_sources",
        "_targets",
        "_unread",
    )

    _connection: Connection

    def __init__(
        self, reactor: Reactor, opened: "set[TcpSocket]", sources: Sources, log: Log
    ) -> None:
        """`opened` has it from its socket's first moment to its last."""
        self._log = log
        self._reactor = reactor
        self._sources = sources
        self._opened = opened
        self._socket: socket.socket | None = None
        self._flow: OutboundFlow | None = None
        self._targets: list[SocketAddress] = []
        self._connected = self._established = False
        # The far end's FIN or urgent data lies in the socket: a short read does not empty it.
        self._more_behind = False
        self._unread = False  # something came before the guest could be given it
        self._end_of_file = False  # it has been read
        self._finished = False  # ours has been sent
        self._again: Callable[[], Connection] | None = None
        self._orphaned: asyncio.TimerHandle | None = None  # until its progress is looked at

    # ── opening ──────────────────────────────────────────────────────────────────────────────────

    def connect(self, flow: OutboundFlow, targets: Sequence[SocketAddress]) -> None:
        """Connect to the first target that accepts, then let the guest's SYN be answered."""
        self._flow = flow
        self._connection = flow.connection
        self._targets = list(targets)
        self._connect_next(errno.EHOSTUNREACH)

    def accepted(self, connected: socket.socket) -> None:
        """Take a client's socket; `join` follows."""
        self._connected = True
        self._register(connected)

    def join(self, connection: Connection, again: Callable[[], Connection] | None = None) -> None:
        """The connection towards the guest that an accepted socket belongs to. When the guest
        refuses it, `again` opens another, or raises OSError.
        """
        self._connection = connection
        self._again = again

    def established(self, now: float) -> None:
        self._established = True
        self._again = None
        if self._unread:
            self._read(now)

    def _connect_next(self, error: int) -> None:
        while self._targets:
            target = self._targets.pop(0)
            family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
            try:
                opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                self._register(opened)
            except OSError as failure:
                error = failure.errno or errno.EMFILE
                self._drop()
                break
            try:
                self._sources.bind_before_connect(opened, target[0])
                error = opened.connect_ex(target)
                if error == errno.EADDRNOTAVAIL:  # all ports are in use: later one is not
                    error = errno.EAGAIN
            except socket.gaierror:  # a link-local address of an interface that is no more
                error = errno.ENETUNREACH
            except OSError as failure:  # the host has lost the address
                error = failure.errno or errno.EADDRNOTAVAIL
            if error in (0, errno.EINPROGRESS):
                return
            self._drop()
        if self._flow is not None:
            socket_refused(self._log, error)
            self._flow.connect_failed(error)

    def _register(self, opened: socket.socket) -> None:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The guest's own keep-alive probes end here, so the host asks in its place.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # Data that the guest marks urgent is delivered in line; so is the far end's.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        # Until the guest has said its last word, an end is a reset, even when we are killed: the
        # far end must not take what it has for all.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._socket = opened
        self._opened.add(self)
        self._reactor.add(opened.fileno(), EDGE, self._ready)

    # ── events ───────────────────────────────────────────────────────────────────────────────────

    def _ready(self, events: int) -> None:
        if events & (HALF_CLOSED | URGENT):
            self._more_behind = True
        if not self._connected:
            self._check_connect(events)
            return
        now = self._reactor.now
        if events & READABLE:
            if self._established and not self._end_of_file:
                self._read(now)
            elif events & BROKEN:
                self._lose()
            else:
                self._unread = True
        if events & WRITABLE and self._socket is not None:
            self._connection.user_ready()

    def _check_connect(self, events: int) -> None:
        connecting = self._socket
        if connecting is None or not events & (WRITABLE | BROKEN):
            return
        error = 0
        if events & FAILED:
            error = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._drop()
            self._connect_next(error)
        elif not events & BROKEN:
            self._connected = True
            self._unread = bool(events & READABLE)
            self._connection.accept(self._reactor.now)

    def resume(self, now: float) -> None:
        self._read(now)

    def _read_on(self) -> None:
        self._read(self._reactor.now)

    def _read(self, now: float) -> None:
        """Pass on what the far end has sent, as far as the guest's window goes."""
        connection = self._connection
        for _ in range(_READS):
            source = self._socket
            if source is None or self._end_of_file:
                return
            room = connection.room()
            if not room:
                connection.wait_for_room(now)
                return
            wanted = _BURSTS * connection.burst
            if room < wanted:
                wanted = room
            try:
                data = source.recv(wanted)
            except BlockingIOError:
                return
            except OSError:
                self._lose()
                return
            if not data:
                self._end_of_file = True
                connection.close(now)
                self._close_if_done()
                return
            connection.send(data, now)
            if len(data) < wanted and not self._more_behind:
                return  # the socket is empty: the next byte is a new event
        self._reactor.defer(self._read_on)

    # ── what the engine asks ─────────────────────────────────────────────────────────────────────

    def deliver(self, data: memoryview | bytes) -> int:
        sink = self._socket
        if sink is None:
            return -1
        try:
            return sink.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._pass_last_words()
            self._drop()
            return -1

    def finish(self) -> None:
        self._finished = True
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SEND_ON_CLOSE)
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self._lose()
                return
        self._close_if_done()

    def orphaned(self) -> None:
        """A far end that takes nothing would keep the socket for ever: Linux bounds its orphans,
        too (tcp_orphan_retries).
        """
        before = self.progress
        self._orphaned = self._reactor.after(_ORPHANED, lambda: self._check_orphan(before))

    def _check_orphan(self, before: tuple[int, int]) -> None:
        if self.progress != before:
            self.orphaned()
        else:
            self._drop()
            self._connection.abort()

    def abort(self) -> None:
        if self._again is not None and self._socket is not None and not self._established:
            with suppress(OSError):
                self._connection = self._again()
                return
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._drop()

    @property
    def lacks_bytes(self) -> bool:
        """Whether the guest may have more to say than the kernel has for the far end."""
        return self._established and not self._finished

    @property
    def progress(self) -> tuple[int, int]:
        """Changes with every byte that comes from the guest or arrives at the far end.

        The kernel tells of room in its buffer only when there is much, which takes a slow far end
        more than ten seconds: so its own progress counts.
        """
        waiting = 0 if self._socket is None else unacknowledged(self._socket)
        return self._connection.rcv_nxt, self._connection.held + waiting

    def close(self) -> None:
        """The network ends. Where bytes of the guest are missing, the far end sees a reset."""
        self._drop()

    # ── closing ──────────────────────────────────────────────────────────────────────────────────

    def _close_if_done(self) -> None:
        if self._end_of_file and self._finished:
            self._drop()

    def _lose(self) -> None:
        """The far end was reset, or is gone: so is the guest's connection."""
        self._pass_last_words()
        self._drop()
        self._connection.abort()

    def _pass_last_words(self) -> None:
        """What the far end sent before its reset is still the guest's to hear."""
        connection, now = self._connection, self._reactor.now
        while self._socket is not None and (room := connection.room()):
            try:
                data = self._socket.recv(min(room, _BURSTS * connection.burst))
            except OSError:
                return
            if not data:
                return
            connection.send(data, now)

    def _drop(self) -> None:
        if self._orphaned is not None:
            self._orphaned.cancel()
            self._orphaned = None
        if self._socket is not None:
            self._reactor.closing(self._socket.fileno())
            self._socket.close()
            self._socket = None
            self._opened.discard(self)

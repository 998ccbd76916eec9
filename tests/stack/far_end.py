"""Host TCP sockets that keep the contract of `host/tcp.py`, and far ends that do as they are told.

What a far end does is an `Event`'s `Kind`. A socket is open until a real one would be closed, so
one that still is in the end has leaked.
"""

import errno
from collections.abc import Callable, Sequence
from enum import IntEnum

from rootlessnet.stack.host import OutboundFlow, Receiver, SocketAddress
from rootlessnet.wire.families import Family
from tests.stack.world import FakeDatagram, FakeHost, FakeTcp
from tests.tcp.playbook import guest_bytes, host_bytes

ERRORS = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EMFILE, errno.EACCES)
_UNLIMITED = 1 << 40


class Kind(IntEnum):
    """What happens to a socket."""

    CONNECTED = 0
    FAILED = 1  # the connect, with one of ERRORS
    SENDS = 2  # the far end, 16 times `amount` bytes
    CLOSES = 3  # the far end
    RESETS = 4  # the far end
    STALLS = 5  # after `amount` bytes more
    GOES_ON = 6
    BREAKS = 7  # the next write to it finds it gone
    FAILS_AT_ONCE = 8  # the next socket that is opened, of whatever protocol


class HostSocket(FakeTcp):
    """Does as `host/tcp.py` does, on a socket whose far end does as it is told."""

    def __init__(self, host: "OrdealHost") -> None:
        super().__init__()
        self.sent = 0  # bytes of the far end's that the guest's half was given
        self._host = host
        self._waiting = 0  # bytes of the far end's that lie in the socket
        self._far_end_closed = self._end_of_file = False
        self._capacity = _UNLIMITED
        self._broken = False

    @property
    def is_open(self) -> bool:
        return self in self._host.opened

    def _drop(self) -> None:
        self._host.opened.discard(self)

    @property
    def _connecting(self) -> bool:
        return self.is_open and self.joined is None and self.connection.awaits_accept

    def connect(self, flow: OutboundFlow, targets: Sequence[SocketAddress]) -> None:
        super().connect(flow, targets)
        if self._host.failure is not None:
            self.fail(self._host.failure)
            self._host.failure = None

    def happen(self, kind: Kind, amount: int, now: float) -> None:
        match kind:
            case Kind.CONNECTED if self._connecting:
                self.connection.accept(now)
            case Kind.FAILED:
                self.fail(ERRORS[amount % len(ERRORS)])
            case Kind.SENDS if not self._far_end_closed:
                self._waiting += 16 * amount
                self._read(now)
            case Kind.CLOSES:
                self.close(now)
            case Kind.RESETS if self.is_open and not self._connecting:
                self._drop()
                self.connection.abort()
            case Kind.STALLS:
                self._capacity = amount
            case Kind.GOES_ON:
                self.go_on()
            case Kind.BREAKS:
                self._broken = not self._connecting
            case Kind.FAILS_AT_ONCE:
                self._host.failure = ERRORS[amount % len(ERRORS)]
            case _:
                pass

    def fail(self, error: int) -> None:
        if self._connecting:
            self._drop()
            self.flow.connect_failed(error)

    def close(self, now: float) -> None:
        """The far end has sent its last byte."""
        self._far_end_closed = True
        self._read(now)

    def go_on(self) -> None:
        self._capacity = _UNLIMITED
        if self.is_open and not self._connecting:
            self.connection.user_ready()

    def established(self, now: float) -> None:
        super().established(now)
        assert self.calls.count("established") == 1
        self._read(now)

    def resume(self, now: float) -> None:
        self._read(now)

    def deliver(self, data: memoryview | bytes) -> int:
        assert "finish" not in self.calls, "bytes behind the FIN"
        if self._broken:
            self._drop()
        if not self.is_open:
            return -1
        part = data[: self._capacity]
        self._capacity -= len(part)
        if self._host.text_is_known:
            assert part == guest_bytes(len(self.delivered), len(part))
        return super().deliver(part)

    def finish(self) -> None:
        super().finish()
        assert self.calls.count("finish") == 1
        self._close_if_done()

    def abort(self) -> None:
        super().abort()
        self._drop()

    def _read(self, now: float) -> None:
        if "established" not in self.calls:
            return
        connection = self.connection
        while self.is_open and not self._end_of_file:
            room = connection.room()
            if not room:
                connection.wait_for_room(now)
                return
            if self._waiting:
                length = min(self._waiting, room, 2 * connection.burst)
                data = host_bytes(self.sent, length)
                self._waiting -= length
                self.sent += length
                connection.send(data, now)
            elif self._far_end_closed:
                self._end_of_file = True
                connection.close(now)
                self._close_if_done()
            else:
                return

    def _close_if_done(self) -> None:
        if self._end_of_file and "finish" in self.calls:
            self._drop()


class OrdealHost(FakeHost):
    """A host of such sockets."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets: list[HostSocket] = []
        self.opened: set[HostSocket] = set()
        self.text_is_known = True  # the guest has sent nothing but `Segment` steps

    def open_udp(self, receiver: Receiver, family: Family) -> FakeDatagram:
        return self._once(super().open_udp, receiver, family)

    def open_echo(self, receiver: Receiver, family: Family) -> FakeDatagram:
        return self._once(super().open_echo, receiver, family)

    def tcp_sockets(self) -> int:
        return len(self.opened)

    def open_tcp(self) -> HostSocket:
        socket = HostSocket(self)
        self.tcp.append(socket)
        self.sockets.append(socket)
        self.opened.add(socket)
        return socket

    def open_dns(self) -> HostSocket:
        return self.open_tcp()

    def _once(
        self,
        opening: Callable[[Receiver, Family], FakeDatagram],
        receiver: Receiver,
        family: Family,
    ) -> FakeDatagram:
        try:
            return opening(receiver, family)
        finally:
            self.failure = None

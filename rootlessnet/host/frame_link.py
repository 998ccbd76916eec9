"""A link over a SOCK_SEQPACKET socket, to which one guest connects: each message is one frame.

A virtual machine such as User Mode Linux has its network card there (its `bess` transport). There
is no virtio-net header, so frames towards the guest are cut and summed here. What the guest is slow
to take waits, for nothing is lost on a link as long as its window is respected. When the guest
leaves, the link is gone, as a TAP is with its namespace. Read: unix(7), SOCK_SEQPACKET.
"""

import socket
from collections import deque
from collections.abc import Callable

from rootlessnet.host import faults
from rootlessnet.host.reactor import EDGE, LEVEL, READABLE, WRITABLE, Reactor
from rootlessnet.log import Log
from rootlessnet.stack.host import Payload
from rootlessnet.wire import segmentation, vnet

_BATCH = 64  # frames read before others get their turn
_LARGEST = 1 << 16
_WAITING_MOST = 8 << 20  # bytes towards the guest


class FrameLink:
    """The stack's `Device`. `vanished` is called when the guest has left."""

    cuts_datagrams = False  # without cost, as a TAP

    def __init__(self, reactor: Reactor, fd: int, log: Log) -> None:
        """`fd` is of a listening socket, and is owned from here on."""
        self._reactor = reactor
        self._log = log
        self.vanished: Callable[[], None] = lambda: None
        self._listening = socket.socket(fileno=fd)
        self._listening.setblocking(False)
        self._guest: socket.socket | None = None
        self._buffer = memoryview(bytearray(vnet.SIZE + _LARGEST))
        self._waiting: deque[bytes] = deque()
        self._waiting_size = 0
        self.refused = 0  # frames that were not taken
        self._receive: Callable[[memoryview, float], None] = lambda _frame, _now: None

    def start(self, receive: Callable[[memoryview, float], None]) -> None:
        """Give every frame to `receive`, behind an empty virtio-net header."""
        self._receive = receive
        self._reactor.add(self._listening.fileno(), LEVEL, self._accept)

    def write(self, header: bytes | bytearray, payload: Payload) -> None:
        """Send one frame. Never raises: what cannot be sent is lost."""
        for frame in segmentation.segments(header, payload):
            if self._waiting or not self._send(frame):
                self._wait(frame)

    def close(self) -> None:
        """Hang up."""
        for one in (self._listening, self._guest):
            if one is not None and one.fileno() >= 0:
                self._reactor.remove(one.fileno())
                one.close()

    def read_all(self) -> None:
        """Give all frames that wait to the stack at once."""
        while self._read_batch():
            continue

    def _accept(self, _events: int) -> None:
        """There is one guest: whoever comes later is refused."""
        try:
            guest, _ = self._listening.accept()
        except BlockingIOError:  # it went away again
            return
        except OSError as error:  # there is no descriptor: it may come anew
            faults.socket_refused(self._log, error.errno or 0)
            return
        self._reactor.remove(self._listening.fileno())
        self._listening.close()
        guest.setblocking(False)
        self._guest = guest
        self._reactor.add(guest.fileno(), EDGE, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITABLE:
            self._flush()
        if events & READABLE:
            self._read_on()

    def _read_on(self) -> None:
        if self._read_batch():
            self._reactor.defer(self._read_on)

    def _read_batch(self) -> bool:
        """Give some frames to the stack; whether there may be more."""
        buffer, receive, now = self._buffer, self._receive, self._reactor.now
        target = buffer[vnet.SIZE :]
        for _ in range(_BATCH):
            guest = self._guest
            if guest is None or guest.fileno() < 0:
                return False
            try:
                size = guest.recv_into(target)
            except BlockingIOError:
                return False
            except OSError:
                size = 0
            if not size:
                self._reactor.remove(guest.fileno())
                guest.close()
                self.vanished()
                return False
            receive(buffer[: vnet.SIZE + size], now)
        return True

    def _send(self, frame: bytes) -> bool:
        """Whether it was sent, or is lost; else it has to wait."""
        try:
            if self._guest is not None:
                self._guest.send(frame)
        except BlockingIOError:
            return False
        except OSError as error:
            self.refused += 1
            faults.frame_refused(self._log, error.errno or 0)
        return True

    def _wait(self, frame: bytes) -> None:
        if self._waiting_size + len(frame) > _WAITING_MOST:
            self.refused += 1
            faults.guest_reads_slowly(self._log)
            return
        self._waiting_size += len(frame)
        self._waiting.append(frame)

    def _flush(self) -> None:
        while self._waiting and self._send(self._waiting[0]):
            self._waiting_size -= len(self._waiting.popleft())

"""The TAP: frames in, by batches into one reused buffer, and out, in two parts with one `writev`.

Whether the kernel takes segmentation offload is tried at start with a frame that nobody receives,
for some kernels accept the flags and then refuse the frames. Should they begin to refuse later, the
frame at hand is cut in software and so are all of its kind that follow: no connection notices. Each
kind stands for itself, since before Linux 6.2 there is none for UDP. A device without virtio-net
header gets an empty one on the way in, so the stack sees one kind of frame. Read:
tun(4), linux/if_tun.h, virtio 1.2 5.1.6.
"""

import errno
import fcntl
import io
import os
from collections.abc import Callable
from contextlib import suppress

from rootlessnet.host.faults import frame_refused
from rootlessnet.host.reactor import LEVEL, Reactor
from rootlessnet.log import Log
from rootlessnet.stack.host import Payload
from rootlessnet.wire import ethernet, ip, ipv6, segmentation, tcp, vnet
from rootlessnet.wire.families import IPV4, IPV6, Family

TUNSETOFFLOAD = 0x400454D0
_CSUM, _TSO4, _TSO6, _USO4, _USO6 = 0x01, 0x02, 0x04, 0x20, 0x40
# What is asked for, in turn, and the kinds of segmented frames that are then taken.
_OFFLOADS: tuple[tuple[int, frozenset[int]], ...] = (
    (
        _CSUM | _TSO4 | _TSO6 | _USO4 | _USO6,
        frozenset({vnet.GSO_NONE, vnet.GSO_TCPV4, vnet.GSO_TCPV6, vnet.GSO_UDP_L4}),
    ),
    (_CSUM | _TSO4 | _TSO6, frozenset({vnet.GSO_NONE, vnet.GSO_TCPV4, vnet.GSO_TCPV6})),
)
_NONE: frozenset[int] = frozenset()

_BATCH = 64  # frames read before others get their turn
_QUEUE = 1 << 14  # frames that may wait, and more: interface.TX_QUEUE_LENGTH
_LARGEST = vnet.SIZE + ethernet.HEADER.size + 4 + ipv6.SIZE + ipv6.MAX_PAYLOAD
_NOBODY = b"\x02" + bytes(5)


class Tap:
    """The stack's `Device`. `vanished` is called when the kernel's device has gone.

    Without `offload`, none is asked of the kernel in either direction.
    """

    def __init__(
        self,
        reactor: Reactor,
        fd: int,
        has_vnet: bool,
        offload: bool = True,
        log: Log | None = None,
    ) -> None:
        self._reactor = reactor
        self._log = log or Log()
        self._fd = fd
        self.vanished: Callable[[], None] = lambda: None
        os.set_blocking(fd, False)
        self._file = io.FileIO(fd, "r", closefd=False)  # its readinto says None for EAGAIN
        self._buffer = memoryview(bytearray(_LARGEST))
        self._offset = 0 if has_vnet else vnet.SIZE
        self._target = self._buffer[self._offset :]
        self._has_vnet = has_vnet
        # The kinds of frames that go to the kernel as they are; GSO_NONE: unsummed ones.
        self.offload = self._enable_offload(offload) if has_vnet else _NONE
        self._is_gone = False
        self.refused = 0  # frames the device did not take
        self._receive: Callable[[memoryview, float], None] = lambda _frame, _now: None

    def start(self, receive: Callable[[memoryview, float], None]) -> None:
        """Give every frame to `receive`."""
        self._receive = receive
        self._reactor.add(self._fd, LEVEL, self._readable)

    def write(self, header: bytes | bytearray, payload: Payload) -> None:
        """Send one frame. Never raises: a frame that the device refuses is lost."""
        kind = header[1]  # of segmentation, in the virtio-net header
        if kind in self.offload:
            try:
                os.writev(self._fd, (header, payload))
                return
            except OSError as error:
                if error.errno != errno.EINVAL or kind == vnet.GSO_NONE:
                    self._lose(error)
                    return
                self.offload -= {kind}
        self._write_plain(header, payload)

    @property
    def cuts_datagrams(self) -> bool:
        """Whether the kernel cuts a burst of UDP datagrams, so that nobody else has to."""
        return vnet.GSO_UDP_L4 in self.offload

    def close(self) -> None:
        """Stop reading and give the device back."""
        self._reactor.remove(self._fd)
        self._file.close()
        os.close(self._fd)

    def read_all(self) -> None:
        """Give all frames that wait to the stack at once: who sent them has ended."""
        for _ in range(_QUEUE // _BATCH):
            if self._is_gone or not self._read_batch():
                return

    def _write_plain(self, header: bytes | bytearray, payload: Payload) -> None:
        for frame in segmentation.segments(header, payload):
            try:
                os.writev(self._fd, (vnet.NO_OFFLOAD, frame) if self._has_vnet else (frame,))
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.refused += 1
        frame_refused(self._log, error.errno or errno.EIO)

    def _readable(self, _events: int) -> None:
        self._read_batch()

    def _read_batch(self) -> bool:
        """Give some frames to the stack; whether there may be more."""
        buffer, receive, now = self._buffer, self._receive, self._reactor.now
        target, offset, readinto = self._target, self._offset, self._file.readinto
        for _ in range(_BATCH):
            try:
                size = readinto(target)
            except OSError:
                self._is_gone = True
                self._reactor.remove(self._fd)
                self.vanished()
                return False
            if size is None:
                return False
            receive(buffer[: offset + size], now)
        return True

    def _enable_offload(self, wanted: bool) -> frozenset[int]:
        for flags, kinds in _OFFLOADS if wanted else ():
            try:
                fcntl.ioctl(self._fd, TUNSETOFFLOAD, flags)
            except OSError:
                continue
            if not self._takes_segmentation(IPV4):
                return _NONE
            return kinds if self._takes_segmentation(IPV6) else kinds - {IPV6.tcp_segments}
        with suppress(OSError):  # not every emulation of Linux has it
            fcntl.ioctl(self._fd, TUNSETOFFLOAD, 0)
        return _NONE

    def _takes_segmentation(self, family: Family) -> bool:
        """Write a segmented frame to a hardware address that is nobody's."""
        start = ethernet.HEADER.size + family.header_size
        frame = (
            vnet.HEADER.pack(vnet.NEEDS_CSUM, family.tcp_segments, start + tcp.SIZE, 8, start, 16)
            + ethernet.HEADER.pack(_NOBODY, _NOBODY, family.ethertype)
            + family.build(bytes(2 * family.address_size), ip.TCP, tcp.SIZE + 16, 1)
            + tcp.HEADER.pack(0, 0, 0, 0, tcp.SIZE << 2, tcp.RST, 0, 0, 0)
        )
        try:
            os.writev(self._fd, (frame, bytes(16)))
        except OSError:
            return False
        return True

"""Host datagram sockets: UDP and ping sockets, with the ICMP errors that concern them.

IP_RECVERR gives an unprivileged process every ICMP error about what it sent, with the address of
who sent it. UDP_GRO hands over a burst of equal datagrams as one, UDP_SEGMENT sends one so; a
socket without them works datagram by datagram. Read: udp(7), ip(7), icmp(7), cmsg(3).
"""

import errno
import socket
from contextlib import suppress
from struct import Struct

from rootlessnet.host.reactor import LEVEL, Reactor
from rootlessnet.stack.host import UNSPECIFIED, Payload, Receiver, SocketAddress

_READS = 64  # datagrams read before others get their turn
_LARGEST = 65535
_BUFFER_SIZE = 1 << 20  # bytes asked of the kernel for each direction; it gives what it allows

_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104
_IP_RECVERR, _MSG_ERRQUEUE = 11, 0x2000
_SEGMENT = Struct("=H")
_GRO_SIZE = Struct("=i")
# struct sock_extended_err, then the offender's sockaddr_in
_EXTENDED_ERROR = Struct("=IBBBxII")
_OFFENDER = Struct("=2x2x4s")
_ORIGIN_LOCAL, _ORIGIN_ICMP = 1, 2
_UNREACHABLE, _FRAGMENTATION_NEEDED = 3, 4

_ANCILLARY = socket.CMSG_SPACE(64)

# One buffer for all sockets: a datagram is passed on before the next is read.
_buffer = memoryview(bytearray(_LARGEST))


class DatagramSocket:
    """The stack's `HostDatagram`."""

    def __init__(
        self,
        reactor: Reactor,
        bound: socket.socket,
        receiver: Receiver,
        opened: "set[DatagramSocket]",
    ) -> None:
        """`opened` has it until it is closed."""
        self._reactor = reactor
        self._opened = opened
        self._socket = bound
        self._receiver = receiver
        bound.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            bound.setsockopt(socket.SOL_SOCKET, option, _BUFFER_SIZE)
        if bound.family == socket.AF_INET:
            bound.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        if bound.proto != socket.IPPROTO_ICMP:
            with suppress(OSError):  # before Linux 5.0
                bound.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        reactor.add(bound.fileno(), LEVEL, self._ready)
        opened.add(self)

    def send(self, payload: Payload, remote: SocketAddress, segment: int) -> None:
        if segment and segment < len(payload):
            self._send_segments(payload, remote, segment)
        else:
            self._send_one(payload, remote)

    def close(self) -> None:
        self._opened.discard(self)
        self._reactor.remove(self._socket.fileno())
        self._socket.close()

    def _send_one(self, payload: Payload, remote: SocketAddress) -> None:
        for _ in range(2):  # the first call may report an error that an earlier datagram met
            try:
                self._socket.sendto(payload, remote)
                return
            except BlockingIOError:
                return
            except OSError as error:
                self._read_errors()
                failure = error.errno or errno.EIO
                if failure == errno.EMSGSIZE:
                    return  # it was among the errors
        self._receiver.refused(payload, remote, failure)

    def _send_segments(self, payload: Payload, remote: SocketAddress, segment: int) -> None:
        ancillary = [(_SOL_UDP, _UDP_SEGMENT, _SEGMENT.pack(segment))]
        try:
            self._socket.sendmsg([payload], ancillary, 0, remote)
        except BlockingIOError:
            pass
        except OSError:
            for offset in range(0, len(payload), segment):
                self._send_one(payload[offset : offset + segment], remote)

    def _ready(self, _events: int) -> None:
        receive, received, now = (
            self._socket.recvmsg_into,
            self._receiver.received,
            self._reactor.now,
        )
        for _ in range(_READS):
            try:
                size, ancillary, _, address = receive((_buffer,), _ANCILLARY)
            except BlockingIOError:
                self._read_errors()
                return
            except OSError:
                self._read_errors()
                continue
            segment = 0
            for level, kind, data in ancillary:
                if level == _SOL_UDP and kind == _UDP_GRO:
                    (segment,) = _GRO_SIZE.unpack_from(data)
            received(_buffer[:size], address[:2], segment, now)
            if self._socket.fileno() < 0:
                return  # whoever received it closed this socket

    def _read_errors(self) -> None:
        """Pass on the ICMP errors that are queued."""
        for _ in range(_READS):
            try:
                payload, ancillary, _, address = self._socket.recvmsg(
                    _LARGEST, _ANCILLARY, _MSG_ERRQUEUE
                )
            except OSError:
                return
            for level, kind, data in ancillary:
                if level == socket.IPPROTO_IP and kind == _IP_RECVERR:
                    self._pass_error(payload, address[:2], data)

    def _pass_error(self, payload: bytes, remote: SocketAddress, data: bytes) -> None:
        number, origin, kind, code, info, _ = _EXTENDED_ERROR.unpack_from(data)
        offender = UNSPECIFIED
        if origin == _ORIGIN_ICMP:
            (address,) = _OFFENDER.unpack_from(data, _EXTENDED_ERROR.size)
            offender = socket.inet_ntoa(address)
        elif origin == _ORIGIN_LOCAL and number == errno.EMSGSIZE:
            kind, code = _UNREACHABLE, _FRAGMENTATION_NEEDED
        else:
            return
        needed = (kind, code) == (_UNREACHABLE, _FRAGMENTATION_NEEDED)
        self._receiver.failed(payload, remote, kind, code, offender, info if needed else 0)

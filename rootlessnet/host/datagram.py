"""Host datagram sockets: UDP and ping sockets, with the ICMP errors that concern them.

IP_RECVERR and IPV6_RECVERR give an unprivileged process every ICMP error about what it sent, with
the address of who sent it. UDP_GRO hands over a burst of equal datagrams as one, UDP_SEGMENT sends
one so; a socket without them works datagram by datagram.

A guest without segmentation sends datagram by datagram. Those that it sends in a row to one remote,
all of a size (the last may be shorter), are gathered until the end of the round and leave as one
burst: most of what a datagram costs is its system call and whom that wakes, and 1.8 times as many
get through. None waits for one that has not come yet, and the first of a round that follows no
burst not even for the end of the round: it is likely a request, and alone. What has few hops to go
is sent by itself: it may be a probe of a traceroute, and each wants its own answer. What comes in a
row from the host is joined likewise, where the guest's device cuts it again, which spares writes to
it: 1.5 times as many.

A datagram leaves with the guest's DF and TTL. The socket has them from the datagram before, which
nearly always had the same: so they cost a system call only when they change. With PMTU_DO the
kernel refuses what is larger than the path's MTU as far as it knows it, and the guest is told, as
by a router.

A published port of all addresses answers each client from the address that it asked, for a client
hears no other. Read: udp(7), ip(7) for IP_MTU_DISCOVER and IP_PKTINFO, ipv6(7), icmp(7), cmsg(3).
"""

import errno
import socket
from collections.abc import Sequence
from contextlib import suppress
from struct import Struct
from typing import NamedTuple

from rootlessnet.host.datagram_run import Run
from rootlessnet.host.faults import socket_refused
from rootlessnet.host.reactor import BROKEN, LEVEL, Reactor
from rootlessnet.log import Log
from rootlessnet.stack.host import (
    PMTU_DO,
    PMTU_WANT,
    UNSPECIFIED,
    Payload,
    Receiver,
    SocketAddress,
)
from rootlessnet.wire import icmpv4, icmpv6
from rootlessnet.wire.icmp import Dialect, Reason
from rootlessnet.wire.udp import MAX_PAYLOAD

_READS = 64  # datagrams read before others get their turn
_TRIES = 8  # at one datagram, each after errors that others met
_LARGEST = 65535
_MOST_GATHERED = 64  # datagrams that any kernel with UDP_SEGMENT cuts a burst into
_LONGEST_TRACE = 32  # hops; traceroute and the like give up at 30
_BUFFER_SIZE = 1 << 20  # bytes asked of the kernel for each direction; it gives what it allows

_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104
_MSG_ERRQUEUE = 0x2000
_IP_RECVERR, _IP_MTU_DISCOVER, _IP_PKTINFO = 11, 10, 8
_IPV6_RECVERR, _IPV6_MTU_DISCOVER = 25, 23
_PKTINFO, _PKTINFO_6 = Struct("=I4s4s"), Struct("=16sI")
_MULTICAST_6, _LINK_LOCAL_6 = 0xFF, 0xFE  # how such addresses begin
_MAX_CLIENTS = 8192  # of a published port; an older one is answered from where the kernel likes
# What the kernel says of a burst that it, the device or the route cannot cut.
_UNCUTTABLE = (errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT)
_SEGMENT = Struct("=H")
_GRO_SIZE = Struct("=i")
_EXTENDED_ERROR = Struct("=IBBBxII")  # struct sock_extended_err; the offender's address follows
_ORIGIN_LOCAL = 1

_ANCILLARY = socket.CMSG_SPACE(64)


class _Options(NamedTuple):
    """What differs between the families, all of it at `level`."""

    level: int
    receive_errors: int
    hop_limit: int
    discovery: int
    tell_address: int  # to which one a datagram came
    answer_from: int
    offender: Struct  # struct sockaddr_in or sockaddr_in6
    origin: int  # of an ICMP error
    dialect: Dialect


_OPTIONS = {
    socket.AF_INET: _Options(
        level=socket.IPPROTO_IP,
        receive_errors=_IP_RECVERR,
        hop_limit=socket.IP_TTL,
        discovery=_IP_MTU_DISCOVER,
        tell_address=_IP_PKTINFO,
        answer_from=_IP_PKTINFO,
        offender=Struct("=2x2x4s"),
        origin=2,
        dialect=icmpv4.DIALECT,
    ),
    socket.AF_INET6: _Options(
        level=socket.IPPROTO_IPV6,
        receive_errors=_IPV6_RECVERR,
        hop_limit=socket.IPV6_UNICAST_HOPS,
        discovery=_IPV6_MTU_DISCOVER,
        tell_address=socket.IPV6_RECVPKTINFO,
        answer_from=socket.IPV6_PKTINFO,
        offender=Struct("=2x2x4x16s"),
        origin=3,
        dialect=icmpv6.DIALECT,
    ),
}

# One buffer for all sockets: what is read into it is passed on before another reads. Behind the
# largest run it has room for one datagram, or burst, of any size.
_buffer = memoryview(bytearray(2 * _LARGEST))


class DatagramSocket:
    """The stack's `HostDatagram`."""

    def __init__(
        self,
        reactor: Reactor,
        bound: socket.socket,
        receiver: Receiver,
        opened: "set[DatagramSocket]",
        log: Log,
        *,
        is_published: bool = False,
        joins: bool = False,
    ) -> None:
        """`opened` has it until it is closed. `is_published`: clients ask, and it answers. `joins`:
        what is received in a row may be given to `receiver` as one.
        """
        self._reactor = reactor
        self._opened = opened
        self._socket = bound
        self._receiver = receiver
        self._log = log
        bound.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            bound.setsockopt(socket.SOL_SOCKET, option, _BUFFER_SIZE)
        self._gathered: list[bytes] = []  # all of the size of the first, to one remote
        self._gathered_size = 0
        self._gathered_for: SocketAddress = (UNSPECIFIED, 0)
        self._is_crowded = False  # several left in the round before
        self._sent_at = 0.0  # the round in which one left at once
        self._options = options = _OPTIONS[socket.AddressFamily(bound.family)]
        self._hop_limit = 0  # the kernel's own: the first datagram will differ
        self._discovery = PMTU_WANT  # the same, unless net.ipv4.ip_no_pmtu_disc says it is not
        bound.setsockopt(options.level, options.receive_errors, 1)
        self._asked: dict[SocketAddress, tuple[int, int, bytes]] = {}  # where, by client
        if is_published:
            bound.setsockopt(options.level, options.tell_address, 1)
        self._is_udp = bound.proto != options.dialect.protocol
        self._joins = joins and self._is_udp
        self._is_busy = False  # several came in the turn before
        if self._is_udp:
            with suppress(OSError):  # before Linux 5.0
                bound.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        reactor.add(bound.fileno(), LEVEL, self._ready)
        opened.add(self)

    def send(
        self,
        payload: Payload,
        remote: SocketAddress,
        segment: int,
        hop_limit: int,
        discovery: int,
    ) -> None:
        size = len(payload)
        gathered = self._gathered
        is_as_before = hop_limit == self._hop_limit and discovery == self._discovery
        if gathered:
            first = len(gathered[0])
            total = self._gathered_size + size
            if (
                0 < size <= first
                and remote == self._gathered_for
                and is_as_before
                and not segment
                and total <= MAX_PAYLOAD
            ):
                gathered.append(bytes(payload))
                self._gathered_size = total
                if size < first or len(gathered) == _MOST_GATHERED:
                    self._send_gathered()
                return
            self._send_gathered()
        if not is_as_before:
            self._set_hop_limit(hop_limit)
            self._set_discovery(discovery)
        if segment and segment < size:
            self._send_segments((payload,), remote, segment)
        elif not self._is_crowded and self._sent_at != self._reactor.now:
            self._sent_at = self._reactor.now
            self._send_one(payload, remote)
        elif size and self._is_udp and hop_limit > _LONGEST_TRACE:
            self._gathered = [bytes(payload)]
            self._gathered_size = size
            self._gathered_for = remote
            self._reactor.at_end(self._end_round)
        else:
            self._send_one(payload, remote)

    def read(self) -> None:
        """Read what has come already, without waiting for the loop to say so."""
        self._ready(0)

    def close(self) -> None:
        self._send_gathered()
        self._opened.discard(self)
        self._reactor.remove(self._socket.fileno())
        self._socket.close()

    def _set_hop_limit(self, hop_limit: int) -> None:
        if hop_limit != self._hop_limit:
            self._hop_limit = hop_limit
            self._set(self._options.hop_limit, max(hop_limit, 1))

    def _set_discovery(self, discovery: int) -> None:
        if discovery != self._discovery:
            self._discovery = discovery
            self._set(self._options.discovery, discovery)

    def _set(self, option: int, value: int) -> None:
        with suppress(OSError):  # not every emulation of Linux has it
            self._socket.setsockopt(self._options.level, option, value)

    def _end_round(self) -> None:
        is_one = len(self._gathered) == 1
        self._send_gathered()
        if is_one:
            self._is_crowded = False

    def _send_gathered(self) -> None:
        gathered = self._gathered
        if gathered:
            self._gathered = []
            self._is_crowded = True
            if len(gathered) == 1:
                self._send_one(gathered[0], self._gathered_for)
            else:
                self._send_segments(gathered, self._gathered_for, len(gathered[0]))

    def _send_one(self, payload: Payload, remote: SocketAddress) -> bool:
        """Send a datagram; False if it is larger than its sender wants to be told."""
        failure, mtu = self._transmit((payload,), remote, ())
        if failure == errno.EMSGSIZE and self._discovery == PMTU_DO:
            if mtu:
                self._tell_mtu(payload, remote, mtu)
                return False
            self._set_discovery(PMTU_WANT)  # rather in fragments than lost in silence
            failure, _ = self._transmit((payload,), remote, ())
        if failure:
            self._refuse(payload, remote, failure)
        return True

    def _send_segments(self, parts: Sequence[Payload], remote: SocketAddress, segment: int) -> None:
        """Send a burst, which lies in these parts; one by one if it cannot be cut.

        A burst to a port where nobody listens stays one and gets one error: 46 datagrams with two
        calls each would keep whatever waits behind it in the guest's queue waiting for seconds.
        """
        cut = ((_SOL_UDP, _UDP_SEGMENT, _SEGMENT.pack(segment)),)
        failure, _ = self._transmit(parts, remote, cut)
        if failure in _UNCUTTABLE:
            payload = b"".join(parts)
            too_large = segment + 1
            for offset in range(0, len(payload), segment):
                one = payload[offset : offset + segment]  # the last may be small enough
                if len(one) < too_large and not self._send_one(one, remote):
                    too_large = len(one)
        elif failure:
            self._refuse(parts[0][:segment], remote, failure)

    def _refuse(self, payload: Payload, remote: SocketAddress, error: int) -> None:
        socket_refused(self._log, error)
        self._receiver.refused(payload, remote, error)

    def _transmit(
        self,
        parts: Sequence[Payload],
        remote: SocketAddress,
        ancillary: Sequence[tuple[int, int, bytes]],
    ) -> tuple[int, int]:
        """Send; the errno with which the kernel refuses this very payload, or 0, and the path's MTU
        if that is why.

        A call may fail for an error that an earlier payload met, to whomever: this one is refused
        when two calls fail and no error was queued.
        """
        unexplained = 0
        source = self._asked.get(remote)
        control = ancillary if source is None else (*ancillary, source)
        for _ in range(_TRIES):
            try:
                if control:
                    self._socket.sendmsg(parts, control, 0, remote)
                else:
                    self._socket.sendto(parts[0], remote)
                return 0, 0
            except BlockingIOError:
                return 0, 0  # it is lost, as anywhere on its way
            except OSError as error:
                failure = error.errno or errno.EIO
            queued, mtu = self._read_errors()
            if failure == errno.EMSGSIZE and (mtu or not queued):
                return failure, mtu
            if ancillary and failure in _UNCUTTABLE and not queued:
                return failure, 0
            if not queued:
                unexplained += 1
                if unexplained == 2:
                    return failure, 0
        return 0, 0

    def _tell_mtu(self, payload: Payload, remote: SocketAddress, mtu: int) -> None:
        dialect = self._options.dialect
        kind, code = dialect.numbers[Reason.TOO_BIG]
        quote = bytes(payload[: dialect.max_quote])
        self._receiver.failed(quote, remote, kind, code, UNSPECIFIED, mtu)

    def _ready(self, events: int) -> None:
        if events & BROKEN:
            self._read_errors()
        received, now = self._receiver.received, self._reactor.now
        total = 0
        # One that comes alone, as an answer does, is passed on before the look for another.
        most = _READS if self._is_busy else 1
        while most:
            runs, count = self._read_runs(most)
            for run in runs:
                received(_buffer[run.start : run.end], run.remote, run.segment, now)
                if self._socket.fileno() < 0:
                    return  # whoever received it closed this socket
            total += count
            most = _READS - total if count else 0
        self._is_busy = total > 1

    def _read_runs(self, most: int) -> tuple[list[Run], int]:
        """What waits, up to so many reads and as much as there is room for, and how many reads that
        took: 0 when nothing waits.
        """
        receive, joins = self._socket.recvmsg_into, self._joins
        runs: list[Run] = []
        start = count = 0
        while count < most and start <= _LARGEST:
            try:
                size, ancillary, _, address = receive((_buffer[start:],), _ANCILLARY)
            except BlockingIOError:
                break
            except OSError:
                self._read_errors()
                count += 1
                continue
            count += 1
            remote = address[:2]
            segment = 0
            for level, kind, data in ancillary:
                if level == _SOL_UDP and kind == _UDP_GRO:
                    (segment,) = _GRO_SIZE.unpack_from(data)
                else:
                    self._remember(remote, level, data)
            is_open = joins and not segment
            if not (is_open and runs and runs[-1].is_open and runs[-1].admits(size, remote)):
                runs.append(Run(start, start + size, remote, segment, is_open))
            start += size
            if segment:
                break  # while it is in the cache: with two at a time a third fewer come in
        return runs, count

    def _remember(self, client: SocketAddress, level: int, data: bytes) -> None:
        """By which of its addresses this host was asked: struct in_pktinfo or in6_pktinfo."""
        option = self._options.answer_from
        if level == socket.IPPROTO_IP:
            _, local, _ = _PKTINFO.unpack(data)
            source = (level, option, _PKTINFO.pack(0, local, bytes(4)))
        else:
            local, interface = _PKTINFO_6.unpack(data)
            if local[0] == _MULTICAST_6:
                return  # the kernel chooses
            scope = interface if local[0] == _LINK_LOCAL_6 else 0
            source = (level, option, _PKTINFO_6.pack(local, scope))
        asked = self._asked
        if asked.get(client) != source:
            asked.pop(client, None)
            if len(asked) >= _MAX_CLIENTS:
                del asked[next(iter(asked))]
            asked[client] = source

    def _read_errors(self) -> tuple[bool, int]:
        """Pass on the ICMP errors that are queued: whether there were any, and the path's MTU if
        the kernel has refused a datagram for its size.
        """
        queued, mtu = False, 0
        options = self._options
        for _ in range(_READS):
            try:
                payload, ancillary, _, address = self._socket.recvmsg(
                    options.dialect.max_quote, _ANCILLARY, _MSG_ERRQUEUE
                )
            except OSError:
                break
            for level, option, data in ancillary:
                if (level, option) != (options.level, options.receive_errors):
                    continue
                number, origin, kind, code, info, _ = _EXTENDED_ERROR.unpack_from(data)
                if origin == options.origin:
                    queued = True
                    (packed,) = options.offender.unpack_from(data, _EXTENDED_ERROR.size)
                    offender = socket.inet_ntop(self._socket.family, packed)
                    self._receiver.failed(payload, address[:2], kind, code, offender, info)
                elif origin == _ORIGIN_LOCAL and number == errno.EMSGSIZE:
                    mtu = info  # and nothing else: neither the datagram nor its port
        return queued, mtu

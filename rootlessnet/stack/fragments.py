"""Reassembly of what the guest sends above its MTU.

Bounded in datagrams, in bytes and in time; at a bound the oldest goes. A fragment that overlaps
another condemns its datagram, as RFC 5722 has it for IPv6: no honest kernel sends one, of either
family. Extension headers before a fragment header have done their work when that is read, and are
left out. Read: RFC 791 3.2, RFC 815, RFC 8200 4.5.
"""

from bisect import bisect

from rootlessnet.wire import MalformedError, families
from rootlessnet.wire.ip import Packet

TIMEOUT = 30.0  # seconds, as Linux has it
_MAX_FRAGMENTS = 1024  # of one datagram; 65,535 bytes at the smallest MTU need 120


class _Datagram:
    __slots__ = ("fragments", "head", "offsets", "protocol", "received", "since", "size")

    def __init__(self, now: float) -> None:
        self.fragments: dict[int, bytes] = {}  # by offset
        self.offsets: list[int] = []  # ascending
        self.head = b""  # the first fragment's frame up to its network header
        self.protocol = 0  # that the first fragment names
        self.size = -1  # known once the last fragment came
        self.received = 0
        self.since = now


class Fragments:
    """Datagrams of which fragments are missing, oldest first."""

    def __init__(self, most: int) -> None:
        """There are at most so many."""
        self._most = most
        self._datagrams: dict[bytes, _Datagram] = {}

    def add(self, packet: Packet, frame: memoryview, now: float) -> memoryview | None:
        """Keep a fragment. Returns a frame with the whole packet once nothing is missing."""
        self._expire(now)
        key = packet.datagram
        datagram = self._datagrams.get(key)
        if datagram is None:
            if len(self._datagrams) >= self._most:
                del self._datagrams[next(iter(self._datagrams))]
            datagram = self._datagrams[key] = _Datagram(now)
        try:
            self._insert(datagram, packet, frame)
        except MalformedError:
            del self._datagrams[key]
            raise
        if datagram.received != datagram.size:
            return None
        del self._datagrams[key]
        return self._assemble(datagram, packet)

    def _insert(self, datagram: _Datagram, packet: Packet, frame: memoryview) -> None:
        offset, data = packet.fragment_offset, bytes(frame[packet.start : packet.end])
        end = offset + len(data)
        if datagram.fragments.get(offset) == data:
            return  # a repeat
        if (
            not data
            or end > families.of(packet.addresses).max_payload
            or (packet.more_fragments and len(data) % 8)
        ):
            raise MalformedError("fragment of an impossible size")
        if len(datagram.fragments) >= _MAX_FRAGMENTS:
            raise MalformedError("too many fragments")
        offsets = datagram.offsets
        at = bisect(offsets, offset)
        if (at and offsets[at - 1] + len(datagram.fragments[offsets[at - 1]]) > offset) or (
            at < len(offsets) and offsets[at] < end
        ):
            raise MalformedError("fragments overlap")
        if not packet.more_fragments:
            if datagram.size >= 0 or at < len(offsets):
                raise MalformedError("fragment behind the last")
            datagram.size = end
        elif 0 <= datagram.size < end:
            raise MalformedError("fragment behind the last")
        if offset == 0:
            datagram.head = bytes(frame[: packet.header_start])
            datagram.protocol = packet.protocol
        offsets.insert(at, offset)
        datagram.fragments[offset] = data
        datagram.received += len(data)

    def _assemble(self, datagram: _Datagram, packet: Packet) -> memoryview:
        payload = b"".join([datagram.fragments[offset] for offset in datagram.offsets])
        header = families.of(packet.addresses).build_whole(
            packet.addresses, datagram.protocol, len(payload), packet.hop_limit
        )
        return memoryview(datagram.head + header + payload)

    def _expire(self, now: float) -> None:
        datagrams = self._datagrams
        while datagrams:
            oldest = next(iter(datagrams))
            if now - datagrams[oldest].since < TIMEOUT:
                return
            del datagrams[oldest]

"""Frames towards the guest: headers are made once for each flow and patched for each packet.

The payload is never summed nor copied here: the virtio-net header asks the guest's kernel to
complete the checksum over it, and to cut what is larger than a segment. Only a datagram above the
MTU, which has to leave as IP fragments, is summed. A change from one packet of a flow to the next
touches lengths, checksums and, for TCP, five fields. Read: RFC 791, RFC 9293 3.1, virtio 1.2 5.1.6.
"""

from collections.abc import Callable
from struct import Struct

from rootlessnet.stack.host import Device, Payload
from rootlessnet.stack.network import Network
from rootlessnet.wire import ethernet, families, ip, tcp, udp, vnet
from rootlessnet.wire.checksum import checksum, fold, pseudo_header_sum
from rootlessnet.wire.icmp import Reason
from rootlessnet.wire.ip import DEFAULT_HOP_LIMIT

_IP = ethernet.PAYLOAD

_LENGTH = Struct("!H")
_TCP_FIELDS = Struct("!IIBBHH")  # seq, ack, offset, flags, window, checksum
_UDP_FIELDS = Struct("!HH")  # length, checksum
_PORTS = 4  # bytes of both, before these fields

_pack_vnet = vnet.HEADER.pack_into
_pack_length = _LENGTH.pack_into
_pack_tcp = _TCP_FIELDS.pack_into
_pack_udp = _UDP_FIELDS.pack_into


class Frames:
    """Builds frames for one guest and writes them to its device."""

    def __init__(self, device: Device, network: Network) -> None:
        self.write = device.write
        self.network = network
        self._identification = 0

    def send(
        self,
        addresses: bytes,
        protocol: int,
        message: bytes,
        hop_limit: int = DEFAULT_HOP_LIMIT,
    ) -> None:
        """Send a transport message that carries its own checksum, in fragments if it must."""
        family = families.of(addresses)
        head = self.link_header(addresses)
        mtu = self.network.mtu
        if family.header_size + len(message) <= mtu:
            self.write(head + family.build(addresses, protocol, len(message), hop_limit), message)
            return
        step = (mtu - family.fragment_overhead) & ~7
        self._identification = self._identification % 0xFFFF + 1
        for offset in range(0, len(message), step):
            part = message[offset : offset + step]
            more = offset + step < len(message)
            header = family.build_fragment(
                addresses, protocol, len(part), self._identification, offset, more
            )
            self.write(head + header, part)

    def refuse(
        self, packet: Payload, reason: Reason, source: bytes | None = None, info: int = 0
    ) -> None:
        """Tell the guest why its `packet`, which begins with its network header, went no further.
        `source` None: the gateway does. `info` is what `Dialect.build_error` takes.
        """
        family = families.OF_VERSION[packet[0] >> 4]
        self.send_icmp_error(packet, family.icmp.numbers[reason], source, info)

    def send_icmp_error(
        self, packet: Payload, error: tuple[int, int], source: bytes | None = None, info: int = 0
    ) -> None:
        """The same by type and code."""
        family = families.OF_VERSION[packet[0] >> 4]
        guest = bytes(packet[family.addresses_at :][: family.address_size])
        addresses = (source or self.network.plan_of(guest).gateway) + guest
        dialect = family.icmp
        message = dialect.build_error(error, packet, addresses, info)
        self.send(addresses, dialect.protocol, message)

    def send_udp(self, addresses: bytes, ports: bytes, payload: Payload) -> None:
        """Send one datagram that belongs to no flow."""
        UdpHeader(self, addresses, ports).send(payload, 0)

    def link_header(self, addresses: bytes) -> bytes:
        """What a frame for these addresses has before its network header."""
        network = self.network
        mac = network.mac_of(ip.destination(addresses))
        ethertype = families.of(addresses).ethertype
        return vnet.NO_OFFLOAD + ethernet.HEADER.pack(mac, network.mac, ethertype)


class _FlowHeader:
    """The headers of the packets of one flow towards the guest, and where what changes is in them.

    What follows from the length of a packet is made anew only when that changes. It seldom does:
    bulk leaves in bursts of one size, and acknowledgements and many protocols' answers are alike.
    """

    __slots__ = (
        *("_checksum_at", "_fields_at", "_header", "_ip_length", "_ip_sum", "_length"),
        *("_length_at", "_pseudo_sum", "_start", "_sum", "_write"),
    )

    def __init__(
        self, frames: Frames, addresses: bytes, protocol: int, ports: bytes, size: int
    ) -> None:
        """`size` is that of the transport header, in bytes."""
        family = families.of(addresses)
        header = frames.link_header(addresses)
        header += family.build(addresses, protocol, 0, DEFAULT_HOP_LIMIT)
        header += ports + bytes(size - _PORTS)
        self._write: Callable[[bytes | bytearray, Payload], None] = frames.write
        self._header = bytearray(header)
        self._ip_sum = family.header_sum(addresses, protocol)
        self._pseudo_sum = pseudo_header_sum(addresses, protocol, 0)
        self._ip_length = family.length_of_header
        self._length_at = _IP + family.length_at
        self._checksum_at = family.checksum_at and _IP + family.checksum_at
        self._fields_at = _IP + family.header_size + _PORTS
        self._start = _IP + family.header_size - ethernet.START
        self._length = -1  # of transport header and payload, in bytes, as the headers have it
        self._sum = 0  # of the pseudo-header

    def _resize(self, length: int) -> None:
        self._length = length
        header = self._header
        ip_length = self._ip_length + length
        _pack_length(header, self._length_at, ip_length)
        if self._checksum_at:
            _pack_length(header, self._checksum_at, checksum(self._ip_sum + ip_length))
        self._sum = fold(self._pseudo_sum + length)


class TcpHeader(_FlowHeader):
    """The headers of the segments of one connection."""

    __slots__ = ("_gso", "_mss")

    def __init__(self, frames: Frames, addresses: bytes, ports: bytes) -> None:
        super().__init__(frames, addresses, ip.TCP, ports, tcp.SIZE)
        self._gso = families.of(addresses).tcp_segments
        self._mss = 0  # as the headers have it

    def send(
        self,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        payload: bytes | memoryview,
        mss: int,
        options: bytes,
    ) -> None:
        """Send one segment, or for a payload above `mss` one frame that the guest's kernel cuts."""
        header = self._header
        header_size = tcp.SIZE + len(options)
        length = header_size + len(payload)
        if length != self._length or mss != self._mss:
            self._mss = mss
            start = self._start
            if length - header_size > mss:
                _pack_vnet(header, 0, 1, self._gso, start + header_size, mss, start, 16)
            else:
                _pack_vnet(header, 0, 1, 0, 0, 0, start, 16)
            self._resize(length)
        _pack_tcp(header, self._fields_at, seq, ack, header_size << 2, flags, window, self._sum)
        self._write(header + options if options else header, payload)


class UdpHeader(_FlowHeader):
    """The headers of the datagrams of one flow."""

    __slots__ = ("_addresses", "_frames", "_largest", "_ports")

    def __init__(self, frames: Frames, addresses: bytes, ports: bytes) -> None:
        super().__init__(frames, addresses, ip.UDP, ports, udp.SIZE)
        self._frames = frames
        self._addresses = addresses
        self._ports = ports
        self._largest = frames.network.mtu - families.of(addresses).header_size - udp.SIZE

    def send(self, payload: Payload, segment: int) -> None:
        """Send one datagram, or with `segment` one frame that the guest's kernel cuts."""
        header = self._header
        size = len(payload)
        if size > udp.MAX_PAYLOAD and segment:
            # A host whose loopback has big packets joins more than a frame can tell the length of.
            most = udp.MAX_PAYLOAD // segment * segment
            self.send(payload[:most], segment)
            self.send(payload[most:], segment)
            return
        if (segment or size) > self._largest:
            self._send_fragments(payload, segment or size)
            return
        start = self._start
        if segment and size > segment:
            _pack_vnet(header, 0, 1, vnet.GSO_UDP_L4, start + udp.SIZE, segment, start, 6)
        else:
            _pack_vnet(header, 0, 1, 0, 0, 0, start, 6)
        length = udp.SIZE + size
        if length != self._length:
            self._resize(length)
        _pack_udp(header, self._fields_at, length, self._sum)
        self._write(header, payload)

    def _send_fragments(self, payload: Payload, segment: int) -> None:
        addresses, ports = self._addresses, self._ports
        for offset in range(0, max(len(payload), 1), segment or 1):
            data = bytes(payload[offset : offset + segment])
            self._frames.send(addresses, ip.UDP, udp.build(addresses, ports, data))

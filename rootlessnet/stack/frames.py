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
from rootlessnet.wire import ethernet, icmp, ip, ipv4, tcp, udp, vnet
from rootlessnet.wire.checksum import checksum, fold, pseudo_header_sum, word_sum

_IP = ethernet.PAYLOAD
_TRANSPORT = _IP + ipv4.SIZE
_CSUM_START = _TRANSPORT - ethernet.START
_TCP_END = _TRANSPORT + tcp.SIZE
_UDP_END = _TRANSPORT + udp.SIZE

_LENGTH = Struct("!H")
_LENGTH_AT = _IP + 2
_IP_CHECKSUM_AT = _IP + 10
_TCP_FIELDS = Struct("!IIBBHH")  # seq, ack, offset, flags, window, checksum
_TCP_FIELDS_AT = _TRANSPORT + 4
_UDP_FIELDS = Struct("!HH")  # length, checksum
_UDP_FIELDS_AT = _TRANSPORT + 4

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

    def template(self, addresses: bytes, protocol: int, transport: bytes) -> bytearray:
        """Everything before the payload, lengths and checksums still open."""
        network = self.network
        return bytearray(
            vnet.NO_OFFLOAD
            + ethernet.HEADER.pack(network.guest_mac, network.mac, ethernet.TYPE_IPV4)
            + ipv4.build(addresses, protocol, 0)
            + transport
        )

    def send(self, addresses: bytes, protocol: int, message: bytes) -> None:
        """Send a transport message that carries its own checksum, in fragments if it must."""
        network = self.network
        head = vnet.NO_OFFLOAD + ethernet.HEADER.pack(
            network.guest_mac, network.mac, ethernet.TYPE_IPV4
        )
        if ipv4.SIZE + len(message) <= network.mtu:
            self.write(head + ipv4.build(addresses, protocol, len(message)), message)
            return
        step = (network.mtu - ipv4.SIZE) & ~7
        self._identification = self._identification % 0xFFFF + 1
        for offset in range(0, len(message), step):
            part = message[offset : offset + step]
            more = ipv4.MORE_FRAGMENTS if offset + step < len(message) else 0
            header = ipv4.build(
                addresses,
                protocol,
                len(part),
                identification=self._identification,
                fragment=offset // 8 | more,
            )
            self.write(head + header, part)

    def send_icmp_error(
        self, source: bytes, kind: int, code: int, packet: Payload, info: int = 0
    ) -> None:
        """Tell the guest of an error about `packet`, which begins with its IPv4 header. `info` is
        what `wire.icmp.build_error` takes.
        """
        destination = bytes(packet[12:16])
        self.send(source + destination, ip.ICMP, icmp.build_error(kind, code, packet, info))

    def send_udp(self, addresses: bytes, ports: bytes, payload: Payload) -> None:
        """Send one datagram that belongs to no flow."""
        UdpHeader(self, addresses, ports).send(payload, 0)


class TcpHeader:
    """The headers of the segments of one connection towards the guest."""

    __slots__ = ("_header", "_ip_sum", "_pseudo_sum", "_write")

    def __init__(self, frames: Frames, addresses: bytes, ports: bytes) -> None:
        self._write: Callable[[bytes | bytearray, Payload], None] = frames.write
        self._header = frames.template(addresses, ip.TCP, ports + bytes(tcp.SIZE - 4))
        self._ip_sum = ipv4.header_sum(addresses, ip.TCP)
        self._pseudo_sum = pseudo_header_sum(addresses, ip.TCP, 0)

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
        size = len(payload)
        header_size = tcp.SIZE + len(options)
        length = header_size + size
        if size > mss:
            _pack_vnet(
                header, 0, 1, vnet.GSO_TCPV4, _CSUM_START + header_size, mss, _CSUM_START, 16
            )
        else:
            _pack_vnet(header, 0, 1, 0, 0, 0, _CSUM_START, 16)
        total = self._ip_sum + ipv4.SIZE + length
        _pack_length(header, _LENGTH_AT, ipv4.SIZE + length)
        _pack_length(header, _IP_CHECKSUM_AT, (total - 1) % 0xFFFF + 1 ^ 0xFFFF)
        _pack_tcp(
            header,
            _TCP_FIELDS_AT,
            seq,
            ack,
            header_size << 2,
            flags,
            window,
            (self._pseudo_sum + length - 1) % 0xFFFF + 1,
        )
        self._write(header + options if options else header, payload)


class UdpHeader:
    """The headers of the datagrams of one flow towards the guest."""

    __slots__ = ("_frames", "_header", "_ip_sum", "_pseudo_sum")

    def __init__(self, frames: Frames, addresses: bytes, ports: bytes) -> None:
        self._frames = frames
        self._header = frames.template(addresses, ip.UDP, ports + bytes(udp.SIZE - 4))
        self._ip_sum = ipv4.header_sum(addresses, ip.UDP)
        self._pseudo_sum = pseudo_header_sum(addresses, ip.UDP, 0)

    def send(self, payload: Payload, segment: int) -> None:
        """Send one datagram, or with `segment` one frame that the guest's kernel cuts."""
        header = self._header
        if len(payload) > udp.MAX_PAYLOAD and segment:
            # A host whose loopback has big packets joins more than a frame can tell the length of.
            most = udp.MAX_PAYLOAD // segment * segment
            self.send(payload[:most], segment)
            self.send(payload[most:], segment)
            return
        length = udp.SIZE + len(payload)
        largest = ipv4.SIZE + udp.SIZE + (segment or len(payload))
        if largest > self._frames.network.mtu:
            self._send_fragments(payload, segment or len(payload))
            return
        if segment and len(payload) > segment:
            _pack_vnet(
                header, 0, 1, vnet.GSO_UDP_L4, _UDP_END - ethernet.START, segment, _CSUM_START, 6
            )
        else:
            _pack_vnet(header, 0, 1, 0, 0, 0, _CSUM_START, 6)
        _pack_length(header, _LENGTH_AT, ipv4.SIZE + length)
        _pack_length(header, _IP_CHECKSUM_AT, checksum(self._ip_sum + ipv4.SIZE + length))
        _pack_udp(header, _UDP_FIELDS_AT, length, fold(self._pseudo_sum + length))
        self._frames.write(header, payload)

    def _send_fragments(self, payload: Payload, segment: int) -> None:
        addresses = bytes(self._header[_IP + 12 : _TRANSPORT])
        ports = bytes(self._header[_TRANSPORT:_UDP_FIELDS_AT])
        for offset in range(0, max(len(payload), 1), segment or 1):
            data = bytes(payload[offset : offset + segment])
            length = udp.SIZE + len(data)
            head = ports + _UDP_FIELDS.pack(length, 0)
            total = pseudo_header_sum(addresses, ip.UDP, length) + word_sum(head) + word_sum(data)
            head = ports + _UDP_FIELDS.pack(length, checksum(total) or 0xFFFF)  # RFC 768: 0 is none
            self._frames.send(addresses, ip.UDP, head + data)

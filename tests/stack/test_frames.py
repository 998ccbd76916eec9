"""The headers of a flow keep what follows from a packet's length until the next is longer or
shorter: whatever went before, a packet has the headers that it would have as the first.
"""

from ipaddress import ip_address
from itertools import product

from rootlessnet.stack.frames import Frames, TcpHeader, UdpHeader
from rootlessnet.stack.host import Payload
from rootlessnet.wire import tcp
from tests.stack.side import Side
from tests.stack.world import network


class Frame:
    """A device that keeps the last frame."""

    last = b""

    def write(self, header: bytes | bytearray, payload: Payload) -> None:
        self.last = bytes(header) + bytes(payload)


def headers(side: Side) -> tuple[Frame, TcpHeader, UdpHeader]:
    device = Frame()
    frames = Frames(device, network())
    addresses = ip_address(side.remote).packed + ip_address(side.guest).packed
    return device, TcpHeader(frames, addresses, bytes(4)), UdpHeader(frames, addresses, bytes(4))


def test_a_segment_does_not_depend_on_those_before_it(side: Side) -> None:
    device, header, _ = headers(side)
    segments = [
        *((bytes(size), mss, b"") for size in (0, 8, 900, 5000) for mss in (536, 1000)),
        (b"", 536, tcp.build_options(1460, 7)),
    ]
    for pair in product(segments, repeat=2):
        for payload, mss, options in pair:
            header.send(1, 2, tcp.ACK, 3, payload, mss, options)
        told = device.last
        fresh, first, _ = headers(side)
        first.send(1, 2, tcp.ACK, 3, payload, mss, options)
        assert told == fresh.last


def test_a_datagram_does_not_depend_on_those_before_it(side: Side) -> None:
    device, _, header = headers(side)
    datagrams = [(bytes(size), segment) for size in (0, 8, 1000) for segment in (0, 4, 500)]
    for pair in product(datagrams, repeat=2):
        for payload, segment in pair:
            header.send(payload, segment)
        told = device.last
        fresh, _, first = headers(side)
        first.send(payload, segment)
        assert told == fresh.last

"""A guest's TCP connection: takes what comes in order, acknowledges it, and heeds the window."""

from collections.abc import Callable
from typing import Self

from scapy.layers.inet import ICMP, TCP
from scapy.layers.inet6 import ICMPv6DestUnreach
from scapy.packet import Packet

from rootlessnet.stack.host import SocketAddress
from tests.host.world import HostWorld
from tests.stack.world import GATEWAY, head, tcp

MASK = 0xFFFFFFFF
SCALE, STACK_SCALE = 7, 5  # of the windows: that of tcp(), and that of the stack
LARGEST = 60_000  # bytes of one segment, as segmentation offload makes it
OPEN = 512 << SCALE  # bytes of window


class GuestTcp:
    """`text` is what it has received."""

    def __init__(self, world: HostWorld, remote: SocketAddress, port: int = 40000) -> None:
        self.world = world
        self.remote = remote
        self.port = port
        self.text = bytearray()
        self.established = self.finished = self.was_reset = False
        self.unreachable: int | None = None  # the code of an ICMP error
        self.number = 1000  # of the next byte
        self._expected = 0
        self._edge = 0  # of the stack's window
        self._window = OPEN

    @classmethod
    def connecting(cls, world: HostWorld, port: int, address: str = GATEWAY) -> Self:
        """Has sent its SYN; the gateway's address is the host's loopback."""
        guest = cls(world, (address, port))
        guest._emit("S")
        guest.number += 1
        return guest

    @classmethod
    def connected(cls, world: HostWorld, port: int, address: str = GATEWAY) -> Self:
        guest = cls.connecting(world, port, address)
        guest.until(lambda: guest.established, "the connection")
        return guest

    @classmethod
    def called(cls, world: HostWorld) -> Self:
        """Has received a SYN, and not answered it."""
        (syn,) = world.hear()
        assert syn[TCP].flags == "S"
        guest = cls(world, (head(syn).src, syn[TCP].sport), syn[TCP].dport)
        guest._expected = (syn[TCP].seq + 1) & MASK
        return guest

    @classmethod
    def accepting(cls, world: HostWorld) -> Self:
        """Has received a SYN, and answered it."""
        guest = cls.called(world)
        guest._emit("SA")
        guest.number += 1
        guest.until(lambda: guest.established, "the handshake's end")
        return guest

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Take part until `condition` holds."""

        def take_part() -> object:
            self.take()
            return condition()

        self.world.reactor.wait(take_part, what)

    def pause(self) -> None:
        """Take part a little."""
        self.world.reactor.let_run()
        self.take()

    def take(self) -> None:
        """Process what has come."""
        for packet in self.world.heard():
            if ICMP in packet or ICMPv6DestUnreach in packet:
                self.unreachable = head(packet).payload.code
            else:
                self._take(packet[TCP])

    def pour(self, data: bytes) -> int:
        """Send as much as the stack's window takes; how many bytes that were."""
        sent = 0
        while length := min(self.room(), LARGEST, len(data) - sent):
            self._emit("PA", data[sent : sent + length])
            self.number = (self.number + length) & MASK
            sent += length
        return sent

    def send(self, data: bytes) -> None:
        """Send what the window takes for sure."""
        assert self.pour(data) == len(data)

    def room(self) -> int:
        """What is open of the stack's window, in bytes."""
        return (self._edge - self.number) & MASK

    def finish(self) -> None:
        self._emit("FA")
        self.number = (self.number + 1) & MASK

    def reset(self) -> None:
        self._emit("RA")

    def refuse(self) -> None:
        """Answer a SYN as a port where nobody listens."""
        self.number = 0
        self._emit("RA")

    def open_window(self, size: int = OPEN) -> None:
        self._window = size
        self._emit("A")

    def _take(self, segment: Packet) -> None:
        assert (segment.sport, segment.dport) == (self.remote[1], self.port)
        flags, text = segment.flags, bytes(segment.payload)
        self._edge = segment.ack + (segment.window << (0 if flags.S else STACK_SCALE)) & MASK
        if flags.R:
            self.was_reset = True
            return
        self.established = True
        if flags.S:
            self._expected = segment.seq
        elif segment.seq != self._expected:
            return
        self.text += text
        self.finished = self.finished or flags.F
        length = len(text) + flags.S + flags.F
        if length:
            self._expected = (self._expected + length) & MASK
            self._emit("A")

    def _emit(self, flags: str, text: bytes = b"") -> None:
        address, port = self.remote
        packet = tcp(
            flags, self.number, self._expected, text, dst=address, dport=port, sport=self.port
        )
        packet[TCP].window = self._window >> SCALE
        self.world.send(packet)

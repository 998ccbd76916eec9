"""Frames by a SOCK_SEQPACKET socket: one guest, a frame a message, and none is lost on the way."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from socket import inet_aton
from tempfile import TemporaryDirectory

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from rootlessnet.host.frame_link import FrameLink
from rootlessnet.log import Level, Log
from rootlessnet.stack.frames import Frames, TcpHeader, UdpHeader
from rootlessnet.wire import vnet
from tests.host.world import PATIENCE, HostReactor
from tests.stack.world import network
from tests.wire.oracle import GATEWAY_MAC, GUEST_MAC, dissected

FRAME = bytes(Ether(src=GUEST_MAC, dst=GATEWAY_MAC) / IP(dst="192.0.2.1") / Raw(b"frame"))
MANY = 500  # frames, more than are read in one go, and than a socket's buffer takes
LARGEST = 1 << 16


class Line:
    """The link, and the guests that come to it."""

    def __init__(self, reactor: HostReactor, path: Path, ending: ExitStack) -> None:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening.bind(str(path))
        listening.listen(1)
        self.reactor = reactor
        self.lines: list[str] = []  # of the log
        self.log = Log(lambda _level, text: self.lines.append(text), Level.DEBUG)
        self.link = FrameLink(reactor, listening.detach(), self.log)
        self.frames: list[bytes] = []
        self.vanished = 0
        self.link.vanished = self._vanish
        self.link.start(lambda frame, now: self.frames.append(bytes(frame)))
        self._path = path
        self._ending = ending

    def guest(self) -> socket.socket:
        made = self._ending.enter_context(
            closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        )
        made.settimeout(PATIENCE)
        made.connect(str(self._path))
        return made

    def known_guest(self) -> socket.socket:
        """One whose first frame has arrived."""
        made = self.guest()
        made.send(FRAME)
        self.reactor.wait(lambda: self.frames, "a frame")
        self.frames.clear()
        return made

    def _vanish(self) -> None:
        self.vanished += 1


@pytest.fixture
def line(reactor: HostReactor) -> Iterator[Line]:
    with ExitStack() as ending, TemporaryDirectory(prefix="rn-") as folder:
        made = Line(reactor, Path(folder) / "frames.sock", ending)
        ending.callback(made.link.close)
        yield made


def test_frames_in(line: Line) -> None:
    guest = line.guest()
    for number in range(MANY):
        guest.send(FRAME + number.to_bytes(2, "big"))
        if number % 50 == 0:
            line.reactor.let_run()
    line.reactor.wait(lambda: len(line.frames) == MANY, "the frames")
    assert line.frames == [
        vnet.NO_OFFLOAD + FRAME + number.to_bytes(2, "big") for number in range(MANY)
    ]


def test_a_frame_out(line: Line) -> None:
    guest = line.known_guest()
    line.link.write(vnet.NO_OFFLOAD + FRAME[:14], FRAME[14:])
    assert guest.recv(LARGEST) == FRAME


def test_frames_out_are_cut_and_summed(line: Line) -> None:
    """What a kernel would do for a TAP."""
    guest = line.known_guest()
    frames = Frames(line.link, network())
    addresses = inet_aton("192.0.2.1") + inet_aton("10.0.2.100")
    TcpHeader(frames, addresses, bytes(4)).send(1, 1, 0x18, 100, bytes(2500), 1000, b"")
    segments = [dissected(guest.recv(LARGEST)) for _ in range(3)]
    assert [len(segment[TCP].payload) for segment in segments] == [1000, 1000, 500]
    UdpHeader(frames, addresses, bytes(4)).send(b"hello", 0)
    assert bytes(dissected(guest.recv(LARGEST))[UDP].payload) == b"hello"


def test_what_the_guest_is_slow_to_take_waits_in_its_order(line: Line) -> None:
    guest = line.known_guest()
    for number in range(MANY):
        line.link.write(vnet.NO_OFFLOAD, number.to_bytes(2, "big") + bytes(1400))
    numbers: list[int] = []

    def read() -> bool:
        guest.setblocking(False)
        try:
            while True:
                numbers.append(int.from_bytes(guest.recv(LARGEST)[:2], "big"))
        except BlockingIOError:
            return len(numbers) == MANY

    line.reactor.wait(read, "all frames")
    assert numbers == list(range(MANY))
    assert line.link.refused == 0


def test_a_guest_that_takes_nothing_does_not_fill_the_memory(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rootlessnet.host import frame_link

    monkeypatch.setattr(frame_link, "_WAITING_MOST", 100_000)
    line.known_guest()
    for _ in range(MANY):
        line.link.write(vnet.NO_OFFLOAD, bytes(1400))
    assert line.link.refused > MANY // 4


def test_before_a_guest_has_come_frames_are_lost(line: Line) -> None:
    line.link.write(vnet.NO_OFFLOAD, FRAME)
    guest = line.known_guest()
    line.link.write(vnet.NO_OFFLOAD, b"later")
    assert guest.recv(LARGEST) == b"later"


def test_there_is_one_guest(line: Line) -> None:
    line.known_guest()
    with pytest.raises(ConnectionRefusedError):
        line.guest()


def test_its_end_is_the_end_of_the_link(line: Line) -> None:
    guest = line.known_guest()
    guest.send(FRAME)
    guest.close()
    line.reactor.wait(lambda: line.vanished, "the end")
    assert len(line.frames) == 1
    line.link.write(vnet.NO_OFFLOAD, FRAME)
    assert line.vanished == 1


def test_our_end_is_the_guest_s(line: Line) -> None:
    guest = line.known_guest()
    line.link.close()
    assert guest.recv(LARGEST) == b""


def test_all_that_waits_is_read_at_once(line: Line) -> None:
    guest = line.known_guest()
    guest.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        while True:
            guest.send(FRAME)
            sent += 1
    line.link.read_all()
    assert len(line.frames) == sent > 0


def test_frames_that_are_not_taken_are_told(line: Line) -> None:
    guest = line.known_guest()
    while not line.link.refused:
        line.link.write(vnet.NO_OFFLOAD, bytes(LARGEST // 2))
    (told,) = line.lines
    assert told.startswith("the guest does not read its frames")
    guest.close()
    line.reactor.wait(lambda: line.vanished, "the end")


def test_a_guest_for_whom_no_descriptor_is_left(line: Line) -> None:
    line.reactor.let_run()
    guest = line.guest()
    line.reactor.starve()
    assert line.lines[0].startswith("no descriptor is left")
    guest.send(FRAME)
    line.reactor.wait(lambda: line.frames, "the same guest")

"""The TAP: frames in batches, in two parts, with and without virtio-net header and offload.

A pair of sockets that keep their messages apart stands for the device; what a real one takes and
refuses is for the end-to-end tests. A socket knows no offload, so where the kernel's part matters
the test plays it.
"""

import asyncio
import errno
import fcntl
import os
import socket
from collections.abc import Iterator, Sequence

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from rootlessnet.host.tap import TUNSETOFFLOAD, Tap
from rootlessnet.wire import vnet
from tests.host.world import PATIENCE, HostReactor
from tests.wire.oracle import GATEWAY_MAC, GUEST_MAC, dissected

FRAME = bytes(Ether(src=GUEST_MAC, dst=GATEWAY_MAC) / IP(dst="192.0.2.1") / Raw(b"frame"))
TCP_FRAME = bytes(Ether() / IP(src="192.0.2.1", dst="10.0.2.100") / TCP(flags="PA"))
SUPER = vnet.HEADER.pack(vnet.NEEDS_CSUM, vnet.GSO_TCPV4, 54, 1000, 34, 16)
MANY = 200  # frames, more than are read in one go


class Cable:
    """A TAP, and the guest's end of it."""

    def __init__(self, reactor: HostReactor, has_vnet: bool, offload: bool = True) -> None:
        self.reactor = reactor
        ours, self.guest = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.guest.settimeout(PATIENCE)
        self.descriptor = ours.detach()
        self.tap = Tap(reactor, self.descriptor, has_vnet, offload)
        self.frames: list[bytes] = []
        self.tap.start(lambda frame, now: self.frames.append(bytes(frame)))


@pytest.fixture
def plain(reactor: HostReactor) -> Iterator[Cable]:
    """Without virtio-net header."""
    cable = Cable(reactor, has_vnet=False)
    yield cable
    cable.tap.close()
    cable.guest.close()


class Kernel:
    """A device's part: the offloads it takes, and the frames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offloads: set[int] | None = None  # None: every set
        self.refusal: int | None = None  # the errno that segmented frames get
        self.refused_kinds = {vnet.GSO_TCPV4, vnet.GSO_UDP_L4}
        self.asked: list[int] = []
        self.written: list[bytes] = []
        monkeypatch.setattr(fcntl, "ioctl", self.ioctl)
        monkeypatch.setattr(os, "writev", self.writev)

    def ioctl(self, fd: int, request: int, flags: int) -> int:
        assert request == TUNSETOFFLOAD
        self.asked.append(flags)
        if self.offloads is not None and flags not in self.offloads:
            raise OSError(errno.EINVAL, "unknown offload")
        return 0

    def writev(self, fd: int, parts: Sequence[bytes]) -> int:
        frame = b"".join(parts)
        if self.refusal is not None and frame[1] in self.refused_kinds:
            raise OSError(self.refusal, "not this one")
        self.written.append(frame)
        return len(frame)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


@pytest.fixture
def make_tap(reactor: HostReactor, kernel: Kernel) -> Iterator["MakeTap"]:
    made = MakeTap(reactor)
    yield made
    made.close()


class MakeTap:
    """Makes devices with virtio-net header, once the kernel's part is set."""

    def __init__(self, reactor: HostReactor) -> None:
        self._reactor = reactor
        self._cables: list[Cable] = []

    def __call__(self, offload: bool = True) -> Tap:
        self._cables.append(Cable(self._reactor, has_vnet=True, offload=offload))
        return self._cables[-1].tap

    def close(self) -> None:
        for cable in self._cables:
            cable.tap.close()
            cable.guest.close()


# ── in ───────────────────────────────────────────────────────────────────────────────────────────


def test_frames_in(plain: Cable) -> None:
    """The stack sees one kind of frame: one without header gets an empty one."""
    for number in range(3):
        plain.guest.send(FRAME + bytes(number))
    plain.reactor.wait(lambda: len(plain.frames) == 3, "frames")
    assert plain.frames == [vnet.NO_OFFLOAD + FRAME + bytes(number) for number in range(3)]


def test_frames_with_their_header_in(make_tap: MakeTap, reactor: HostReactor) -> None:
    cable = Cable(reactor, has_vnet=True)
    cable.guest.send(SUPER + FRAME)
    reactor.wait(lambda: cable.frames, "a frame")
    assert cable.frames == [SUPER + FRAME]
    cable.tap.close()
    cable.guest.close()


def test_the_largest_frame(plain: Cable) -> None:
    largest = bytes(14 + 65535)
    plain.guest.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    plain.guest.send(largest)
    plain.reactor.wait(lambda: plain.frames, "a frame")
    assert plain.frames == [vnet.NO_OFFLOAD + largest]


def test_others_get_their_turn(plain: Cable) -> None:
    turns: list[int] = []
    sent = 0
    plain.guest.setblocking(False)

    def take_turn() -> None:
        nonlocal sent
        turns.append(len(plain.frames))
        try:
            while sent < MANY:
                plain.guest.send(FRAME)
                sent += 1
        except BlockingIOError:
            pass
        if len(plain.frames) < MANY:
            plain.reactor.defer(take_turn)

    take_turn()
    plain.reactor.wait(lambda: turns[-1] == MANY, "all frames")
    assert len(set(turns)) > 2


def test_the_device_vanishes(reactor: HostReactor) -> None:
    """As a TAP's reads fail once its namespace has gone, so do those of this socket."""
    told: list[str] = []
    ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        ours.connect(gone.getsockname())
    tap = Tap(reactor, ours.detach(), has_vnet=False)
    tap.vanished = lambda: told.append("vanished")
    tap.start(lambda frame, now: told.append("frame"))
    tap.write(vnet.NO_OFFLOAD + FRAME, b"")
    reactor.wait(lambda: told, "the end")
    reactor.let_run()
    assert told == ["vanished"]
    tap.close()


def test_a_failure_of_the_stack_is_not_the_device_s(
    plain: Cable, loop: asyncio.AbstractEventLoop
) -> None:
    failures: list[object] = []
    loop.set_exception_handler(lambda _loop, context: failures.append(context["exception"]))
    told: list[str] = []
    plain.tap.vanished = lambda: told.append("vanished")
    failure = OSError(errno.EIO, "in the stack")

    def receive(frame: memoryview, now: float) -> None:
        told.append("frame")
        if len(told) == 1:
            raise failure

    plain.reactor.remove(plain.descriptor)
    plain.tap.start(receive)
    for _ in range(2):
        plain.guest.send(FRAME)
    plain.reactor.wait(lambda: len(told) == 2, "another frame")
    assert (told, failures) == (["frame", "frame"], [failure])


# ── out ──────────────────────────────────────────────────────────────────────────────────────────


def test_frames_out_without_header(plain: Cable) -> None:
    assert not plain.tap.offload
    plain.tap.write(vnet.NO_OFFLOAD + FRAME, b" and more")
    assert plain.guest.recv(1 << 17) == FRAME + b" and more"


def test_segments_out_without_header(plain: Cable) -> None:
    payload = bytes(range(250)) * 10
    plain.tap.write(SUPER + TCP_FRAME, payload)
    segments = [dissected(plain.guest.recv(1 << 17)) for _ in range(3)]
    assert [len(segment[TCP].payload) for segment in segments] == [1000, 1000, 500]
    assert b"".join(bytes(segment[TCP].payload) for segment in segments) == payload


def test_a_frame_that_finds_no_reader_is_lost(plain: Cable) -> None:
    plain.guest.close()
    plain.tap.write(vnet.NO_OFFLOAD + FRAME, b"")
    assert plain.tap.refused == 1


def test_all_offloads(kernel: Kernel, make_tap: MakeTap) -> None:
    tap = make_tap()
    assert tap.offload
    assert tap.cuts_datagrams
    probes = kernel.written[:]
    assert [probe[1] for probe in probes] == [vnet.GSO_TCPV4, vnet.GSO_TCPV6]
    for probe in probes:
        assert Ether(probe[vnet.SIZE :]).dst == "02:00:00:00:00:00"  # nobody's
    tap.write(SUPER + TCP_FRAME, b"payload")
    assert kernel.written[2:] == [SUPER + TCP_FRAME + b"payload"]


def test_offload_that_is_refused_for_ipv6_alone(kernel: Kernel, make_tap: MakeTap) -> None:
    kernel.refusal, kernel.refused_kinds = errno.EINVAL, {vnet.GSO_TCPV6}
    tap = make_tap()
    assert tap.offload == {vnet.GSO_NONE, vnet.GSO_TCPV4, vnet.GSO_UDP_L4}


TSO, NOTHING = 0x07, 0


@pytest.mark.parametrize(("offloads", "taken"), [({TSO, NOTHING}, True), ({NOTHING}, False)])
def test_fewer_offloads(kernel: Kernel, make_tap: MakeTap, offloads: set[int], taken: bool) -> None:
    """Before Linux 6.2 there is none for UDP."""
    kernel.offloads = offloads
    tap = make_tap()
    assert (bool(tap.offload), tap.cuts_datagrams) == (taken, False)
    assert kernel.asked[0] == 0x67
    assert kernel.asked[-1] == max(offloads)


def test_no_offload_at_all(kernel: Kernel, make_tap: MakeTap) -> None:
    kernel.offloads = set()
    tap = make_tap()
    assert not tap.offload
    tap.write(vnet.NO_OFFLOAD + FRAME, b"")
    assert kernel.written == [vnet.NO_OFFLOAD + FRAME]


def test_offload_that_is_not_wanted(kernel: Kernel, make_tap: MakeTap) -> None:
    """Neither tried nor asked for, in either direction."""
    tap = make_tap(offload=False)
    assert (tap.offload, kernel.asked, kernel.written) == (frozenset(), [NOTHING], [])
    assert not tap.cuts_datagrams
    tap.write(SUPER + TCP_FRAME, bytes(1500))
    assert [frame[: vnet.SIZE] for frame in kernel.written] == [vnet.NO_OFFLOAD] * 2


def test_offload_that_is_accepted_and_then_refused(kernel: Kernel, make_tap: MakeTap) -> None:
    kernel.refusal = errno.EINVAL
    tap = make_tap()
    assert (tap.offload, kernel.written) == (frozenset(), [])
    tap.write(SUPER + TCP_FRAME, bytes(1500))
    assert [len(frame) for frame in kernel.written] == [
        vnet.SIZE + len(TCP_FRAME) + size for size in (1000, 500)
    ]


def test_offload_that_is_refused_later(kernel: Kernel, make_tap: MakeTap) -> None:
    """The frame at hand is not lost."""
    tap = make_tap()
    kernel.written.clear()
    kernel.refusal = errno.EINVAL
    tap.write(SUPER + TCP_FRAME, bytes(1500))
    assert vnet.GSO_TCPV4 not in tap.offload
    frames = [dissected(frame[vnet.SIZE :]) for frame in kernel.written]
    assert [len(frame[TCP].payload) for frame in frames] == [1000, 500]
    assert {frame[: vnet.SIZE] for frame in kernel.written} == {vnet.NO_OFFLOAD}
    assert tap.refused == 0


UDP_SUPER = vnet.HEADER.pack(vnet.NEEDS_CSUM, vnet.GSO_UDP_L4, 42, 1000, 34, 6)
UDP_FRAME = bytes(Ether() / IP(src="192.0.2.1", dst="10.0.2.100") / UDP(sport=1, dport=2))


@pytest.mark.parametrize("when", ["from the start", "later"])
def test_offload_that_is_refused_for_udp_alone(
    kernel: Kernel, make_tap: MakeTap, when: str
) -> None:
    """TCP goes on at full speed, also before Linux 6.2, which has none for UDP."""
    if when == "from the start":
        kernel.offloads = {TSO, NOTHING}
    tap = make_tap()
    kernel.refusal, kernel.refused_kinds = errno.EINVAL, {vnet.GSO_UDP_L4}
    kernel.written.clear()
    tap.write(UDP_SUPER + UDP_FRAME, bytes(1500))
    assert [len(frame) for frame in kernel.written] == [
        vnet.SIZE + len(UDP_FRAME) + size for size in (1000, 500)
    ]
    kernel.written.clear()
    tap.write(SUPER + TCP_FRAME, bytes(1500))
    assert kernel.written == [SUPER + TCP_FRAME + bytes(1500)]


def test_a_frame_that_is_refused_for_another_reason(kernel: Kernel, make_tap: MakeTap) -> None:
    tap = make_tap()
    kernel.refusal = errno.ENOBUFS
    tap.write(SUPER + TCP_FRAME, bytes(1500))
    assert (vnet.GSO_TCPV4 in tap.offload, tap.refused) == (True, 1)

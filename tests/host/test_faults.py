"""What the host's kernel refuses: the guest waits or hears of it, and the user is told once."""

import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from scapy.layers.inet import TCP

from rootlessnet.host import faults
from rootlessnet.host.reactor import LEVEL
from rootlessnet.host.report import MOST, lines
from rootlessnet.host.tap import Tap
from rootlessnet.log import Level, Log
from rootlessnet.wire import vnet
from tests.host.guest import GuestTcp
from tests.host.world import (
    FarEnd,
    HostReactor,
    HostWorld,
    descriptors,
    no_descriptor_left,
    port_of,
)
from tests.stack.world import GATEWAY, echo, tcp, udp

DESCRIPTORS = "no descriptor is left for connections of the guest: new ones wait; raise the limit"
MEMORY = "the kernel has no memory for sockets or frames: what it refuses is tried again"
PORTS = "no port of this host is left for connections of the guest: new ones wait; widen"
DOWN = "an interface of this host is down"
WAITS = [
    (errno.EMFILE, DESCRIPTORS),
    (errno.ENFILE, DESCRIPTORS),
    (errno.ENOBUFS, MEMORY),
    (errno.ENOMEM, MEMORY),
]


class Kernel:
    """Refuses sockets with `error`, binds with `binds` and connects with `connects`, unless those
    are 0.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error = 0
        self.binds = 0
        self.connects = 0
        kernel = self

        class Socket(socket.socket):
            def __init__(
                self,
                family: int = -1,
                kind: int = -1,
                protocol: int = -1,
                fileno: int | None = None,
            ) -> None:
                if kernel.error:
                    raise OSError(kernel.error, os.strerror(kernel.error))
                super().__init__(family, kind, protocol, fileno)

            def bind(self, address: object) -> None:
                if kernel.binds:
                    raise OSError(kernel.binds, os.strerror(kernel.binds))
                assert isinstance(address, tuple)
                super().bind(address)

            def connect_ex(self, target: object) -> int:
                assert isinstance(target, tuple)
                return kernel.connects or super().connect_ex(target)

        monkeypatch.setattr("rootlessnet.host.tcp.socket.socket", Socket)


def refuse_to_send(*_: object) -> int:
    raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))


def refuse_to_watch(_descriptor: int, _events: int, _callback: object) -> None:
    """There is a limit on that, too: epoll(7), max_user_watches."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


@pytest.mark.parametrize(("error", "line"), WAITS)
def test_no_socket_for_a_connection(
    world: HostWorld, far_end: FarEnd, kernel: Kernel, error: int, line: str
) -> None:
    """The guest asks again by itself: nothing is lost, and one line is told of several tries."""
    listening = far_end.listen()
    standing = GuestTcp.connected(world, port_of(listening))
    far = far_end.accept(listening)
    kernel.error = error
    server = (GATEWAY, port_of(listening))
    for port in (40001, 40002):
        world.send(tcp("S", 1000, 0, dst=server[0], dport=server[1], sport=port))
    assert world.heard() == []
    assert len(world.gateway.tcp) == 1
    assert_told(world, line)
    standing.send(b"goes on")
    assert far.recv(100) == b"goes on"
    kernel.error = 0
    world.hear()  # the acknowledgement, which is delayed
    world.send(tcp("S", 1000, 0, dst=server[0], dport=server[1], sport=40001))
    (answer,) = world.hear()
    assert answer[TCP].flags == "SA"


@pytest.mark.parametrize(("error", "line"), [*WAITS[2:], (errno.EADDRNOTAVAIL, PORTS)])
def test_no_room_for_a_connect(
    world: HostWorld, far_end: FarEnd, kernel: Kernel, error: int, line: str
) -> None:
    """The same when there is a socket, but no port for it."""
    listening = far_end.listen()
    before = descriptors()
    kernel.connects = error
    GuestTcp.connecting(world, port_of(listening))
    assert world.heard() == []
    assert descriptors() == before
    assert_told(world, line)
    kernel.connects = 0
    GuestTcp.connected(world, port_of(listening))


def test_an_interface_that_is_down(world: HostWorld, kernel: Kernel) -> None:
    """The guest hears of it at once, as a program of the host would."""
    kernel.connects = errno.ENETDOWN
    guest = GuestTcp.connecting(world, 80)
    guest.take()
    assert guest.unreachable == 1
    assert_told(world, DOWN)


def test_a_descriptor_that_cannot_be_watched(
    world: HostWorld, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = far_end.listen()
    before = descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(world.reactor, "add", refuse_to_watch)
        GuestTcp.connecting(world, port_of(listening))
        assert world.heard() == []
        assert descriptors() == before
        assert len(world.gateway.tcp) == 0
    GuestTcp.connected(world, port_of(listening))


def test_the_reactor_forgets_what_it_cannot_watch(reactor: HostReactor) -> None:
    with Path(os.devnull).open() as file:  # epoll(7) takes no files
        with pytest.raises(OSError, match="not permitted"):
            reactor.add(file.fileno(), LEVEL, lambda _events: None)
        reactor.remove(file.fileno())


def test_no_socket_for_datagrams(world: HostWorld, far_end: FarEnd) -> None:
    """They are lost, as anywhere on their way; what was open goes on."""
    server = far_end.udp()
    with no_descriptor_left():
        for port in (5001, 5002):
            world.send(udp(b"lost", dst=GATEWAY, dport=port_of(server), sport=port))
            world.send(echo(dst="192.0.2.77"))
    assert_told(world, DESCRIPTORS)
    world.send(udp(b"arrives", dst=GATEWAY, dport=port_of(server), sport=5001))
    assert server.recv(100) == b"arrives"


def test_no_port_for_datagrams(world: HostWorld, kernel: Kernel) -> None:
    before = descriptors()
    kernel.binds = errno.EADDRINUSE
    world.send(udp(b"lost", dst=GATEWAY))
    assert_told(world, PORTS)
    assert descriptors() == before


def test_no_memory_for_a_datagram(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch, far_end: FarEnd
) -> None:
    server = far_end.udp()
    with monkeypatch.context() as kernel:
        kernel.setattr(socket.socket, "sendto", refuse_to_send)
        world.send(udp(b"lost", dst=GATEWAY, dport=port_of(server)))
    assert_told(world, MEMORY)
    world.send(udp(b"arrives", dst=GATEWAY, dport=port_of(server)))
    assert server.recv(100) == b"arrives"


def test_a_socket_for_datagrams_that_cannot_be_watched(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = descriptors()
    monkeypatch.setattr(world.reactor, "add", refuse_to_watch)
    world.send(udp(b"lost", dst=GATEWAY))
    assert_told(world, MEMORY)
    assert descriptors() == before


@pytest.mark.parametrize(
    ("error", "level", "line"),
    [
        (errno.ENOBUFS, Level.WARNING, MEMORY),
        (errno.ENOMEM, Level.WARNING, MEMORY),
        (errno.EIO, Level.DEBUG, "the guest's interface takes no frames (Input/output error)"),
    ],
)
def test_frames_that_the_device_does_not_take(
    reactor: HostReactor, monkeypatch: pytest.MonkeyPatch, error: int, level: Level, line: str
) -> None:
    told: list[tuple[Level, str]] = []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    log = Log(lambda *one: told.append(one), Level.DEBUG)
    tap = Tap(reactor, ours.detach(), has_vnet=False, log=log)
    with theirs, monkeypatch.context() as patched:

        def refuse(_descriptor: int, _parts: Sequence[bytes]) -> int:
            raise OSError(error, os.strerror(error))

        patched.setattr(os, "writev", refuse)
        for _ in range(3):
            tap.write(vnet.NO_OFFLOAD + bytes(60), b"")
    tap.close()
    assert tap.refused == 3
    assert told == [(level, line)]


def test_a_defect_is_one_event(world: HostWorld) -> None:
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        faults.defect(world.log, {"message": "a defect", "exception": error})
    faults.defect(world.log, {"message": "no exception"})
    first, second = world.lines
    assert first.startswith("a defect: Traceback")
    assert first.endswith("ValueError: a\nb\n")
    assert second == "no exception"


@pytest.mark.parametrize("bound", ["tcp_flows", "tcp_connecting", "udp_flows", "echo_flows"])
def test_a_full_table_is_told_once(world: HostWorld, bound: str) -> None:
    world.host.full(bound)
    world.host.full(bound)
    (told,) = world.lines
    assert f"raise --limit {bound.replace('_', '-')}=NUMBER" in told


# ── the report ───────────────────────────────────────────────────────────────────────────────────


DROPPED = ("0 malformed", "1 foreign source", "0 hop limit", "0 unknown protocol")


def report(world: HostWorld) -> list[str]:
    return list(lines(world.gateway, Refusing(), world.host, world.log))


class Refusing:
    """A device."""

    refused = 7


def test_the_report(world: HostWorld, far_end: FarEnd) -> None:
    listening, server = far_end.listen(), far_end.udp()
    GuestTcp.connected(world, port_of(listening))
    far = far_end.accept(listening)
    far.sendall(b"four")
    world.hear()  # and nothing is acknowledged
    world.send(udp(b"data", dst=GATEWAY, dport=port_of(server), sport=5001))
    world.send(udp(b"foreign", src="10.99.0.1"))
    world.log.fault("trouble", "told")
    assert report(world) == [
        "flows: 1 tcp, 1 udp, 0 echo, 0 spliced",
        f"frames of the guest dropped: {', '.join(DROPPED)}",
        "frames to the guest refused: 7",
        "faults: 1 trouble",
        f"tcp 10.0.2.100:40000 10.0.2.2:{port_of(listening)} ESTABLISHED, waiting: 0 out, 4 in",
        f"udp 10.0.2.100:5001 10.0.2.2:{port_of(server)} one way",
    ]


def test_the_report_has_a_bound(world: HostWorld, far_end: FarEnd) -> None:
    server = far_end.udp()
    for port in range(5000, 5000 + MOST + 3):
        world.send(udp(b"data", dst=GATEWAY, dport=port_of(server), sport=port))
    found = [line for line in report(world) if line.startswith("udp ")]
    assert len(found) == MOST + 1
    assert found[-1] == "udp and 3 more"


def assert_told(world: HostWorld, line: str) -> None:
    (told,) = world.lines
    assert told.startswith(line)

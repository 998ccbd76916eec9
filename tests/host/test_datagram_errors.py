"""What became of a datagram: every error that the host's kernel knows reaches the guest.

What the loopback cannot make, errors of far routers and a full kernel, comes from a socket that
answers as udp(7) and ip(7) have it.
"""

import errno
import socket
import struct

import pytest
from scapy.layers.inet import UDPerror

from rootlessnet.stack.host import SocketAddress
from tests.host.recorder import Opened, Recorder, open_on
from tests.host.world import LOOPBACK, HostReactor, HostWorld, address_of, closed_port
from tests.stack.world import GATEWAY, assert_unreachable, udp

UNREACHABLE, PORT_UNREACHABLE, TIME_EXCEEDED, TOO_BIG = 3, 3, 11, 4

ipv4 = pytest.mark.parametrize("opened", [LOOPBACK], indirect=True)


@ipv4
def test_a_port_where_nobody_listens(opened: Opened) -> None:
    remote, recorder = closed_port(), opened.recorder
    opened.datagrams.send(b"probe", remote, 0)
    opened.reactor.wait(lambda: recorder.errors, "an error")
    assert recorder.errors == [
        (b"probe", remote, UNREACHABLE, PORT_UNREACHABLE, LOOPBACK, 0),
    ]
    assert recorder.refusals == []


@ipv4
def test_an_error_does_not_cost_another_datagram(opened: Opened, peer: socket.socket) -> None:
    """The kernel tells of it when the next one is sent, and does not send that."""
    remote = closed_port()
    for _ in range(2):
        opened.datagrams.send(b"probe", remote, 0)
    opened.datagrams.send(b"datagram", address_of(peer), 0)
    assert peer.recv(100) == b"datagram"
    assert [error[:2] for error in opened.recorder.errors] == [(b"probe", remote)] * 2
    opened.datagrams.send(b"probe", remote, 0)
    burst = bytes(2000)
    opened.datagrams.send(burst, address_of(peer), 1000)
    assert [len(peer.recv(2000)) for _ in range(2)] == [1000, 1000]
    assert opened.recorder.refusals == []
    opened.reactor.wait(lambda: len(opened.recorder.errors) == 3, "the third error")


@ipv4
def test_an_error_does_not_stop_what_arrives(opened: Opened, peer: socket.socket) -> None:
    peer.sendto(b"datagram", opened.address)
    opened.datagrams.send(b"probe", closed_port(), 0)
    recorder = opened.recorder
    opened.reactor.wait(lambda: recorder.datagrams and recorder.errors, "both")


@ipv4
def test_the_kernel_refuses(opened: Opened) -> None:
    broadcast = ("255.255.255.255", 9)
    opened.datagrams.send(b"probe", broadcast, 0)
    opened.datagrams.send(bytes(20), broadcast, 10)
    refusals = opened.recorder.refusals
    assert {error for _, _, error in refusals} <= {errno.EACCES, errno.ENETUNREACH}
    assert [(payload, remote) for payload, remote, _ in refusals] == [
        (payload, broadcast) for payload in (b"probe", bytes(10), bytes(10))
    ]


class OtherKernel(socket.socket):
    """A socket with these errors in its queue, and this answer to who wants to send."""

    errors: list[tuple[bytes, bytes]]  # the payload, and struct sock_extended_err
    answer: OSError | None = None

    def recvmsg(
        self, size: int, ancillary_size: int = 0, flags: int = 0, /
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, SocketAddress]:
        if not flags & 0x2000:  # MSG_ERRQUEUE
            raise AssertionError("datagrams are read by recvmsg_into")
        if not self.errors:
            raise BlockingIOError(errno.EAGAIN, "no error")
        payload, extended = self.errors.pop(0)
        return payload, [(socket.IPPROTO_IP, 11, extended)], flags, ("192.0.2.1", 9)

    def sendto(self, *arguments: object) -> int:
        if self.answer is not None:
            raise self.answer
        return 0


def extended_error(
    number: int, origin: int, kind: int, code: int, info: int, offender: str
) -> bytes:
    fixed = struct.pack("=IBBBxII", number, origin, kind, code, info, 0)
    return fixed + struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(offender))


LOCAL, FROM_ICMP, FROM_TIMESTAMP = 1, 2, 4


@pytest.mark.parametrize(
    ("extended", "told"),
    [
        (
            extended_error(errno.EHOSTUNREACH, FROM_ICMP, TIME_EXCEEDED, 0, 0, "198.51.100.1"),
            (TIME_EXCEEDED, 0, "198.51.100.1", 0),
        ),
        (
            extended_error(errno.EMSGSIZE, FROM_ICMP, UNREACHABLE, TOO_BIG, 1400, "198.51.100.1"),
            (UNREACHABLE, TOO_BIG, "198.51.100.1", 1400),
        ),
        (
            extended_error(errno.EHOSTUNREACH, FROM_ICMP, UNREACHABLE, 1, 7, "198.51.100.1"),
            (UNREACHABLE, 1, "198.51.100.1", 0),
        ),
        (
            extended_error(errno.EMSGSIZE, LOCAL, 0, 0, 1280, "0.0.0.0"),
            (UNREACHABLE, TOO_BIG, "0.0.0.0", 1280),
        ),
        (extended_error(errno.EHOSTUNREACH, LOCAL, 0, 0, 0, "0.0.0.0"), None),
        (extended_error(errno.ENOMSG, FROM_TIMESTAMP, 0, 0, 0, "0.0.0.0"), None),
    ],
)
def test_errors_from_afar(
    reactor: HostReactor, extended: bytes, told: tuple[int, int, str, int] | None
) -> None:
    kernel = OtherKernel(socket.AF_INET, socket.SOCK_DGRAM)
    opened = open_on(reactor, kernel)
    kernel.errors = [(b"probe", extended)]
    kernel.answer = OSError(errno.EMSGSIZE, "as ip(7) has it")
    opened.datagrams.send(b"next", ("192.0.2.1", 9), 0)
    expected = [] if told is None else [(b"probe", ("192.0.2.1", 9), *told)]
    assert opened.recorder.errors == expected
    assert opened.recorder.refusals == []  # what is too large was among the errors
    opened.datagrams.close()


@pytest.mark.parametrize("segment", [0, 2])
def test_no_room_in_the_kernel(reactor: HostReactor, segment: int) -> None:
    """The datagram is lost, as anywhere on its way."""
    kernel = OtherKernel(socket.AF_INET, socket.SOCK_DGRAM)
    opened = open_on(reactor, kernel)
    kernel.answer = BlockingIOError(errno.EAGAIN, "full")
    opened.datagrams.send(b"datagram", closed_port(), segment)
    assert opened.recorder == Recorder(socket=opened.datagrams)
    opened.datagrams.close()


def test_the_guest_is_told(world: HostWorld) -> None:
    _, port = closed_port()
    probe = udp(b"probe", dst=GATEWAY, dport=port)
    world.send(probe)
    (answer,) = world.hear()
    assert_unreachable(answer, probe, PORT_UNREACHABLE)
    assert bytes(answer[UDPerror].payload) == b"probe"

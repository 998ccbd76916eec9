"""What became of a datagram: every error that the host's kernel knows reaches the guest.

What the loopback cannot make, errors of far routers and a full kernel, comes from a socket that
answers as udp(7) and ip(7) have it.
"""

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from scapy.layers.inet import UDPerror

from rootlessnet.stack.host import PMTU_DO, PMTU_DONT, PMTU_WANT, Payload, SocketAddress
from tests.host.recorder import Opened, Recorder, open_on
from tests.host.world import (
    LOOPBACK,
    LOOPBACK_6,
    HostReactor,
    HostWorld,
    address_of,
    closed_port,
)
from tests.stack.world import GATEWAY, assert_unreachable, udp

UNREACHABLE, PORT_UNREACHABLE, TIME_EXCEEDED, TOO_BIG = 3, 3, 11, 4
UNREACHABLE_6, PORT_UNREACHABLE_6 = 1, 4

ipv4 = pytest.mark.parametrize("opened", [LOOPBACK], indirect=True)


def closed_to(opened: Opened) -> SocketAddress:
    """A port where nobody listens, of the socket's family."""
    return closed_port(LOOPBACK if opened.bound.family == socket.AF_INET else LOOPBACK_6)


def test_a_port_where_nobody_listens(opened: Opened) -> None:
    remote, recorder = closed_to(opened), opened.recorder
    is_ipv4 = opened.bound.family == socket.AF_INET
    error = (UNREACHABLE, PORT_UNREACHABLE) if is_ipv4 else (UNREACHABLE_6, PORT_UNREACHABLE_6)
    opened.send(b"probe", remote)
    opened.reactor.wait(lambda: recorder.errors, "an error")
    assert recorder.errors == [(b"probe", remote, *error, remote[0], 0)]
    assert recorder.refusals == []


def test_an_error_does_not_cost_another_datagram(opened: Opened, peer: socket.socket) -> None:
    """The kernel tells of it when the next one is sent, and does not send that."""
    remote = closed_to(opened)
    for _ in range(2):
        opened.send(b"probe", remote)
    opened.send(b"datagram", address_of(peer))
    assert peer.recv(100) == b"datagram"
    assert [error[:2] for error in opened.recorder.errors] == [(b"probe", remote)] * 2
    opened.send(b"probe", remote)
    burst = bytes(2000)
    opened.send(burst, address_of(peer), 1000)
    assert [len(peer.recv(2000)) for _ in range(2)] == [1000, 1000]
    assert opened.recorder.refusals == []
    opened.reactor.wait(lambda: len(opened.recorder.errors) == 3, "the third error")


def test_an_error_does_not_stop_what_arrives(opened: Opened, peer: socket.socket) -> None:
    peer.sendto(b"datagram", opened.address)
    opened.send(b"probe", closed_to(opened))
    recorder = opened.recorder
    opened.reactor.wait(lambda: recorder.datagrams and recorder.errors, "both")


@ipv4
def test_the_kernel_refuses(opened: Opened) -> None:
    broadcast = ("255.255.255.255", 9)
    opened.send(b"probe", broadcast)
    opened.send(bytes(20), broadcast, 10)
    refusals = opened.recorder.refusals
    assert {error for _, _, error in refusals} <= {errno.EACCES, errno.ENETUNREACH}
    assert [(payload, remote) for payload, remote, _ in refusals] == [
        (payload, broadcast) for payload in (b"probe", bytes(10))
    ]


def test_a_burst_to_a_closed_port_stays_one(opened: Opened) -> None:
    """Or a guest that floods one keeps its own other flows waiting for seconds."""
    remote, recorder = closed_to(opened), opened.recorder
    for _ in range(10):
        opened.send(bytes(46 * 1400), remote, 1400)
    opened.reactor.wait(lambda: len(recorder.errors) >= 10, "an error for each burst")
    assert len(recorder.errors) == 10
    assert recorder.refusals == []


# ── another kernel ───────────────────────────────────────────────────────────────────────────────

Answer = tuple[int, list[bytes]]  # an errno, 0 if it sends, and what it then has in its queue

FAR = ("192.0.2.1", 9)


class OtherKernel(socket.socket):
    """A socket whose calls end as `answers` say, and then well. It remembers what was sent, with
    the value that IP_MTU_DISCOVER had.
    """

    answers: list[Answer]
    queue: list[bytes]  # struct sock_extended_err
    sent: list[tuple[bytes, int]]

    def recvmsg(
        self, size: int, ancillary_size: int = 0, flags: int = 0, /
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, SocketAddress]:
        if not flags & 0x2000:  # MSG_ERRQUEUE
            raise AssertionError("datagrams are read by recvmsg_into")
        if not self.queue:
            raise BlockingIOError(errno.EAGAIN, "no error")
        return b"probe", [(socket.IPPROTO_IP, 11, self.queue.pop(0))], flags, FAR

    def sendto(self, *arguments: object) -> int:
        payload = arguments[0]
        assert isinstance(payload, Payload)
        failure, errors = self.answers.pop(0) if self.answers else (0, [])
        self.queue += errors
        if failure:
            raise OSError(failure, "as the test wants it")
        self.sent.append((bytes(payload), self.getsockopt(socket.IPPROTO_IP, 10)))
        return 0

    def sendmsg(self, *arguments: object) -> int:
        raise OSError(errno.EMSGSIZE, "it does not cut")


@dataclass
class OnOtherKernel(Opened):
    kernel: OtherKernel


@pytest.fixture
def on_other_kernel(reactor: HostReactor) -> Iterator[OnOtherKernel]:
    kernel = OtherKernel(socket.AF_INET, socket.SOCK_DGRAM)
    kernel.answers, kernel.queue, kernel.sent = [], [], []
    opened = open_on(reactor, kernel)
    yield OnOtherKernel(reactor, kernel, opened.recorder, opened.datagrams, kernel)
    opened.datagrams.close()


def extended_error(
    number: int, origin: int, kind: int, code: int, info: int, offender: str
) -> bytes:
    fixed = struct.pack("=IBBBxII", number, origin, kind, code, info, 0)
    return fixed + struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(offender))


LOCAL, FROM_ICMP, FROM_TIMESTAMP = 1, 2, 4
ROUTER = "198.51.100.1"
EXPIRED = extended_error(errno.EHOSTUNREACH, FROM_ICMP, TIME_EXCEEDED, 0, 0, ROUTER)
TOO_LARGE = extended_error(errno.EMSGSIZE, LOCAL, 0, 0, 1400, "0.0.0.0")


@pytest.mark.parametrize(
    ("extended", "told"),
    [
        (EXPIRED, (TIME_EXCEEDED, 0, ROUTER, 0)),
        (
            extended_error(errno.EMSGSIZE, FROM_ICMP, UNREACHABLE, TOO_BIG, 1400, ROUTER),
            (UNREACHABLE, TOO_BIG, ROUTER, 1400),
        ),
        (
            extended_error(errno.EHOSTUNREACH, FROM_ICMP, UNREACHABLE, 1, 0, ROUTER),
            (UNREACHABLE, 1, ROUTER, 0),
        ),
        (extended_error(errno.EPROTO, FROM_ICMP, 12, 0, 20, ROUTER), (12, 0, ROUTER, 20)),
        (extended_error(errno.EHOSTUNREACH, LOCAL, 0, 0, 0, "0.0.0.0"), None),
        (extended_error(errno.ENOMSG, FROM_TIMESTAMP, 0, 0, 0, "0.0.0.0"), None),
    ],
)
def test_errors_from_afar(
    on_other_kernel: OnOtherKernel, extended: bytes, told: tuple[int, int, str, int] | None
) -> None:
    """They come up with the next datagram, which is sent all the same."""
    opened = on_other_kernel
    opened.kernel.answers = [(errno.EHOSTUNREACH, [extended])]
    opened.send(b"next", FAR)
    assert opened.kernel.sent == [(b"next", PMTU_WANT)]
    assert opened.recorder.errors == ([] if told is None else [(b"probe", FAR, *told)])
    assert opened.recorder.refusals == []


@pytest.mark.parametrize(
    "answers",
    [
        [(errno.EHOSTUNREACH, [EXPIRED])] * 4,
        [(errno.EHOSTUNREACH, [EXPIRED]), (errno.EHOSTUNREACH, [])],
        [(errno.EMSGSIZE, [EXPIRED]), (errno.EMSGSIZE, [EXPIRED])],
    ],
    ids=["one after the other", "read before it was pending", "of another size"],
)
def test_errors_that_others_met_are_not_this_one_s(
    on_other_kernel: OnOtherKernel, answers: list[Answer]
) -> None:
    opened = on_other_kernel
    opened.kernel.answers = answers
    opened.send(b"next", ("192.0.2.2", 9))
    assert opened.kernel.sent == [(b"next", PMTU_WANT)]
    assert {remote for _, remote, *_ in opened.recorder.errors} == {FAR}
    assert opened.recorder.refusals == []


def test_errors_without_end(on_other_kernel: OnOtherKernel) -> None:
    """Somebody sends them faster than they are read: a datagram is lost, the rest goes on."""
    opened = on_other_kernel
    opened.kernel.answers = [(errno.EHOSTUNREACH, [EXPIRED])] * 100
    opened.send(b"next", FAR)
    assert 0 < len(opened.recorder.errors) < 20
    assert (opened.kernel.sent, opened.recorder.refusals) == ([], [])


# ── what is larger than the path's MTU ───────────────────────────────────────────────────────────


TOLD = (UNREACHABLE, TOO_BIG, "0.0.0.0", 1400)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([(errno.EMSGSIZE, [TOO_LARGE])], [TOLD]),
        (
            [(errno.EMSGSIZE, [EXPIRED]), (errno.EMSGSIZE, [TOO_LARGE])],
            [(TIME_EXCEEDED, 0, ROUTER, 0), TOLD],
        ),
    ],
)
def test_who_asks_is_told(
    on_other_kernel: OnOtherKernel,
    answers: list[Answer],
    told: list[tuple[int, int, str, int]],
) -> None:
    """As on the host, where the call fails: the datagram goes no further."""
    opened = on_other_kernel
    opened.kernel.answers = answers
    opened.send(b"probe" + bytes(1400), FAR, discovery=PMTU_DO)
    assert [(error[0][:5], *error[1:]) for error in opened.recorder.errors] == [
        (b"probe", FAR, *error) for error in told
    ]
    assert (opened.kernel.sent, opened.recorder.refusals) == ([], [])
    opened.send(b"next", FAR, discovery=PMTU_DO)
    assert opened.kernel.sent == [(b"next", PMTU_DO)]


def test_who_cannot_be_told_loses_nothing(on_other_kernel: OnOtherKernel) -> None:
    """The queue of errors was full: the kernel has not said how large the path's MTU is."""
    opened = on_other_kernel
    opened.kernel.answers = [(errno.EMSGSIZE, [])]
    for payload in (bytes(1400), b"next"):
        opened.send(payload, FAR, discovery=PMTU_DO)
    assert opened.kernel.sent == [(bytes(1400), PMTU_WANT), (b"next", PMTU_DO)]
    assert (opened.recorder.errors, opened.recorder.refusals) == ([], [])


def test_of_a_burst_one_is_told(on_other_kernel: OnOtherKernel) -> None:
    opened = on_other_kernel
    opened.kernel.answers = [(errno.EMSGSIZE, [TOO_LARGE])] * 10
    opened.send(bytes(14_500), FAR, 1450, discovery=PMTU_DO)
    assert [error[2:] for error in opened.recorder.errors] == [TOLD]
    assert opened.kernel.sent == []


def test_what_follows_one_that_is_too_large_is_sent(on_other_kernel: OnOtherKernel) -> None:
    """It may be smaller: a probe of the path's MTU has data behind it."""
    opened = on_other_kernel
    opened.kernel.answers = [(0, []), (errno.EMSGSIZE, [TOO_LARGE])]
    payloads = (b"at once", bytes(1450), b"data")

    def send() -> None:
        for payload in payloads:
            opened.datagrams.send(payload, FAR, 0, 63, PMTU_DO)

    opened.reactor.run(send)
    assert [error[2:] for error in opened.recorder.errors] == [TOLD]
    assert opened.kernel.sent == [(b"at once", PMTU_DO), (b"data", PMTU_DO)]


@pytest.mark.parametrize("discovery", [PMTU_DONT, PMTU_WANT])
def test_to_others_there_is_nothing_to_report(
    on_other_kernel: OnOtherKernel, discovery: int
) -> None:
    """The kernel refuses only what is larger than any packet."""
    opened = on_other_kernel
    opened.kernel.answers = [(errno.EMSGSIZE, [TOO_LARGE])] * 2
    opened.send(bytes(70_000), FAR, discovery=discovery)
    assert opened.kernel.sent == []
    assert opened.recorder.errors == []
    assert opened.recorder.refusals == [(bytes(70_000), FAR, errno.EMSGSIZE)]


@pytest.mark.parametrize("segment", [0, 2])
def test_no_room_in_the_kernel(on_other_kernel: OnOtherKernel, segment: int) -> None:
    """The datagram is lost, as anywhere on its way."""
    opened = on_other_kernel
    opened.kernel.answers = [(errno.EAGAIN, [])] * 4
    opened.send(b"datagram", closed_port(), segment)
    assert opened.recorder == Recorder(socket=opened.datagrams)
    assert opened.kernel.sent == []


def test_the_guest_is_told(world: HostWorld) -> None:
    _, port = closed_port()
    probe = udp(b"probe", dst=GATEWAY, dport=port)
    world.send(probe)
    (answer,) = world.hear()
    assert_unreachable(answer, probe, PORT_UNREACHABLE)
    assert bytes(answer[UDPerror].payload) == b"probe"

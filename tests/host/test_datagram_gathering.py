"""Datagrams of one round to one remote leave as one burst, and arrive as if they had not."""

import errno
import socket
from collections.abc import Iterator, Sequence

import pytest

from rootlessnet.stack.host import PMTU_DO, PMTU_DONT, PMTU_WANT, SocketAddress
from tests.host.recorder import Opened, open_on
from tests.host.world import LOOPBACK, LOOPBACK_6, FarEnd, HostReactor, address_of

# linux/in.h, linux/in6.h: IP_MTU_DISCOVER and its namesake
PMTU_DISCOVERY = {
    socket.AF_INET: (socket.IPPROTO_IP, 10),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 23),
}
MANY = 300  # datagrams, more than one burst may have
PAYLOADS = [bytes((number % 251,)) * 1400 for number in range(MANY)]


class Calls(socket.socket):
    """A socket that remembers how many bytes each call sends, and may refuse bursts."""

    sent: list[int]
    discoveries: list[int]  # of bursts
    error = 0

    def sendto(self, payload: bytes, address: SocketAddress) -> int:  # type: ignore[override]
        self.sent.append(len(payload))
        return super().sendto(payload, address)

    def sendmsg(  # type: ignore[override]
        self,
        parts: Sequence[bytes],
        ancillary: Sequence[tuple[int, int, bytes]],
        flags: int,
        address: SocketAddress,
    ) -> int:
        if self.error:
            raise OSError(self.error, "as the test wants it")
        self.sent.append(sum(map(len, parts)))
        self.discoveries.append(self.getsockopt(*PMTU_DISCOVERY[socket.AddressFamily(self.family)]))
        return super().sendmsg(parts, ancillary, flags, address)


class Sending:
    """A socket of ours, and remotes."""

    def __init__(self, reactor: HostReactor, far_end: FarEnd, address: str) -> None:
        self.calls = Calls(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.sent = self.calls.sent = []
        self.calls.discoveries = []
        self.opened: Opened = open_on(reactor, self.calls)
        self.datagrams = self.opened.datagrams
        self.one, self.other = far_end.udp(address), far_end.udp(address)
        for remote in (self.one, self.other):
            remote.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.reactor = reactor
        self.round(b"1", b"2", b"3")  # from now on a burst is what it expects
        assert self.sent == [1, 2]
        self.sent.clear()
        self.calls.discoveries.clear()
        for _ in range(3):
            self.one.recv(100)

    def send(self, *payloads: bytes, to: socket.socket | None = None, hop_limit: int = 63) -> None:
        """Within a round."""
        for payload in payloads:
            remote = address_of(to or self.one)
            self.datagrams.send(memoryview(payload), remote, 0, hop_limit, PMTU_WANT)

    def round(self, *payloads: bytes) -> None:
        self.reactor.run(lambda: self.send(*payloads))


@pytest.fixture(params=[LOOPBACK, LOOPBACK_6], ids=["ipv4", "ipv6"])
def sending(
    reactor: HostReactor, far_end: FarEnd, request: pytest.FixtureRequest
) -> Iterator[Sending]:
    made = Sending(reactor, far_end, request.param)
    yield made
    made.datagrams.close()


def test_a_round_leaves_as_bursts(sending: Sending) -> None:
    """Of 46 each, for a burst has to fit a packet; none is lost, joined or out of order."""
    sending.round(*PAYLOADS)
    assert [sending.one.recv(65535) for _ in PAYLOADS] == PAYLOADS
    assert sending.sent == [46 * 1400] * 6 + [24 * 1400]


def test_small_ones(sending: Sending) -> None:
    """As many as any kernel cuts."""
    payloads = [bytes((number,)) for number in range(65)]
    sending.round(*payloads)
    assert [sending.one.recv(65535) for _ in payloads] == payloads
    assert sending.sent == [64, 1]


def test_one_by_itself_is_no_burst(sending: Sending) -> None:
    for payload in (b"1", b"2"):
        sending.round(payload)
        assert sending.one.recv(65535) == payload
    assert sending.sent == [1, 1]


def test_the_first_after_one_by_itself_leaves_at_once(sending: Sending) -> None:
    sending.round(b"1")
    assert sending.one.recv(100) == b"1"

    def send() -> None:
        sending.send(b"2")
        assert sending.one.recv(100) == b"2"
        sending.send(b"3", b"4")

    sending.reactor.run(send)
    assert [sending.one.recv(100) for _ in range(2)] == [b"3", b"4"]
    assert sending.sent == [1, 1, 2]


@pytest.mark.parametrize(
    ("sizes", "calls"),
    [
        ([100, 100, 60], [260]),  # the last may be shorter
        ([100, 60, 60, 100], [160, 60, 100]),  # and ends the burst
        ([60, 100, 100], [60, 200]),
        ([100, 100, 0, 100], [200, 0, 100]),
        ([0, 0], [0, 0]),
        ([40_000, 40_000], [40_000, 40_000]),
    ],
)
def test_boundaries_survive(sending: Sending, sizes: list[int], calls: list[int]) -> None:
    sending.round(*map(bytes, sizes))
    assert [len(sending.one.recv(65535)) for _ in sizes] == sizes
    assert sending.sent == calls


def test_each_remote_gets_its_own(sending: Sending) -> None:
    def send() -> None:
        sending.send(b"1", b"2")
        sending.send(b"a", b"b", to=sending.other)
        sending.send(b"3")

    sending.reactor.run(send)
    assert [sending.one.recv(100) for _ in range(3)] == [b"1", b"2", b"3"]
    assert [sending.other.recv(100) for _ in range(2)] == [b"a", b"b"]
    assert sending.sent == [2, 2, 1]


def test_a_probe_of_the_way_is_sent_by_itself(sending: Sending) -> None:
    """Each wants an error of its own."""
    sending.reactor.run(lambda: sending.send(b"1", b"2", b"3", hop_limit=30))
    assert sending.sent == [1, 1, 1]


def test_each_burst_has_the_hops_and_df_of_its_datagrams(sending: Sending) -> None:

    def send() -> None:
        for discovery in (PMTU_DONT, PMTU_DONT, PMTU_DO, PMTU_DO):
            sending.datagrams.send(b"x", address_of(sending.one), 0, 63, discovery)

    sending.reactor.run(send)
    assert (sending.sent, sending.calls.discoveries) == ([2, 2], [PMTU_DONT, PMTU_DO])


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EIO, errno.EMSGSIZE])
def test_what_cannot_be_cut_is_sent_one_by_one(sending: Sending, error: int) -> None:
    sending.calls.error = error
    payloads = [b"first", b"other", b"end"]
    sending.round(*payloads)
    assert [sending.one.recv(100) for _ in payloads] == payloads
    assert sending.opened.recorder.refusals == []


def test_a_refused_burst_is_told_once(sending: Sending) -> None:
    sending.calls.error = errno.ENETUNREACH
    sending.round(b"first", b"other")
    refusal = (b"first", address_of(sending.one), errno.ENETUNREACH)
    assert sending.opened.recorder.refusals == [refusal]


def test_a_socket_that_is_closed_has_sent_all(sending: Sending, far_end: FarEnd) -> None:
    def send_and_close() -> None:
        sending.send(b"1", b"2")
        sending.datagrams.close()

    sending.reactor.run(send_and_close)
    assert [sending.one.recv(100) for _ in range(2)] == [b"1", b"2"]
    sending.opened = open_on(sending.reactor, far_end.udp())
    sending.datagrams = sending.opened.datagrams

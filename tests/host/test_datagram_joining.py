"""What a host socket receives in a row is given on as one, if the guest's device cuts it again."""

import socket
import struct

import pytest

from tests.host.recorder import Opened, Recorder, open_on
from tests.host.world import (
    LOOPBACK,
    LOOPBACK_6,
    FarEnd,
    HostReactor,
    HostWorld,
    address_of,
    is_readable,
)

UDP_SEGMENT = 103  # linux/udp.h


class Receiving:
    """A socket of ours, and who sends to it."""

    def __init__(self, reactor: HostReactor, far_end: FarEnd, address: str) -> None:
        self.opened: Opened = open_on(reactor, far_end.udp(address), joins=True)
        self.one, self.other = far_end.udp(address), far_end.udp(address)
        self.reactor = reactor

    def send(self, *sizes: int, sender: socket.socket | None = None) -> None:
        for size in sizes:
            (sender or self.one).sendto(bytes(size), self.opened.address)

    def received(self) -> list[tuple[int, int]]:
        """Size of each, and of a segment, once all of it is there; the first came alone."""
        self.reactor.let_run()
        (first, *others) = self.opened.recorder.datagrams
        assert first[2] == 0
        self.opened.recorder.datagrams.clear()
        return [(len(payload), segment) for payload, _, segment in others]


@pytest.fixture(params=[LOOPBACK, LOOPBACK_6], ids=["ipv4", "ipv6"])
def receiving(reactor: HostReactor, far_end: FarEnd, request: pytest.FixtureRequest) -> Receiving:
    return Receiving(reactor, far_end, request.param)


@pytest.mark.parametrize(
    ("sizes", "received"),
    [
        ([], []),
        ([100], [(100, 0)]),
        ([100, 100, 100], [(300, 100)]),
        ([100, 100, 60, 60, 60], [(260, 100), (120, 60)]),  # the last may be shorter, and ends it
        ([60, 100, 100], [(60, 0), (200, 100)]),
        ([100, 0, 100, 100], [(100, 0), (0, 0), (200, 100)]),
        ([0, 0], [(0, 0), (0, 0)]),
        ([40_000, 40_000], [(40_000, 0), (40_000, 0)]),  # no packet holds both
        ([65_000, 65_000, 65_000, 507], [(65_000, 0), (65_000, 0), (65_507, 65_000)]),
        ([65_000, 508], [(65_000, 0), (508, 0)]),
        ([20_000] * 4, [(60_000, 20_000), (20_000, 0)]),
    ],
)
def test_what_comes_in_a_row(
    receiving: Receiving, sizes: list[int], received: list[tuple[int, int]]
) -> None:
    receiving.send(1, *sizes)
    assert receiving.received() == received


def test_order_and_contents(receiving: Receiving) -> None:
    """Of more than one turn and one buffer have room for."""
    payloads = [bytes((number,)) * (1000 + number // 50) for number in range(150)]
    for payload in payloads:
        receiving.one.sendto(payload, receiving.opened.address)
    recorder = receiving.opened.recorder
    total = sum(map(len, payloads))
    receiving.reactor.wait(
        lambda: sum(len(one) for one, _, _ in recorder.datagrams) == total, "all of them"
    )
    cut = [
        burst[start : start + (segment or len(burst))]
        for burst, _, segment in recorder.datagrams
        for start in range(0, len(burst), segment or len(burst))
    ]
    assert cut == payloads
    assert len(recorder.datagrams) < 10


def test_each_sender_s_own(receiving: Receiving) -> None:
    receiving.send(1)
    for sender in (receiving.one, receiving.other, receiving.one):
        receiving.send(10, 10, sender=sender)
    receiving.reactor.let_run()
    senders = [remote for _, remote, _ in receiving.opened.recorder.datagrams[1:]]
    one, other = address_of(receiving.one), address_of(receiving.other)
    assert senders == [one, other, one]


def test_a_burst_of_the_sender_s_stays_as_it_is(receiving: Receiving) -> None:
    receiving.send(1, 100)
    segment = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", 100))]
    receiving.one.sendmsg([bytes(250)], segment, 0, receiving.opened.address)
    receiving.send(50, 50)
    assert receiving.received() == [(100, 0), (250, 100), (100, 50)]


def test_a_burst_goes_on_before_another_is_read(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiving.send(100, 100)
    assert receiving.received() == [(100, 0)]  # now it expects more than one
    waiting: list[bool] = []

    def watch(*_arguments: object) -> None:
        waiting.append(is_readable(receiving.opened.bound))

    monkeypatch.setattr(receiving.opened.recorder, "received", watch)
    segment = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", 100))]
    for _ in range(2):
        receiving.one.sendmsg([bytes(250)], segment, 0, receiving.opened.address)
    receiving.reactor.let_run()
    assert waiting == [True, False]


def test_a_busy_socket_has_no_first_that_comes_alone(receiving: Receiving) -> None:
    receiving.send(100, 100, 100)
    assert receiving.received() == [(200, 100)]
    receiving.send(100, 100, 100)
    receiving.reactor.let_run()
    assert [len(one) for one, _, _ in receiving.opened.recorder.datagrams] == [300]


def test_the_receiver_closes_the_socket_amid_a_row(receiving: Receiving) -> None:
    receiving.opened.recorder.closes = True
    receiving.send(1, 2, 3)
    receiving.reactor.let_run()
    assert len(receiving.opened.recorder.datagrams) == 1


@pytest.mark.parametrize("joins", [False, True])
def test_the_sockets_of_the_host_do_so_if_they_are_told(
    world: HostWorld, far_end: FarEnd, joins: bool
) -> None:
    world.host.joins_datagrams = joins
    sender, bound = far_end.udp(), far_end.udp()
    published = Recorder()
    world.host.publish_udp(bound, published)
    for _ in range(3):
        sender.sendto(b"datagram", address_of(bound))
    world.reactor.let_run()
    assert [len(one) for one, _, _ in published.datagrams] == ([8, 16] if joins else [8, 8, 8])

"""What is published because the guest listens, as the guest's ports come and go."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address

import pytest

from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Forward
from rootlessnet.host import binding, publish_all
from rootlessnet.host.forwards import Forwards
from rootlessnet.host.publish_all import PublishedAll
from rootlessnet.host.sock_diag import Port
from rootlessnet.publishing import PublishAll
from rootlessnet.words import HostAddress
from tests.conftest import first_of_free_ports
from tests.host.world import LOOPBACK, FarEnd, HostReactor, HostWorld, is_taken

Start = Callable[[PublishAll], None]

PLACE = ip_address(LOOPBACK)
OWN, OTHER = ip_address("10.0.2.100"), ip_address("10.0.2.101")  # of the guest, another node


class FakeGuest:
    """A guest that listens on what the test says."""

    def __init__(self) -> None:
        self.ports: set[Port] = set()
        self.failure: OSError | None = None
        self.looks = 0
        self._told: frozenset[Port] | None = None

    def read(self) -> frozenset[Port] | None:
        self.looks += 1
        if self.failure is not None:
            raise self.failure
        told, self._told = self._told, frozenset(self.ports)
        return None if told == self._told else self._told


class All:
    """A guest, all of whose ports are published."""

    def __init__(self, reactor: HostReactor, forwards: Forwards) -> None:
        self.guest = FakeGuest()
        self.said: list[str] = []
        self._reactor = reactor
        self._forwards = forwards

    def start(self, wanted: PublishAll, capacity: int = 1 << 20) -> PublishedAll:
        return PublishedAll(
            self._reactor, self._forwards, self.guest, wanted, capacity, self.said.append, [OWN]
        )

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.guest.looks = 0
            assert self._reactor.time_is_up() == 1
            self._reactor.wait(lambda: self.guest.looks, "a look")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def all_ports(reactor: HostReactor, forwards: Forwards) -> All:
    return All(reactor, forwards)


@pytest.fixture
def start(all_ports: All, stack: ExitStack) -> Start:
    def begin(wanted: PublishAll) -> None:
        stack.callback(all_ports.start(wanted).close)

    return begin


@pytest.fixture
def first() -> int:
    """The first of three ports."""
    return first_of_free_ports(3)


def published(forwards: Forwards) -> list[Forward]:
    return list(forwards.published)


def test_ports_come_and_go(all_ports: All, start: Start, forwards: Forwards, first: int) -> None:
    all_ports.guest.ports = {Port("tcp", first, False)}  # before we came
    start(PublishAll(PLACE))
    tcp = Forward(first, first, "tcp", PLACE)
    assert published(forwards) == [tcp]
    all_ports.guest.ports |= {Port("udp", first + 1, False)}
    all_ports.look(2)
    udp = Forward(first + 1, first + 1, "udp", PLACE)
    assert published(forwards) == [tcp, udp]
    assert is_taken("tcp", LOOPBACK, first)
    assert is_taken("udp", LOOPBACK, first + 1)
    all_ports.guest.ports = {Port("udp", first + 1, False)}
    all_ports.look()
    assert published(forwards) == [udp]
    assert not is_taken("tcp", LOOPBACK, first)
    assert all_ports.said == []


@pytest.mark.parametrize("place", [None, PLACE])
def test_without_an_address(
    all_ports: All, start: Start, forwards: Forwards, first: int, place: HostAddress | None
) -> None:
    """That of the network, else every one."""
    forwards.address = place
    start(PublishAll())
    all_ports.guest.ports = {Port("tcp", first, False)}
    all_ports.look()
    assert published(forwards) == [Forward(first, first, "tcp", place)]
    assert is_taken("tcp", "127.0.0.9", first) == (place is None)


@pytest.mark.parametrize(("node", "is_left"), [(OWN, True), (OTHER, False)])
def test_a_port_of_a_certain_address_that_is_published_already(
    all_ports: All,
    start: Start,
    forwards: Forwards,
    first: int,
    node: HostAddress,
    is_left: bool,
) -> None:
    """What is published of another node is none of it."""
    (named,) = forwards.open(Forward(first + 1, first, "tcp", PLACE, guest_address=node))
    all_ports.guest.ports = {Port("tcp", first, False)}
    start(PublishAll(PLACE))
    found = [] if is_left else [Forward(first, first, "tcp", PLACE)]
    assert published(forwards) == [named, *found]
    assert all_ports.said == []


def test_a_port_in_use_is_told_of_once_and_taken_when_it_is_free(
    all_ports: All,
    start: Start,
    forwards: Forwards,
    first: int,
    far_end: FarEnd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holder = far_end.listen(LOOPBACK, first)
    start(PublishAll(PLACE))
    all_ports.guest.ports = {Port("tcp", first, False), Port("tcp", first + 1, False)}
    all_ports.look()
    (line,) = all_ports.said
    assert line.startswith(
        f"cannot publish {LOOPBACK}:{first}:{first}/tcp: port {first} is in use on {LOOPBACK} "
    )
    # Who holds it is looked up once, in the whole of /proc.
    monkeypatch.setattr(binding, "_in_use", None)
    all_ports.look(8)
    assert published(forwards) == [Forward(first + 1, first + 1, "tcp", PLACE)]
    all_ports.guest.ports = {Port("tcp", first + 1, False)}  # it goes, and comes again
    all_ports.look()
    all_ports.guest.ports |= {Port("tcp", first, False)}
    all_ports.look(4)
    assert len(all_ports.said) == 1
    assert len(forwards.published) == 1
    holder.close()
    all_ports.look(4)
    assert set(forwards.published) == {
        Forward(port, port, "tcp", PLACE) for port in (first, first + 1)
    }
    assert len(all_ports.said) == 1


def test_a_port_that_somebody_was_quicker_to_take(
    all_ports: All,
    start: Start,
    first: int,
    far_end: FarEnd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was free a moment ago; that it is not is no news."""
    far_end.listen(LOOPBACK, first)
    start(PublishAll(PLACE))
    all_ports.guest.ports = {Port("tcp", first, False)}
    all_ports.look()
    monkeypatch.setattr(publish_all, "is_free", lambda _forward: True)
    all_ports.look(8)
    assert len(all_ports.said) == 1


def test_a_port_that_is_published_already_is_left_alone(
    all_ports: All, start: Start, forwards: Forwards, first: int
) -> None:
    """Until it is not: then it is like any other."""
    by_hand = Forward(first + 1, first, "tcp", PLACE)
    forwards.open(by_hand)
    start(PublishAll(PLACE))
    all_ports.guest.ports = {Port("tcp", first, False), Port("udp", first, False)}
    all_ports.look(4)
    udp = Forward(first, first, "udp", PLACE)
    assert published(forwards) == [by_hand, udp]
    forwards.close(by_hand)
    all_ports.look(4)
    assert published(forwards) == [udp, Forward(first, first, "tcp", PLACE)]
    assert all_ports.said == []


def test_a_port_that_somebody_withdrew_stays_so_until_it_comes_again(
    all_ports: All, start: Start, forwards: Forwards, first: int
) -> None:
    start(PublishAll(PLACE))
    all_ports.guest.ports = {Port("tcp", first, False)}
    all_ports.look()
    forwards.close(*forwards.published)
    all_ports.look(8)
    assert published(forwards) == []
    all_ports.guest.ports = set()
    all_ports.look()
    all_ports.guest.ports = {Port("tcp", first, False)}
    all_ports.look()
    assert published(forwards) == [Forward(first, first, "tcp", PLACE)]


@pytest.mark.parametrize("place", [None, "127.0.0.2", "0.0.0.0"])
def test_ports_of_the_guests_loopback(
    all_ports: All, start: Start, forwards: Forwards, first: int, place: str | None
) -> None:
    """Where those are who can reach them; over UDP nobody can."""
    start(PublishAll(None if place is None else ip_address(place), loopback=True))
    all_ports.guest.ports = {Port("tcp", first, True), Port("udp", first, True)}
    all_ports.look()
    wanted = ip_address("127.0.0.2" if place == "127.0.0.2" else LOOPBACK)
    assert published(forwards) == [Forward(first, first, "tcp", wanted)]


def test_ports_of_the_guests_loopback_for_those_who_ask(
    all_ports: All, start: Start, forwards: Forwards, first: int
) -> None:
    """When such a port opens to everybody, it is published."""
    start(PublishAll(PLACE))
    all_ports.guest.ports = {Port("tcp", first, True)}
    all_ports.look()
    assert published(forwards) == []
    all_ports.guest.ports = {Port("tcp", first, False)}
    all_ports.look()
    assert published(forwards) == [Forward(first, first, "tcp", PLACE)]


def test_there_is_a_bound(all_ports: All, stack: ExitStack, forwards: Forwards, first: int) -> None:
    """Which is told of once; who waits gets what others leave."""
    all_ports.guest.ports = {Port("tcp", first + offset, False) for offset in range(3)}
    stack.callback(all_ports.start(PublishAll(PLACE), capacity=16).close)
    assert [one.host_port for one in forwards.published] == [first, first + 1]
    (line,) = all_ports.said
    assert line.startswith("the guest listens on more than 2 ports: ")
    all_ports.look(8)
    all_ports.guest.ports -= {Port("tcp", first, False)}
    all_ports.look(4)
    assert [one.host_port for one in forwards.published] == [first + 1, first + 2]
    assert len(all_ports.said) == 1


def test_a_look_that_fails_is_made_up_for(
    all_ports: All, start: Start, forwards: Forwards, first: int
) -> None:
    start(PublishAll(PLACE))
    all_ports.guest.ports = {Port("tcp", first, False)}
    all_ports.guest.failure = OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
    all_ports.look(2)
    all_ports.guest.failure = None
    all_ports.look()
    assert len(forwards.published) == 1


def test_a_kernel_that_does_not_tell_is_an_error_at_the_start(
    all_ports: All, reactor: HostReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> frozenset[Port] | None:
        raise RootlessnetError("no")

    monkeypatch.setattr(all_ports.guest, "read", refuse)
    with pytest.raises(RootlessnetError, match="no"):
        all_ports.start(PublishAll())
    assert reactor.time_is_up() == 0


def test_it_ends(all_ports: All, reactor: HostReactor) -> None:
    watching = all_ports.start(PublishAll())
    watching.close()
    watching.close()
    assert reactor.time_is_up() == 0


def test_the_address_of_the_network_is_for_all_that_name_none(world: HostWorld, first: int) -> None:
    placed = Forwards(world.reactor, world.gateway, world.host, world.log, PLACE)
    try:
        other = Forward(first + 1, 80, "tcp", ip_address("127.0.0.2"))
        mine = Forward(first, 80, "tcp", PLACE)
        assert placed.open(Forward(first, 80), other) == (mine, other)
        with socket.create_server(("127.0.0.3", first)):  # nobody has the other addresses
            pass
        placed.close(Forward(first, 80))
        assert placed.published == (other,)
    finally:
        placed.close_all()

"""The reactor: who is called in a round, in which order, and that its one timer serves the stack.

The descriptors are those of eventfd(2), which are readable when they are not zero.
"""

import os
import socket
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from time import monotonic

import pytest
from scapy.layers.inet import TCP

from rootlessnet.host import reactor as reactor_module
from rootlessnet.host.reactor import EDGE, LEVEL, Reactor
from tests.host.guest import GuestTcp
from tests.host.world import FarEnd, HostReactor, HostWorld, is_readable, port_of
from tests.stack.world import GATEWAY, tcp, udp
from tests.wire.oracle import from_guest

MakeEvent = Callable[[int], int]


@pytest.fixture
def make_event() -> Iterator[MakeEvent]:
    """For a descriptor, readable if its number is not 0."""
    made: list[int] = []

    def make(number: int) -> int:
        made.append(os.eventfd(number, os.EFD_NONBLOCK))
        return made[-1]

    yield make
    for descriptor in made:
        os.close(descriptor)


# ── events ───────────────────────────────────────────────────────────────────────────────────────


def test_the_ready_are_called_in_their_order(reactor: HostReactor, make_event: MakeEvent) -> None:
    called: list[int] = []
    events = [make_event(number) for number in (1, 0, 1)]
    for event in events:

        def ready(_events: int, event: int = event) -> None:
            called.append(event)
            os.eventfd_read(event)

        reactor.add(event, LEVEL, ready)
    reactor.wait(lambda: called, "the ready")
    os.eventfd_write(events[1], 1)
    reactor.wait(lambda: len(called) == 3, "the last")
    assert called == [events[0], events[2], events[1]]


@pytest.mark.parametrize("kind", ["pipe", "sockets"])
def test_a_hang_up_is_no_data(reactor: HostReactor, kind: str) -> None:
    called: list[bool] = []
    if kind == "pipe":
        ours, theirs = os.pipe()
    else:
        ours, theirs = (one.detach() for one in socket.socketpair())
    try:
        reactor.add_hangup(ours, lambda: called.append(True))
        os.write(theirs, b"data")
        reactor.let_run()
        assert called == []
    finally:
        os.close(theirs)
    reactor.wait(lambda: called, "the hang-up")
    reactor.let_run()
    assert called == [True]
    os.close(ours)


def test_a_file_never_hangs_up(reactor: HostReactor) -> None:
    with Path(os.devnull).open("rb") as null:
        reactor.add_hangup(null.fileno(), lambda: pytest.fail("it did"))
        reactor.let_run()


def test_level_and_edge(reactor: HostReactor, make_event: MakeEvent) -> None:
    """What is not read is told again and again, or once."""
    level, edge = make_event(1), make_event(1)
    called: list[int] = []
    reactor.add(level, LEVEL, lambda _: called.append(level))
    reactor.add(edge, EDGE, lambda _: called.append(edge))
    reactor.wait(lambda: called.count(level) >= 5, "repetitions")
    assert called.count(edge) == 1


def test_a_defect_costs_nobody_else_an_event(reactor: HostReactor, make_event: MakeEvent) -> None:
    """An edge does not come twice."""
    failures: list[object] = []
    reactor.loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    called: list[str] = []
    failure = ZeroDivisionError()

    def fail(*_: int) -> None:
        raise failure

    reactor.add(make_event(1), EDGE, fail)
    reactor.add(make_event(1), EDGE, lambda _: called.append("ready"))
    reactor.defer(fail)
    reactor.defer(lambda: called.append("deferred"))
    reactor.wait(lambda: len(called) == 2, "the others")
    assert failures == [failure, failure]


def test_another_callback(reactor: HostReactor, make_event: MakeEvent) -> None:
    event = make_event(1)
    called: list[str] = []
    reactor.add(event, LEVEL, lambda _: called.append("first"))
    reactor.replace(event, lambda _: called.append("second"))
    reactor.wait(lambda: called, "the event")
    assert set(called) == {"second"}


def test_who_was_removed_is_not_called(reactor: HostReactor, make_event: MakeEvent) -> None:
    """By the one before it in the same round, neither."""
    first, second = make_event(1), make_event(1)
    called: list[str] = []

    def ready(_events: int) -> None:
        called.append("first")
        reactor.remove(second)
        reactor.remove(second)  # once more does no harm

    reactor.add(first, LEVEL, ready)
    reactor.add(second, LEVEL, lambda _: called.append("second"))
    reactor.wait(lambda: len(called) >= 3, "some rounds")
    assert set(called) == {"first"}


def test_who_inherits_a_number_does_not_inherit_the_event(
    reactor: HostReactor, make_event: MakeEvent
) -> None:
    """A connection is closed, and one opened that gets its descriptor, both in one round."""
    first, second, successor = make_event(1), make_event(1), make_event(0)
    called: list[str] = []

    def ready(_events: int) -> None:
        called.append("first")
        os.eventfd_read(first)
        reactor.remove(second)
        os.dup2(successor, second)
        reactor.add(second, LEVEL, lambda _: called.append("successor"))

    reactor.add(first, LEVEL, ready)
    reactor.add(second, LEVEL, lambda _: called.append("second"))
    reactor.let_run()
    assert called == ["first"]
    os.eventfd_write(successor, 1)
    reactor.wait(lambda: "successor" in called, "its own event")


def test_a_round_is_bounded(
    reactor: HostReactor, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others of the loop get their turn before all that is ready has been handled."""
    monkeypatch.setattr(reactor_module, "_BATCH", 4)
    monkeypatch.setattr(reactor_module, "_LONGEST_ROUND", 0.0)
    turns: list[str] = []
    for _ in range(10):
        event = make_event(1)

        def ready(_events: int, event: int = event) -> None:
            os.eventfd_read(event)
            if not turns:
                reactor.loop.call_soon(turns.append, "other")
            turns.append("ready")

        reactor.add(event, LEVEL, ready)
    reactor.wait(lambda: len(turns) == 11, "all of them")
    assert turns.index("other") == 4


def test_a_round_goes_on_while_there_are_events(
    reactor: HostReactor, make_event: MakeEvent
) -> None:
    """To give the loop its turn for each of them would cost more than they do."""
    turns: list[str] = []
    event = make_event(1)

    def ready(_events: int) -> None:
        if not turns:
            reactor.loop.call_soon(turns.append, "other")
        turns.append("ready")
        if len(turns) == 3:
            os.eventfd_read(event)

    reactor.add(event, LEVEL, ready)
    reactor.wait(lambda: "other" in turns, "the end of the round")
    assert turns == ["ready", "ready", "ready", "other"]


class Sleeper:
    """A reactor's clock and its epoll set, which has events at certain times alone."""

    def __init__(self, reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.events: list[float] = []  # when, earliest first
        self.polls = 0
        monkeypatch.setattr(reactor_module, "monotonic", self._monotonic)
        monkeypatch.setattr(reactor, "_poll", self._poll)
        self._round = reactor._round

    def wake(self, after: float, *events: float) -> int:
        """Sleep until an event has come, others follow; the number of looks for events."""
        self.now += after
        self.events = [self.now, *(self.now + event for event in events)]
        self.polls = 0
        self._round()
        return self.polls

    def _monotonic(self) -> float:
        return self.now

    def _poll(self, _timeout: float, _most: int) -> list[tuple[int, int]]:
        self.polls += 1
        if self.events and self.events[0] <= self.now:
            self.events.pop(0)
            return [(-1, LEVEL)]
        self.now += 10e-6
        return []


@pytest.fixture
def sleeper(reactor: HostReactor, monkeypatch: pytest.MonkeyPatch) -> Sleeper:
    return Sleeper(reactor, monkeypatch)


def test_nobody_looks_out_for_what_comes_slowly(sleeper: Sleeper) -> None:
    assert [sleeper.wake(after=1.0) for _ in range(3)] == [2, 2, 2]


def test_what_comes_fast_is_looked_out_for(sleeper: Sleeper) -> None:
    """Once some sleeps in a row were short, that is: then within one round."""
    for _ in range(reactor_module._SHORT_SLEEPS):
        sleeper.wake(30e-6, 30e-6)
        assert len(sleeper.events) == 1
    sleeper.wake(30e-6, 30e-6, 60e-6, 90e-6)
    assert not sleeper.events
    sleeper.wake(30e-6, 30e-6)  # the last was in vain: not before it comes fast as often again
    assert len(sleeper.events) == 1


def test_a_long_sleep_between_short_ones(sleeper: Sleeper) -> None:
    for _ in range(reactor_module._SHORT_SLEEPS):
        sleeper.wake(30e-6)
    for after in (0.001, 30e-6):
        sleeper.wake(after, 30e-6)
        assert len(sleeper.events) == 1


def test_looking_out_is_bounded(sleeper: Sleeper) -> None:
    for _ in range(reactor_module._SHORT_SLEEPS):
        assert sleeper.wake(30e-6) == 2
    assert 2 < sleeper.wake(30e-6) < 10
    assert sleeper.wake(1.0) == 2


def test_what_is_deferred_waits_for_the_next_round(
    reactor: HostReactor, make_event: MakeEvent
) -> None:
    turns: list[str] = []
    hog, other = make_event(1), make_event(1)

    def go_on() -> None:
        turns.append("hog")
        if len(turns) < 6:
            reactor.defer(go_on)

    reactor.add(hog, EDGE, lambda _: go_on())
    reactor.add(other, LEVEL, lambda _: turns.append("other"))
    reactor.wait(lambda: len(turns) >= 6, "some rounds")
    assert turns[:6] == ["hog", "other"] * 3


def test_the_end_of_a_round_comes_after_all_that_is_ready(
    reactor: HostReactor, make_event: MakeEvent
) -> None:
    turns: list[str] = []

    def ready(_events: int) -> None:
        turns.append("ready")
        reactor.at_end(lambda: turns.append("end"))

    for _ in range(2):
        reactor.add(make_event(1), EDGE, ready)
    reactor.wait(lambda: len(turns) >= 4, "a round")
    assert turns == ["ready", "ready", "end", "end"]


def test_a_round_of_its_own_has_an_end(reactor: HostReactor) -> None:
    turns: list[str] = []
    reactor.run(lambda: reactor.at_end(lambda: turns.append("end")))
    assert turns == ["end"]


# ── time ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_pause_ends_within_a_round(world: HostWorld, far_end: FarEnd) -> None:
    """What the stack then owes is sent."""
    reactor = world.reactor
    guest = GuestTcp.connected(world, port_of(far_end.listen()))
    before = reactor.now
    again = from_guest(tcp("S", dst=GATEWAY, dport=guest.remote[1]))
    Reactor.after(reactor, 0, lambda: world.gateway.receive(again, reactor.now))
    assert [one[TCP].flags for one in world.hear()] == ["A"]  # a challenge, at the round's end
    assert reactor.now > before
    guest.reset()


def test_a_pause_that_is_cancelled(reactor: HostReactor) -> None:
    ended: list[str] = []
    Reactor.after(reactor, 0, lambda: ended.append("cancelled")).cancel()
    Reactor.after(reactor, 0, lambda: ended.append("other"))
    reactor.wait(lambda: ended, "the end of a pause")
    assert ended == ["other"]


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_what_came_before_a_pause_ends_is_heard_first(
    reactor: HostReactor, make_event: MakeEvent, is_cancelled: bool
) -> None:
    """Such as the answer that somebody waits for, to a process that was stopped meanwhile."""
    turns: list[str] = []

    def ready(_events: int) -> None:
        turns.append("ready")
        if is_cancelled:
            pause.cancel()

    reactor.add(make_event(1), EDGE, ready)
    pause = Reactor.after(reactor, 0, lambda: turns.append("end"))
    reactor.let_run()
    assert turns == (["ready"] if is_cancelled else ["ready", "end"])


def test_a_defect_costs_no_pause_its_end(
    reactor: HostReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[object] = []
    reactor.loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    turns: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(reactor, "_round", fail)
    Reactor.after(reactor, 0, lambda: turns.append("end"))
    reactor.let_run()
    assert turns == ["end"]
    assert len(failures) == 1


def test_the_timer_serves_the_earliest_deadline(world: HostWorld, far_end: FarEnd) -> None:
    """That of a UDP flow is seconds ahead when a delayed acknowledgement needs the timer."""
    world.send(udp(dst=GATEWAY, dport=port_of(far_end.udp())))
    guest = GuestTcp.connected(world, port_of(far_end.listen()))
    for _ in range(2):
        guest.send(b"data")
        assert [one[TCP].ack for one in world.hear()] == [guest.number]
    assert len(world.gateway.udp) == 1
    guest.reset()


# ── the end ──────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_called_after_the_end(reactor: HostReactor, make_event: MakeEvent) -> None:
    event = make_event(1)
    called: list[str] = []
    reactor.add(event, LEVEL, lambda _: called.append("event"))
    reactor.defer(lambda: called.append("deferred"))
    Reactor.after(reactor, 0, lambda: called.append("pause"))
    reactor.close()
    reactor.close()
    assert reactor.closed
    reactor.let_run()
    assert called == []
    reactor.remove(event)  # by its owner, who is late


def test_the_end_amid_a_round(
    world: HostWorld, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack asks for no more time, and writes to its device no more."""
    reactor, called = world.reactor, list[str]()

    def end(_events: int) -> None:
        world.gateway.receive(from_guest(udp(dst=GATEWAY, dport=9)), reactor.now)
        assert world.gateway.next_deadline() < inf
        monkeypatch.setattr(world.gateway, "next_deadline", lambda: 0.0)
        monkeypatch.setattr(world.gateway, "expire", lambda now: called.append("expired"))
        reactor.close()

    reactor.add(make_event(1), LEVEL, end)
    reactor.add(make_event(1), LEVEL, lambda _: called.append("event"))
    reactor.let_run()
    assert reactor.closed
    assert called == []


# ── a process that stands still ──────────────────────────────────────────────────────────────────


def test_time_does_not_run_while_the_process_is_stopped(
    world: HostWorld, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that the guest has not acknowledged for an hour, in which nobody heard it."""
    listening = far_end.listen()
    guest = GuestTcp.connected(world, port_of(listening))
    far = far_end.accept(listening)
    far.sendall(b"data")
    world.hear()  # and nothing is acknowledged
    before = world.reactor.now
    monkeypatch.setattr(reactor_module, "monotonic", lambda: monotonic() + 3600)
    assert [bytes(packet[TCP].payload) for packet in world.hear()] == [b"data"], "sent once more"
    assert world.reactor.now < before + 60
    assert not is_readable(far)
    guest.send(b"I live")
    world.reactor.wait(lambda: is_readable(far), "what the guest says")
    assert far.recv(100) == b"I live"

"""New flows of the guest's wait for their turn; flows that stand, and what opens none, do not."""

from math import inf

import pytest
from scapy.packet import Packet

from rootlessnet.bounds import Bounds
from rootlessnet.stack.openings import PER_BATCH
from tests.stack import world as world_module
from tests.stack.side import Side
from tests.stack.tcp_guest import ISN, established
from tests.stack.world import World, tcp, udp
from tests.wire.oracle import from_guest

MANY = 5 * PER_BATCH


def at_once(world: World, *packets: Packet) -> None:
    """The guest sends these within one batch."""
    for packet in packets:
        world.gateway.receive(from_guest(packet), world.now)


def syns(count: int) -> list[Packet]:
    return [tcp("S", sport=1000 + number) for number in range(count)]


def ports(world: World) -> list[int]:
    """From which connections were opened, in their order."""
    return [int.from_bytes(key[-4:-2], "big") for key, _ in world.gateway.tcp.connections()]


def test_each_batch_opens_a_few() -> None:
    world = World()
    at_once(world, *syns(MANY))
    opened = [len(world.gateway.tcp)]
    while world.gateway.next_deadline() == -inf:  # at once, whatever else happens
        world.gateway.end_batch(world.now)
        opened.append(len(world.gateway.tcp))
    assert opened == list(range(PER_BATCH, MANY + 1, PER_BATCH))
    assert ports(world) == list(range(1000, 1000 + MANY))
    assert world.gateway.next_deadline() > world.now


def test_the_next_batch_opens_as_many() -> None:
    world = World()
    for number in range(3):
        at_once(world, *syns(PER_BATCH * (number + 1)))
        world.gateway.end_batch(world.now)
        assert len(world.gateway.tcp) == PER_BATCH * (number + 1)


def test_what_stands_passes_them_by() -> None:
    world = World()
    socket, seq = established(world)
    at_once(world, *syns(MANY), tcp("PA", ISN + 1, ack=seq, payload=b"data"))
    assert socket.delivered == b"data"
    assert len(world.gateway.tcp) == 1 + PER_BATCH


def test_nobody_overtakes_in_the_line(side: Side) -> None:
    """Not even where a batch has opened few: what comes later would arrive before."""
    world = World()
    at_once(world, *syns(PER_BATCH), side.udp(b"1"), side.udp(b"2"))
    assert world.host.udp == []
    at_once(world, side.udp(b"3"))
    world.gateway.end_batch(world.now)
    at_once(world, side.udp(b"4"))
    (socket,) = world.host.udp
    assert [payload for payload, _, _ in socket.sent] == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("kind", ["echo", "udp", "dns"])
def test_every_kind_waits(kind: str, side: Side) -> None:
    world = World()
    packet = {
        "echo": side.echo(),
        "udp": side.udp(b"?"),
        "dns": udp(b"?", dst=world_module.DNS, dport=53),
    }[kind]
    at_once(world, *syns(PER_BATCH), packet)
    waiting = (world.host.echo, world.host.udp, world.host.queries)
    assert not any(waiting)
    world.gateway.end_batch(world.now)
    assert any(waiting)


def test_a_flood_of_one_kind_leaves_the_others_their_turns(
    monkeypatch: pytest.MonkeyPatch, side: Side
) -> None:
    """Even where it has filled its line: names are resolved, and hosts asked whether they live."""
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(openings=MANY))
    world = World()
    at_once(world, *syns(3 * MANY))
    at_once(world, udp(b"?", dst=world_module.DNS, dport=53), side.udp(b"1"), side.echo())
    for _ in range(3):
        at_once(world, *syns(MANY), side.udp(b"2"))
        world.gateway.end_batch(world.now)
    assert world.host.queries
    assert world.host.echo
    (socket,) = world.host.udp
    assert [payload for payload, _, _ in socket.sent][:2] == [b"1", b"2"]
    assert len(world.gateway.tcp) > PER_BATCH


def test_what_opens_no_flow_does_not_wait(side: Side) -> None:
    world = World()
    at_once(world, *syns(MANY), side.echo(dst=side.gateway))
    assert len(world.link.written) == 1


@pytest.mark.parametrize("payload", [b"", bytes(1400)], ids=["frames", "bytes"])
def test_a_full_line(monkeypatch: pytest.MonkeyPatch, payload: bytes) -> None:
    """Who finds it so is not heard, which is told, and is heard when it has moved on."""
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(openings=3 if not payload else 1 << 14))
    monkeypatch.setattr("rootlessnet.stack.openings._MOST_BYTES", 3 * 1500 if payload else 1 << 20)
    world = World()
    at_once(world, *syns(PER_BATCH))
    at_once(world, *(udp(payload, sport=number) for number in range(5)))
    assert world.host.full_tables == ["openings", "openings"]
    while world.gateway.open_some(world.now):
        pass
    assert len(world.gateway.udp) == 3
    at_once(
        world,
        *syns(PER_BATCH),
        *(udp(payload, sport=number) for number in range(3, 5)),
    )
    while world.gateway.open_some(world.now):
        pass
    assert len(world.gateway.udp) == 5
    assert world.host.full_tables == ["openings", "openings"]


def test_a_line_of_what_stands_meanwhile_is_bounded() -> None:
    """All of one flow: the first opens it."""
    world = World()
    at_once(world, *syns(PER_BATCH), *(100 * [tcp("S", sport=2000)]))
    world.gateway.end_batch(world.now)
    assert world.gateway.next_deadline() == -inf
    opened = len(world.gateway.tcp)
    at_once(world, tcp("S", sport=3000))  # nor does that let anybody overtake
    assert len(world.gateway.tcp) == opened
    world.gateway.end_batch(world.now)
    assert world.gateway.next_deadline() > world.now


def test_a_line_that_moves_has_room_for_as_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rootlessnet.stack.openings._MOST_BYTES", 3 * 1500)
    world = World()
    at_once(world, *syns(PER_BATCH), *(udp(bytes(1400), sport=number) for number in range(3)))
    world.gateway.end_batch(world.now)
    at_once(world, *(udp(bytes(1400), sport=number) for number in range(3, 3 + PER_BATCH)))
    assert world.host.full_tables == []

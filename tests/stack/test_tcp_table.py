"""The table of TCP flows: segments that find none in it, four-tuples that come again, its bound."""

import errno

import pytest
from scapy.layers.inet import IP, TCP
from scapy.packet import Packet

from rootlessnet.bounds import Bounds
from rootlessnet.tcp.interface import TOMBSTONE
from tests.stack import world as world_module
from tests.stack.tcp_guest import ISN, established, opening, said
from tests.stack.world import DNS, GUEST, REMOTE, World, echo, tcp, udp
from tests.wire.oracle import from_guest

# ── segments of no connection, RFC 9293 3.10.7.1 ─────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stray", "answer"),
    [
        (tcp("A", seq=7, ack=5000), ("R", 5000, 0, b"")),
        (tcp("PA", seq=7, ack=5000, payload=b"text"), ("R", 5000, 0, b"")),
        (tcp("SA", seq=7, ack=5000), ("R", 5000, 0, b"")),
        (tcp("FA", seq=7, ack=0xFFFFFFFF), ("R", 0xFFFFFFFF, 0, b"")),
        (tcp("", seq=7, payload=b"text"), ("RA", 0, 11, b"")),
        (tcp("F", seq=0xFFFFFFFF, payload=b"text"), ("RA", 0, 4, b"")),
    ],
    ids=lambda value: value[TCP].flags if isinstance(value, Packet) else "",
)
def test_a_stray_segment_is_reset(stray: Packet, answer: tuple[str, int, int, bytes]) -> None:
    world = World()
    reset = world.ask(stray)
    assert said(reset) == answer
    assert (reset[IP].src, reset[TCP].sport) == (REMOTE, 80)
    assert (reset[IP].dst, reset[TCP].dport) == (GUEST, 40000)
    assert world.host.tcp == []


@pytest.mark.parametrize("flags", ["R", "RA", "SR", "SRA"])
def test_a_stray_reset_is_not_answered(flags: str) -> None:
    world = World()
    world.send(tcp(flags, ack=5000))
    assert (world.heard(), world.host.tcp) == ([], [])


@pytest.mark.parametrize("destination", ["10.0.2.255", "224.0.0.1", "255.255.255.255"])
def test_a_stray_segment_to_many_is_not_answered(destination: str) -> None:
    """No answer may come from such an address (RFC 1122 3.2.1.3)."""
    world = World()
    world.send(tcp("A", ack=5000, dst=destination))
    assert world.heard() == []


@pytest.mark.parametrize("port", [52, 80, 853])
def test_only_dns_at_the_dns_address(port: int) -> None:
    world = World()
    assert said(world.ask(tcp("S", dst=DNS, dport=port))) == ("RA", 0, ISN + 1, b"")
    assert world.host.tcp == []


# ── the same addresses and ports again ───────────────────────────────────────────────────────────


def tombstone(world: World) -> int:
    """A connection in TIME_WAIT; the number of the guest's next byte."""
    host, number = established(world)
    host.connection.close(world.now)
    world.send(tcp("FA", seq=ISN + 1, ack=number + 1))
    world.heard()
    assert len(world.gateway.tcp) == 1
    return ISN + 2


def test_a_newer_syn_opens_in_place_of_a_tombstone() -> None:
    world = World()
    newer = tombstone(world)
    opening(world, tcp("S", seq=newer)).connection.accept(world.now)
    answer = world.heard_one()[TCP]
    assert (answer.flags, answer.ack, len(world.gateway.tcp)) == ("SA", newer + 1, 1)
    world.pass_time(TOMBSTONE + 0.1)  # the tombstone's own end is none of the new connection's
    assert len(world.gateway.tcp) == 1


def test_an_older_syn_does_not() -> None:
    world = World()
    older = tombstone(world) - 1
    world.send(tcp("S", seq=older))
    assert len(world.host.tcp) == 1
    assert [one[TCP].flags for one in world.heard()] == ["A"]


def test_a_reset_and_a_new_syn_in_one_batch() -> None:
    world = World()
    first, _ = established(world)
    for packet in (tcp("R", seq=ISN + 1), tcp("S", seq=9000)):
        world.gateway.receive(from_guest(packet), world.now)
    assert first.calls[-1] == "abort"
    world.host.tcp[1].connection.accept(world.now)
    assert said(world.heard_one())[0::2] == ("SA", 9001)


def test_a_syn_amid_a_connection_is_challenged() -> None:
    """RFC 5961 4: a guest that has forgotten the connection answers with a reset."""
    world = World()
    _, number = established(world)
    assert said(world.ask(tcp("S", seq=ISN + 1))) == ("A", number, ISN + 1, b"")


# ── the bound ────────────────────────────────────────────────────────────────────────────────────


def test_at_the_bound_a_syn_waits_for_its_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(tcp_flows=2))
    world = World()
    for sport in (1, 2):
        established(world, sport)
    world.send(tcp("S", sport=3))
    assert (world.heard(), len(world.host.tcp)) == ([], 2)
    assert world.host.full_tables == ["tcp_flows"]
    world.send(tcp("R", seq=ISN + 1, sport=1))
    opening(world, tcp("S", sport=3))
    assert len(world.gateway.tcp) == 2


def test_connects_to_dead_hosts_give_way_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan of dead hosts does not stop the rest."""
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(tcp_connecting=3))
    world = World()
    alive, _ = established(world, sport=1)
    dead = [opening(world, tcp("S", sport=sport)) for sport in (2, 3, 4, 5)]
    assert [host.calls for host in dead] == [["abort"], [], [], []]
    assert (alive.calls, len(world.gateway.tcp)) == (["established"], 4)
    assert world.host.full_tables == ["tcp_connecting"]
    assert world.heard() == [], "a SYN that was given up comes again"
    opening(world, tcp("S", sport=2)).connection.accept(world.now)
    assert said(world.heard_one())[0] == "SA"


def test_connections_that_stand_are_no_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(tcp_connecting=3))
    world = World()
    slow = opening(world, tcp("S", sport=1))
    for sport in (2, 3, 4, 5):
        established(world, sport=sport)
    assert slow.calls == []


def test_without_descriptors_the_oldest_connect_gives_way() -> None:
    world = World()
    waiting = opening(world, tcp("S", sport=1))
    refused = opening(world, tcp("S", sport=2))
    refused.flow.connect_failed(errno.EMFILE)
    assert (waiting.calls, refused.calls) == (["abort"], [])
    assert (world.heard(), len(world.gateway.tcp)) == ([], 0)
    opening(world, tcp("S", sport=2)).connection.accept(world.now)
    assert said(world.heard_one())[0] == "SA"


def test_every_table_leaves_the_others_their_share_of_sockets() -> None:
    world = World(capacity=64)
    for number in range(100):
        world.send(tcp("S", sport=1 + number))
        world.send(udp(sport=1 + number))
        world.send(echo(identifier=number))
    world.heard()
    assert len(world.gateway.tcp) == 64 // 4, "those that still connect"
    assert (len(world.gateway.udp), len(world.gateway.echo)) == (64 // 8, 64 // 16)
    for host in world.host.tcp[-64 // 4 :]:
        host.connection.accept(world.now)
    for number in range(100):
        opening(world, tcp("S", sport=1000 + number)).connection.accept(world.now)
        if len(world.gateway.tcp) == 64 // 2:
            break
    world.send(tcp("S", sport=2000))
    assert len(world.gateway.tcp) == 64 // 2


def test_a_flow_without_a_socket_takes_none_of_another() -> None:
    """As one in TIME_WAIT, whose host socket has been closed."""
    world = World(capacity=8)
    for sport in range(1, 5):
        established(world, sport)
    world.send(tcp("S", sport=5))
    assert len(world.host.tcp) == 4, "half of the sockets"
    world.host.closed = 1
    opening(world, tcp("S", sport=5))
    assert len(world.gateway.tcp) == 5


def test_a_socket_without_a_flow_counts() -> None:
    """As one whose far end is slow to read what the guest has sent before its end."""
    world = World(capacity=8)
    for sport in range(1, 5):
        established(world, sport)
        world.send(tcp("R", seq=ISN + 1, sport=sport))
    world.host.closed = -4
    assert (len(world.gateway.tcp), world.gateway.tcp.is_full()) == (0, True)
    world.send(tcp("S", sport=5))
    assert (world.heard(), len(world.host.tcp)) == ([], 4)

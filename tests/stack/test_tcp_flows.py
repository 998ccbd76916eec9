"""The birth of TCP flows, from either side, and what the guest is told when there is none."""

import errno

import pytest
from scapy.layers.inet import ICMP, IP, TCP

from rootlessnet.bounds import Bounds
from rootlessnet.stack import tcp_flows
from tests.stack import world as world_module
from tests.stack.world import GATEWAY, GUEST, REMOTE, FakeTcp, World, assert_unreachable, tcp

CLIENT = "198.51.100.7"


def established(world: World) -> FakeTcp:
    """An outbound connection; the guest's next number is 1001."""
    world.send(tcp("S"))
    socket = world.host.tcp[-1]
    socket.connection.accept(world.now)
    answer = world.heard_one()
    world.send(tcp("A", seq=1001, ack=answer[TCP].seq + 1))
    assert socket.calls == ["established"]
    return socket


def test_the_host_connects_before_the_guest_is_answered() -> None:
    world = World()
    world.send(tcp("S", dport=8080))
    assert world.heard() == []
    (socket,) = world.host.tcp
    assert socket.targets == ((REMOTE, 8080),)
    socket.connection.accept(world.now)
    answer = world.heard_one()
    assert (answer[IP].src, answer[IP].dst) == (REMOTE, GUEST)
    assert (answer[TCP].sport, answer[TCP].flags, answer[TCP].ack) == (8080, "SA", 1001)


def test_refused_is_a_reset_that_the_guest_heeds() -> None:
    world = World()
    world.send(tcp("S"))
    world.host.tcp[0].flow.connect_failed(errno.ECONNREFUSED)
    answer = world.heard_one()
    assert (answer[TCP].flags, answer[TCP].ack) == ("RA", 1001)
    assert len(world.gateway.tcp) == 0


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errno.ENETUNREACH, 0),
        (errno.EHOSTUNREACH, 1),
        (errno.EACCES, 13),
        (errno.EPERM, 13),
        (errno.EADDRNOTAVAIL, 1),
    ],
)
def test_unreachable_is_an_icmp_error(failure: int, code: int) -> None:
    world, packet = World(), tcp("S")
    world.send(packet)
    world.host.tcp[0].flow.connect_failed(failure)
    answer = world.heard_one()
    assert answer[ICMP].type == 3
    assert_unreachable(answer, packet, code)
    assert len(world.gateway.tcp) == 0


@pytest.mark.parametrize("failure", [errno.ETIMEDOUT, errno.EMFILE])
def test_what_may_yet_succeed_is_silence_and_the_next_syn_tries_again(failure: int) -> None:
    world = World()
    world.send(tcp("S"))
    world.host.tcp[0].flow.connect_failed(failure)
    assert world.heard() == []
    world.send(tcp("S"))
    assert len(world.host.tcp) == 2


def test_a_failure_after_the_guest_gave_up_is_nobody_s_business() -> None:
    world = World()
    world.send(tcp("S"))
    (socket,) = world.host.tcp
    world.send(tcp("R", seq=1001))
    assert socket.calls == ["abort"]
    socket.flow.connect_failed(errno.ECONNREFUSED)
    assert world.heard() == []


def test_data_goes_both_ways() -> None:
    world = World()
    socket = established(world)
    world.send(tcp("PA", seq=1001, ack=socket.connection.snd_nxt, payload=b"request"))
    assert socket.delivered == b"request"
    socket.connection.send(b"answer", world.now)
    answer = world.heard_one()
    assert (bytes(answer[TCP].payload), answer[TCP].ack) == (b"answer", 1008)


def test_a_new_connection_takes_the_place_of_a_tombstone() -> None:
    world = World()
    socket = established(world)
    socket.connection.close(world.now)
    fin = world.heard_one()
    world.send(tcp("FA", seq=1001, ack=fin[TCP].seq + 1))
    assert socket.connection.is_tombstone
    world.heard()
    world.send(tcp("S", seq=5000))
    assert len(world.host.tcp) == 2
    assert len(world.gateway.tcp) == 1


def test_past_the_bound_a_syn_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(tcp_flows=1))
    world = World()
    world.send(tcp("S"))
    world.send(tcp("S", sport=40001))
    assert len(world.host.tcp) == 1
    assert world.heard() == []


@pytest.mark.parametrize(
    ("packet", "flags", "seq", "ack"),
    [
        (tcp("A", seq=7, ack=9), "R", 9, 0),
        (tcp("F", seq=7), "RA", 0, 8),
        (tcp("P", seq=7, payload=b"data"), "RA", 0, 11),
    ],
    ids=["acknowledgement", "fin", "data"],
)
def test_a_segment_of_no_connection_is_reset(packet: IP, flags: str, seq: int, ack: int) -> None:
    answer = World().ask(packet)
    assert (answer[TCP].flags, answer[TCP].seq, answer[TCP].ack) == (flags, seq, ack)


def test_a_reset_of_no_connection_is_not_answered() -> None:
    world = World()
    world.send(tcp("R", seq=7))
    assert world.heard() == []


# ── published ports ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("client", "seen"), [(CLIENT, CLIENT), ("127.0.0.1", GATEWAY), ("2001:db8::7", GATEWAY)]
)
def test_the_guest_sees_the_client(client: str, seen: str) -> None:
    world, user = World(ipv6=False), FakeTcp()
    world.gateway.tcp.open_inbound(user, (client, 50000), 5000, world.now)
    syn = world.heard_one()
    assert (syn[IP].src, syn[IP].dst) == (seen, GUEST)
    assert (syn[TCP].sport, syn[TCP].dport, syn[TCP].flags) == (50000, 5000, "S")


def test_clients_that_look_alike_get_ports_of_their_own() -> None:
    world = World()
    for client in ("127.0.0.1", "127.0.0.2"):
        world.gateway.tcp.open_inbound(FakeTcp(), (client, 50000), 5000, world.now)
    first, second = world.heard()
    assert first[IP].src == second[IP].src == GATEWAY
    assert first[TCP].sport != second[TCP].sport


def test_no_port_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_flows, "_EPHEMERAL", range(0))
    world = World()
    world.gateway.tcp.open_inbound(FakeTcp(), (CLIENT, 50000), 5000, world.now)
    with pytest.raises(OSError, match="no port is left"):
        world.gateway.tcp.open_inbound(FakeTcp(), (CLIENT, 50000), 5000, world.now)


def test_a_guest_that_refuses_resets_the_client() -> None:
    world, user = World(), FakeTcp()
    world.gateway.tcp.open_inbound(user, (CLIENT, 50000), 5000, world.now)
    syn = world.heard_one()
    refusal = tcp("RA", ack=syn[TCP].seq + 1, dst=CLIENT, sport=5000, dport=50000)
    world.send(refusal)
    assert user.calls == ["abort"]
    assert len(world.gateway.tcp) == 0

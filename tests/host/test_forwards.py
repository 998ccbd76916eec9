"""Published ports: what comes to them reaches the guest, as long as they stand."""

from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import TCP, UDP

from rootlessnet.forward import Forward, Protocol, parse_forwards
from rootlessnet.host import listener as listener_module
from rootlessnet.host.forwards import Forwards
from tests.host.guest import GuestTcp
from tests.host.world import (
    LOOPBACK,
    LOOPBACK_6,
    FarEnd,
    HostWorld,
    descriptors,
    is_taken,
    port_of,
    reset,
)
from tests.stack.world import GATEWAY, GATEWAY_6, head, udp

GUEST_PORT = 5000
CLIENTS = [(LOOPBACK, GATEWAY), (LOOPBACK_6, GATEWAY_6)]
OTHER_FAMILY = {GATEWAY: GATEWAY_6, GATEWAY_6: GATEWAY}
NO_ROOM = (
    "published ports have no room for more connections: clients wait until others end; "
    "for more, raise the limit (ulimit -n)"
)
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")

# ── TCP ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("address", "seen"), CLIENTS)
def test_tcp(
    world: HostWorld,
    forwards: Forwards,
    far_end: FarEnd,
    free_port: int,
    address: str,
    seen: str,
) -> None:
    forwards.open(Forward(free_port, GUEST_PORT))
    client = far_end.connect(address, free_port)
    guest = GuestTcp.accepting(world)
    assert guest.remote == (seen, client.getsockname()[1])
    assert guest.port == GUEST_PORT
    client.sendall(b"request")
    guest.until(lambda: guest.text == b"request", "the request")
    guest.send(b"response")
    assert client.recv(100) == b"response"
    client.close()
    guest.until(lambda: guest.finished, "the end")
    guest.finish()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_another_address_of_the_guest_s(
    world: HostWorld, forwards: Forwards, far_end: FarEnd, free_port: int, protocol: Protocol
) -> None:
    other = IPv4Address("10.0.2.101")
    forwards.open(Forward(free_port, GUEST_PORT, protocol, guest_address=other))
    if protocol == "tcp":
        far_end.connect(LOOPBACK, free_port)
    else:
        far_end.udp().sendto(b"hello", (LOOPBACK, free_port))
    (packet,) = world.hear()
    assert (packet.payload.dst, packet.dport) == (str(other), GUEST_PORT)


def test_a_client_that_spoke_and_closed_before_the_guest_has_answered(
    world: HostWorld, forwards: Forwards, far_end: FarEnd, free_port: int
) -> None:
    forwards.open(Forward(free_port, GUEST_PORT))
    with far_end.connect(LOOPBACK, free_port) as client:
        client.sendall(b"request")
    guest = GuestTcp.accepting(world)
    guest.until(lambda: guest.finished, "the end")
    assert guest.text == b"request"
    guest.finish()


@pytest.mark.parametrize(("address", "seen"), CLIENTS)
def test_the_guest_refuses(
    world: HostWorld,
    forwards: Forwards,
    far_end: FarEnd,
    free_port: int,
    address: str,
    seen: str,
) -> None:
    """In both families, one after the other."""
    forwards.open(Forward(free_port, GUEST_PORT))
    before = descriptors()
    client = far_end.connect(address, free_port)
    for gateway in (seen, OTHER_FAMILY[seen]):
        guest = GuestTcp.called(world)
        assert guest.remote[0] == gateway
        guest.refuse()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    client.close()
    assert len(world.gateway.tcp) == 0
    assert descriptors() == before


@pytest.mark.parametrize(("address", "seen"), CLIENTS)
def test_a_server_that_listens_in_the_other_family_alone(
    world: HostWorld,
    forwards: Forwards,
    far_end: FarEnd,
    free_port: int,
    address: str,
    seen: str,
) -> None:
    forwards.open(Forward(free_port, GUEST_PORT))
    client = far_end.connect(address, free_port)
    client.sendall(b"request")
    GuestTcp.called(world).refuse()
    guest = GuestTcp.accepting(world)
    assert guest.remote == (OTHER_FAMILY[seen], port_of(client))
    guest.until(lambda: guest.text == b"request", "the request")
    guest.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert world.heard() == []  # nobody is asked again


def test_the_client_resets_before_the_guest_has_answered(
    world: HostWorld, forwards: Forwards, far_end: FarEnd, free_port: int
) -> None:
    forwards.open(Forward(free_port, GUEST_PORT))
    before = descriptors()
    reset(far_end.connect(LOOPBACK, free_port))
    world.hear()
    world.reactor.wait(lambda: len(world.gateway.tcp) == 0, "the reset")
    assert descriptors() == before


def test_more_clients_than_are_accepted_in_one_go(
    world: HostWorld,
    forwards: Forwards,
    far_end: FarEnd,
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener_module, "_ACCEPTS", 3)
    forwards.open(Forward(free_port, GUEST_PORT))
    clients = [far_end.connect(LOOPBACK, free_port) for _ in range(10)]
    called = world.hear(10)
    assert {packet[TCP].sport for packet in called} == {
        client.getsockname()[1] for client in clients
    }
    for client in clients:
        reset(client)
    world.reactor.wait(lambda: len(world.gateway.tcp) == 0, "the resets")


def test_no_descriptor_is_left(
    world: HostWorld, forwards: Forwards, far_end: FarEnd, free_port: int, told: list[str]
) -> None:
    """The client waits until there is one. That is told once."""
    forwards.open(Forward(free_port, GUEST_PORT, "tcp", IPv4Address(LOOPBACK)))
    client = far_end.connect(LOOPBACK, free_port)
    client.sendall(b"request")
    world.reactor.starve()
    assert world.heard() == []
    assert told == [NO_ROOM]
    assert world.reactor.time_is_up() == 1
    world.reactor.starve()
    assert told == [NO_ROOM]
    assert world.reactor.time_is_up() == 1
    guest = GuestTcp.accepting(world)
    guest.until(lambda: guest.text == b"request", "the request")
    guest.reset()


def test_a_port_that_is_withdrawn_while_no_descriptor_is_left(
    world: HostWorld, forwards: Forwards, far_end: FarEnd, free_port: int
) -> None:
    forward = Forward(free_port, GUEST_PORT)
    forwards.open(forward)
    client = far_end.connect(LOOPBACK, free_port)
    world.reactor.starve()
    forwards.close(forward)
    assert world.reactor.time_is_up() == 1
    world.reactor.let_run()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_no_room_in_the_stack(
    world: HostWorld,
    forwards: Forwards,
    far_end: FarEnd,
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
    told: list[str],
) -> None:
    """The client waits until another ends. That is told once."""
    monkeypatch.setattr(world.gateway.tcp, "_most_flows", 1)
    forwards.open(Forward(free_port, GUEST_PORT, "tcp", IPv4Address(LOOPBACK)))
    far_end.connect(LOOPBACK, free_port)
    first = GuestTcp.accepting(world)
    world.reactor.let_run()
    assert told == []
    client = far_end.connect(LOOPBACK, free_port)
    client.sendall(b"request")
    for _ in range(2):
        world.reactor.let_run()
        assert world.heard() == []
        assert told == [NO_ROOM]
        assert world.reactor.time_is_up() == 1
    world.reactor.let_run()
    first.reset()
    world.reactor.time_is_up()
    second = GuestTcp.accepting(world)
    second.until(lambda: second.text == b"request", "the request")
    second.reset()


# ── UDP ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("address", "seen"), CLIENTS)
def test_udp(
    world: HostWorld,
    forwards: Forwards,
    far_end: FarEnd,
    free_port: int,
    address: str,
    seen: str,
) -> None:
    forwards.open(Forward(free_port, GUEST_PORT, "udp"))
    client = far_end.udp(address)
    client.sendto(b"request", (address, free_port))
    (request,) = world.hear()
    assert (head(request).src, request[UDP].dport) == (seen, GUEST_PORT)
    assert bytes(request[UDP].payload) == b"request"
    world.send(udp(b"response", dst=seen, dport=request[UDP].sport, sport=GUEST_PORT))
    response, server = client.recvfrom(100)
    assert (response, server[:2]) == (b"response", (address, free_port))


@pytest.mark.parametrize(
    ("client", "asked"),
    [(LOOPBACK, "127.0.0.2"), ("127.0.0.3", LOOPBACK), ("127.0.0.3", "127.0.0.2")],
)
def test_udp_answers_come_from_the_address_that_was_asked(
    world: HostWorld, forwards: Forwards, far_end: FarEnd, free_port: int, client: str, asked: str
) -> None:
    """A connected socket hears no other."""
    forwards.open(Forward(free_port, GUEST_PORT, "udp"))
    socket = far_end.udp(client)
    socket.connect((asked, free_port))
    for text in (b"question", b"another"):
        socket.send(text)
        (request,) = world.hear()
        world.send(udp(text, dst=GATEWAY, dport=request[UDP].sport, sport=GUEST_PORT))
        assert socket.recv(100) == text


# ── where, and how long ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("", [LOOPBACK, "127.0.0.2", LOOPBACK_6]),
        ("127.0.0.1:", [LOOPBACK]),
        ("[::1]:", [LOOPBACK_6]),
    ],
)
def test_which_addresses(
    forwards: Forwards, free_port: int, protocol: str, address: str, taken: list[str]
) -> None:
    (forward,) = parse_forwards(f"{address}{free_port}:{GUEST_PORT}/{protocol}")
    candidates = [LOOPBACK, "127.0.0.2", LOOPBACK_6]
    forwards.open(forward)
    assert [one for one in candidates if is_taken(protocol, one, free_port)] == taken
    forwards.close(forward)
    assert [one for one in candidates if is_taken(protocol, one, free_port)] == []


def test_connections_outlive_the_port(
    world: HostWorld, forwards: Forwards, far_end: FarEnd, free_port: int
) -> None:
    forward = Forward(free_port, GUEST_PORT)
    forwards.open(forward)
    client = far_end.connect(LOOPBACK, free_port)
    guest = GuestTcp.accepting(world)
    forwards.close(forward)
    with pytest.raises(ConnectionRefusedError):
        far_end.connect(LOOPBACK, free_port)
    guest.send(b"still here")
    assert client.recv(100) == b"still here"
    guest.reset()


def test_all_are_withdrawn(forwards: Forwards, free_port: int) -> None:
    for protocol in PROTOCOLS:
        forwards.open(Forward(free_port, GUEST_PORT, protocol))
    forwards.close_all()
    assert not any(is_taken(protocol, LOOPBACK, free_port) for protocol in PROTOCOLS)

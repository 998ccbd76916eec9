"""Clients on the loopback: what either end of a spliced connection does reaches the other."""

import errno
import random
import socket
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address

import pytest

from rootlessnet import limits
from rootlessnet.forward import Forward
from rootlessnet.host import pipes as pipes_module
from rootlessnet.host import splice as splice_module
from rootlessnet.host.forwards import Forwards
from rootlessnet.host.splice import is_loopback
from tests.conftest import find_free_port
from tests.host.guest import GuestTcp
from tests.host.splicing import GUEST_ADDRESS, Splicing, Supply, read_to_end, send_all
from tests.host.world import LOOPBACK, LOOPBACK_6, FarEnd, HostWorld, descriptors, ours, reset
from tests.stack.world import head

DATA = random.Random(1).randbytes(5_000_000)


@pytest.fixture
def splicing(world: HostWorld, forwards: Forwards, far_end: FarEnd, free_port: int) -> Splicing:
    return Splicing(world, forwards, far_end, free_port)


Ends = tuple[socket.socket, socket.socket]


@pytest.fixture(params=["the client", "the server"])
def ends(splicing: Splicing, request: pytest.FixtureRequest) -> Ends:
    """The one that acts first, and the other."""
    client, server = splicing.pair()
    return (client, server) if request.param == "the client" else (server, client)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("192.0.2.1", False),
        ("::2", False),
        ("fe80::1", False),
    ],
)
def test_which_clients(address: str, expected: bool) -> None:
    assert is_loopback(address) == expected


# ── opening ──────────────────────────────────────────────────────────────────────────────────────


def test_the_first_target_is_the_loopback(splicing: Splicing) -> None:
    client, server = splicing.pair()
    assert server.getsockname() == ("127.0.0.1", splicing.guest_port)
    assert server.getpeername()[0] == "127.0.0.1"
    client.sendall(b"request")
    assert splicing.hear(server) == b"request"
    server.sendall(b"response")
    assert splicing.hear(client) == b"response"


def test_the_second_target_is_the_address_of_the_guest(splicing: Splicing) -> None:
    splicing.move(GUEST_ADDRESS)
    client, server = splicing.pair()
    assert server.getsockname() == (GUEST_ADDRESS, splicing.guest_port)
    assert server.getpeername()[0] == "127.0.0.1"
    client.sendall(b"request")
    assert splicing.hear(server) == b"request"


def test_the_last_target_is_the_loopback_of_ipv6(splicing: Splicing) -> None:
    splicing.move(LOOPBACK_6)
    client, server = splicing.pair()
    assert server.getpeername()[0] == LOOPBACK_6
    client.sendall(b"request")
    assert splicing.hear(server) == b"request"


def test_a_guest_that_does_not_answer(splicing: Splicing) -> None:
    """Its firewall drops what comes on lo."""
    splicing.fill_queue()
    client = splicing.call()
    splicing.reactor.wait(lambda: splicing.supply.splices, "the connection")
    splicing.reactor.let_run()
    assert splicing.reactor.time_is_up() == 1
    with pytest.raises(ConnectionResetError):
        splicing.hear(client)
    splicing.gone()


def test_a_guest_that_answers_late(splicing: Splicing) -> None:
    """Nothing is left to run out of time then."""
    splicing.fill_queue()
    client = splicing.call()
    splicing.reactor.wait(lambda: splicing.supply.splices, "the connection")
    splicing.reactor.let_run()
    splicing.empty_queue()
    client.sendall(b"request")
    assert splicing.hear(splicing.answer()) == b"request"
    assert splicing.reactor.time_is_up() == 0


def test_a_host_without_ipv6(
    splicing: Splicing, world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor has the guest, which can make no such socket, ever."""

    class OtherKernel(socket.socket):
        def __init__(self, family: int, kind: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "no IPv6")
            super().__init__(family, kind)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", OtherKernel)
        splicing.supply = Supply(world)
    splicing.stop_server()
    with pytest.raises(ConnectionResetError):
        splicing.hear(splicing.call())
    assert {family for family, _ in splicing.supply.asked} == {socket.AF_INET}


def test_nobody_listens(splicing: Splicing) -> None:
    splicing.stop_server()
    client = splicing.call()
    with pytest.raises(ConnectionResetError):
        splicing.hear(client)
    splicing.gone()


def test_a_socket_that_the_kernel_connects_to_itself(splicing: Splicing) -> None:
    """Nobody listens, and by chance the port that it connects from is that which it connects to."""
    splicing.stop_server()
    splicing.supply.is_held = True
    client = splicing.call()
    splicing.reactor.wait(lambda: splicing.supply.asked, "a request for sockets")
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", splicing.guest_port))
    splicing.supply.splices.arrived(socket.AF_INET, [bound.detach()])
    with pytest.raises(ConnectionResetError):
        splicing.hear(client)


def test_a_server_whose_queue_is_full(splicing: Splicing) -> None:
    """It may get room, or the client may give up."""
    splicing.fill_queue()
    before = descriptors()
    client = splicing.call()
    splicing.reactor.wait(lambda: splicing.supply.splices, "the connection")
    splicing.reactor.let_run()
    reset(client)
    splicing.gone()
    splicing.supply.splices.end_supply()
    assert descriptors() <= before


def test_a_client_that_spoke_and_closed_before_it_was_connected(splicing: Splicing) -> None:
    splicing.supply.is_held = True
    with splicing.call() as client:
        client.sendall(b"request")
    splicing.reactor.wait(lambda: splicing.supply.asked, "a request for sockets")
    splicing.supply.deliver()
    server = splicing.answer()
    assert splicing.hear(server) == b"request"
    assert splicing.hear(server) == b""
    server.close()
    splicing.gone()


@pytest.mark.parametrize("scarce", ["splices", "descriptors"])
def test_no_room(
    splicing: Splicing, world: HostWorld, monkeypatch: pytest.MonkeyPatch, scarce: str
) -> None:
    """Others go the way of all."""
    if scarce == "descriptors":
        monkeypatch.setattr(limits, "descriptor_limit", lambda: 4)
        splicing.supply = Supply(world)
    else:
        splicing.supply = Supply(world, most=1)
    splicing.pair()
    client = splicing.call()
    client.sendall(b"request")
    guest = GuestTcp.accepting(world)
    guest.until(lambda: guest.text == b"request", "the request")
    guest.reset()


def test_a_port_of_another_address_of_the_guest_s(
    splicing: Splicing, forwards: Forwards, far_end: FarEnd, world: HostWorld
) -> None:
    """Nobody is to be found there on the guest's loopback."""
    port, other = find_free_port(), IPv4Address("10.0.2.101")
    forwards.open(Forward(port, splicing.guest_port, guest_address=other))
    far_end.connect(LOOPBACK, port)
    (call,) = world.hear()
    assert head(call).dst == str(other)


# ── the stock of sockets ─────────────────────────────────────────────────────────────────────────


def test_nothing_is_asked_for_before_the_first_client(splicing: Splicing) -> None:
    splicing.reactor.let_run()
    assert splicing.supply.asked == []


def test_few_are_asked_for_where_descriptors_are_few(
    splicing: Splicing, world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "descriptor_limit", lambda: 64)
    splicing.supply = Supply(world)
    splicing.pair()
    assert set(splicing.supply.asked) == {(socket.AF_INET, 2)}


def test_what_both_kernels_are_asked_to_do(splicing: Splicing) -> None:
    """Small writes were gathered by their writer's kernel."""
    for end in splicing.pair():
        with ours(end.getpeername()) as one:
            assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)


def test_more_clients_than_there_are_sockets(splicing: Splicing) -> None:
    splicing.supply.is_held = True
    clients = [splicing.call() for _ in range(100)]
    for number, client in enumerate(clients):
        client.sendall(number.to_bytes(2, "big"))
    splicing.reactor.wait(lambda: len(splicing.supply.splices) == 100, "all clients")
    splicing.supply.is_held = False
    splicing.supply.deliver()
    servers = [splicing.answer() for _ in clients]
    for server in servers:
        server.sendall(splicing.hear(server))
    assert [splicing.hear(client) for client in clients] == [
        number.to_bytes(2, "big") for number in range(100)
    ]


def test_no_socket_can_be_made(splicing: Splicing) -> None:
    """Those who wait ask again after a while."""
    splicing.supply.is_held = True
    client = splicing.call()
    client.sendall(b"request")
    splicing.reactor.wait(lambda: splicing.supply.asked, "a request for sockets")
    splicing.supply.splices.arrived(socket.AF_INET, [])
    splicing.supply.is_held = False
    assert splicing.reactor.time_is_up() == 1
    assert splicing.hear(splicing.answer()) == b"request"


def test_the_guest_ends(splicing: Splicing) -> None:
    """Who waits for a socket is reset, who comes later too; connections that stand go on."""
    standing, server = splicing.pair()
    splicing.supply.splices.end_supply()
    splicing.supply.is_over = True
    with pytest.raises(ConnectionResetError):
        splicing.hear(splicing.call())
    server.sendall(b"still here")
    assert splicing.hear(standing) == b"still here"


def test_the_guest_ends_while_a_client_waits(splicing: Splicing) -> None:
    splicing.supply.is_held = True
    client = splicing.call()
    splicing.reactor.wait(lambda: splicing.supply.asked, "a request for sockets")
    splicing.supply.splices.end_supply()
    with pytest.raises(ConnectionResetError):
        splicing.hear(client)
    before = descriptors()
    splicing.supply.deliver()  # what was on its way
    assert descriptors() == before


# ── data ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("turns", [8, 1])
@pytest.mark.parametrize("pipes", [16, 0])
def test_much_data_both_ways(
    splicing: Splicing, monkeypatch: pytest.MonkeyPatch, pipes: int, turns: int
) -> None:
    """Also where no pipe is to be had, and where turns are put off until after the end."""
    monkeypatch.setattr(pipes_module, "_MAX_PIPES", pipes)
    monkeypatch.setattr(splice_module, "_TURNS", turns)
    back = DATA[::-1]
    for _ in range(4):  # which of the two ends comes first is chance
        client, server = splicing.pair()
        actions = (
            partial(send_all, client, DATA),
            partial(read_to_end, server),
            partial(send_all, server, back),
            partial(read_to_end, client),
        )
        assert splicing.meanwhile(*actions) == [b"", DATA, b"", back]
    splicing.gone()


def test_a_reader_that_stalls_keeps_its_pipe_and_hurts_nobody(splicing: Splicing) -> None:
    slow, slow_server = splicing.pair()
    poured = splicing.pour(slow, DATA)
    client, server = splicing.pair()
    assert splicing.meanwhile(partial(send_all, client, DATA), partial(read_to_end, server)) == [
        b"",
        DATA,
    ]
    slow.shutdown(socket.SHUT_WR)
    assert splicing.meanwhile(partial(read_to_end, slow_server)) == [poured]


def test_urgent_data_comes_in_line(splicing: Splicing, ends: Ends) -> None:
    speaker, listener = ends
    said = [
        (b"before", 0),
        (b"!", socket.MSG_OOB),
        (b"after", 0),
        (b"?", socket.MSG_OOB),
        (DATA, 0),
        (b".", socket.MSG_OOB),
        (DATA, 0),
        (b"the last byte too", socket.MSG_OOB),
    ]

    def say() -> bytes:
        for data, flags in said:
            speaker.sendall(data, flags)
        speaker.shutdown(socket.SHUT_WR)
        return b""

    listener.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    _, heard = splicing.meanwhile(say, partial(read_to_end, listener))
    assert heard == b"".join(data for data, _ in said)


def test_a_mark_of_urgent_data_behind_much(splicing: Splicing, ends: Ends) -> None:
    """All of it is there before anything is passed on."""
    speaker, listener = ends
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    speaker.sendall(DATA[:40_000])
    speaker.sendall(b"!", socket.MSG_OOB)
    speaker.sendall(b"and more")
    expected = DATA[:40_000] + b"!and more"
    heard = b""
    while len(heard) < len(expected):
        heard += splicing.hear(listener)
    assert heard == expected


def test_what_a_lost_connection_had_in_its_pipe_reaches_nobody(splicing: Splicing) -> None:
    client, server = splicing.pair()
    splicing.pour(client, DATA)
    reset(server)
    splicing.gone()
    client, server = splicing.pair()
    assert splicing.meanwhile(partial(send_all, client, DATA), partial(read_to_end, server)) == [
        b"",
        DATA,
    ]


# ── the end ──────────────────────────────────────────────────────────────────────────────────────


def test_half_close(splicing: Splicing, ends: Ends) -> None:
    first, second = ends
    first.sendall(b"all I have")
    first.shutdown(socket.SHUT_WR)
    assert splicing.hear(second) == b"all I have"
    assert splicing.hear(second) == b""
    second.sendall(b"an answer")
    assert splicing.hear(first) == b"an answer"
    second.close()
    assert splicing.hear(first) == b""
    splicing.gone()


def test_reset(splicing: Splicing, ends: Ends) -> None:
    first, second = ends
    first.sendall(b"the last")
    assert splicing.hear(second) == b"the last"
    reset(first)
    with pytest.raises(ConnectionResetError):
        splicing.hear(second)
    splicing.gone()


def test_reset_behind_data(splicing: Splicing, ends: Ends) -> None:
    """What was sent before is heard before."""
    first, second = ends
    first.sendall(b"the last")
    reset(first)
    assert splicing.hear(second) == b"the last"
    with pytest.raises(ConnectionResetError):
        splicing.hear(second)


def test_reset_after_half_close(splicing: Splicing, ends: Ends) -> None:
    first, second = ends
    first.shutdown(socket.SHUT_WR)
    assert splicing.hear(second) == b""
    reset(first)
    splicing.gone()
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        second.sendall(b"too late")


def test_reset_while_the_other_does_not_read(splicing: Splicing, ends: Ends) -> None:
    first, second = ends
    splicing.pour(first, DATA)
    reset(first)
    splicing.gone()
    with pytest.raises(ConnectionResetError):
        splicing.meanwhile(partial(read_to_end, second))


def test_the_network_ends(splicing: Splicing, ends: Ends) -> None:
    """Nobody takes a part for the whole."""
    first, second = ends
    first.sendall(b"a part")
    assert splicing.hear(second) == b"a part"
    splicing.host.close()
    for one in ends:
        with pytest.raises(ConnectionResetError):
            one.recv(1)


def test_the_network_ends_for_one_that_has_heard_all(splicing: Splicing, ends: Ends) -> None:
    first, second = ends
    first.shutdown(socket.SHUT_WR)
    assert splicing.hear(second) == b""
    splicing.host.close()
    with pytest.raises(ConnectionResetError):
        first.recv(1)
    assert second.recv(1) == b""


def test_what_is_unfinished(splicing: Splicing) -> None:
    """As long as the guest may have more to say, and with its progress."""
    client, server = splicing.pair()
    (before,) = splicing.host.unfinished().values()
    server.sendall(b"word")
    assert splicing.hear(client) == b"word"
    (after,) = splicing.host.unfinished().values()
    assert after != before
    server.shutdown(socket.SHUT_WR)
    assert splicing.hear(client) == b""
    assert splicing.host.unfinished() == {}


def test_nothing_is_left(splicing: Splicing) -> None:
    before = descriptors()
    client, server = splicing.pair()
    assert splicing.meanwhile(partial(send_all, client, DATA), partial(read_to_end, server)) == [
        b"",
        DATA,
    ]
    client.close()
    server.close()
    splicing.gone()
    splicing.host.close()
    assert descriptors() <= before


def test_a_turn_that_was_put_off_until_after_the_end(
    splicing: Splicing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing again: the other end would be taken for lost."""
    client, server = splicing.pair()
    turns: list[Callable[[], None]] = []
    with monkeypatch.context() as patch:
        patch.setattr(splice_module, "_TURNS", 1)
        patch.setattr(splicing.reactor, "defer", turns.append)
        client.sendall(DATA[: 1 << 14])
        splicing.reactor.wait(lambda: turns, "a turn that is put off")
    client.shutdown(socket.SHUT_WR)
    assert splicing.hear(server) == DATA[: 1 << 14]
    assert splicing.hear(server) == b""
    server.sendall(b"answer")
    server.close()
    (turn,) = turns
    turn()
    assert splicing.hear(client) == b"answer"
    assert splicing.hear(client) == b""

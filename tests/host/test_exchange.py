"""Which nameserver is asked, and the next one when one is of no help."""

import socket
from collections.abc import Callable

import pytest

from rootlessnet.host.dns import nameservers
from rootlessnet.stack.host import SocketAddress
from tests.host.asking import (
    ANSWER_FLAGS,
    EXPECTED,
    NOTIMP,
    NXDOMAIN,
    QUERY,
    REFUSED,
    SERVFAIL,
    Asked,
    answer_to,
    failure_of,
    respond,
    respond_by_stream,
)
from tests.host.world import (
    FarEnd,
    HostReactor,
    address_of,
    closed_port,
    descriptors,
    is_readable,
    no_descriptor_left,
    reset,
)

NO_INTERFACE = ("fe80::1%none", 53)
NO_PEER = ("255.255.255.255", 53)  # the kernel refuses to send there


@pytest.mark.parametrize("dead", [None, NO_INTERFACE, NO_PEER], ids=str)
def test_the_next_one_when_one_is_dead(
    reactor: HostReactor, far_end: FarEnd, dead: SocketAddress | None
) -> None:
    server = far_end.udp()
    dead = dead or closed_port()
    asked = Asked(reactor, dead, dead, address_of(server)).ask()
    reactor.wait(lambda: is_readable(server), "a query to the next nameserver")
    respond(server)
    assert asked.answer() == EXPECTED
    assert reactor.time_is_up() == 0


@pytest.mark.parametrize("code", [SERVFAIL, NOTIMP, REFUSED])
def test_the_next_one_when_one_cannot_help(
    reactor: HostReactor, far_end: FarEnd, code: int
) -> None:
    first, second = far_end.udp(), far_end.udp()
    asked = Asked(reactor, address_of(first), address_of(second)).ask()
    respond(first, code)
    reactor.wait(lambda: is_readable(second), "a query to the next nameserver")
    assert asked.answers == []
    respond(second)
    assert asked.answer() == EXPECTED


def test_the_next_one_when_one_is_silent(reactor: HostReactor, far_end: FarEnd) -> None:
    silent, second = far_end.udp(), far_end.udp()
    asked = Asked(reactor, address_of(silent), address_of(second)).ask()
    assert reactor.time_is_up() == 1
    reactor.wait(lambda: is_readable(second), "a query to the next nameserver")
    query, client = silent.recvfrom(65535)
    silent.sendto(answer_to(query, text=b" too late"), client)
    respond(second)
    assert asked.answer() == EXPECTED
    assert reactor.time_is_up() == 0


def test_no_such_name_is_an_answer(reactor: HostReactor, far_end: FarEnd) -> None:
    first = far_end.udp()
    asked = Asked(reactor, address_of(first), closed_port()).ask()
    respond(first, NXDOMAIN)
    assert asked.answer() == answer_to(QUERY, NXDOMAIN)


def test_a_dead_one_is_asked_last(reactor: HostReactor, far_end: FarEnd) -> None:
    second = far_end.udp()
    asked = Asked(reactor, closed_port(), address_of(second)).ask()
    for _ in range(2):
        asked.reach(second)
        respond(second)
        assert asked.answer() == EXPECTED
        asked.ask()
        assert is_readable(second), "it is not asked at once"


def test_one_that_could_not_help_is_asked_first_again(
    reactor: HostReactor, far_end: FarEnd
) -> None:
    first, second = far_end.udp(), far_end.udp()
    asked = Asked(reactor, address_of(first), address_of(second)).ask()
    respond(first, SERVFAIL)
    asked.reach(second)
    respond(second)
    assert asked.answer() == EXPECTED
    asked.ask()
    respond(first)
    assert asked.answer() == EXPECTED


def test_a_dead_one_is_tried_again_at_nobody_s_cost(
    reactor: HostReactor, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nameservers, "RETRY", 0.0)
    first, second = far_end.udp(), far_end.udp()
    asked = Asked(reactor, address_of(first), address_of(second)).ask()
    assert reactor.time_is_up() == 1  # the first is silent
    asked.reach(second)
    respond(second)
    assert asked.answer() == EXPECTED
    first.recvfrom(65535)
    asked.ask()
    respond(second)
    assert asked.answer() == EXPECTED
    respond(first, text=b" to the copy")
    reactor.let_run()
    assert asked.answers == []
    asked.ask()
    respond(first)
    assert asked.answer() == EXPECTED
    assert not is_readable(second)


def test_other_nameservers_from_now_on(reactor: HostReactor, far_end: FarEnd) -> None:
    first, second = far_end.udp(), far_end.udp()
    asked = Asked(reactor, address_of(first))
    asked.nameservers.replace([address_of(second)])
    asked.ask()
    respond(second)
    assert asked.answer() == EXPECTED


def test_nobody_to_ask(reactor: HostReactor) -> None:
    assert Asked(reactor).ask().answer() == failure_of(QUERY, SERVFAIL)


def test_all_are_dead(reactor: HostReactor) -> None:
    """The guest is told, with its own question."""
    asked = Asked(reactor, closed_port(), closed_port()).ask()
    failure = asked.answer()
    assert failure[:2] == QUERY[:2]
    assert int.from_bytes(failure[2:4], "big") == ANSWER_FLAGS | SERVFAIL
    assert failure[4:] == QUERY[4:]


def test_all_are_silent(reactor: HostReactor, far_end: FarEnd) -> None:
    asked = Asked(reactor, address_of(far_end.udp()), address_of(far_end.udp())).ask()
    assert reactor.time_is_up() == 1
    reactor.wait(lambda: reactor.time_is_up() == 1, "patience with the second")
    assert asked.answer()[3] & 0xF == SERVFAIL


def test_what_the_last_one_said_is_passed_on(reactor: HostReactor, far_end: FarEnd) -> None:
    first = far_end.udp()
    asked = Asked(reactor, address_of(first), closed_port()).ask()
    respond(first, REFUSED, b" by policy")
    assert asked.answer() == answer_to(QUERY, REFUSED, b" by policy")


def test_no_descriptor_is_left(reactor: HostReactor, far_end: FarEnd) -> None:
    asked = Asked(reactor, address_of(far_end.udp()))
    with no_descriptor_left():
        asked.ask()
    assert asked.answer()[3] & 0xF == SERVFAIL


# ── over TCP ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", [b"", bytes(60_000)], ids=len)
def test_there_and_back_over_tcp(reactor: HostReactor, far_end: FarEnd, text: bytes) -> None:
    before = descriptors()
    server = far_end.listen()
    asked = Asked(reactor, address_of(server)).ask_by_stream()
    asked.reach(server)
    with far_end.accept(server) as connected:
        reactor.let_run()
        respond_by_stream(connected, text=text)
        assert asked.answer() == answer_to(QUERY, text=text)
        assert connected.recv(1) == b""
    server.close()
    assert descriptors() == before


def test_an_answer_in_pieces(reactor: HostReactor, far_end: FarEnd) -> None:
    server = far_end.listen()
    asked = Asked(reactor, address_of(server)).ask_by_stream()
    asked.reach(server)
    connected = far_end.accept(server)
    reactor.let_run()
    query = connected.recv(1000)[2:]
    message = answer_to(query)
    for piece in (b"\0", bytes((len(message),)) + message[:5], message[5:]):
        assert asked.answers == []
        connected.sendall(piece)
        reactor.let_run()
    assert asked.answer() == EXPECTED


def end(connected: socket.socket) -> None:
    connected.close()


def cut(connected: socket.socket) -> None:
    connected.sendall(b"\0\x20 and no more")
    connected.close()


def forge(connected: socket.socket) -> None:
    query = connected.recv(1000)[2:]
    message = bytes((query[0] ^ 1,)) + answer_to(query)[1:]
    connected.sendall(len(message).to_bytes(2, "big") + message)


@pytest.mark.parametrize("spoil", [end, cut, reset, forge])
def test_the_next_one_when_a_connection_is_of_no_use(
    reactor: HostReactor, far_end: FarEnd, spoil: Callable[[socket.socket], None]
) -> None:
    first, second = far_end.listen(), far_end.listen()
    asked = Asked(reactor, address_of(first), address_of(second)).ask_by_stream()
    asked.reach(first)
    connected = far_end.accept(first)
    reactor.let_run()
    spoil(connected)
    asked.reach(second)
    connected = far_end.accept(second)
    reactor.let_run()
    respond_by_stream(connected)
    assert asked.answer() == EXPECTED


@pytest.mark.parametrize("dead", [None, NO_INTERFACE, NO_PEER], ids=str)
def test_the_next_one_when_one_takes_no_connection(
    reactor: HostReactor, far_end: FarEnd, dead: SocketAddress | None
) -> None:
    server = far_end.listen()
    asked = Asked(reactor, dead or closed_port(), address_of(server)).ask_by_stream()
    asked.reach(server)
    connected = far_end.accept(server)
    reactor.let_run()
    respond_by_stream(connected)
    assert asked.answer() == EXPECTED


def test_the_next_one_when_a_connection_does_not_come_about(
    reactor: HostReactor, far_end: FarEnd
) -> None:
    silent, server = far_end.silent(), far_end.listen()
    asked = Asked(reactor, address_of(silent), address_of(server)).ask_by_stream()
    assert reactor.time_is_up() == 1
    asked.reach(server)
    connected = far_end.accept(server)
    reactor.let_run()
    respond_by_stream(connected)
    assert asked.answer() == EXPECTED


def test_no_descriptor_is_left_for_a_connection(reactor: HostReactor, far_end: FarEnd) -> None:
    asked = Asked(reactor, address_of(far_end.listen()))
    with no_descriptor_left():
        asked.ask_by_stream()
    assert asked.answer() == failure_of(QUERY, SERVFAIL)

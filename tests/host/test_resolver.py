"""The DNS forwarder, in front of nameservers of the test's own on the loopback."""

import socket
from collections.abc import Callable

import pytest

from rootlessnet import limits
from rootlessnet.host import resolver as resolver_module
from rootlessnet.host.resolver import Resolver
from rootlessnet.stack.host import SocketAddress
from tests.host.world import (
    LOOPBACK_6,
    FarEnd,
    HostReactor,
    address_of,
    closed_port,
    descriptors,
    is_readable,
    no_descriptor_left,
)

QUERY = bytes.fromhex("beef 0100 0001 0000 0000 0000") + b"\4name\7example\0\0\1\0\1"
ANSWER_FLAGS = 0x8180
NOERROR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 2, 3, 4, 5


def answer_to(query: bytes, code: int = NOERROR, text: bytes = b" answered") -> bytes:
    return query[:2] + (ANSWER_FLAGS | code).to_bytes(2, "big") + query[4:] + text


EXPECTED = answer_to(QUERY)


class Asked:
    """A resolver, and the answers to what it was asked."""

    def __init__(self, reactor: HostReactor, *servers: SocketAddress) -> None:
        self.reactor = reactor
        self.resolver = Resolver(reactor, servers)
        self.answers: list[bytes] = []

    def ask(self, query: bytes = QUERY) -> "Asked":
        self.resolver.resolve(query, self.answers.append)
        return self

    def answer(self) -> bytes:
        """The only answer, once it has come."""
        self.reactor.wait(lambda: self.answers, "an answer")
        (answer,) = self.answers
        self.answers.clear()
        return answer


def respond(server: socket.socket, code: int = NOERROR, text: bytes = b" answered") -> None:
    """Answer one query as a nameserver does."""
    query, client = server.recvfrom(65535)
    assert query[2:] == QUERY[2:]
    server.sendto(answer_to(query, code, text), client)


@pytest.mark.parametrize("text", [b"", b" answered", bytes(4000)], ids=len)
def test_there_and_back(reactor: HostReactor, far_end: FarEnd, text: bytes) -> None:
    before = descriptors()
    server = far_end.udp()
    asked = Asked(reactor, address_of(server)).ask()
    respond(server, text=text)
    assert asked.answer() == answer_to(QUERY, text=text)
    server.close()
    assert descriptors() == before


def test_a_nameserver_with_an_ipv6_address(reactor: HostReactor, far_end: FarEnd) -> None:
    server = far_end.udp(LOOPBACK_6)
    asked = Asked(reactor, address_of(server)).ask()
    respond(server)
    assert asked.answer() == EXPECTED


def test_each_query_has_a_port_and_an_identifier_of_its_own(
    reactor: HostReactor, far_end: FarEnd
) -> None:
    """RFC 5452: what a forger would have to guess."""
    server = far_end.udp()
    asked = Asked(reactor, address_of(server))
    for _ in range(20):
        asked.ask()
    queries = [server.recvfrom(65535) for _ in range(20)]
    assert len({client for _, client in queries}) > 1
    assert len({query[:2] for query, _ in queries}) > 1
    for query, client in reversed(queries):
        server.sendto(answer_to(query), client)
    reactor.wait(lambda: len(asked.answers) == 20, "all answers")
    assert set(asked.answers) == {EXPECTED}


# ── the next nameserver ──────────────────────────────────────────────────────────────────────────

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


def test_the_one_that_has_answered_is_asked_first(reactor: HostReactor, far_end: FarEnd) -> None:
    second, third = far_end.udp(), far_end.udp()
    servers = [closed_port(), address_of(second), address_of(third)]
    asked = Asked(reactor, *servers).ask()
    assert list(asked.resolver.nameservers()) == servers
    reactor.wait(lambda: is_readable(second), "a query to the next nameserver")
    for _ in range(2):
        respond(second)
        assert asked.answer() == EXPECTED
        assert list(asked.resolver.nameservers()) == [servers[1], servers[0], servers[2]]
        asked.ask()  # waits for the second, at once
    respond(second)
    assert asked.answer() == EXPECTED


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


# ── what is not taken ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "forged",
    [
        lambda query: bytes((query[0] ^ 1,)) + answer_to(query)[1:],  # another identifier
        lambda query: query,  # not an answer
        lambda query: answer_to(query)[:11],
        lambda query: b"",
    ],
    ids=["identifier", "query", "short", "empty"],
)
def test_what_is_no_answer_to_the_query(
    reactor: HostReactor, far_end: FarEnd, forged: Callable[[bytes], bytes]
) -> None:
    server = far_end.udp()
    asked = Asked(reactor, address_of(server)).ask()
    query, client = server.recvfrom(65535)
    server.sendto(forged(query), client)
    server.sendto(answer_to(query), client)
    assert asked.answer() == EXPECTED


def test_only_the_nameserver_may_answer(reactor: HostReactor, far_end: FarEnd) -> None:
    server, stranger = far_end.udp(), far_end.udp()
    asked = Asked(reactor, address_of(server)).ask()
    query, client = server.recvfrom(65535)
    stranger.sendto(answer_to(query, text=b" forged"), client)
    server.sendto(answer_to(query), client)
    assert asked.answer() == EXPECTED


@pytest.mark.parametrize("query", [b"", QUERY[:11], EXPECTED], ids=["empty", "short", "answer"])
def test_what_is_no_query_is_not_forwarded(
    reactor: HostReactor, far_end: FarEnd, query: bytes
) -> None:
    server = far_end.udp()
    asked = Asked(reactor, address_of(server)).ask(query).ask()
    respond(server)
    assert asked.answer() == EXPECTED
    assert not is_readable(server)


@pytest.mark.parametrize("scarce", ["queries", "descriptors"])
def test_at_the_bound_the_oldest_query_is_given_up(
    reactor: HostReactor, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch, scarce: str
) -> None:
    if scarce == "queries":
        monkeypatch.setattr(resolver_module, "MAX_QUERIES", 2)
    else:
        monkeypatch.setattr(limits, "descriptor_limit", lambda: 2 * 16)
    server = far_end.udp()
    asked = Asked(reactor, address_of(server))
    for _ in range(3):
        asked.ask()
    queries = [server.recvfrom(65535) for _ in range(3)]
    for number, (query, client) in enumerate(queries):
        server.sendto(answer_to(query, text=b" %d" % number), client)
    reactor.wait(lambda: len(asked.answers) == 2, "the answers to the younger two")
    assert asked.answers == [answer_to(QUERY, text=b" 1"), answer_to(QUERY, text=b" 2")]

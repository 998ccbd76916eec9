"""The DNS forwarder, in front of nameservers of the test's own on the loopback."""

from collections.abc import Callable

import pytest

from rootlessnet import limits
from rootlessnet.host.dns import lane
from tests.host.asking import (
    ANSWER_FLAGS,
    EXPECTED,
    FORMERR,
    QUERY,
    QUESTION,
    REFUSED,
    SERVFAIL,
    Asked,
    answer_to,
    failure_of,
    question,
    respond,
)
from tests.host.world import (
    LOOPBACK_6,
    FarEnd,
    HostReactor,
    address_of,
    closed_port,
    descriptors,
    is_readable,
)

WITH_EDNS = QUERY[:11] + b"\1" + QUESTION + b"\0\0\x29\x10\0\0\0\x80\0\0\0"  # 4096 bytes, DO


@pytest.mark.parametrize("text", [b"", b" answered", bytes(400)], ids=len)
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


# ── large answers ────────────────────────────────────────────────────────────────────────────────


def test_what_is_too_large_for_udp_is_to_be_asked_for_by_tcp(
    reactor: HostReactor, far_end: FarEnd
) -> None:
    """RFC 2181 9: the sign is all that counts in a truncated answer."""
    server = far_end.udp()
    asked = Asked(reactor, address_of(server))
    fits = bytes(512 - len(QUERY))
    for text in (fits, fits + b"\0"):
        asked.ask()
        respond(server, text=text)
        answer = asked.answer()
        assert len(answer) == (512 if text == fits else len(QUERY))
    assert int.from_bytes(answer[2:4], "big") == ANSWER_FLAGS | 0x0200
    assert answer[4:] == QUERY[4:]


def test_edns_says_how_large_an_answer_may_be(reactor: HostReactor, far_end: FarEnd) -> None:
    server = far_end.udp()
    asked = Asked(reactor, address_of(server)).ask(WITH_EDNS)
    for size in (4096, 4097):
        query, client = server.recvfrom(65535)
        assert query[2:] == WITH_EDNS[2:]
        server.sendto(answer_to(query, text=bytes(size - len(query))), client)
        answer = asked.answer()
        asked.ask(WITH_EDNS)
        assert bool(answer[2] & 2) == (size > 4096)
    # It has EDNS as well, and the bit of the question that says DNSSEC is understood.
    assert answer[4:] == QUERY[4:11] + b"\1" + QUESTION + b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"


def test_a_truncated_answer_is_passed_on_as_such(reactor: HostReactor, far_end: FarEnd) -> None:
    server = far_end.udp()
    asked = Asked(reactor, address_of(server)).ask()
    query, client = server.recvfrom(65535)
    truncated = b"\x83\x80" + query[4:]
    server.sendto(query[:2] + truncated, client)
    assert asked.answer() == QUERY[:2] + truncated


# ── what is not taken ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "forged",
    [
        lambda query: bytes((query[0] ^ 1,)) + answer_to(query)[1:],  # another identifier
        lambda query: query,  # not an answer
        lambda query: answer_to(query[:13] + b"N" + query[14:-4] + b"\0\x1c\0\1"),  # another type
        lambda query: answer_to(query.replace(b"name", b"fame")),
        lambda query: answer_to(query[:12], text=b""),  # no question, and no error
        lambda query: query[:2] + b"\xa8\x00" + query[4:],  # another opcode
        lambda query: answer_to(query)[:11],
        lambda query: b"",
    ],
    ids=["identifier", "query", "type", "name", "question", "opcode", "short", "empty"],
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


def test_a_question_comes_back_in_any_case(reactor: HostReactor, far_end: FarEnd) -> None:
    server = far_end.udp()
    asked = Asked(reactor, address_of(server)).ask()
    query, client = server.recvfrom(65535)
    server.sendto(answer_to(query.replace(b"name", b"NaMe")), client)
    assert asked.answer() == EXPECTED.replace(b"name", b"NaMe")


def test_an_error_may_lack_the_question(reactor: HostReactor, far_end: FarEnd) -> None:
    """As from a server that does not know EDNS: the guest asks again without."""
    server = far_end.udp()
    asked = Asked(reactor, address_of(server)).ask()
    query, client = server.recvfrom(65535)
    server.sendto(query[:2] + b"\x80\1" + bytes(8), client)
    assert asked.answer() == QUERY[:2] + b"\x80\1" + bytes(8)


@pytest.mark.parametrize("query", [b"", QUERY[:11], EXPECTED], ids=["empty", "short", "answer"])
def test_what_is_no_query_has_no_answer(
    reactor: HostReactor, far_end: FarEnd, query: bytes
) -> None:
    server = far_end.udp()
    asked = Asked(reactor, address_of(server)).ask(query).ask()
    respond(server)
    assert asked.answer() == EXPECTED
    assert not is_readable(server)


@pytest.mark.parametrize(
    "query",
    [
        QUERY[:-1],
        QUERY[:12],
        QUERY[:5] + b"\0" + QUERY[6:],
        QUERY[:5] + b"\2" + QUERY[6:] + QUESTION,
        QUERY[:12] + b"\xc0\x0c\0\1\0\1",
        QUERY[:12] + b"\1a\xc0\0\0\1\0\1",  # to the very beginning
        QUERY[:12] + b"\x40" + bytes(70),
        QUERY[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
        QUERY[:11] + b"\1" + QUESTION + b"\0\0\x29\x10",
    ],
    ids=["cut", "bare", "none", "two", "pointer", "pointer to 0", "label", "long", "record"],
)
def test_what_cannot_be_read_is_told_so(
    reactor: HostReactor, far_end: FarEnd, query: bytes
) -> None:
    server = far_end.udp()
    answer = Asked(reactor, address_of(server)).ask(query).answer()
    assert answer == QUERY[:2] + b"\x81\x81" + bytes(8)
    assert not is_readable(server)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (QUERY + bytes(5000), FORMERR),
        (QUERY[:-4] + b"\0\xfc\0\1", REFUSED),
        (QUERY[:-4] + b"\0\xfb\0\1", REFUSED),
    ],
    ids=["huge", "AXFR", "IXFR"],
)
def test_what_is_not_asked_of_anybody(
    reactor: HostReactor, far_end: FarEnd, query: bytes, code: int
) -> None:
    server = far_end.udp()
    answer = Asked(reactor, address_of(server)).ask(query).answer()
    assert answer == failure_of(query[: len(QUERY)], code)
    assert not is_readable(server)


def test_own_names_are_not_asked_of_anybody(reactor: HostReactor, far_end: FarEnd) -> None:
    server = far_end.udp()
    answer = Asked(reactor, address_of(server)).ask(question("own")).answer()
    assert answer.endswith(bytes((10, 0, 2, 2)))
    assert not is_readable(server)


# ── many at once ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scarce", ["queries", "descriptors"])
def test_at_the_bound_queries_wait_their_turn(
    reactor: HostReactor, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch, scarce: str
) -> None:
    if scarce == "descriptors":
        monkeypatch.setattr(limits, "descriptor_limit", lambda: 2 * 16)
    server = far_end.udp()
    asked = Asked(reactor, address_of(server), most=2 if scarce == "queries" else 100)
    for _ in range(5):
        asked.ask()
    for number in range(5):
        asked.reach(server)
        query, client = server.recvfrom(65535)
        if number == 0:
            server.recvfrom(65535)
            reactor.let_run()
            assert not is_readable(server), "a third before the first has its answer"
        server.sendto(answer_to(query), client)
        if number == 3:
            break
    reactor.wait(lambda: len(asked.answers) == 4, "the answers of all but the unanswered one")


def test_at_the_bound_of_those_that_wait_the_oldest_is_given_up(
    reactor: HostReactor, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "MAX_WAITING", 1)
    asked = Asked(reactor, address_of(far_end.udp()), most=1).ask()
    asked.ask(question("older")).ask(question("newer"))
    assert asked.answer() == failure_of(question("older"), SERVFAIL)


def test_what_has_waited_too_long_is_not_asked(
    reactor: HostReactor, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_WORTH_ASKING", -1.0)
    server = far_end.udp()
    asked = Asked(reactor, address_of(server), most=1).ask().ask(question("late"))
    respond(server)
    reactor.wait(lambda: len(asked.answers) == 2, "both answers")
    assert asked.answers == [EXPECTED, failure_of(question("late"), SERVFAIL)]
    assert not is_readable(server)


def test_thousands_that_nobody_answers_end_at_once(reactor: HostReactor) -> None:
    """Each lets the next begin, none within another."""
    asked = Asked(reactor)
    for _ in range(3000):
        asked.ask()
    reactor.wait(lambda: len(asked.answers) == 3000, "all answers")


def test_nothing_is_left_when_it_closes(reactor: HostReactor, far_end: FarEnd) -> None:
    before = descriptors()
    asked = Asked(reactor, closed_port()).ask().ask_by_stream()
    asked.resolver.close()
    assert descriptors() == before
    assert reactor.time_is_up() == 0
    reactor.let_run()
    assert asked.answers == []

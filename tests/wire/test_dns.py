"""DNS messages against dnspython: what is read, and what is written without records."""

from contextlib import suppress

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.wire import MalformedError
from rootlessnet.wire import dns as wire
from tests.wire.oracle import patient

PLAIN = dns.message.make_query("Name.Example", "A")
SIGNED = dns.message.make_query("name.example", "AAAA", payload=4096, want_dnssec=True)


def parsed(query: dns.message.Message) -> wire.Query:
    return wire.parse_query(query.to_wire())


@pytest.mark.parametrize(
    ("name", "kind"), [("Name.Example", "A"), (".", "NS"), ("a" * 63 + ".b", "TYPE65280")]
)
def test_the_question(name: str, kind: str) -> None:
    query = dns.message.make_query(name, kind)
    question = query.question[0]
    found = parsed(query)
    assert found.name == question.name.canonicalize().to_wire()
    assert (found.kind, found.klass, found.opcode) == (question.rdtype, wire.IN, wire.QUERY)
    assert found.question == query.to_wire()[wire.SIZE :]


@pytest.mark.parametrize(
    ("payload", "limit"), [(0, 512), (511, 512), (513, 513), (1232, 1232), (65535, 65507)]
)
def test_the_limit(payload: int, limit: int) -> None:
    assert not parsed(PLAIN).extended
    assert parsed(PLAIN).limit == 512
    query = parsed(dns.message.make_query("name.example", "A", use_edns=0, payload=payload))
    assert (query.extended, query.limit, query.dnssec_ok) == (True, limit, False)
    assert parsed(SIGNED).dnssec_ok


def test_opt_behind_other_records() -> None:
    query = dns.message.make_query("name.example", "SOA", use_edns=0, payload=2000)
    query.authority.append(dns.rrset.from_text("name.example.", 1, "IN", "NS", "x.name.example."))
    assert parsed(query).limit == 2000


def test_opt_is_looked_for_as_far_as_honest_queries_go() -> None:
    record = b"\0" + bytes(10)
    opt = dns.message.make_query(".", "A", use_edns=0, payload=2000).to_wire()[-11:]
    head = PLAIN.to_wire()[:10] + (99).to_bytes(2, "big") + PLAIN.to_wire()[12:]
    assert wire.parse_query(head + 31 * record + opt).limit == 2000
    assert not wire.parse_query(head + 32 * record + opt).extended


def test_a_record_whose_name_is_cut_short() -> None:
    head = PLAIN.to_wire()[:10] + b"\0\1" + PLAIN.to_wire()[12:]
    with pytest.raises(MalformedError):
        wire.parse_query(head + b"\xc0")


@pytest.mark.parametrize("opcode", [dns.opcode.IQUERY, dns.opcode.UPDATE])
def test_an_answer_to_another_kind_of_question(opcode: dns.opcode.Opcode) -> None:
    answer = dns.message.make_response(PLAIN)
    assert wire.is_answer(answer.to_wire(), PLAIN.to_wire()[:2], parsed(PLAIN))
    answer.set_opcode(opcode)
    assert not wire.is_answer(answer.to_wire(), PLAIN.to_wire()[:2], parsed(PLAIN))


def test_a_failure() -> None:
    for query in (PLAIN, SIGNED):
        query.flags |= dns.flags.CD
        message = dns.message.from_wire(wire.failure(parsed(query), wire.SERVFAIL))
        assert query.is_response(message)
        assert message.rcode() == dns.rcode.SERVFAIL
        expected = dns.flags.QR | dns.flags.RD | dns.flags.RA | dns.flags.CD
        assert message.flags == expected | dns.rcode.SERVFAIL
        assert message.edns == query.edns
        assert message.ednsflags == query.ednsflags


def test_a_format_error() -> None:
    query = PLAIN.to_wire()
    message = dns.message.from_wire(wire.format_error(query[:20]))
    assert (message.id, message.rcode(), message.question) == (PLAIN.id, dns.rcode.FORMERR, [])


@pytest.mark.parametrize("query", [PLAIN, SIGNED], ids=["plain", "edns"])
def test_what_does_not_fit_is_truncated(query: dns.message.QueryMessage) -> None:
    answer = dns.message.make_response(query)
    answer.set_rcode(dns.rcode.NXDOMAIN)
    answer.flags |= dns.flags.AA
    asked, whole = parsed(query), answer.to_wire()
    fits = whole + bytes(asked.limit - len(whole))
    assert wire.fitting(fits, asked) == fits
    message = dns.message.from_wire(wire.fitting(fits + b"\0", asked))
    assert query.is_response(message)
    assert message.flags == answer.flags | dns.flags.TC
    assert message.rcode() == dns.rcode.NXDOMAIN
    assert message.edns == query.edns


def test_a_name_from_text() -> None:
    for text in ("A.b", "host.example", "1.0.0.127.in-addr.arpa"):
        expected = dns.name.from_text(text).to_wire()
        assert wire.name_from_text(text) == expected


@given(st.binary(max_size=80))
@patient
def test_nothing_but_malformed(message: bytes) -> None:
    query = parsed(PLAIN)
    wire.is_answer(message, query.message[:2], query)
    with suppress(MalformedError):
        wire.parse_query(message)

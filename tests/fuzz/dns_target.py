"""DNS messages for the fuzzer: a query of the guest's, and what claims to be its answer.

An input is the query behind its length, then the answer. dnspython is the oracle for both.
"""

from ipaddress import ip_address

import dns.exception
import dns.message

from rootlessnet.host.dns.own_names import OwnNames
from rootlessnet.wire import MalformedError, udp
from rootlessnet.wire import dns as wire

NAMES = OwnNames({"a": (ip_address("10.0.2.2"), ip_address("fd00::2")), "b.c": ()})
_REPLY_MAX = wire.SIZE + 255 + 4 + 11  # bytes of one without records: header, question and OPT


def encode(query: bytes, answer: bytes = b"") -> bytes:
    """The input with these messages."""
    return len(query).to_bytes(2, "big") + query + answer


def explain(data: bytes) -> list[object]:
    """Both messages, as bytes."""
    end = 2 + int.from_bytes(data[:2], "big")
    return [data[2:end], data[end:]]


def play(data: bytes) -> None:
    """Raises whatever is wrong with what reads and writes DNS messages."""
    end = 2 + int.from_bytes(data[:2], "big")
    message, answer = data[2:end], data[end:]
    try:
        query = wire.parse_query(message)
    except MalformedError:
        if wire.is_query(message):
            reply = dns.message.from_wire(wire.format_error(message))
            assert (reply.id, reply.rcode()) == (int.from_bytes(message[:2], "big"), wire.FORMERR)
        return
    assert wire.LEAST_LIMIT <= query.limit <= udp.MAX_PAYLOAD
    _check_question(query)
    for code in (wire.SERVFAIL, wire.REFUSED):
        reply_without_records(query, wire.failure(query, code))
    if wire.is_answer(answer, message[:2], query):
        fitting = wire.fitting(answer + bytes(query.limit), query)
        assert fitting[2] & wire.TC >> 8
        reply_without_records(query, fitting)
        assert wire.fitting(answer[: query.limit], query) == answer[: query.limit]
    own = NAMES.answer(query)
    if own is not None:
        assert wire.is_answer(own, message[:2], query)
        dns.message.from_wire(own)


def reply_without_records(query: wire.Query, reply: bytes) -> None:
    """It answers the query, in few bytes, and can be read."""
    assert wire.is_answer(reply, query.message[:2], query)
    assert len(reply) <= _REPLY_MAX
    if query.opcode == wire.QUERY:
        read = dns.message.from_wire(reply)
        assert (read.edns >= 0) == query.extended


def _check_question(query: wire.Query) -> None:
    """What dnspython reads is what we read."""
    try:
        read = dns.message.from_wire(query.message, question_only=True)
    except (dns.exception.DNSException, ValueError):
        return
    if query.opcode == wire.QUERY and read.question:
        name = read.question[0].name.to_wire()
        assert name is not None
        assert name.lower() == query.name
        assert (read.question[0].rdtype, read.question[0].rdclass) == (query.kind, query.klass)

"""Our own names, asked for and read by dnspython."""

from ipaddress import ip_address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename
import pytest

from rootlessnet.host.dns.own_names import OwnNames
from rootlessnet.wire.dns import parse_query

NAMES = OwnNames(
    {
        "host.example": (ip_address("10.0.2.2"), ip_address("fd00::2")),
        "db": (ip_address("192.0.2.1"), ip_address("192.0.2.2")),
        "alias": (ip_address("192.0.2.1"),),
    }
)


def answer_to(query: dns.message.Message) -> dns.message.Message | None:
    """Read and matched with the query."""
    answer = NAMES.answer(parse_query(query.to_wire()))
    if answer is None:
        return None
    message = dns.message.from_wire(answer)
    assert query.is_response(message)
    return message


def ask(name: str | dns.name.Name, kind: str) -> list[str]:
    message = answer_to(dns.message.make_query(name, kind))
    assert message is not None
    assert message.rcode() == dns.rcode.NOERROR
    assert message.flags & (dns.flags.AA | dns.flags.RA) == dns.flags.AA | dns.flags.RA
    return [str(record) for rrset in message.answer for record in rrset]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("host.example", "A", ["10.0.2.2"]),
        ("host.example", "AAAA", ["fd00::2"]),
        ("host.example", "ANY", ["10.0.2.2", "fd00::2"]),
        ("HOST.Example.", "A", ["10.0.2.2"]),
        ("db", "A", ["192.0.2.1", "192.0.2.2"]),
        ("db", "AAAA", []),
        ("db", "MX", []),
        ("db", "HTTPS", []),
    ],
)
def test_by_name(name: str, kind: str, expected: list[str]) -> None:
    assert sorted(ask(name, kind)) == expected


def test_by_address() -> None:
    for address, name in (
        ("10.0.2.2", "host.example."),
        ("fd00::2", "host.example."),
        ("192.0.2.1", "db."),
    ):
        reverse = dns.reversename.from_address(address)
        assert ask(reverse, "PTR") == [name]
        assert ask(reverse, "A") == []


@pytest.mark.parametrize(
    "query",
    [
        dns.message.make_query("host.example.org", "A"),
        dns.message.make_query("other", "A"),
        dns.message.make_query("sub.db", "A"),
        dns.message.make_query(".", "NS"),
        dns.message.make_query("db", "A", "CH"),
        dns.message.make_query(dns.reversename.from_address("192.0.2.3"), "PTR"),
    ],
    ids=["host", "other", "below", "root", "class", "address"],
)
def test_what_others_know(query: dns.message.Message) -> None:
    assert answer_to(query) is None


def test_edns_is_answered_with_edns() -> None:
    plain = answer_to(dns.message.make_query("db", "A"))
    assert plain is not None
    assert plain.edns == -1
    extended = answer_to(dns.message.make_query("db", "A", use_edns=0, want_dnssec=True))
    assert extended is not None
    assert extended.edns == 0


@pytest.mark.parametrize("payload", [512, 1232])
def test_what_the_guest_takes_by_udp_is_not_for_own_names_to_judge(payload: int) -> None:
    """By TCP the answer is whole, and by UDP it is cut like any other."""
    many = OwnNames({"many": [ip_address(f"192.0.2.{number}") for number in range(200)]})
    query = parse_query(dns.message.make_query("many", "A", use_edns=0, payload=payload).to_wire())
    answer = many.answer(query)
    assert answer is not None
    (rrset,) = dns.message.from_wire(answer).answer
    assert len(rrset) == 200


def test_more_addresses_than_a_message_has_room_for() -> None:
    too_many = OwnNames(
        {"many": [ip_address(number) for number in range(1 << 24, 4200 + (1 << 24))]}
    )
    answer = too_many.answer(parse_query(dns.message.make_query("many", "A").to_wire()))
    assert answer is not None
    assert dns.message.from_wire(answer).rcode() == dns.rcode.SERVFAIL


def test_what_dnspython_cannot_read() -> None:
    query = dns.message.make_query("db", "A").to_wire()
    broken = query[:11] + b"\1" + query[12:] + b"\0\0\1\0\1\0\0\0\0\0\3abc"  # an A record
    answer = NAMES.answer(parse_query(broken))
    assert answer is not None
    assert dns.message.from_wire(answer).rcode() == dns.rcode.FORMERR

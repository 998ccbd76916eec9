"""Queries and answers as they really are, for the fuzzer to begin with: tests/fuzz/dns_corpus.

`python -m tests.fuzz.dns_seeds` writes them there.
"""

from pathlib import Path

from dns.message import Message, QueryMessage, make_query, make_response
from dns.reversename import from_address
from dns.rrset import from_text

from tests.fuzz.dns_target import encode

CORPUS = Path(__file__).parent / "dns_corpus"


def _query(name: str, kind: str, *, extended: bool = False) -> QueryMessage:
    return make_query(name, kind, id=0xBEEF, use_edns=extended, want_dnssec=extended)


def _answered(query: QueryMessage, *addresses: str) -> Message:
    answer = make_response(query, recursion_available=True)
    answer.answer.append(from_text(query.question[0].name, 60, "IN", "A", *addresses))
    return answer


def messages() -> dict[str, bytes]:
    """By name."""
    plain = _query("example.org", "A")
    extended = _query("WWW.Example.org", "AAAA", extended=True)
    return {
        "plain": encode(plain.to_wire(), _answered(plain, "192.0.2.1").to_wire()),
        "edns": encode(extended.to_wire(), make_response(extended).to_wire()),
        "root": encode(_query(".", "NS").to_wire()),
        "own": encode(_query("a", "A").to_wire()),
        "own-any": encode(_query("a", "ANY", extended=True).to_wire()),
        "own-without-address": encode(_query("b.c", "AAAA").to_wire()),
        "own-reverse": encode(_query(str(from_address("10.0.2.2")), "PTR").to_wire()),
        "answer": encode(make_response(plain).to_wire()),
    }


def write(directory: Path) -> None:
    """A file for each of them."""
    directory.mkdir(exist_ok=True)
    for name, data in messages().items():
        (directory / name).write_bytes(data)


if __name__ == "__main__":
    write(CORPUS)

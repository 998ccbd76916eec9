"""DNS messages, as far as one who passes them on reads them: header, question, and the OPT record.

Records are never looked into, so a message of any type, class or option goes through unchanged, and
nothing a nameserver invents can confuse a parser here. What is made here has no records either: an
error, or the sign that an answer is too large for UDP. Read: RFC 1035 4.1, RFC 5625 (proxies), RFC
6891 (EDNS), RFC 5452 9 (what makes an answer one to a query).
"""

from struct import Struct
from typing import NamedTuple

from rootlessnet.wire import MalformedError, udp

HEADER = Struct("!2s5H")  # identifier, flags, and the numbers of questions and of three of records
SIZE = HEADER.size  # 12
PORT = 53

QR, AA, TC, RD, RA, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
QUERY = 0  # the opcode of all that ordinary programs ask
A, PTR, AAAA, OPT, IXFR, AXFR, ANY = 1, 12, 28, 41, 251, 252, 255
IN = 1
LEAST_LIMIT = 512  # bytes that every UDP answer may have (RFC 1035 4.2.1)

_OPCODE_SHIFT, _OPCODE, _CODE = 11, 0xF, 0xF
_RECORD = Struct("!HHIH")  # behind the name: type, class, TTL, length
_FLAGS = Struct("!H")
_QUESTION = Struct("!HH")  # behind the name: type, class
LABEL_MAX, NAME_MAX = 63, 255  # bytes: RFC 1035 2.3.4
_POINTER = 0xC0
_RECORDS = 32  # of a query that are looked through for OPT: it has one, and maybe a signature
_DNSSEC_OK = 0x8000
_OUR_LIMIT = 1232  # bytes of UDP that we say we take: no path cuts them (DNS Flag Day 2020)


class Query(NamedTuple):
    """A query and what it says. `limit` is in bytes, of a UDP answer: 512 to 65507."""

    message: bytes
    question: bytes  # as it stands in the message
    name: bytes  # in wire form, in lower case
    kind: int  # the type that is asked for
    klass: int
    opcode: int
    limit: int
    extended: bool  # it has an OPT record
    dnssec_ok: bool


def is_query(message: bytes) -> bool:
    """Whether it is at least the beginning of one, so that it can be told what is wrong with it."""
    return len(message) >= SIZE and not message[2] & QR >> 8


def parse_query(message: bytes) -> Query:
    """Read a query; raises MalformedError."""
    if not is_query(message):
        raise MalformedError("no DNS query")
    _, flags, questions, *records = HEADER.unpack_from(message)
    if questions != 1:
        raise MalformedError("DNS query without its one question")
    end = _name_end(message, SIZE, may_point=False)
    if end + _QUESTION.size > len(message):
        raise MalformedError("DNS question is cut short")
    kind, klass = _QUESTION.unpack_from(message, end)
    name = message[SIZE:end].lower()  # a label's length is below any letter
    end += _QUESTION.size
    limit, extension = _find_opt(message, end, sum(records))
    return Query(
        message,
        message[SIZE:end],
        name,
        kind,
        klass,
        flags >> _OPCODE_SHIFT & _OPCODE,
        min(max(limit, LEAST_LIMIT), udp.MAX_PAYLOAD),
        limit >= 0,
        bool(extension & _DNSSEC_OK),
    )


def code_of(message: bytes) -> int:
    """RCODE of an answer, without what EDNS adds to it."""
    return message[3] & _CODE


def is_answer(message: bytes, identifier: bytes, query: Query) -> bool:
    """Whether it answers this query, which was sent under `identifier`.

    An error may come without the question, as from a server that could not read it.
    """
    if len(message) < SIZE:
        return False
    found, flags, questions, *_ = HEADER.unpack_from(message)
    if found != identifier or not flags & QR or flags >> _OPCODE_SHIFT & _OPCODE != query.opcode:
        return False
    if questions == 0:
        return code_of(message) != NOERROR
    end = SIZE + len(query.question)
    name_end = SIZE + len(query.name)
    if questions != 1 or message[name_end:end] != query.question[len(query.name) :]:
        return False
    found_name: bytes = message[SIZE:name_end].lower()
    return found_name == query.name


def failure(query: Query, code: int) -> bytes:
    """The answer that is nothing but this error."""
    (flags,) = _FLAGS.unpack_from(query.message, 2)
    kept = flags & (_OPCODE << _OPCODE_SHIFT | RD | CD)
    return _without_records(query, QR | RA | kept | code)


def format_error(message: bytes) -> bytes:
    """The answer to a query that cannot be parsed; `is_query` holds."""
    identifier, flags, *_ = HEADER.unpack_from(message)
    kept = flags & (_OPCODE << _OPCODE_SHIFT | RD)
    return HEADER.pack(identifier, QR | RA | kept | FORMERR, 0, 0, 0, 0)


def fitting(answer: bytes, query: Query) -> bytes:
    """The answer as it may go by UDP: itself, or the sign that it is to be asked for by TCP."""
    if len(answer) <= query.limit:
        return answer
    (flags,) = _FLAGS.unpack_from(answer, 2)
    return _without_records(query, flags | TC)


def name_from_text(text: str) -> bytes:
    """The wire form of a name in ASCII, whose labels are not empty, without a dot at its end."""
    labels = text.encode("ascii").split(b".")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _without_records(query: Query, flags: int) -> bytes:
    """RFC 6891 6.1.1: who asked with EDNS is answered with EDNS."""
    head = HEADER.pack(query.message[:2], flags, 1, 0, 0, int(query.extended))
    if not query.extended:
        return head + query.question
    extension = _DNSSEC_OK if query.dnssec_ok else 0  # RFC 3225 3
    return head + query.question + b"\0" + _RECORD.pack(OPT, _OUR_LIMIT, extension, 0)


def _name_end(message: bytes, at: int, *, may_point: bool) -> int:
    """Where the name that begins at `at` ends, maybe with its message cut short there; its rest may
    stand elsewhere if it `may_point` there. Raises MalformedError.
    """
    start = at
    while at < len(message):
        size = message[at]
        at += 1
        if size == 0:
            return at
        if size >= _POINTER and may_point:
            return at + 1
        at += size
        if size > LABEL_MAX or at - start >= NAME_MAX:
            break
    raise MalformedError("DNS name is too long, or cut short")


def _find_opt(message: bytes, at: int, count: int) -> tuple[int, int]:
    """The limit and the flags of the OPT record; -1 and 0 where there is none."""
    for _ in range(min(count, _RECORDS)):
        at = _name_end(message, at, may_point=True)
        if at + _RECORD.size > len(message):
            raise MalformedError("DNS record is cut short")
        kind, klass, ttl, length = _RECORD.unpack_from(message, at)
        if kind == OPT:
            return klass, ttl & 0xFFFF
        at += _RECORD.size + length
    return -1, 0

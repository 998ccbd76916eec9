"""Schedules as bytes, and back: the form in which a fuzzer holds the steps of an ordeal.

A step is one byte for its kind, numbers of fixed size, and, of some kinds, data behind their
length. Any bytes are a schedule: a kind counts modulo the number of kinds, data may be cut short by
the end, and a step that the end leaves incomplete is none. So whatever a fuzzer changes, most of a
schedule keeps its meaning.
"""

from collections.abc import Iterable, Iterator
from struct import Struct

from tests.stack.ordeal import (
    Arrival,
    DatagramEvent,
    Event,
    Frame,
    Pause,
    Segment,
    Step,
    Twist,
)

# The last number of a kind with data is their length.
_FORMS: tuple[tuple[type[Step], Struct], ...] = (
    (Segment, Struct("<BBiiHHB")),
    (Event, Struct("<BBH")),
    (Pause, Struct("<H")),
    (Frame, Struct("<H")),
    (Twist, Struct("<BB")),
    (Arrival, Struct("<B")),
    (DatagramEvent, Struct("<BBB")),
)
_KINDS = [kind for kind, _ in _FORMS]


def decode(data: bytes) -> Iterator[Step]:
    """The steps of a schedule."""
    at = 0
    while at < len(data):
        kind, form = _FORMS[data[at] % len(_FORMS)]
        at += 1
        if at + form.size > len(data):
            return
        fields: list[int | bytes] = [*form.unpack_from(data, at)]
        at += form.size
        if kind._fields[-1] == "data":
            end = at + int(fields[-1])
            fields[-1] = data[at:end]
            at = end
        yield kind._make(fields)


def encode(steps: Iterable[Step]) -> bytes:
    """The bytes of a schedule."""
    encoded = bytearray()
    for step in steps:
        code = _KINDS.index(type(step))
        fields: tuple[int | bytes, ...] = step
        last = fields[-1]
        data = last if isinstance(last, bytes) else b""
        numbers = [field if isinstance(field, int) else len(field) for field in fields]
        encoded += bytes((code,)) + _FORMS[code][1].pack(*numbers) + data
    return bytes(encoded)

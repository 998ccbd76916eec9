"""Any guest and any far end: random schedules of hostile segments and of what the host meets.
(Frames of any bytes are the fuzzer's: tests/fuzz.)

Most begin with live connections, or hardly any segment would get past the first look.
ROOTLESSNET_ORDEALS says how many schedules are tried (default: 1000, in some seconds).
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rootlessnet.wire.tcp import ACK, FIN, PSH, RST, SYN, build_options
from tests.stack.far_end import Kind
from tests.stack.ordeal import (
    Arrival,
    DatagramEvent,
    DatagramKind,
    Event,
    Ordeal,
    Pause,
    Segment,
    Step,
    small_bounds,
)

ORDEALS = int(os.environ.get("ROOTLESSNET_ORDEALS", "1000"))

NUMBERS = st.one_of(
    st.sampled_from([-1, 0, 0, 0, 0, 1, 2, 1459, 1460, 65535, 1 << 20, -(1 << 31), (1 << 31) - 1]),
    st.integers(-3000, 3000),
    st.integers(-(1 << 31), (1 << 31) - 1),
)
FLAGS = st.one_of(
    st.sampled_from([ACK, ACK, ACK, PSH | ACK, FIN | ACK, FIN | PSH | ACK, SYN, SYN | ACK, RST]),
    st.integers(0, 255),
)
OPTIONS = st.one_of(
    st.just(b""),
    st.builds(build_options, st.integers(0, 0xFFFF), st.none() | st.integers(0, 255)),
    st.binary(max_size=40),
)
# As a guest sends them that loses, repeats and reorders; else hardly any text would be taken.
PLAUSIBLE = st.builds(
    Segment,
    which=st.sampled_from([0, 0, 4, 8]),
    flags=st.sampled_from([ACK, ACK, PSH | ACK, FIN | ACK]),
    ahead=st.sampled_from([0, 0, 0, 0, 50, 100, 1460, -50]),
    acked=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 1460, 16_000]),
    window=st.sampled_from([64000, 64000, 500, 0]),
    length=st.sampled_from([0, 0, 50, 100, 1460, 3000]),
    data=st.just(b""),
)
HOSTILE = st.builds(
    Segment,
    which=st.sampled_from([0, 0, 0, 4, 4, 1, 5, 8, 12]),
    flags=FLAGS,
    ahead=NUMBERS,
    acked=NUMBERS,
    window=st.sampled_from([0, 0, 1, 10, 500, 64000, 0xFFFF]),
    length=st.sampled_from([0, 0, 0, 1, 100, 1460, 3000, 65000]),
    data=OPTIONS,
)
EVENTS = st.builds(
    Event,
    which=st.integers(0, 2),
    kind=st.sampled_from(Kind),
    amount=st.sampled_from([0, 1, 50, 1000, 20_000]),
)
PAUSES = st.sampled_from([0, 1, 2, 40, 200, 1000, 3000, 20_000, 65_000]).map(Pause)
STEPS = st.one_of(
    PLAUSIBLE,
    PLAUSIBLE,
    HOSTILE,
    EVENTS,
    PAUSES,
    st.integers(0, 7).map(Arrival),
    st.builds(DatagramEvent, st.integers(0, 3), st.sampled_from(DatagramKind), st.binary()),
)

SYN_OPTIONS = build_options(1460, 7)
OUTBOUND: list[Step] = [
    Segment(0, SYN, 1000, 0, 64000, 0, SYN_OPTIONS),
    Event(0, Kind.CONNECTED, 0),
    Segment(0, ACK, 0, 1, 500, 0, b""),
]
INBOUND: list[Step] = [Arrival(0), Segment(4, SYN | ACK, -1, 1, 64000, 0, SYN_OPTIONS)]


def endure(steps: list[Step], *, strict: bool = False) -> None:
    """Play them to the end, in tables that are soon full."""
    with small_bounds():
        ordeal = Ordeal(strict=strict)
        for step in steps:
            ordeal.play(step)
        ordeal.wind_down()


@given(
    opening=st.sampled_from([OUTBOUND, INBOUND, OUTBOUND + INBOUND, []]),
    steps=st.lists(STEPS, min_size=15, max_size=60),
)
@settings(max_examples=ORDEALS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.timeout(60 + ORDEALS)
def test_nothing_raises_and_nothing_is_left(opening: list[Step], steps: list[Step]) -> None:
    endure(opening + steps)


@given(
    opening=st.sampled_from([OUTBOUND, INBOUND, OUTBOUND + INBOUND]),
    steps=st.lists(STEPS, max_size=12),
)
@settings(max_examples=ORDEALS // 10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.timeout(60 + ORDEALS)
def test_scapy_finds_no_fault_with_the_answers(opening: list[Step], steps: list[Step]) -> None:
    endure(opening + steps, strict=True)

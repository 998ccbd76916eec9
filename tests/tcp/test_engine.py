"""What connections share: initial sequence numbers, challenges, acknowledgements of a batch."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.tcp.engine import Engine
from rootlessnet.tcp.interface import CHALLENGE_LIMIT, DELAYED_ACK
from rootlessnet.tcp.sequence import MASK, distance
from rootlessnet.tcp.timers import Timers

SECRET = bytes(range(16))
FLOW = bytes(12)


def engine(secret: bytes = SECRET) -> Engine:
    return Engine(Timers(), secret)


class Counter:
    """Counts the acknowledgements it was asked for."""

    def __init__(self) -> None:
        self.count = 0

    def acknowledge(self) -> None:
        self.count += 1


def test_an_initial_number_depends_on_the_flow_and_on_the_secret() -> None:
    number = engine().initial_sequence_number(FLOW, 1.0)
    assert number == engine().initial_sequence_number(FLOW, 1.0)
    assert number != engine().initial_sequence_number(FLOW[1:] + b"\x01", 1.0)
    assert number != engine(SECRET[::-1]).initial_sequence_number(FLOW, 1.0)


@given(now=st.floats(0, 1e9), flow=st.binary(min_size=12, max_size=12))
def test_initial_numbers_of_a_flow_grow_by_one_every_4_microseconds(
    now: float, flow: bytes
) -> None:
    """RFC 9293 3.4.1, so that a connection never begins among the numbers of the one before it."""
    shared = engine()
    first = shared.initial_sequence_number(flow, now)
    second = shared.initial_sequence_number(flow, now + 1.0)
    assert 0 <= first <= MASK
    assert abs(distance(first, second) - 250_000) <= 1


def test_challenges_are_counted_by_the_second() -> None:
    shared = engine()
    assert [shared.may_challenge(5.0) for _ in range(CHALLENGE_LIMIT + 2)] == [
        *[True] * CHALLENGE_LIMIT,
        False,
        False,
    ]
    assert not shared.may_challenge(5.9)
    assert shared.may_challenge(6.0)


def test_acknowledgements_leave_with_the_batch_or_a_little_later() -> None:
    shared, urgent, patient = engine(), Counter(), Counter()
    assert shared.next_deadline() == inf
    shared.batch.append(urgent)
    shared.delayed.append(patient)
    shared.end_batch(1.0)
    assert (urgent.count, patient.count) == (1, 0)
    assert shared.next_deadline() == 1.0 + DELAYED_ACK
    shared.end_batch(1.0 + DELAYED_ACK / 2)
    assert shared.next_deadline() == 1.0 + DELAYED_ACK, "another batch does not put it off"
    shared.expire(1.0 + DELAYED_ACK / 2)
    assert patient.count == 0
    shared.expire(1.0 + DELAYED_ACK)
    assert (urgent.count, patient.count) == (1, 1)
    assert shared.next_deadline() == inf

"""The time-out. Read: RFC 6298 2 and 5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.tcp.retransmission import (
    AFTER_LOST_SYN,
    INITIAL,
    MAXIMUM,
    MINIMUM,
    RetransmissionTimeout,
)


def test_before_any_sample() -> None:
    assert RetransmissionTimeout().value == INITIAL


def test_the_first_sample_counts_threefold() -> None:
    """RFC 6298 2.2: SRTT + 4 * RTT / 2."""
    timeout = RetransmissionTimeout()
    timeout.sample(0.5)
    assert timeout.value == pytest.approx(1.5)


def test_the_next_sample_is_smoothed() -> None:
    """RFC 6298 2.3 with alpha 1/8 and beta 1/4."""
    timeout = RetransmissionTimeout()
    timeout.sample(0.8)
    timeout.sample(0.4)
    assert timeout.value == pytest.approx((0.8 - 0.4 / 8) + 4 * (0.4 * 3 / 4 + 0.4 / 4))


def test_a_steady_round_trip_leaves_little_more_than_itself() -> None:
    timeout = RetransmissionTimeout()
    for _ in range(200):
        timeout.sample(0.5)
    assert timeout.value == pytest.approx(0.501, abs=0.001)


def test_backing_off_doubles_up_to_a_bound_and_ends_with_a_sample() -> None:
    timeout = RetransmissionTimeout()
    timeout.sample(0.0)
    assert timeout.value == MINIMUM
    waits = []
    for _ in range(12):
        waits.append(timeout.value)
        timeout.back_off()
    assert waits[:4] == pytest.approx([0.2, 0.4, 0.8, 1.6])
    assert timeout.value == MAXIMUM
    timeout.sample(0.0)
    assert timeout.value == MINIMUM


def test_a_handshake_that_took_a_time_out_leaves_three_seconds() -> None:
    """RFC 6298 5.7."""
    timeout = RetransmissionTimeout()
    timeout.handshake_ended()
    assert timeout.value == INITIAL
    timeout.back_off()
    timeout.handshake_ended()
    assert timeout.value == AFTER_LOST_SYN


def test_a_handshake_that_was_measured_leaves_its_measure() -> None:
    timeout = RetransmissionTimeout()
    timeout.back_off()
    timeout.sample(0.5)
    timeout.handshake_ended()
    assert timeout.value == pytest.approx(1.5)


@given(samples=st.lists(st.floats(0, 1000), min_size=1))
def test_it_stays_within_its_bounds(samples: list[float]) -> None:
    timeout = RetransmissionTimeout()
    for rtt in samples:
        timeout.sample(rtt)
        assert MINIMUM <= timeout.value <= MAXIMUM

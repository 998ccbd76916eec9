"""Numbers modulo 2**32. Read: RFC 9293 3.4."""

from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.tcp.sequence import HALF, MASK, distance

NUMBERS = st.integers(0, MASK)


@given(start=NUMBERS, ahead=st.integers(-HALF, HALF - 1))
def test_distance_is_what_was_added(start: int, ahead: int) -> None:
    assert distance(start, (start + ahead) & MASK) == ahead


def test_distance_across_the_wrap() -> None:
    assert distance(MASK, 0) == 1
    assert distance(0, MASK) == -1
    assert distance(5, 5) == 0

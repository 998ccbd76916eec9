"""What two SYNs agree on: sizes of segments and scales. Read: RFC 9293 3.7.1, RFC 7323 2."""

import pytest

from tests.tcp.playbook import STATES, play


def test_no_side_scales_when_the_guest_does_not() -> None:
    play(
        """
        0.000  > SYN 0 win 65535 mss 1000
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
               > ACK 1 ack 1 win 65535
               * established
               = room 65535
        """,
        opening="",
    )


def test_no_side_scales_when_the_answer_of_the_guest_does_not() -> None:
    play(
        """
        0.000  > SYN+ACK 0 ack 1 win 65535 mss 1000
               * established
               = room 65535
               < ACK 1 ack 1
        0.001  > PSH+ACK 1+2000 ack 1
               * data 1+2000
               < ACK 1 ack 2001
        """,
        opening=STATES["SYN_SENT"],
    )


def test_the_window_of_a_syn_is_not_scaled() -> None:
    play(
        """
        0.000  > SYN+ACK 0 ack 1 win 64000 mss 1000 scale 7
               * established
               = room 64000
               < ACK 1 ack 1
        """,
        opening=STATES["SYN_SENT"],
    )


def test_a_guest_may_agree_to_scale_and_not_do_it() -> None:
    play(
        """
        0.000  > SYN 0 win 64000 mss 1000 scale 0
               ! accept
               < SYN+ACK 0 ack 1 mss 1000 scale 5
               > ACK 1 ack 1
               * established
               = room 64000
               > PSH+ACK 1+2000 ack 1
               * data 1+2000
               < ACK 1 ack 2001
        """,
        opening="",
    )


@pytest.mark.parametrize(
    ("options", "cut"),
    [
        ("", 536),  # RFC 9293 3.7.1: what a guest takes that does not say
        ("mss 700", 700),
        ("mss 9000", 1000),  # our own link's limit
        ("mss 1", 48),  # the least that Linux takes for one
        ("options 0204000000000000", 536),  # nonsense
        ("options 01010204025801ff", 600),  # behind padding, and the list ends badly
    ],
)
def test_segments_are_as_long_as_both_sides_take(options: str, cut: int) -> None:
    play(
        f"""
        0.000  > SYN 0 win 64000 {options}
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
               > ACK 1 ack 1
               * established
               ! send 5000
               < PSH+ACK 1+5000 ack 1 cut {cut}
        """,
        opening="",
    )


def test_segments_are_not_above_half_the_window() -> None:
    """Or a guest with a small window would never open it far enough: 5 s stalls at MTU 65520."""
    play(
        """
        0.000  > SYN 0 win 1400 mss 1000
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
               > ACK 1 ack 1
               * established
               ! send 1400
               < PSH+ACK 1+1400 ack 1 cut 700
        0.001  > ACK 1 ack 1401 win 4000
               ! send 4000
               < PSH+ACK 1401+4000 ack 1 cut 1000
        """,
        opening="",
    )

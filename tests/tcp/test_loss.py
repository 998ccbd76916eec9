"""Bytes to the guest that are lost: time-outs and duplicates. Read: RFC 6298, RFC 5681 3.2."""

from tests.tcp.playbook import opened, play

# ── retransmission ───────────────────────────────────────────────────────────────────────────────


def test_a_lost_segment_is_sent_again_with_back_off() -> None:
    play(
        """
        1.000  ! send 100
               < PSH+ACK 1+100 ack 1
        1.200  < PSH+ACK 1+100 ack 1
        1.600  < PSH+ACK 1+100 ack 1
        2.400  < PSH+ACK 1+100 ack 1
        4.000  < PSH+ACK 1+100 ack 1
        4.001  > ACK 1 ack 101
        60.00  -
        """
    )


def test_the_back_off_lasts_until_a_round_trip_is_measured() -> None:
    """RFC 9293 3.8.2: until something new is sent, and acknowledged, without a repetition."""
    play(
        """
        1.000  ! send 100
               < PSH+ACK 1+100 ack 1
        1.200  < PSH+ACK 1+100 ack 1
        1.600  < PSH+ACK 1+100 ack 1
        1.601  > ACK 1 ack 101
        2.000  ! send 100
               < PSH+ACK 101+100 ack 1
        2.800  < PSH+ACK 101+100 ack 1
        2.801  > ACK 1 ack 201
        3.000  ! send 100
               < PSH+ACK 201+100 ack 1
        3.001  > ACK 1 ack 301
               ! send 100
               < PSH+ACK 301+100 ack 1
        3.201  < PSH+ACK 301+100 ack 1
        """
    )


def test_a_guest_that_became_slow_is_not_sent_everything_twice_for_ever() -> None:
    """What the back-off is kept for: a round trip of half a second can be measured at last."""
    play(
        """
        1.000  ! send 100
               < PSH+ACK 1+100 ack 1
        1.200  < PSH+ACK 1+100 ack 1
        1.500  > ACK 1 ack 101
        2.000  ! send 100
               < PSH+ACK 101+100 ack 1
        2.400  < PSH+ACK 101+100 ack 1
        2.500  > ACK 1 ack 201
        3.000  ! send 100
               < PSH+ACK 201+100 ack 1
        3.500  > ACK 1 ack 301
        4.000  ! send 100
               < PSH+ACK 301+100 ack 1
        4.500  > ACK 1 ack 401
        """
    )


def test_a_segment_that_was_sent_twice_is_not_timed() -> None:
    """Karn: the acknowledgement half a second later says nothing of the round trip."""
    play(
        """
        1.000  ! send 100
               < PSH+ACK 1+100 ack 1
        1.200  < PSH+ACK 1+100 ack 1
        1.500  > ACK 1 ack 101
        5.000  ! send 100
               < PSH+ACK 101+100 ack 1
        5.400  < PSH+ACK 101+100 ack 1
        """
    )


def test_a_slow_guest_is_given_more_time() -> None:
    """RFC 6298 2.2: a round trip of 0.5 s, thrice that until the time-out."""
    play(
        """
        0.500  > ACK 1 ack 1
               * established
        1.000  ! send 100
               < PSH+ACK 1+100 ack 1
        2.500  < PSH+ACK 1+100 ack 1
        """,
        opening="""
        0.000  > SYN 0 win 64000 mss 1000
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
        """,
    )


def test_after_a_time_out_one_segment_asks_what_else_was_lost() -> None:
    play(
        """
        1.000  ! send 5000
               < PSH+ACK 1+5000 ack 1 cut 1000
        1.200  < PSH+ACK 1+1000 ack 1
        1.201  > ACK 1 ack 1001 # the rest was lost too
               < PSH+ACK 1001+4000 ack 1 cut 1000
        1.202  > ACK 1 ack 5001
        60.00  -
        """
    )


def test_after_a_time_out_what_the_guest_holds_is_not_sent_again() -> None:
    play(
        """
        1.000  ! send 5000
               < PSH+ACK 1+5000 ack 1 cut 1000
        1.200  < PSH+ACK 1+1000 ack 1
        1.201  > ACK 1 ack 4001 # only the first was lost, and the last
               < PSH+ACK 4001+1000 ack 1
        1.202  > ACK 1 ack 5001
        60.00  -
        """
    )


def test_recovery_at_the_largest_mtu_does_not_stop_and_wait() -> None:
    """Where a frame holds one segment, a full frame is no silly window."""
    play(
        """
        0.000  ! open
               < SYN 0 mss 65480 scale 5
               > SYN+ACK 0 ack 1 win 64000 mss 65480 scale 7
               * established
               < ACK 1 ack 1
        0.001  > ACK 1 ack 1 win 256000
        1.000  ! send 200000
               < PSH+ACK 1+65480 ack 1
               < PSH+ACK 65481+65480 ack 1
               < PSH+ACK 130961+65480 ack 1
               < PSH+ACK 196441+3560 ack 1
        1.200  < PSH+ACK 1+65480 ack 1
        1.201  > ACK 1 ack 65481
               < PSH+ACK 65481+65480 ack 1
               < PSH+ACK 130961+65480 ack 1
               < PSH+ACK 196441+3560 ack 1
        1.202  > ACK 1 ack 200001
        """,
        opening="",
        mss=65480,
    )


def test_new_bytes_follow_those_that_are_sent_again() -> None:
    play(
        """
        1.000  ! send 3000
               < PSH+ACK 1+3000 ack 1 cut 1000
        1.200  < PSH+ACK 1+1000 ack 1
               ! send 500
               < PSH+ACK 1001+2500 ack 1 cut 1000
        1.201  > ACK 1 ack 3501
        """
    )


def test_a_guest_that_never_answers_is_given_up() -> None:
    play(
        """
        1.000  ! send 10
               < PSH+ACK 1+10 ack 1
        1.200  < PSH+ACK 1+10 ack 1
        1.600  < PSH+ACK 1+10 ack 1
        2.400  < PSH+ACK 1+10 ack 1
        4.000  < PSH+ACK 1+10 ack 1
        7.200  < PSH+ACK 1+10 ack 1
        13.60  < PSH+ACK 1+10 ack 1
        26.40  < PSH+ACK 1+10 ack 1
        52.00  < PSH+ACK 1+10 ack 1
        103.2  < RST+ACK 11 ack 1
               * closed
               * abort
        999.0  -
        """
    )


def test_a_guest_that_stalled_for_long_has_its_full_time_to_answer_again() -> None:
    """A probe that is answered is a sign of life: the time until it is given up begins anew."""
    play(
        """
        1.000  ! send 4000
               < PSH+ACK 1+4000 ack 1 cut 1000
        1.001  > ACK 1 ack 1 win 0
        1.200  -
        1.400  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        1.600  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        2.000  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        2.800  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        4.400  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        7.600  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        14.00  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        26.80  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        52.40  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        103.6  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        120.0  > ACK 1 ack 1 win 4000
               < PSH+ACK 1+4000 ack 1 cut 1000
        120.4  < PSH+ACK 1+1000 ack 1 # and not a reset
        120.5  > ACK 1 ack 4001
        """,
        opening=opened(4000),
    )


# ── fast retransmit ──────────────────────────────────────────────────────────────────────────────


def test_the_third_duplicate_acknowledgement_says_that_a_segment_was_lost() -> None:
    play(
        """
        1.000  ! send 5000
               < PSH+ACK 1+5000 ack 1 cut 1000
        1.001  > ACK 1 ack 1
        1.002  > ACK 1 ack 1
        1.003  > ACK 1 ack 1
               < PSH+ACK 1+1000 ack 1
        1.004  > ACK 1 ack 1 # no more than once
        1.005  > ACK 1 ack 5001
        60.00  -
        """
    )


def test_an_update_of_the_window_is_no_duplicate() -> None:
    play(
        """
        1.000  ! send 3000
               < PSH+ACK 1+3000 ack 1 cut 1000
        1.001  > ACK 1 ack 1 win 5000
        1.002  > ACK 1 ack 1 win 6000
        1.003  > ACK 1 ack 1 win 7000
        1.004  > ACK 1 ack 1 win 8000
        """,
        opening=opened(4000),
    )


def test_bytes_of_the_guest_are_no_duplicates() -> None:
    play(
        """
        1.000  ! send 3000
               < PSH+ACK 1+3000 ack 1 cut 1000
        1.001  > ACK 1+10 ack 1
               * data 1+10
               > ACK 11+10 ack 1
               * data 11+10
               > ACK 21+10 ack 1
               * data 21+10
        1.002  < ACK 3001 ack 31
        """
    )


def test_a_fin_alone_is_not_sent_again_for_duplicates() -> None:
    play(
        """
        1.000  ! close
               < FIN+ACK 1 ack 1
        1.001  > ACK 1 ack 1
               > ACK 1 ack 1
               > ACK 1 ack 1
        1.200  < FIN+ACK 1 ack 1
        """
    )

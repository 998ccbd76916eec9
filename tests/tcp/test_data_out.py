"""Bytes to the guest: its window, loss, probes. Read: RFC 9293 3.8, RFC 6298, RFC 5681 3.2."""

from tests.tcp.playbook import play


def opened(window: int, mss: int = 1000) -> str:
    """A guest that does not scale, with this window."""
    return f"""
        0.000  > SYN 0 win {window} mss {mss}
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
               > ACK 1 ack 1
               * established
    """


# ── sending ──────────────────────────────────────────────────────────────────────────────────────


def test_bytes_leave_at_once() -> None:
    play(
        """
        1.000  ! send 1
               < PSH+ACK 1+1 ack 1
               ! send 999
               < PSH+ACK 2+999 ack 1
        1.001  > ACK 1 ack 1001
        60.00  -
        """
    )


def test_a_large_piece_leaves_as_one_burst() -> None:
    play(
        """
        1.000  ! send 60000
               < PSH+ACK 1+60000 ack 1 cut 1000
        1.001  > ACK 1 ack 60001
        """
    )


def test_more_than_a_frame_holds_leaves_as_several_bursts() -> None:
    play(
        """
        0.000  > ACK 1 ack 1 win 256000
        1.000  ! send 140000
               < PSH+ACK 1+65000 ack 1 cut 1000 # whole segments
               < PSH+ACK 65001+65000 ack 1 cut 1000
               < PSH+ACK 130001+10000 ack 1 cut 1000
        1.001  > ACK 1 ack 140001
        """
    )


def test_sequence_numbers_wrap_within_a_burst() -> None:
    play(
        """
        1.000  ! send 5000
               < PSH+ACK 1+5000 ack 1 cut 1000
        1.001  > ACK 1 ack 2001
        1.201  < PSH+ACK 2001+1000 ack 1
        1.202  > ACK 1 ack 5001
        """,
        iss=0xFFFFFFFF - 2500,
    )


# ── the window ───────────────────────────────────────────────────────────────────────────────────


def test_room_is_what_the_window_leaves() -> None:
    play(
        """
        1.000  = room 5000
               ! send 3000
               < PSH+ACK 1+3000 ack 1 cut 1000
               = room 2000
               ! send 1500
               < PSH+ACK 3001+1500 ack 1 cut 1000
               = room 0 # less than a segment, while there is something in flight
        1.001  > ACK 1 ack 4501 win 500
               = room 500 # less than a segment is better than nothing
        """,
        opening=opened(5000),
    )


def test_a_window_of_a_mebibyte_and_more_is_not_filled_further() -> None:
    play(
        """
        0.000  > ACK 1 ack 1 win 8388480
        1.000  = room 1048576
        """
    )


def test_the_host_is_told_when_there_is_room_again() -> None:
    play(
        """
        1.000  ! send 4000
               < PSH+ACK 1+4000 ack 1 cut 1000
               ! wait
        1.001  > ACK 1 ack 4001 win 0
        1.100  > ACK 1 ack 4001 win 4000
               * resume
               = room 4000
        1.101  > ACK 1 ack 4001 win 3000 # it is told once
        """,
        opening=opened(4000),
    )


def test_the_host_is_told_when_half_of_what_is_in_flight_has_arrived() -> None:
    play(
        """
        1.000  ! send 4000
               < PSH+ACK 1+4000 ack 1 cut 1000
               ! wait
               ! on resume: send 2000, wait
        1.001  > ACK 1 ack 501 win 4000
        1.002  > ACK 1 ack 2001 win 4000
               * resume
               < PSH+ACK 4001+2000 ack 1 cut 1000
        1.003  > ACK 1 ack 6001
               * resume
        """,
        opening=opened(4000),
    )


def test_an_old_segment_does_not_set_the_window_back() -> None:
    """RFC 9293 3.10.7.4, fifth: SND.WL1 and SND.WL2."""
    play(
        """
        1.000  ! send 1000
               < PSH+ACK 1+1000 ack 1
        1.001  > PSH+ACK 1+10 ack 1001 win 5000
               * data 1+10
        1.002  < ACK 1001 ack 11
        1.003  > ACK 11 ack 1 win 100 # delayed on its way
               = room 5000
        """,
        opening=opened(4000),
    )


def test_a_window_that_is_closed_from_the_start() -> None:
    play(
        """
        1.000  = room 0
               ! wait
        1.200  < ACK 0 ack 1
        1.201  > ACK 1 ack 1 win 0
        1.300  > ACK 1 ack 1 win 3000
               * resume
               ! send 100
               < PSH+ACK 1+100 ack 1
        """,
        opening=opened(0),
    )


def test_a_closed_window_is_probed_with_back_off_for_as_long_as_the_guest_answers() -> None:
    play(
        """
        1.000  ! wait
        1.200  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        1.400  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        1.800  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        2.600  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        4.200  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        7.400  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        13.80  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        26.60  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        52.20  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        103.4  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
        163.4  < ACK 0 ack 1 # a minute at most
               > ACK 1 ack 1 win 0
        223.4  < ACK 0 ack 1
               > ACK 1 ack 1 win 0
               = state ESTABLISHED
        """,
        opening=opened(0),
    )


def test_probes_end_when_nobody_waits_any_more() -> None:
    """The host asked for room, but when there was some, it had nothing to send."""
    stage = play(
        """
        1.000  ! wait
        1.200  < ACK 0 ack 1
               > ACK 1 ack 1 win 3000
               * resume
        9999.  -
        """,
        opening=opened(0),
    )
    assert stage.engine.next_deadline() == float("inf")


def test_a_lost_update_of_the_window_is_found_by_a_probe() -> None:
    play(
        """
        1.000  ! send 1000
               < PSH+ACK 1+1000 ack 1 cut 536
               ! wait
        1.001  > ACK 1 ack 1001 win 0
        1.100  - # the guest's update gets lost
        1.201  < ACK 1000 ack 1
               > ACK 1 ack 1001 win 1000
               * resume
        """,
        opening=opened(1000),
    )


def test_a_window_that_shrinks_to_nothing_on_bytes_in_flight() -> None:
    """What the guest threw away is sent again when its window opens, from SND.UNA on."""
    play(
        """
        1.000  ! send 4000
               < PSH+ACK 1+4000 ack 1 cut 1000
               ! wait
        1.001  > ACK 1 ack 1001 win 0
        1.201  - # the time-out: to send again would be in vain
        1.401  < ACK 1000 ack 1
               > ACK 1 ack 1001 win 0
        1.500  > ACK 1 ack 1001 win 4000
               < PSH+ACK 1001+3000 ack 1 cut 1000
               * resume
               ! send 1000
               < PSH+ACK 4001+1000 ack 1
        1.501  > ACK 1 ack 5001
        60.00  -
        """,
        opening=opened(4000),
    )


def test_a_window_that_shrinks_below_what_is_in_flight() -> None:
    play(
        """
        1.000  ! send 4000
               < PSH+ACK 1+4000 ack 1 cut 1000
        1.001  > ACK 1 ack 1001 win 500
               = room 0
        1.201  < PSH+ACK 1001+500 ack 1
        1.202  > ACK 1 ack 1501 win 500
               < PSH+ACK 1501+500 ack 1
        1.203  > ACK 1 ack 2001 win 4000
               < PSH+ACK 2001+2000 ack 1 cut 1000
        1.204  > ACK 1 ack 4001 win 4000
        60.00  -
        """,
        opening=opened(4000),
    )


def test_room_is_offered_only_behind_what_is_sent_again() -> None:
    play(
        """
        1.000  ! send 4000
               < PSH+ACK 1+4000 ack 1 cut 1000
               ! wait
        1.001  > ACK 1 ack 1001 win 0
        1.401  < ACK 1000 ack 1
        1.500  > ACK 1 ack 1001 win 2000 # it may hold two of the three
               < PSH+ACK 1001+2000 ack 1 cut 1000
               = room 0
        1.501  > ACK 1 ack 3001 win 2000
               < PSH+ACK 3001+1000 ack 1
               * resume
               = room 1000
        """,
        opening=opened(4000),
    )


def test_bytes_added_behind_what_must_be_sent_again_wait_for_it() -> None:
    """A window that opens by one segment at a time: nothing silly behind what is in flight."""
    play(
        """
        1.000  ! send 3000
               < PSH+ACK 1+3000 ack 1 cut 1000
        1.001  > ACK 1 ack 1 win 0
        1.200  -
        1.400  < ACK 0 ack 1
        1.401  > ACK 1 ack 1 win 1500
               < PSH+ACK 1+1500 ack 1 cut 1000
        1.402  > ACK 1 ack 1001 win 1000
        1.403  > ACK 1 ack 1501 win 1000
               < PSH+ACK 1501+1000 ack 1
        1.404  > ACK 1 ack 2501 win 1000
               < PSH+ACK 2501+500 ack 1
        1.405  > ACK 1 ack 3001 win 3000
        """,
        opening=opened(3000),
    )


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


def test_an_acknowledgement_of_something_new_ends_the_back_off() -> None:
    play(
        """
        1.000  ! send 100
               < PSH+ACK 1+100 ack 1
        1.200  < PSH+ACK 1+100 ack 1
        1.600  < PSH+ACK 1+100 ack 1
        1.601  > ACK 1 ack 101
        2.000  ! send 100
               < PSH+ACK 101+100 ack 1
        2.200  < PSH+ACK 101+100 ack 1
        """
    )


def test_a_segment_that_was_sent_twice_is_not_timed() -> None:
    """Karn: the acknowledgement after 3.8 s says nothing of the round trip."""
    play(
        """
        1.000  ! send 100
               < PSH+ACK 1+100 ack 1
        1.200  < PSH+ACK 1+100 ack 1
        1.600  < PSH+ACK 1+100 ack 1
        2.400  < PSH+ACK 1+100 ack 1
        3.800  > ACK 1 ack 101
        5.000  ! send 100
               < PSH+ACK 101+100 ack 1
        5.200  < PSH+ACK 101+100 ack 1
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


# ── acknowledgements that make no sense ──────────────────────────────────────────────────────────


def test_an_acknowledgement_of_what_was_never_sent_is_answered_and_dropped() -> None:
    """RFC 9293 3.10.7.4, fifth; its bytes are dropped with it."""
    play(
        """
        1.000  ! send 100
               < PSH+ACK 1+100 ack 1
        1.001  > ACK 1+10 ack 102
               < ACK 101 ack 1
        1.002  > ACK 1+10 ack 101
               * data 1+10
        1.003  < ACK 101 ack 11
        """
    )


def test_a_very_old_acknowledgement_is_challenged_and_an_old_one_ignored() -> None:
    """RFC 5961 5.2: older than the widest window the guest ever offered."""
    play(
        """
        1.000  ! send 3000
               < PSH+ACK 1+3000 ack 1 cut 1000
        1.001  > ACK 1 ack 3001
               ! send 3000
               < PSH+ACK 3001+3000 ack 1 cut 1000
        1.002  > ACK 1 ack 6001
        1.003  > ACK 1+10 ack 2001
               * data 1+10
        1.004  < ACK 6001 ack 11
        1.005  > ACK 11+10 ack 2000
               < ACK 6001 ack 11
        """,
        opening=opened(4000),
    )

"""Bytes to the guest: its window, probes, senseless acknowledgements. Read: RFC 9293 3.8."""

from tests.tcp.playbook import STATES, opened, play

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


def test_a_wider_window_counts_whatever_the_number_it_comes_with() -> None:
    """Behind a gap was a segment that shut the window; what fills the gap is older, and opens it.

    RFC 9293 3.10.7.4 would have it ignored. When both sides believe the other's window shut, no
    segment with a higher number can follow, and they would never speak again.
    """
    play(
        """
        1.000  > PSH+ACK 1001+1000 ack 1 win 0
               = room 0
               < ACK 1 ack 1
        1.001  > ACK 1 ack 1 win 3000
               = room 3000
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


def test_what_an_old_segment_acknowledges_may_be_new() -> None:
    """BSD hears it, though RFC 9293 3.10.7.4 drops the segment: see `_hear_old_news`."""
    play(
        """
        1.000  ! send 1000
               < PSH+ACK 1+1000 ack 1
               > PSH+ACK 1+2000 ack 1
               * data 1+2000
               < ACK 1001 ack 2001
        1.100  > ACK 50 ack 1001
               = queued 0
               < ACK 1001 ack 2001
        60.00  - # nothing is sent again
        """
    )


def test_old_segments_that_acknowledge_nothing_new_are_no_duplicates() -> None:
    """Keep-alive probes of the guest, while something is in flight."""
    play(
        """
        1.000  ! send 3000
               < PSH+ACK 1+3000 ack 1 cut 1000
        1.001  > ACK 0 ack 1
               > ACK 0 ack 1
               > ACK 0 ack 1
               < ACK 3001 ack 1
        """
    )


def test_a_fin_may_be_acknowledged_by_an_old_segment() -> None:
    play(
        """
        0.100  > ACK 0 ack 2
               = state FIN_WAIT_2
               < ACK 2 ack 1
        """,
        opening=STATES["FIN_WAIT_1"],
    )


def test_an_old_segment_that_acknowledges_what_was_never_sent() -> None:
    play(
        """
        0.100  > ACK 0 ack 77
               = state FIN_WAIT_1
               < ACK 2 ack 1
        """,
        opening=STATES["FIN_WAIT_1"],
    )

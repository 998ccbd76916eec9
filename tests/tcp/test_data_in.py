"""Bytes from the guest: order, the window, acknowledgements. Read: RFC 9293 3.8.6 and 3.10.7.4."""

import pytest

from tests.tcp.playbook import IRS, OUTBOUND, STATES, play

UNSCALED = """
    0.000  > SYN 0 win 64000 mss 1000
           ! accept
           < SYN+ACK 0 ack 1 mss 1000
           > ACK 1 ack 1
           * established
"""
FULL = (
    UNSCALED
    + """
           ! take 0
           > PSH+ACK 1+40000 ack 1
           > PSH+ACK 40001+25535 ack 1
           < ACK 1 ack 65536 win 0
"""
)

# ── in order ─────────────────────────────────────────────────────────────────────────────────────


def test_bytes_are_delivered_at_once_and_acknowledged_a_little_later() -> None:
    play(
        """
        1.000  > PSH+ACK 1+100 ack 1
               * data 1+100
        1.001  < ACK 1 ack 101
        9.000  -
        """
    )


def test_two_full_segments_are_acknowledged_at_the_end_of_the_batch() -> None:
    play(
        """
        1.000  > ACK 1+1000 ack 1
               * data 1+1000
               > ACK 1001+1000 ack 1
               * data 1001+1000
               > ACK 2001+1000 ack 1
               * data 2001+1000
               < ACK 1 ack 3001
        9.000  -
        """
    )


def test_an_answer_carries_the_acknowledgement() -> None:
    play(
        """
        1.000  > PSH+ACK 1+100 ack 1
               * data 1+100
               ! send 50
               < PSH+ACK 1+50 ack 101
        1.100  > ACK 101 ack 51
        """
    )


def test_an_answer_within_the_batch_carries_the_acknowledgement_of_much() -> None:
    play(
        """
        1.000  > PSH+ACK 1+5000 ack 1
               * data 1+5000
               ! send 50
               < PSH+ACK 1+50 ack 5001
        1.001  > ACK 5001 ack 51
        """
    )


def test_an_acknowledgement_that_waits_may_become_urgent() -> None:
    play(
        """
        1.0000  > PSH+ACK 1+100 ack 1
                * data 1+100
        1.0005  > ACK 101+1900 ack 1
                * data 101+1900
                < ACK 1 ack 2001
        9.0000  -
        """
    )


def test_each_batch_of_a_stream_of_small_segments_waits_its_own_time() -> None:
    play(
        """
        1.0000  > PSH+ACK 1+10 ack 1
                * data 1+10
        1.0006  > PSH+ACK 11+10 ack 1
                * data 11+10
        1.0010  < ACK 1 ack 21
        1.0020  > PSH+ACK 21+10 ack 1
                * data 21+10
        1.0030  < ACK 1 ack 31
        """
    )


@pytest.mark.parametrize("flags", ["ACK", "PSH+ACK", "ACK+URG", "ACK+ECE+CWR"])
def test_urgent_bytes_and_those_with_ecn_bits_are_delivered_in_line(flags: str) -> None:
    play(
        f"""
        1.000  > {flags} 1+100 ack 1
               * data 1+100
        1.001  < ACK 1 ack 101
        """
    )


@pytest.mark.parametrize("options", ["0101080a0000000100000000", "020401bc", "ff00", "0303"])
def test_options_of_any_segment_are_stepped_over(options: str) -> None:
    """RFC 9293 MUST-5 to MUST-7, MUST-65: timestamps, an MSS out of place, nonsense."""
    play(
        f"""
        1.000  > PSH+ACK 1+100 ack 1 options {options}
               * data 1+100
               ! send 2000
               < PSH+ACK 1+2000 ack 101 cut 1000
        """
    )


def test_a_segment_without_ack_is_dropped() -> None:
    play(
        """
        1.000  > PSH 1+100
        9.000  -
        """
    )


def test_sequence_numbers_wrap_within_a_segment() -> None:
    play(
        """
        1.000  > PSH+ACK 1+200 ack 1
               * data 1+200
               > PSH+ACK 201+1900 ack 1
               * data 201+1900
               < ACK 1 ack 2101
        """,
        irs=0xFFFFFFFF - 100,
    )


# ── out of order ─────────────────────────────────────────────────────────────────────────────────


def test_a_segment_ahead_is_kept_and_the_gap_reported_at_once() -> None:
    play(
        """
        1.000  > PSH+ACK 1001+1000 ack 1
               < ACK 1 ack 1
        1.001  > PSH+ACK 2001+1000 ack 1
               < ACK 1 ack 1
        1.002  > PSH+ACK 1+1000 ack 1
               * data 1+1000
               * data 1001+1000
               * data 2001+1000
               < ACK 1 ack 3001
        """
    )


def test_two_gaps() -> None:
    play(
        """
        1.000  > ACK 3001+1000 ack 1
               < ACK 1 ack 1
        1.001  > ACK 1001+1000 ack 1
               < ACK 1 ack 1
        1.002  > ACK 1+1000 ack 1
               * data 1+1000
               * data 1001+1000
               < ACK 1 ack 2001
        1.003  > ACK 2001+1000 ack 1
               * data 2001+1000
               * data 3001+1000
               < ACK 1 ack 4001
        """
    )


def test_overlapping_segments_deliver_each_byte_once() -> None:
    play(
        """
        1.000  > ACK 501+1000 ack 1
               > ACK 1001+1000 ack 1
               > ACK 601+100 ack 1
               < ACK 1 ack 1
        1.001  > ACK 1+700 ack 1
               * data 1+700
               * data 701+800
               * data 1501+500
               < ACK 1 ack 2001
        1.002  > ACK 1501+1000 ack 1 # old and new in one
               * data 2001+500
        1.003  < ACK 1 ack 2501
        """
    )


def test_repeated_bytes_are_acknowledged_again_and_not_delivered() -> None:
    play(
        """
        1.000  > PSH+ACK 1+100 ack 1
               * data 1+100
        1.001  < ACK 1 ack 101
        1.200  > PSH+ACK 1+100 ack 1
               < ACK 1 ack 101
        1.300  > PSH+ACK 51+50 ack 1
               < ACK 1 ack 101
        """
    )


def test_pieces_across_the_wrap_of_sequence_numbers() -> None:
    play(
        """
        1.000  > ACK 1001+1000 ack 1
               < ACK 1 ack 1
        1.001  > ACK 1+1000 ack 1
               * data 1+1000
               * data 1001+1000
               < ACK 1 ack 2001
        """,
        irs=0xFFFFFFFF - 1500,
    )


# ── the window ───────────────────────────────────────────────────────────────────────────────────


def test_what_the_host_does_not_take_closes_the_window() -> None:
    play(
        """
        1.000  ! take 300
               > ACK 1+4000 ack 1
               * data 1+300
               < ACK 1 ack 4001 win 1044864 # 1 MiB less 3700, in steps of 32
        1.001  > ACK 4001+4000 ack 1 # waits behind what waits already
               < ACK 1 ack 8001 win 1040864
        1.002  ! take 4000
               ! ready
               * data 301+4000
        1.003  ! take all
               ! ready
               * data 4301+3700
        """
    )


def test_a_window_that_has_shut_is_announced_when_it_opens() -> None:
    play(
        """
        9.000  ! take all
               ! ready
               * data 1+65535
               < ACK 1 ack 65536
        """,
        opening=FULL,
    )


def test_less_than_a_segment_of_room_is_announced_as_none() -> None:
    """RFC 9293 3.8.6.2.2: the window moves by a segment at least."""
    play(
        """
        1.000  ! take 999
               ! ready
               * data 1+999
        1.001  > ACK 65535 ack 1 # a probe
               < ACK 1 ack 65536 win 0
        1.002  ! take 1
               ! ready
               * data 1000+1
               < ACK 1 ack 65536 win 1000
        """,
        opening=FULL,
    )


def test_a_window_that_is_open_is_widened_by_a_quarter_of_it_at_least() -> None:
    play(
        """
        1.000  ! take 1000
               ! ready
               * data 1+1000
               < ACK 1 ack 65536 win 1000
        1.001  ! take 16000
               ! ready
               * data 1001+16000
        1.002  ! take 400
               ! ready
               * data 17001+400
               < ACK 1 ack 65536 win 17400
        """,
        opening=FULL,
    )


def test_a_zero_window_probe_is_answered() -> None:
    play(
        """
        1.000  > ACK 65535 ack 1 # as Linux probes
               < ACK 1 ack 65536 win 0
        1.200  > ACK 65536+1 ack 1 # as others do: with a byte that finds no room
               < ACK 1 ack 65536 win 0
        """,
        opening=FULL,
    )


def test_an_acknowledgement_is_heard_through_a_closed_window() -> None:
    play(
        """
        1.000  ! send 500
               < PSH+ACK 1+500 ack 65536 win 0
        1.001  > ACK 65536+100 ack 501
               < ACK 501 ack 65536 win 0
        60.00  -
        """,
        opening=FULL,
    )


def test_a_reset_is_heard_through_a_closed_window() -> None:
    """RFC 9293 MUST-66."""
    play(
        """
        1.000  > RST 65536
               * closed
               * abort
        """,
        opening=FULL,
    )


def test_urgent_bytes_find_no_room_behind_a_closed_window() -> None:
    """RFC 9293 MUST-66: they are answered, and come again as other bytes do."""
    play(
        """
        1.000  > ACK+URG 65536+1 ack 1
               < ACK 1 ack 65536 win 0
        1.001  ! take all
               ! ready
               * data 1+65535
               < ACK 1 ack 65536
        1.200  > ACK+URG 65536+1 ack 1
               * data 65536+1
        1.201  < ACK 1 ack 65537
        """,
        opening=FULL,
    )


def test_bytes_beyond_the_window_are_cut_off() -> None:
    play(
        """
        1.000  ! take 0
               > ACK 1+65000 ack 1
               < ACK 1 ack 65001 win 535
        1.001  > FIN+ACK 65001+1000 ack 1
               = state ESTABLISHED # the FIN lies beyond the window
               < ACK 1 ack 65536 win 0
        1.002  ! take all
               ! ready
               * data 1+65535
               < ACK 1 ack 65536
        """,
        opening=UNSCALED,
    )


def test_a_segment_wholly_beyond_the_window_is_answered_with_the_truth() -> None:
    play(
        """
        1.000  > ACK 65537+100 ack 1
               < ACK 1 ack 1
        1.001  > ACK 70000 ack 1
               < ACK 1 ack 1
        """,
        opening=UNSCALED,
    )


def test_a_piece_ahead_is_cut_at_the_window_too() -> None:
    play(
        """
        1.000  > ACK 65001+1000 ack 1
               < ACK 1 ack 1
        1.001  > ACK 1+65000 ack 1
               * data 1+65000
               * data 65001+535
               < ACK 1 ack 65536
        """,
        opening=UNSCALED,
    )


NEARLY_FULL = (
    OUTBOUND
    + """
    0.000  ! take 0
           > ACK 1+65000 ack 1
           < ACK 1 ack 65001 win 983552
    0.001  > ACK 65001+500000 ack 1
           > ACK 565001+483537 ack 1
           < ACK 1 ack 1048538 win 0 # 15 bytes were promised that the scale cannot express
"""
)


def test_a_trickle_into_a_full_window_gains_no_room() -> None:
    """What the window scale cannot express is not granted anew with each acknowledgement."""
    stage = play("", opening=NEARLY_FULL)
    for position in range(1_048_538, 1_048_738):
        stage.connection.segment_arrives(stage.segment(f"ACK {position}+1 ack 1"), 60_000.0)
        stage.engine.end_batch(60_000.0)
    assert stage.connection.rcv_nxt == (IRS + 1_048_553), "what was promised, and no byte more"


def test_what_was_promised_is_taken_although_it_is_no_longer_announced() -> None:
    play(
        """
        1.000  > ACK 1048538+15 ack 1
        1.001  < ACK 1 ack 1048553 win 0
        1.002  ! take all
               ! ready
               * data 1+1048552
               < ACK 1 ack 1048553
        """,
        opening=NEARLY_FULL,
    )


def test_bytes_arrive_whatever_the_host_does_meanwhile() -> None:
    """The acknowledgement lets the host go on; it closes; the bytes of the same segment count."""
    play(
        """
        1.000  ! send 64000
               < PSH+ACK 1+64000 ack 1 cut 1000
               ! wait
               ! on resume: close
        1.001  > PSH+ACK 1+100 ack 64001
               * resume
               < FIN+ACK 64001 ack 1
               * data 1+100
        1.002  < ACK 64002 ack 101
        """
    )


# ── a host that is gone ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("state", "number"), [("ESTABLISHED", 1), ("FIN_WAIT_1", 2), ("FIN_WAIT_2", 2)]
)
def test_bytes_for_a_host_that_is_gone_are_answered_with_a_reset(state: str, number: int) -> None:
    """RFC 9293 SHLD-3: they are lost, and the guest has to know."""
    play(
        f"""
        0.100  ! lose
               > ACK 1+100 ack {number}
               < RST+ACK {number} ack 1
               * closed
        """,
        opening=STATES[state],
    )


def test_a_host_that_goes_while_bytes_wait_for_it() -> None:
    play(
        """
        1.000  ! take 0
               > ACK 1+100 ack 1
        1.001  < ACK 1 ack 101 win 1048448
        1.002  ! lose
               ! ready
               < RST+ACK 1 ack 101
               * closed
        1.003  ! ready
        """
    )


def test_a_host_that_goes_while_a_gap_is_filled() -> None:
    play(
        """
        1.000  > ACK 101+100 ack 1
               < ACK 1 ack 1
        1.001  ! lose
               > FIN+ACK 1+100 ack 1
               < RST+ACK 1 ack 1
               * closed
        9.000  -
        """
    )


def test_readiness_of_the_host_means_nothing_while_nothing_waits() -> None:
    play(
        """
        1.000  ! ready
        """
    )

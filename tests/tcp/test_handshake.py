"""Passive opening, and what holds for either. Read: RFC 9293 3.5 and 3.10.7.4, RFC 5961."""

from math import inf

from tests.tcp.playbook import OUTBOUND, STATES, play

# ── passive: the guest opens, the host connects ──────────────────────────────────────────────────


def test_a_syn_is_answered_only_when_the_host_has_connected() -> None:
    play(
        """
        0.000  > SYN 0 win 64000 mss 1000 scale 7
        3.000  - # whatever the time
        3.000  ! accept
               < SYN+ACK 0 ack 1 mss 1000 scale 5
        3.001  > ACK 1 ack 1
               * established
               = state ESTABLISHED
        9.000  -
        """,
        opening="",
    )


def test_repeated_syns_are_ignored_while_the_host_connects() -> None:
    play(
        """
        0.000  > SYN 0 win 64000 mss 1000
        1.000  > SYN 0
        3.000  > SYN 0
        3.500  ! accept
               < SYN+ACK 0 ack 1 mss 1000
        """,
        opening="",
    )


def test_a_guest_that_begins_anew_while_the_host_connects() -> None:
    """Its program gave up and tries again from the same port: the newest SYN is answered.

    RFC 9293 3.10.7.4, fourth: what has not been answered yet is back in LISTEN.
    """
    play(
        """
        0.000  > SYN 0 win 64000 mss 1000 scale 7
        1.000  > SYN 502 win 32000 mss 700 # 502: the pattern of bytes begins anew too
        1.500  ! accept
               < SYN+ACK 0 ack 503 mss 1000
        1.501  > ACK 503 ack 1
               * established
               = room 32000
               ! send 2000
               < PSH+ACK 1+2000 ack 503 cut 700
        1.502  ! take 0
               > ACK 503+100 ack 2001
        1.503  < ACK 2001 ack 603 win 65435
        1.504  ! take all
               ! ready
               * data 1+100
        """,
        opening="",
    )


def test_what_is_no_plain_syn_means_nothing_while_the_host_connects() -> None:
    play(
        """
        0.000  > SYN 0 win 64000 mss 1000 scale 7
        0.100  > SYN+ACK 500 ack 1
               > SYN+RST 600
               > ACK 700+10 ack 1
               > FIN+ACK 1 ack 1
        1.500  ! accept
               < SYN+ACK 0 ack 1 mss 1000 scale 5
        """,
        opening="",
    )


def test_a_refused_connect_is_a_reset_that_acknowledges_the_syn() -> None:
    """Without ACK the guest would not heed it: RFC 9293 3.10.7.3, second."""
    play(
        """
        0.000  > SYN 0 win 64000 mss 1000
        0.100  ! abort
               < RST+ACK -1000000 ack 1 # SEQ is 0 itself
               * closed
               = state CLOSED
        """,
        opening="",
    )


def test_a_connection_forgotten_before_its_answer_ends_in_silence() -> None:
    play(
        """
        0.000  > SYN 0 win 64000 mss 1000
        0.100  ! forget
               * closed
        60.00  -
        """,
        opening="",
    )


def test_a_guest_that_gives_up_while_the_host_connects() -> None:
    play(
        """
        0.000  > SYN 0 win 64000 mss 1000
        0.100  > RST 7 # not the next number: ignored
        0.200  > RST 1
               * closed
               * abort
        """,
        opening="",
    )


def test_accept_after_the_guest_gave_up_says_nothing() -> None:
    play(
        """
        0.000  > SYN 0 win 64000 mss 1000
        0.200  > RST 1
               * closed
               * abort
        0.300  ! accept
               ! abort
        """,
        opening="",
    )


def test_a_lost_syn_ack_is_sent_again_with_back_off() -> None:
    play(
        """
        0.000  > SYN 0 win 64000 mss 1000 scale 7
               ! accept
               < SYN+ACK 0 ack 1 mss 1000 scale 5
        1.000  < SYN+ACK 0 ack 1 mss 1000 scale 5
        3.000  < SYN+ACK 0 ack 1 mss 1000 scale 5
        7.000  < SYN+ACK 0 ack 1 mss 1000 scale 5
        7.100  > ACK 1 ack 1
               * established
        60.00  -
        """,
        opening="",
    )


def test_a_repeated_syn_says_that_the_syn_ack_was_lost() -> None:
    play(
        """
        0.500  > SYN 0 win 64000 mss 1000 scale 7
               < SYN+ACK 0 ack 1 mss 1000 scale 5
        0.600  > ACK 1 ack 1
               * established
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_a_repeated_syn_spoils_the_round_trip_that_was_being_measured() -> None:
    """Karn: the answer may be to either SYN-ACK, so the time-out stays the initial second."""
    play(
        """
        0.900  > SYN 0 win 64000 mss 1000 scale 7
               < SYN+ACK 0 ack 1 mss 1000 scale 5
        0.901  > ACK 1 ack 1
               * established
        2.000  ! send 10
               < PSH+ACK 1+10 ack 1
        3.000  < PSH+ACK 1+10 ack 1
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_after_a_time_out_of_the_handshake_the_first_bytes_have_three_seconds() -> None:
    """RFC 6298 5.7: until a round trip is measured."""
    play(
        """
        1.000  < SYN+ACK 0 ack 1 mss 1000 scale 5
        1.500  > ACK 1 ack 1
               * established
        2.000  ! send 10
               < PSH+ACK 1+10 ack 1
        5.000  < PSH+ACK 1+10 ack 1
        5.001  > ACK 1 ack 11
        6.000  ! send 10
               < PSH+ACK 11+10 ack 1
        6.001  > ACK 1 ack 21
               ! send 10
               < PSH+ACK 21+10 ack 1
        6.201  < PSH+ACK 21+10 ack 1
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_a_guest_that_never_completes_the_handshake() -> None:
    play(
        """
        1.000  < SYN+ACK 0 ack 1 mss 1000 scale 5
        3.000  < SYN+ACK 0 ack 1 mss 1000 scale 5
        7.000  < SYN+ACK 0 ack 1 mss 1000 scale 5
        15.00  < SYN+ACK 0 ack 1 mss 1000 scale 5
        31.00  < RST+ACK 1 ack 1
               * closed
               * abort
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_an_acknowledgement_of_something_else_does_not_complete_the_handshake() -> None:
    play(
        """
        0.100  > ACK 1 ack 2
               < RST 2
        0.200  > ACK 1 ack 0
               < RST 0
        0.300  > ACK 1 ack 1
               * established
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_an_old_segment_does_not_complete_the_handshake() -> None:
    play(
        """
        0.100  > ACK 0 ack 1
               = state SYN_RECEIVED
               < ACK 1 ack 1
        1.000  < SYN+ACK 0 ack 1 mss 1000 scale 5
        1.001  > ACK 1 ack 1
               * established
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_a_second_syn_in_the_window_is_challenged() -> None:
    play(
        """
        0.100  > SYN 5
               = state SYN_RECEIVED
               < ACK 1 ack 1
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_a_segment_without_ack_does_not_complete_the_handshake() -> None:
    play(
        """
        0.100  > PSH 1+10
               = state SYN_RECEIVED
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_a_segment_outside_the_window_does_not_complete_the_handshake() -> None:
    play(
        """
        0.100  > ACK 5000000 ack 1
               = state SYN_RECEIVED
               < ACK 1 ack 1
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_data_on_the_syn_is_left_for_the_guest_to_send_again() -> None:
    play(
        """
        0.000  > SYN 0+10 win 64000 mss 1000
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
               > ACK 1+10 ack 1
               * established
               * data 1+10
        0.001  < ACK 1 ack 11
        """,
        opening="",
    )


def test_data_with_the_last_acknowledgement_of_the_handshake() -> None:
    play(
        """
        0.100  > PSH+ACK 1+100 ack 1
               * established
               * data 1+100
        0.101  < ACK 1 ack 101
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_a_fin_with_the_last_acknowledgement_of_the_handshake() -> None:
    play(
        """
        0.100  > FIN+ACK 1+100 ack 1
               * established
               * data 1+100
               * finish
               = state CLOSE_WAIT
        0.101  < ACK 1 ack 102
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_data_that_overtakes_the_last_acknowledgement_of_the_handshake() -> None:
    play(
        """
        0.100  > PSH+ACK 101+100 ack 1
               * established
               < ACK 1 ack 1
        0.200  > PSH+ACK 1+100 ack 1
               * data 1+100
               * data 101+100
               < ACK 1 ack 201
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_ecn_bits_on_a_syn_are_ignored_not_refused() -> None:
    play(
        """
        0.000  > SYN+ECE+CWR 0 win 64000 mss 1000
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
               > ACK 1 ack 1
               * established
        """,
        opening="",
    )


def test_a_guest_that_resets_instead_of_completing_the_handshake() -> None:
    play(
        """
        0.100  > RST 1
               * closed
               * abort
        """,
        opening=STATES["SYN_RECEIVED"],
    )


def test_a_host_that_is_reset_before_the_handshake_is_complete() -> None:
    play(
        """
        0.100  ! abort
               < RST+ACK 1 ack 1
               * closed
        """,
        opening=STATES["SYN_RECEIVED"],
    )


# ── either ───────────────────────────────────────────────────────────────────────────────────────


def test_an_opening_that_wraps_both_sequence_numbers() -> None:
    play(
        """
        1.000  ! send 100
               < PSH+ACK 1+100 ack 1
        1.001  > PSH+ACK 1+100 ack 101
               * data 1+100
        1.002  < ACK 101 ack 101
        """,
        opening=OUTBOUND,
        iss=0xFFFFFFFF,
        irs=0xFFFFFFFF,
    )


def test_a_host_that_is_gone_at_once_behind_a_closed_window_leaves_no_timer() -> None:
    stage = play(
        """
        0.000  > SYN 0 win 0 mss 1000
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
               ! on established: close, abort
               > ACK 1 ack 1
               * established
               < RST+ACK 1 ack 1
               * closed
        60.00  -
        """,
        opening="",
    )
    assert stage.connection.deadline == inf

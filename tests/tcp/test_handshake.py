"""Opening, from either side. Read: RFC 9293 3.5, 3.10.7.3 and 3.10.7.4, RFC 5961."""

from math import inf

from tests.tcp.playbook import INBOUND, OUTBOUND, STATES, play

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
        1.000  > SYN 500 win 32000 mss 700
        1.500  ! accept
               < SYN+ACK 0 ack 501 mss 1000
        1.501  > ACK 501 ack 1
               * established
               = room 32000
               ! send 2000
               < PSH+ACK 1+2000 ack 501 cut 700
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


def test_after_a_time_out_of_our_syn_the_first_bytes_have_three_seconds() -> None:
    play(
        """
        1.000  < SYN 0 mss 1000 scale 5
        3.000  < SYN 0 mss 1000 scale 5
        3.100  > SYN+ACK 0 ack 1 win 64000 mss 1000 scale 7
               * established
               ! send 10
               < PSH+ACK 1+10 ack 1
        6.100  < PSH+ACK 1+10 ack 1
        """,
        opening=STATES["SYN_SENT"],
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


# ── active: a client of a forward opens ──────────────────────────────────────────────────────────


def test_an_active_opening() -> None:
    play(
        """
        = state ESTABLISHED
        9.000  -
        """,
        opening=INBOUND,
    )


def test_what_the_host_sends_at_once_carries_the_acknowledgement_of_the_syn() -> None:
    play(
        """
        0.000  ! open
               < SYN 0 mss 1000 scale 5
               ! on established: send 100
        0.100  > SYN+ACK 0 ack 1 win 64000 mss 1000 scale 7
               * established
               < PSH+ACK 1+100 ack 1
        0.200  -
        """,
        opening="",
    )


def test_a_host_that_is_gone_when_the_handshake_ends_leaves_only_a_reset() -> None:
    play(
        """
        0.000  ! open
               < SYN 0 mss 1000 scale 5
               ! on established: abort
        0.100  > SYN+ACK 0 ack 1 win 64000 mss 1000 scale 7
               * established
               < RST+ACK 1 ack 1
               * closed
        0.200  -
        """,
        opening="",
    )


def test_a_guest_that_refuses() -> None:
    play(
        """
        0.000  > RST+ACK 0 ack 1
               * closed
               * abort
        """,
        opening=STATES["SYN_SENT"],
    )


def test_a_reset_that_acknowledges_nothing_refuses_nothing() -> None:
    play(
        """
        0.000  > RST 0
               > RST+ACK 0 ack 0
               = state SYN_SENT
        """,
        opening=STATES["SYN_SENT"],
    )


def test_an_answer_to_something_else_is_reset() -> None:
    """An old connection of the same ports still stands in the guest."""
    play(
        """
        0.100  > ACK 500 ack 77
               < RST 77
               = state SYN_SENT
        1.000  < SYN 0 mss 1000 scale 5
        1.001  > SYN+ACK 0 ack 1 win 64000 mss 1000 scale 7
               * established
               < ACK 1 ack 1
        """,
        opening=STATES["SYN_SENT"],
    )


def test_an_acknowledgement_without_syn_is_no_answer() -> None:
    play(
        """
        0.100  > ACK 0 ack 1
               = state SYN_SENT
        """,
        opening=STATES["SYN_SENT"],
    )


def test_a_guest_that_does_not_answer() -> None:
    play(
        """
        1.000  < SYN 0 mss 1000 scale 5
        3.000  < SYN 0 mss 1000 scale 5
        7.000  < SYN 0 mss 1000 scale 5
        15.00  < SYN 0 mss 1000 scale 5
        31.00  < RST+ACK 1 ack -7000000
               * closed
               * abort
        """,
        opening=STATES["SYN_SENT"],
    )


def test_a_client_that_goes_away_before_the_guest_answers() -> None:
    play(
        """
        0.500  ! abort
               * closed
        60.00  -
        """,
        opening=STATES["SYN_SENT"],
    )


def test_a_repeated_syn_ack_is_acknowledged_again() -> None:
    play(
        """
        1.000  > SYN+ACK 0 ack 1
               < ACK 1 ack 1
        """,
        opening=INBOUND,
    )


def test_both_open_at_once() -> None:
    """RFC 9293 3.5, figure 8: the SYN comes again with an acknowledgement, and that is the last."""
    play(
        """
        0.100  > SYN 0 win 64000 mss 1000 scale 7
               < SYN+ACK 0 ack 1 mss 1000 scale 5
               = state SYN_RECEIVED
        0.200  > SYN+ACK 0 ack 1 win 32000 mss 1000 scale 7
               * established
               = room 32000
               < ACK 1 ack 1
        60.00  -
        """,
        opening=STATES["SYN_SENT"],
    )


def test_both_open_at_once_and_the_second_syn_of_the_guest_is_lost() -> None:
    play(
        """
        0.100  > SYN 0 win 64000 mss 1000 scale 7
               < SYN+ACK 0 ack 1 mss 1000 scale 5
        0.300  > ACK 1 ack 1
               * established
        60.00  -
        """,
        opening=STATES["SYN_SENT"],
    )


def test_both_open_at_once_and_the_guest_answers_something_else() -> None:
    play(
        """
        0.100  > SYN 0 win 64000 mss 1000 scale 7
               < SYN+ACK 0 ack 1 mss 1000 scale 5
        0.200  > SYN+ACK 0 ack 77
               < RST 77
               = state SYN_RECEIVED
        """,
        opening=STATES["SYN_SENT"],
    )


def test_a_reset_with_a_syn_is_a_reset() -> None:
    play(
        """
        0.100  > SYN+RST 0
               = state SYN_RECEIVED
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

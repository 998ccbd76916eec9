"""Active opening: a client of a forward connects to the guest. Read: RFC 9293 3.5, 3.10.7.3."""

from tests.tcp.playbook import INBOUND, STATES, play


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


def test_an_answer_to_something_else_is_reset_and_the_syn_sent_again() -> None:
    """An old connection of the same ports still stands in the guest: a tombstone, for the most.

    Our number need not be above its last, for 4 microseconds a number are slow on this link.
    """
    play(
        """
        0.100  > ACK 500 ack 77
               < RST 77
               < SYN 0 mss 1000 scale 5
               = state SYN_SENT
        0.101  > SYN+ACK 0 ack 1 win 64000 mss 1000 scale 7
               * established
               < ACK 1 ack 1
        """,
        opening=STATES["SYN_SENT"],
    )


def test_a_guest_that_always_answers_something_else() -> None:
    play(
        """
        0.100  > ACK 500 ack 77
               < RST 77
               < SYN 0 mss 1000 scale 5
        0.200  > ACK 500 ack 77
               < RST 77
        1.100  < SYN 0 mss 1000 scale 5
        1.200  > ACK 500 ack 77
               < RST 77
        3.100  < SYN 0 mss 1000 scale 5
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


def test_a_fin_without_a_connection_is_dropped() -> None:
    """RFC 9293 3.10.7.4, eighth: SEG.SEQ cannot be validated yet."""
    play(
        """
        0.100  > FIN 0
               > FIN+ACK 0 ack 1
               = state SYN_SENT
        """,
        opening=STATES["SYN_SENT"],
    )


def test_data_and_a_fin_on_the_answer_are_left_for_the_guest_to_send_again() -> None:
    play(
        """
        0.100  > SYN+FIN+ACK 0+10 ack 1 win 64000 mss 1000 scale 7
               * established
               = state ESTABLISHED
               < ACK 1 ack 1
        0.300  > FIN+ACK 1+10 ack 1
               * data 1+10
               * finish
        0.301  < ACK 1 ack 12
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

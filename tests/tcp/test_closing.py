"""FINs of both sides, in every order. Read: RFC 9293 3.6 and 3.10.7.4 (eighth), MAY-2."""

from math import inf

import pytest

from tests.tcp.playbook import STATES, play


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_reached(state: str) -> None:
    play(f"= state {state}", opening=STATES[state])


# ── orders ───────────────────────────────────────────────────────────────────────────────────────


def test_the_host_closes_first() -> None:
    stage = play(
        """
        1.000  ! close
               < FIN+ACK 1 ack 1
               = state FIN_WAIT_1
        1.001  > ACK 1 ack 2
               = state FIN_WAIT_2
        2.000  > FIN+ACK 1 ack 2
               < ACK 2 ack 2
               * finish
               = state TIME_WAIT
        3.000  * closed
               = state CLOSED
        999.0  -
        """
    )
    assert stage.connection.deadline == inf


def test_the_guest_closes_first() -> None:
    stage = play(
        """
        1.000  > FIN+ACK 1 ack 1
               * finish
               = state CLOSE_WAIT
        1.001  < ACK 1 ack 2
        2.000  ! close
               < FIN+ACK 1 ack 2
               = state LAST_ACK
        2.001  > ACK 2 ack 2
               * closed
               = state CLOSED
        999.0  -
        """
    )
    assert stage.connection.deadline == inf


def test_the_host_answers_a_fin_with_its_own_at_once() -> None:
    play(
        """
        1.000  ! on finish: close
               > FIN+ACK 1 ack 1
               * finish
               < FIN+ACK 1 ack 2
        1.001  > ACK 2 ack 2
               * closed
        """
    )


def test_an_acknowledgement_is_numbered_behind_everything_that_was_sent() -> None:
    """Numbered by a SND.NXT that has fallen back, it would be answered instead of heard."""
    play(
        """
        1.000  ! send 1
               < PSH+ACK 1+1 ack 1
               ! close
               < FIN+ACK 2 ack 1
        1.001  > FIN+ACK 1 ack 1
               * finish
        1.002  < ACK 3 ack 2
        1.200  < PSH+ACK 1+1 ack 2
        1.201  > FIN+ACK 1 ack 1
               < ACK 3 ack 2
        1.202  > ACK 2 ack 3
               = state TIME_WAIT
        """
    )


def test_an_acknowledgement_stays_within_the_window() -> None:
    play(
        """
        1.000  ! send 500
               < PSH+ACK 1+500 ack 1
        1.001  > ACK 1 ack 1 win 128
               > ACK+PSH 1+2000 ack 1 win 128
               * data 1+2000
               < ACK 129 ack 2001
        """
    )


def test_both_close_at_once() -> None:
    play(
        """
        1.000  ! close
               < FIN+ACK 1 ack 1
        1.001  > FIN+ACK 1 ack 1
               * finish
               = state CLOSING
        1.002  < ACK 2 ack 2
               > ACK 2 ack 2
               = state TIME_WAIT
        2.002  * closed
        """
    )


def test_a_fin_that_acknowledges_ours() -> None:
    play(
        """
        1.000  ! close
               < FIN+ACK 1 ack 1
        1.001  > FIN+ACK 1 ack 2
               < ACK 2 ack 2
               * finish
               = state TIME_WAIT
        2.001  * closed
        """
    )


def test_closing_twice_is_closing_once() -> None:
    play(
        """
        1.000  ! close
               < FIN+ACK 1 ack 1
               ! close
        """
    )


def test_a_fin_across_the_wrap_of_sequence_numbers() -> None:
    play(
        """
        1.000  ! send 100
               < PSH+ACK 1+100 ack 1
               ! close
               < FIN+ACK 101 ack 1
        1.001  > FIN+ACK 1+50 ack 102
               * data 1+50
               < ACK 102 ack 52
               * finish
        """,
        iss=0xFFFFFFFF - 100,
        irs=0xFFFFFFFF - 50,
    )


# ── half-closed ──────────────────────────────────────────────────────────────────────────────────


def test_the_host_may_go_on_sending_after_the_guests_fin() -> None:
    play(
        """
        1.000  ! send 100
               < PSH+ACK 1+100 ack 2
        1.200  < PSH+ACK 1+100 ack 2
        1.201  > ACK 2 ack 101 win 0
               ! wait
        1.401  < ACK 100 ack 2
               > ACK 2 ack 101 win 64000
               * resume
               ! send 100
               < PSH+ACK 101+100 ack 2
        1.402  > ACK 2 ack 201
               ! close
               < FIN+ACK 201 ack 2
        1.403  > ACK 2 ack 202
               * closed
        """,
        opening=STATES["CLOSE_WAIT"],
    )


def test_the_guest_may_go_on_sending_after_the_hosts_fin() -> None:
    play(
        """
        1.000  > ACK 1+3000 ack 2
               * data 1+3000
               < ACK 2 ack 3001
        1.001  ! take 0
               > ACK 3001+1000 ack 2
        1.002  < ACK 2 ack 4001 win 1047552
               > ACK 5001+1000 ack 2
               < ACK 2 ack 4001 win 1047552
        1.003  ! take all
               ! ready
               * data 3001+1000
        1.004  > FIN+ACK 4001+1000 ack 2
               * data 4001+1000
               < ACK 2 ack 5002
               * finish
        """,
        opening=STATES["FIN_WAIT_2"],
    )


def test_a_window_that_opens_is_announced_behind_the_hosts_fin() -> None:
    play(
        """
        1.000  ! take 0
               > ACK 1+65000 ack 2
               < ACK 2 ack 65001 win 983552
        1.001  > ACK 65001+983000 ack 2
               < ACK 2 ack 1048001 win 576 # as promised
        1.002  ! take all
               ! ready
               * data 1+1048000
               < ACK 2 ack 1048001
        """,
        opening=STATES["FIN_WAIT_2"],
    )


# ── bytes and FINs ───────────────────────────────────────────────────────────────────────────────


def test_a_fin_leaves_behind_what_is_queued() -> None:
    play(
        """
        1.000  ! send 3000
               < PSH+ACK 1+3000 ack 1 cut 1000
               ! close
               < FIN+ACK 3001 ack 1
        1.001  > ACK 1 ack 3001
               = state FIN_WAIT_1
        1.002  > ACK 1 ack 3002
               = state FIN_WAIT_2
        """
    )


def test_a_fin_with_bytes_counts_after_them() -> None:
    play(
        """
        1.000  > FIN+ACK 1+500 ack 1
               * data 1+500
               * finish
        1.001  < ACK 1 ack 502
        """
    )


def test_a_fin_that_comes_before_the_bytes_waits_for_them() -> None:
    play(
        """
        1.000  > FIN+ACK 501 ack 1
               = state ESTABLISHED
               < ACK 1 ack 1
        1.001  > ACK 1+500 ack 1
               * data 1+500
               * finish
               = state CLOSE_WAIT
               < ACK 1 ack 502
        """
    )


def test_a_fin_ahead_with_bytes_that_partly_came() -> None:
    play(
        """
        1.000  > FIN+ACK 301+200 ack 1
               < ACK 1 ack 1
        1.001  > ACK 1+400 ack 1
               * data 1+400
               * data 401+100
               * finish
               < ACK 1 ack 502
        """
    )


def test_a_fin_ahead_whose_bytes_all_came() -> None:
    play(
        """
        1.000  > FIN+ACK 301+200 ack 1
               < ACK 1 ack 1
        1.001  > ACK 1+500 ack 1
               * data 1+500
               * finish
               < ACK 1 ack 502
        """
    )


@pytest.mark.parametrize(
    ("state", "number"), [("CLOSE_WAIT", 1), ("CLOSING", 2), ("LAST_ACK", 2), ("TIME_WAIT", 2)]
)
def test_a_repeated_fin_is_acknowledged_again(state: str, number: int) -> None:
    play(
        f"""
        0.100  > FIN+ACK 1 ack 1
               = state {state}
               < ACK {number} ack 2
        """,
        opening=STATES[state],
    )


def test_bytes_behind_the_guests_fin_are_not_delivered() -> None:
    play(
        """
        1.000  > ACK 2+100 ack 1
        """,
        opening=STATES["CLOSE_WAIT"],
    )


def test_a_fin_that_the_window_has_no_room_for_is_taken() -> None:
    play(
        """
        1.000  ! take 0
               > ACK 1+65535 ack 1
               < ACK 1 ack 65536 win 0
        1.001  > FIN+ACK 65536 ack 1
        1.002  < ACK 1 ack 65537 win 0
               ! take all
               ! ready
               * data 1+65535
               * finish
        """,
        opening="""
        0.000  > SYN 0 win 64000 mss 1000
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
               > ACK 1 ack 1
               * established
        """,
    )


# ── loss ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_lost_fin_is_sent_again() -> None:
    play(
        """
        1.000  ! close
               < FIN+ACK 1 ack 1
        1.200  < FIN+ACK 1 ack 1
        1.600  < FIN+ACK 1 ack 1
        1.601  > ACK 1 ack 2
               = state FIN_WAIT_2
        """
    )


def test_bytes_and_fin_that_were_lost_together() -> None:
    play(
        """
        1.000  ! send 1500
               < PSH+ACK 1+1500 ack 1 cut 1000
               ! close
               < FIN+ACK 1501 ack 1
        1.200  < PSH+ACK 1+1000 ack 1
        1.201  > ACK 1 ack 1001
               < PSH+ACK 1001+500 ack 1
               < FIN+ACK 1501 ack 1
        1.202  > ACK 1 ack 1502
               = state FIN_WAIT_2
        """
    )


def test_a_fin_waits_for_the_window() -> None:
    """It occupies a sequence number: a guest without room throws it away."""
    play(
        """
        1.000  ! send 1000
               < PSH+ACK 1+1000 ack 1 cut 536
               ! close
        1.001  > ACK 1 ack 1001 win 0
        1.201  < ACK 1000 ack 1
               > ACK 1 ack 1001 win 0
        1.300  > ACK 1 ack 1001 win 1000
               < FIN+ACK 1001 ack 1
        1.301  > ACK 1 ack 1002
               = state FIN_WAIT_2
        """,
        opening="""
        0.000  > SYN 0 win 1000 mss 1000
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
               > ACK 1 ack 1
               * established
        """,
    )


def test_a_fin_that_was_lost_behind_a_window_that_closed() -> None:
    """Once the window opens it must leave again, though no byte is queued."""
    play(
        """
        1.000  ! send 500
               < PSH+ACK 1+500 ack 1
               ! close
               < FIN+ACK 501 ack 1
        1.001  > ACK 1 ack 501 win 0
        1.201  -
        1.401  < ACK 500 ack 1
               > ACK 1 ack 501 win 0
        1.500  > ACK 1 ack 501 win 1024
               < FIN+ACK 501 ack 1
        1.501  > ACK 1 ack 502
               = state FIN_WAIT_2
        """
    )


def test_a_fin_in_flight_although_the_window_shrank_is_acknowledged() -> None:
    play(
        """
        1.000  ! close
               < FIN+ACK 1 ack 1
        1.001  > ACK 1 ack 1 win 0
        1.201  -
        1.300  > ACK 1 ack 2 win 0
               = state FIN_WAIT_2
        """
    )


# ── the last acknowledgement ─────────────────────────────────────────────────────────────────────


def test_a_tombstone_answers_a_fin_whose_acknowledgement_was_lost() -> None:
    play(
        """
        0.200  > FIN+ACK 1 ack 2
               < ACK 2 ack 2
        1.200  * closed
        """,
        opening=STATES["TIME_WAIT"],
    )


def test_a_repeated_fin_begins_the_time_of_a_tombstone_anew() -> None:
    """RFC 9293 3.10.7.4, fifth: it stands for as long as its answer may get lost."""
    play(
        """
        0.900  > FIN+ACK 1 ack 2
               < ACK 2 ack 2
        1.500  > FIN+ACK 1 ack 1 # whatever it acknowledges
               < ACK 2 ack 2
        2.000  > ACK 1 ack 2 # anything else does not
               < ACK 2 ack 2
        2.500  * closed
        """,
        opening=STATES["TIME_WAIT"],
    )


def test_a_syn_beyond_the_last_number_reopens_the_ports_of_a_tombstone() -> None:
    stage = play("0.100  -", opening=STATES["TIME_WAIT"])
    connection = stage.connection
    assert connection.is_tombstone
    assert connection.may_be_reopened_by(stage.segment("SYN 2"))
    assert connection.may_be_reopened_by(stage.segment("SYN+ECE+CWR 500000"))
    assert not connection.may_be_reopened_by(stage.segment("SYN 1")), "an old one"
    assert not connection.may_be_reopened_by(stage.segment("SYN+ACK 2 ack 1"))
    assert not connection.may_be_reopened_by(stage.segment("ACK 2 ack 2"))
    stage.run("! forget\n* closed\n9.000 -")


@pytest.mark.parametrize("state", [name for name in STATES if name != "TIME_WAIT"])
def test_only_a_tombstone_is_reopened(state: str) -> None:
    stage = play("", opening=STATES[state])
    assert not stage.connection.may_be_reopened_by(stage.segment("SYN 500000"))


def test_an_old_syn_to_a_tombstone_is_answered_with_the_truth() -> None:
    play(
        """
        0.200  > SYN 0
               < ACK 2 ack 2
        """,
        opening=STATES["TIME_WAIT"],
    )


# ── what the host has yet to take ────────────────────────────────────────────────────────────────


def test_bytes_that_wait_for_the_host_outlive_the_guests_half() -> None:
    """LAST_ACK ends with the guest; the host gets every byte, then the FIN."""
    play(
        """
        1.000  ! take 0
               > FIN+ACK 1+300 ack 1
        1.001  < ACK 1 ack 302 win 1048256
               ! close
               < FIN+ACK 1 ack 302 win 1048256
        1.002  > ACK 302 ack 2
               * closed
               * orphaned
        9.000  ! take 100
               ! ready
               * data 1+100
        9.001  ! take all
               ! ready
               * data 101+200
               * finish
        9.002  ! ready
        """
    )


def test_bytes_that_the_host_never_takes_are_given_up_with_it() -> None:
    play(
        """
        1.000  ! take 0
               ! close
               < FIN+ACK 1 ack 1
        1.001  > FIN+ACK 1+300 ack 2
               < ACK 2 ack 302 win 1048256
        1.002  > RST 302
               * closed
               * orphaned
        1.003  ! abort
               = spare all
        """
    )


def test_a_reset_after_both_fins_does_not_cost_the_host_a_byte() -> None:
    """The guest's bytes were acknowledged: its reset, as RFC 9293 has it, ends only our half."""
    play(
        """
        1.000  ! take 0
               ! close
               < FIN+ACK 1 ack 1
        1.001  > FIN+ACK 1+300 ack 2
               < ACK 2 ack 302 win 1048256
        1.002  > RST 302
               * closed
               * orphaned
        1.003  ! take all
               ! ready
               * data 1+300
               * finish
        """
    )

"""Resets of both sides, and what may be forged. Read: RFC 9293 3.5.2, 3.5.3, RFC 5961 3 and 4."""

from math import inf

import pytest

from rootlessnet.tcp.interface import CHALLENGE_LIMIT
from tests.tcp.playbook import STATES, play

SYNCHRONISED = [name for name in STATES if name not in ("SYN_SENT", "SYN_RECEIVED")]
# The next number of each side in each state, as the FINs have moved them.
RCV_NXT = dict.fromkeys(STATES, 1) | {"CLOSE_WAIT": 2, "CLOSING": 2, "LAST_ACK": 2, "TIME_WAIT": 2}
SND_NXT = dict.fromkeys(STATES, 1) | {
    "FIN_WAIT_1": 2,
    "FIN_WAIT_2": 2,
    "CLOSING": 2,
    "LAST_ACK": 2,
    "TIME_WAIT": 2,
}


@pytest.mark.parametrize(
    "state", ["SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT"]
)
def test_a_reset_of_the_guest_becomes_one_of_the_far_end(state: str) -> None:
    stage = play(
        f"""
        0.100  > RST {RCV_NXT[state]}
               * closed
               * abort
               = state CLOSED
        0.101  > ACK {RCV_NXT[state]} ack {SND_NXT[state]}
        9.000  -
        """,
        opening=STATES[state],
    )
    assert stage.connection.deadline == inf


@pytest.mark.parametrize("state", ["CLOSING", "LAST_ACK", "TIME_WAIT"])
def test_a_reset_after_both_fins_ends_the_connection_alone(state: str) -> None:
    """RFC 9293 3.10.7.4, second: the user is not told."""
    play(
        f"""
        0.100  > RST {RCV_NXT[state]}
               * closed
        9.000  -
        """,
        opening=STATES[state],
    )


@pytest.mark.parametrize("state", SYNCHRONISED)
def test_a_reset_inside_the_window_is_challenged(state: str) -> None:
    play(
        f"""
        0.100  > RST {RCV_NXT[state] + 1}
               = state {state}
               < ACK {SND_NXT[state]} ack {RCV_NXT[state]}
        """,
        opening=STATES[state],
    )


@pytest.mark.parametrize("state", SYNCHRONISED)
@pytest.mark.parametrize("position", [-1000, -1, 0, 1_048_600, 2_000_000_000])
def test_a_reset_outside_the_window_is_dropped(state: str, position: int) -> None:
    play(
        f"""
        0.100  > RST {position}
               = state {state}
        """,
        opening=STATES[state],
    )


@pytest.mark.parametrize("state", SYNCHRONISED)
@pytest.mark.parametrize(
    "segment", ["ACK 2000000000 ack 1", "ACK -5+3 ack 1", "ACK {number} ack 77"]
)
def test_what_cannot_be_right_is_answered_with_the_truth(state: str, segment: str) -> None:
    """RFC 9293 3.5.2, third group: an empty acknowledgement, and never a reset."""
    play(
        f"""
        0.100  > {segment.format(number=RCV_NXT[state])}
               = state {state}
               < ACK {SND_NXT[state]} ack {RCV_NXT[state]}
        """,
        opening=STATES[state],
    )


def test_a_reset_with_bytes_does_not_reach_further_than_its_number() -> None:
    play(
        """
        0.100  > RST+ACK -99+200 ack 1
               = state ESTABLISHED
        """
    )


@pytest.mark.parametrize("state", SYNCHRONISED)
@pytest.mark.parametrize("position", [-5, 500, 2_000_000_000])
def test_a_syn_within_a_connection_is_challenged(state: str, position: int) -> None:
    """RFC 5961 4: the guest, if it really began anew, answers the truth with a reset."""
    play(
        f"""
        0.100  > SYN {position}
               = state {state}
               < ACK {SND_NXT[state]} ack {RCV_NXT[state]}
        """,
        opening=STATES[state],
    )


def test_a_guest_that_began_anew_is_reset_by_the_challenge() -> None:
    play(
        """
        0.100  > SYN 500000
               < ACK 1 ack 1
        0.101  > RST 1
               * closed
               * abort
        """
    )


def test_a_reset_may_carry_bytes() -> None:
    """RFC 9293 SHLD-2."""
    play(
        """
        0.100  > RST+ACK 1+30 ack 1
               * closed
               * abort
        """
    )


def test_all_flags_at_once_are_a_challenged_reset() -> None:
    play(
        """
        0.100  > SYN+FIN+RST+PSH+ACK+URG+ECE+CWR 1+10 ack 1
               * closed
               * abort
        """
    )


def test_challenges_are_limited() -> None:
    """RFC 5961 7 and 10: over all connections, and anew each second."""
    challenged = """
        > RST 2
        < ACK 1 ack 1
    """
    burst = "".join(
        challenged.replace(">", f"0.1{count:03} >", 1) for count in range(CHALLENGE_LIMIT)
    )
    play(
        burst
        + """
        0.500  > RST 2
        0.600  > SYN 500
        0.700  > ACK 1 ack 77 # of what was never sent
        1.200  > RST 2
               < ACK 1 ack 1
        """
    )


@pytest.mark.parametrize("state", [name for name in SYNCHRONISED if name != "TIME_WAIT"])
def test_a_reset_of_the_far_end_becomes_one_of_the_guest(state: str) -> None:
    stage = play(
        f"""
        0.100  ! abort
               < RST+ACK {SND_NXT[state]} ack {RCV_NXT[state]}
               * closed
               = state CLOSED
        0.200  ! abort
               ! close
        9.000  -
        """,
        opening=STATES[state],
    )
    assert stage.connection.deadline == inf


def test_a_tombstone_cannot_be_reset_by_the_far_end() -> None:
    play(
        """
        0.100  ! abort
               = state TIME_WAIT
        1.000  * closed
        """,
        opening=STATES["TIME_WAIT"],
    )


def test_a_reset_follows_all_that_was_sent() -> None:
    play(
        """
        1.000  ! send 3000
               < PSH+ACK 1+3000 ack 1 cut 1000
        1.200  < PSH+ACK 1+1000 ack 1
               ! abort
               < RST+ACK 3001 ack 1
               * closed
        9.000  -
        """
    )


def test_a_reset_throws_away_what_waits_for_the_host() -> None:
    play(
        """
        1.000  ! take 0
               > ACK 1+100 ack 1
        1.001  < ACK 1 ack 101 win 1048448
        1.002  > RST 101
               * closed
               * abort
        1.003  ! take all
               ! ready
        """
    )

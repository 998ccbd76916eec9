"""What connections may hold, each and all together. Read: the head of rootlessnet/tcp/engine.py."""

import pytest

from rootlessnet.bounds import DEFAULTS
from rootlessnet.tcp.interface import LEAST_SHARE, SEND_PIECES, SHARE
from rootlessnet.tcp.state import State
from tests.tcp.playbook import play

SCARCE = 40_000 << SHARE  # of it, one connection may hold 40,000 bytes


# ── towards the guest ────────────────────────────────────────────────────────────────────────────


def test_a_connection_holds_its_share_and_no_more() -> None:
    play(
        f"""
        1.000  ! spare {SCARCE}
               = room 40000
               ! send 20000
               < PSH+ACK 1+20000 ack 1 win 65504 cut 1000
               = spare {SCARCE - 20_000}
               = room {((SCARCE - 20_000) >> SHARE) - 20_000}
        1.001  > ACK 1 ack 20001
               = spare {SCARCE}
               = room 40000
        """
    )


def test_however_little_is_left_a_connection_goes_on() -> None:
    play(
        f"""
        1.000  ! spare 0
               = room {LEAST_SHARE}
               ! send {LEAST_SHARE}
               < PSH+ACK 1+{LEAST_SHARE} ack 1 win 65504 cut 1000
               = room 0
               ! wait
        1.001  > ACK 1 ack {LEAST_SHARE + 1}
               * resume
               = room {LEAST_SHARE}
        """
    )


def test_a_host_that_sends_byte_by_byte_is_not_read_for_ever() -> None:
    """Each byte would cost an object."""
    sending = "".join(
        f"""
               ! send 1
               < PSH+ACK {number}+1 ack 1"""
        for number in range(1, SEND_PIECES + 1)
    )
    play(
        f"""
        1.000  - {sending}
               = room 0
               ! wait
        1.001  > ACK 1 ack 2
               * resume
               = room {64000 - SEND_PIECES + 1}
        """
    )


# ── from the guest ───────────────────────────────────────────────────────────────────────────────


def test_the_window_opens_as_far_as_the_share_goes() -> None:
    """What was promised stays promised, and what is used of it comes back in part."""
    play(
        f"""
        1.000  ! take 0
               ! spare {SCARCE}
               > ACK 1+60000 ack 1
               = spare {SCARCE - 60_000}
               < ACK 1 ack 60001 win 5504
        2.000  ! take all
               ! ready
               * data 1+60000
               < ACK 1 ack 60001 win 40000
               = spare {SCARCE}
        """,
    )


def test_the_window_of_an_idle_connection_is_never_less_than_the_least_share() -> None:
    play(
        f"""
        1.000  ! spare 0
               > ACK 1+60000 ack 1
               * data 1+60000
               > ACK 60001+5500 ack 1
               * data 60001+5500
               < ACK 1 ack 65501 win {LEAST_SHARE}
        """
    )


def test_what_there_is_no_memory_for_is_not_acknowledged() -> None:
    """A promise that was made to many at once cannot be kept to all: the guest sends it again."""
    play(
        """
        1.000  ! take 100
               ! spare 700
               > FIN+ACK 1+1000 ack 1
               * data 1+100
               = spare 0
        1.001  < ACK 1 ack 801 win 64704
        1.200  > FIN+ACK 801+200 ack 1
        1.201  < ACK 1 ack 801 win 64704
        2.000  ! take all
               ! ready
               * data 101+700
        2.100  > FIN+ACK 801+200 ack 1
               * data 801+200
               * finish
        2.101  < ACK 1 ack 1002 win 64512
               = spare 700
               = state CLOSE_WAIT
        """
    )


def test_a_piece_ahead_of_a_gap_is_kept_only_if_there_is_memory() -> None:
    play(
        """
        1.000  ! spare 500
               > ACK 1001+500 ack 1
               = spare 0
               < ACK 1 ack 1 win 65504
        1.001  > ACK 1501+500 ack 1
               = spare 0
               < ACK 1 ack 1 win 65504
        1.002  > ACK 1+1000 ack 1
               * data 1+1000
               * data 1001+500
               = spare 500
               < ACK 1 ack 1501 win 64032
        """
    )


# ── the end ──────────────────────────────────────────────────────────────────────────────────────

HOLDING = """
        1.000  ! send 5000
               < PSH+ACK 1+5000 ack 1 cut 1000
               ! take 0
               > ACK 1+3000 ack 1
               > ACK 5001+2000 ack 1
"""


@pytest.mark.parametrize(
    "end",
    [
        """
               > RST 3001
               * closed
               * abort
        """,
        """
               ! abort
               < RST+ACK 5001 ack 3001
               * closed
        """,
        """
               ! lose
               ! ready
               < RST+ACK 5001 ack 3001
               * closed
        """,
    ],
    ids=["reset by the guest", "reset by the host", "the host is gone"],
)
def test_a_connection_that_ends_gives_all_back(end: str) -> None:
    stage = play(f"{HOLDING} = spare {DEFAULTS.tcp_bytes - 10_000} {end}")
    assert stage.engine.spare == DEFAULTS.tcp_bytes


def test_a_guest_that_is_given_up_gives_all_back() -> None:
    stage = play(
        """
        1.000  ! take 0
               > ACK 1+3000 ack 1
               ! send 5000
               < PSH+ACK 1+5000 ack 3001 win 1045568 cut 1000
        """
    )
    while stage.connection.state is not State.CLOSED:
        stage.engine.expire(stage.engine.next_deadline())
    assert stage.engine.spare == DEFAULTS.tcp_bytes

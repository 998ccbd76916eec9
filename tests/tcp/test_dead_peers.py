"""Guests that vanish, and connections that nobody uses. Read: RFC 9293 3.8.3 and 3.8.4."""

from math import inf

from rootlessnet.tcp.interface import HALF_CLOSED_LIMIT, KEEP_ALIVE
from tests.tcp.playbook import INBOUND, STATES, play


def test_an_idle_connection_is_left_alone() -> None:
    """The host's kernel asks the far end; a guest that is alive says by itself when it closes."""
    stage = play("99999.  -")
    assert stage.engine.next_deadline() == inf


def test_a_keep_alive_probe_of_the_guest_is_answered() -> None:
    play(
        """
        1.000  > ACK 0 ack 1
               < ACK 1 ack 1
        2.000  > ACK 0+1 ack 1
               < ACK 1 ack 1
        """
    )


def test_a_half_closed_guest_is_asked_whether_it_lives() -> None:
    play(
        """
        75.00  < ACK 1 ack 1
               > ACK 1 ack 2
        150.0  < ACK 1 ack 1
               > ACK 1 ack 2
        151.0  > ACK 1+10 ack 2
               * data 1+10
        151.001  < ACK 2 ack 11
        225.0  < ACK 1 ack 11
        """,
        opening=STATES["FIN_WAIT_2"],
    )


def test_a_half_closed_guest_that_is_dead_is_given_up() -> None:
    play(
        """
        75.00  < ACK 0 ack 2
        75.10  > ACK 2 ack 1
        150.0  < ACK 0 ack 2
        225.0  < ACK 0 ack 2
        300.0  < RST+ACK 1 ack 2
               * closed
               * abort
        """,
        opening=STATES["CLOSE_WAIT"],
    )


def test_a_half_closed_connection_that_nobody_uses_ends() -> None:
    probes = "".join(
        f"""
        {count * KEEP_ALIVE:.1f}  < ACK 1 ack 1
               > ACK 1 ack 2"""
        for count in range(1, int(HALF_CLOSED_LIMIT / KEEP_ALIVE))
    )
    play(
        probes
        + f"""
        {HALF_CLOSED_LIMIT}  < RST+ACK 2 ack 1
               * closed
               * abort
        """,
        opening=STATES["FIN_WAIT_2"],
    )


def test_bytes_begin_the_time_of_a_half_closed_connection_anew() -> None:
    play(
        """
        10.00  ! send 10
               < PSH+ACK 1+10 ack 2
        10.001 > ACK 2 ack 11
        85.001 < ACK 10 ack 2
        """,
        opening=STATES["CLOSE_WAIT"],
    )


def test_a_half_closed_guest_that_closed_its_window_once_is_still_asked() -> None:
    """Probes of the window give way to those of life when nobody waits for the window."""
    play(
        """
        1.000  > ACK 2 ack 1 win 0
               ! wait
        1.200  < ACK 0 ack 2
               > ACK 2 ack 1 win 64000
               * resume
        1.400  -
        76.40  < ACK 0 ack 2
        """,
        opening=STATES["CLOSE_WAIT"],
    )


def test_a_guest_whose_window_stays_closed_and_that_is_dead_is_given_up() -> None:
    play(
        """
        1.000  > ACK 1 ack 1 win 0
               ! wait
        1.200  < ACK 0 ack 1
        1.400  < ACK 0 ack 1
        1.800  < ACK 0 ack 1
        2.600  < ACK 0 ack 1
        4.200  < ACK 0 ack 1
        7.400  < ACK 0 ack 1
        13.80  < ACK 0 ack 1
        26.60  < ACK 0 ack 1
        52.20  < ACK 0 ack 1
        103.4  < ACK 0 ack 1
        163.4  < RST+ACK 1 ack 1
               * closed
               * abort
        """
    )


def test_a_fin_that_the_guest_never_acknowledges() -> None:
    play(
        """
        1.000  ! close
               < FIN+ACK 1 ack 1
        1.200  < FIN+ACK 1 ack 1
        1.600  < FIN+ACK 1 ack 1
        2.400  < FIN+ACK 1 ack 1
        4.000  < FIN+ACK 1 ack 1
        7.200  < FIN+ACK 1 ack 1
        13.60  < FIN+ACK 1 ack 1
        26.40  < FIN+ACK 1 ack 1
        52.00  < FIN+ACK 1 ack 1
        103.2  < RST+ACK 2 ack 1
               * closed
               * abort
        """,
        opening=INBOUND,
    )

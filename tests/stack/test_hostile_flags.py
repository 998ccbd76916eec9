"""Flags and numbers that no kernel sends, to a connection in every state and to none.

Read: RFC 9293 3.10.7, RFC 5961 3 to 5.
"""

import pytest

from rootlessnet.tcp.interface import CHALLENGE_LIMIT, TOMBSTONE
from tests.stack.ordeal import CLIENT, CLIENT_PORT, GUEST_PORT, Arrival, Ordeal
from tests.stack.tcp_guest import ISN, said
from tests.stack.victims import STATES, SYNCHRONISED, UNANSWERED, victim
from tests.stack.world import tcp
from tests.wire.oracle import from_guest

OUTSIDE = [-2000, -1, 1 << 21, 1 << 31]  # of any window, as seen from RCV.NXT
FINISHED = ("CLOSING", "LAST_ACK", "TIME_WAIT")
ALL = "FSRPAUEC"


# ── RST ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flags", ["R", "RA", "SR", "FR", ALL])
@pytest.mark.parametrize("state", STATES)
def test_a_reset_at_the_very_number_ends_it(ordeal: Ordeal, state: str, flags: str) -> None:
    """RST is judged before SYN, ACK and FIN, whatever comes with it."""
    one = victim(ordeal, state)
    assert one.hears(one.segment(flags, acked=12345)) == []
    assert one.state == "CLOSED"
    assert ("abort" in one.host.calls) == (state not in FINISHED)
    assert len(ordeal.gateway.tcp) == 1


@pytest.mark.parametrize("flags", ["R", "RA", "SR", ALL])
@pytest.mark.parametrize("state", ["SYN_RECEIVED", *SYNCHRONISED])
def test_a_reset_elsewhere_in_the_window_is_challenged(
    ordeal: Ordeal, state: str, flags: str
) -> None:
    one = victim(ordeal, state)
    assert one.hears(one.segment(flags, 1)) == [one.truth]
    assert one.state == state


@pytest.mark.parametrize("flags", ["R", "RA", "SR", ALL])
@pytest.mark.parametrize("ahead", OUTSIDE)
@pytest.mark.parametrize("state", STATES)
def test_a_reset_outside_the_window_is_nothing(
    ordeal: Ordeal, state: str, ahead: int, flags: str
) -> None:
    one = victim(ordeal, state)
    before = one.state
    assert one.hears(one.segment(flags, ahead)) == []
    assert one.state == before


# ── SYN ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flags", ["S", "SF", "SPU", "SEC"])
def test_a_syn_opens_whatever_comes_with_it(ordeal: Ordeal, flags: str) -> None:
    """All else on it is left for the guest to send again (RFC 9293 3.10.7.2)."""
    ordeal.send(tcp(flags, seq=ISN, ack=77, payload=b"early"))
    host = ordeal.host.sockets[-1]
    host.connection.accept(ordeal.now)
    flags_heard, number, ack, _ = said(ordeal.heard_one())
    assert (flags_heard, ack) == ("SA", ISN + 1)
    ordeal.send(tcp("FPA", seq=ISN + 1, ack=number + 1, payload=b"early"))
    assert (host.delivered, host.calls) == (b"early", ["established", "finish"])


@pytest.mark.parametrize("flags", ["S", "SF", "SA", "SFPUEC"])
@pytest.mark.parametrize("ahead", [-1, 0, 1000, *OUTSIDE])
@pytest.mark.parametrize("state", [state for state in SYNCHRONISED if state != "TIME_WAIT"])
def test_a_syn_amid_a_connection_is_told_the_truth(
    ordeal: Ordeal, state: str, ahead: int, flags: str
) -> None:
    one = victim(ordeal, state)
    assert one.hears(one.segment(flags, ahead, payload=b"text")) == [one.truth]
    assert (one.state, one.host.delivered) == (state, b"")


@pytest.mark.parametrize("ahead", [0, 1000, 1 << 21])
def test_a_newer_syn_takes_the_place_of_a_tombstone(ordeal: Ordeal, ahead: int) -> None:
    one = victim(ordeal, "TIME_WAIT")
    assert one.hears(one.segment("SF", ahead)) == []
    assert one.state == "CLOSED"
    ordeal.host.sockets[-1].connection.accept(ordeal.now)
    assert said(ordeal.heard_one())[0::2] == ("SA", one.seq + ahead + 1)


@pytest.mark.parametrize(("flags", "ahead"), [("S", -1), ("S", 1 << 31), ("SA", 0), ("SA", 5)])
def test_another_syn_does_not(ordeal: Ordeal, flags: str, ahead: int) -> None:
    one = victim(ordeal, "TIME_WAIT")
    assert one.hears(one.segment(flags, ahead)) == [one.truth]
    assert one.state == "TIME_WAIT"
    ordeal.pass_time(TOMBSTONE)
    assert one.state == "CLOSED"


@pytest.mark.parametrize("ahead", [-1, 0, 500, 1 << 31])
def test_of_the_syns_while_the_host_connects_the_newest_counts(ordeal: Ordeal, ahead: int) -> None:
    """The guest may have begun anew; nothing else is heard."""
    one = victim(ordeal, UNANSWERED)
    for flags in ("S", "SF", "SA", "A", "FA", "", "PA"):
        assert one.hears(one.segment(flags, ahead, payload=b"text")) == []
    one.host.connection.accept(ordeal.now)
    assert said(ordeal.heard_one())[0::2] == ("SA", one.seq + ahead + 1 & 0xFFFFFFFF)


def test_the_same_syn_again_is_answered_again(ordeal: Ordeal) -> None:
    one = victim(ordeal, "SYN_RECEIVED")
    for _ in range(3):
        assert one.hears(one.segment("S", -1)) == [("SA", one.ack - 1, one.seq, b"")]


@pytest.mark.parametrize("ahead", [-2, 0, 100, 1 << 31])
def test_another_syn_before_the_handshake_ends_is_told_the_truth(
    ordeal: Ordeal, ahead: int
) -> None:
    one = victim(ordeal, "SYN_RECEIVED")
    assert one.hears(one.segment("S", ahead)) == [one.truth]
    assert one.state == "SYN_RECEIVED"


# ── no ACK, and the wrong ACK ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flags", ["", "F", "P", "FPU", "EC"])
@pytest.mark.parametrize("state", STATES)
def test_without_ack_nothing_is_heard(ordeal: Ordeal, state: str, flags: str) -> None:
    """RFC 9293 3.10.7.4, fifth: "if the ACK bit is off, drop the segment"."""
    one = victim(ordeal, state)
    before = one.state
    assert one.hears(one.segment(flags, payload=b"text")) == []
    assert (one.state, one.host.delivered) == (before, b"")


@pytest.mark.parametrize("acked", [1, 5000, (1 << 31) - 1])
@pytest.mark.parametrize("state", SYNCHRONISED)
def test_an_acknowledgement_of_what_was_never_sent(ordeal: Ordeal, state: str, acked: int) -> None:
    one = victim(ordeal, state)
    assert one.hears(one.segment("FPA", acked=acked, payload=b"text")) == [one.truth]
    assert (one.state, one.host.delivered) == (state, b"")


def test_an_acknowledgement_older_than_any_window(ordeal: Ordeal) -> None:
    """RFC 5961 5.2: text with it may be forged."""
    one = victim(ordeal)
    assert one.hears(one.segment("PA", acked=-(1 << 30), payload=b"text")) == [one.truth]
    assert one.host.delivered == b""


@pytest.mark.parametrize("acked", [-1, 1, 1 << 31])
@pytest.mark.parametrize("flags", ["A", "FPA"])
def test_a_wrong_acknowledgement_of_our_syn_is_reset(
    ordeal: Ordeal, flags: str, acked: int
) -> None:
    """RFC 9293 3.10.7.4: <SEQ=SEG.ACK><CTL=RST>, and the handshake goes on."""
    one = victim(ordeal, "SYN_RECEIVED")
    number = one.ack + acked & 0xFFFFFFFF
    assert one.hears(one.segment(flags, acked=acked)) == [("R", number, 0, b"")]
    assert one.hears(one.segment("A")) == []
    assert one.state == "ESTABLISHED"


# ── FIN ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("flags", ["FA", "FPAUEC"])
def test_a_fin_before_its_text_waits_for_it(ordeal: Ordeal, flags: str) -> None:
    one = victim(ordeal)
    for _ in range(3):
        assert one.hears(one.segment(flags, 10)) == [one.truth]
    assert one.hears(one.segment("PA", 5, payload=b"56789")) == [one.truth]
    assert one.host.calls == ["established"]
    one.hears(one.segment("PA", payload=b"01234"))
    assert (one.host.delivered, one.state) == (b"0123456789", "CLOSE_WAIT")
    assert one.host.calls == ["established", "finish"]


def test_text_behind_a_fin_is_not_taken(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    one.hears(one.segment("PA", 4, payload=b"behind"))
    one.hears(one.segment("FPA", payload=b"last"))
    one.seq += 5
    for ahead in (0, -1, 100):
        assert one.hears(one.segment("FPA", ahead, payload=b"more")) in ([], [one.truth])
    assert (one.host.delivered, one.state) == (b"last", "CLOSE_WAIT")


@pytest.mark.parametrize("ahead", OUTSIDE[2:])
def test_a_fin_beyond_the_window_is_not_taken(ordeal: Ordeal, ahead: int) -> None:
    one = victim(ordeal)
    assert one.hears(one.segment("FA", ahead)) == [one.truth]
    assert one.state == "ESTABLISHED"


# ── answers to our SYN ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flags", "acked", "answer"),
    [
        ("R", 1, None),  # it acknowledges nothing: anybody could have sent it
        ("SR", 1, None),
        ("RA", 0, None),
        ("RA", 2, None),
        (ALL, 2, None),
        ("", 1, None),
        ("F", 1, None),
        ("A", 1, None),
        ("FPA", 1, None),
        ("A", 0, "R"),
        ("SA", 0, "R"),
        ("SA", 2, "R"),
        ("SFPA", 1 << 31, "R"),
    ],
)
def test_a_wrong_answer_to_our_syn(
    ordeal: Ordeal, flags: str, acked: int, answer: str | None
) -> None:
    """RFC 9293 3.10.7.3; an old connection is reset out of the way, and the right answer opens."""
    ordeal.play(Arrival(0))
    host = ordeal.host.sockets[-1]
    number = host.connection.iss + acked & 0xFFFFFFFF

    def reply(flags: str, ack: int) -> list[tuple[str, int, int, bytes]]:
        ordeal.send(tcp(flags, 7, ack, b"", CLIENT, CLIENT_PORT, GUEST_PORT))
        return [said(heard) for heard in ordeal.heard()]

    reset, again = (answer or "", number, 0, b""), ("S", host.connection.iss, 0, b"")
    assert reply(flags, number) == ([] if answer is None else [reset, again])
    assert reply(flags, number) == ([] if answer is None else [reset])
    assert host.connection.state.name == "SYN_SENT"
    assert reply("SFA", host.connection.iss + 1) == [("A", host.connection.iss + 1, 8, b"")]
    assert host.calls == ["established"]


@pytest.mark.parametrize("flags", ["RA", "SRA", "FRA", ALL])
def test_a_reset_that_acknowledges_our_syn_refuses(ordeal: Ordeal, flags: str) -> None:
    ordeal.play(Arrival(0))
    host = ordeal.host.sockets[-1]
    ack = host.connection.iss + 1
    ordeal.send(tcp(flags, 7, ack, b"", CLIENT, CLIENT_PORT, GUEST_PORT))
    assert (ordeal.heard(), host.calls) == ([], ["abort"])


# ── much of it ───────────────────────────────────────────────────────────────────────────────────


def test_challenges_are_rationed(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    frame = from_guest(one.segment("R", 1))
    for _ in range(10 * CHALLENGE_LIMIT):
        ordeal.gateway.receive(frame, ordeal.now)
        ordeal.gateway.end_batch(ordeal.now)
    assert [said(answer) for answer in ordeal.heard()] == [one.truth] * CHALLENGE_LIMIT


def test_a_storm_of_duplicate_acknowledgements_brings_one_retransmission(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    one.host.connection.send(b"response", ordeal.now)
    sent = ordeal.heard_one()
    frame = from_guest(one.segment("A"))
    one.hears(one.segment("A"))  # its window is scaled, unlike that of the SYN
    for _ in range(10_000):
        ordeal.gateway.receive(frame, ordeal.now)
        ordeal.gateway.end_batch(ordeal.now)
    assert [said(answer) for answer in ordeal.heard()] == [said(sent)]


def test_a_storm_of_old_acknowledgements_brings_nothing(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    one.host.connection.send(b"response", ordeal.now)
    ordeal.heard()
    frame = from_guest(one.segment("A", acked=-1))
    for _ in range(10_000):
        ordeal.gateway.receive(frame, ordeal.now)
        ordeal.gateway.end_batch(ordeal.now)
    assert ordeal.heard() == []
    assert one.hears(one.segment("A", acked=8)) == []
    assert one.host.connection.snd_una == one.ack + 8

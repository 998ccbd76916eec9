"""Text out of order, twice, in contradiction and in crumbs; windows that shut and lie.

Read: RFC 9293 3.8.6 and 3.10.7.4.
"""

from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP

from rootlessnet.bounds import DEFAULTS
from rootlessnet.tcp.reassembly import MAX_PIECES
from tests.stack.far_end import Kind
from tests.stack.ordeal import Ordeal
from tests.stack.tcp_guest import said
from tests.stack.victims import Victim, victim
from tests.wire.oracle import from_guest

RECEIVE_LIMIT = DEFAULTS.tcp_connection_bytes

_SEQ_AT = 10 + 14 + 20 + 4  # where the sequence number stands in a frame


# ── overlapping ──────────────────────────────────────────────────────────────────────────────────

PIECES = [(0, b"aaaa"), (2, b"bbbb"), (2, b"cc"), (5, b"ddd"), (1, b"eeeeeee"), (0, b"f")]


@pytest.mark.parametrize("order", list(permutations(range(len(PIECES)), 3)))
def test_pieces_that_contradict_each_other(ordeal: Ordeal, order: tuple[int, ...]) -> None:
    """Each byte is one that was sent for its place, and none comes twice or out of order."""
    one = victim(ordeal)
    for index in order:
        ahead, text = PIECES[index]
        one.hears(one.segment("PA", ahead, payload=text))
    one.hears(one.segment("PA", payload=b"gggggggg"))
    possible: list[set[int]] = [{ord("g")} for _ in range(8)]
    for ahead, text in (PIECES[index] for index in order):
        for place, byte in enumerate(text, ahead):
            possible[place].add(byte)
    assert len(one.host.delivered) == 8
    assert all(byte in may for byte, may in zip(one.host.delivered, possible, strict=True))


def test_what_was_delivered_cannot_be_sent_again_otherwise(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    one.hears(one.segment("PA", payload=b"first"))
    one.hears(one.segment("PA", payload=b"FIRST"))
    one.hears(one.segment("PA", 2, payload=b"RST, second"))
    assert one.host.delivered == b"first, second"


def test_the_first_copy_of_a_waiting_piece_stays(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    for text in (b"second", b"SECOND", b"forged"):
        one.hears(one.segment("PA", 5, payload=text))
    one.hears(one.segment("PA", payload=b"first"))
    assert one.host.delivered == b"firstsecond"


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("isn", [0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFF8, 0x7FFFFFF8, 0])
@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_numbers_that_wrap(ordeal: Ordeal, isn: int, order: tuple[int, ...]) -> None:
    one = victim(ordeal, isn=isn)
    text = b"0123456789abcdef"
    for index in order:
        flags = "FPA" if index == 3 else "PA"
        one.hears(one.segment(flags, 4 * index, payload=text[4 * index : 4 * index + 4]))
    assert (one.host.delivered, one.state) == (text, "CLOSE_WAIT")


@pytest.mark.parametrize("ahead", [RECEIVE_LIMIT + 1, 1 << 30, 1 << 31, -1000, -(1 << 30)])
def test_text_outside_the_window_is_told_the_truth(ordeal: Ordeal, ahead: int) -> None:
    one = victim(ordeal)
    assert one.hears(one.segment("PA", ahead, payload=b"text")) == [one.truth]
    assert one.host.delivered == b""


def test_text_is_cut_at_the_edge_of_the_window(ordeal: Ordeal) -> None:
    """However wide the guest takes the window to be; the FIN behind the edge is cut as well."""
    one = victim(ordeal)
    one.host.happen(Kind.STALLS, 0, ordeal.now)
    connection = one.host.connection
    for ahead in range(0, RECEIVE_LIMIT, 60_000):
        one.hears(one.segment("PA", ahead, payload=bytes(60_000)))
    held = len(connection._receive_buffer)
    assert RECEIVE_LIMIT - 60_000 < held <= RECEIVE_LIMIT
    assert one.hears(one.segment("FPA", held, payload=bytes(60_000)))[0][0] == "A"
    assert connection.rcv_nxt == connection._rcv_adv == one.seq + len(connection._receive_buffer)
    assert len(connection._receive_buffer) <= RECEIVE_LIMIT
    assert one.state == "ESTABLISHED"
    one.host.go_on()
    assert len(one.host.delivered) == connection.rcv_nxt - one.seq


# ── crumbs ───────────────────────────────────────────────────────────────────────────────────────


def crumbs(one: Victim, places: range) -> None:
    """Segments of one byte; scapy makes the first of them, and their text is all the same."""
    frame = bytearray(from_guest(one.segment("A", payload=b".")))
    view = memoryview(frame)
    for place in places:
        frame[_SEQ_AT : _SEQ_AT + 4] = (one.seq + place).to_bytes(4, "big")
        one.ordeal.gateway.receive(view, one.ordeal.now)
        if place % 64 == 0:
            one.ordeal.gateway.end_batch(one.ordeal.now)
            one.ordeal.check()


@pytest.mark.parametrize(
    "places",
    [range(2, 200_002, 2), range(60_000, 40_000, -1), range(1, 100_001)],
    ids=["with gaps", "backwards", "behind one gap"],
)
def test_crumbs_out_of_order_fill_no_memory(ordeal: Ordeal, places: range) -> None:
    one = victim(ordeal)
    crumbs(one, places)
    waiting = one.host.connection._reassembly
    assert len(waiting.pieces) == MAX_PIECES
    assert waiting.size == MAX_PIECES
    assert one.host.delivered == b""
    ordeal.link.written.clear()
    crumbs(one, range(places.stop))  # a kernel sends again what is not acknowledged
    assert one.host.delivered == b"." * max(places.stop, 0)


def test_fins_out_of_order_fill_no_memory(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    for ahead in range(1, 2 * MAX_PIECES):
        one.hears(one.segment("FA", ahead))
    assert len(one.host.connection._reassembly.pieces) == MAX_PIECES
    one.hears(one.segment("PA", payload=b"text"))
    assert (one.host.delivered, one.state) == (b"text", "CLOSE_WAIT")


# ── windows ──────────────────────────────────────────────────────────────────────────────────────


def with_window(one: Victim, window: int, acked: int = 0) -> list[tuple[str, int, int, bytes]]:
    """The guest acknowledges `acked` bytes and offers `window` in the header's 16 bits."""
    segment = one.segment("A", acked=acked)
    segment[TCP].window = window
    return one.hears(segment)


def test_a_window_shut_for_ever_is_probed_until_the_guest_falls_silent(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    with_window(one, 0)
    one.host.happen(Kind.SENDS, 1000, ordeal.now)
    probe = ("A", one.ack - 1 & 0xFFFFFFFF, one.seq, b"")
    for _ in range(50):
        ordeal.pass_time(60)
        assert {said(heard) for heard in ordeal.heard()} == {probe}
        assert with_window(one, 0) == []
        assert one.state == "ESTABLISHED"
    assert one.host.sent == 0
    ordeal.pass_time(300)
    assert (one.state, one.host.calls[-1]) == ("CLOSED", "abort")
    assert said(ordeal.heard()[-1])[0] == "RA"


@pytest.mark.parametrize("window", [0, 1, 3])
def test_a_window_that_shrinks_below_what_is_in_flight(ordeal: Ordeal, window: int) -> None:
    one = victim(ordeal)
    with_window(one, 100)  # 128 times as many bytes
    one.host.happen(Kind.SENDS, 2000, ordeal.now)
    first = sum(len(said(heard)[3]) for heard in ordeal.heard())
    assert first == 12_800
    assert with_window(one, window, 1000) == []
    ordeal.pass_time(20)
    for heard in ordeal.heard():
        _, seq, _, text = said(heard)
        assert seq + len(text) <= one.ack + 1000 + max(window * 128, 1460)
    for acked in range(1000, 32_001, 1000):
        with_window(one, 1000, acked)
    assert (one.host.sent, one.host.connection.snd_una) == (32_000, one.ack + 32_000)


def test_a_window_of_one_byte_is_filled_byte_by_byte(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    one.host.connection._snd_scale = 0
    with_window(one, 1)
    one.host.happen(Kind.SENDS, 1, ordeal.now)
    sizes = [len(said(heard)[3]) for heard in ordeal.heard()]
    for acked in range(1, 16):
        sizes += [len(text) for _, _, _, text in with_window(one, 1, acked)]
    assert sizes == [1] * 16


def test_a_window_that_opens_and_shuts_leaves_nothing_behind(ordeal: Ordeal) -> None:
    one = victim(ordeal)
    one.host.happen(Kind.SENDS, 60_000, ordeal.now)
    for _ in range(200):
        with_window(one, 0)
        ordeal.pass_time(0.3)
        with_window(one, 0xFFFF)
        ordeal.pass_time(0.1)
        ordeal.heard()
    assert one.host.sent <= RECEIVE_LIMIT
    assert one.state == "ESTABLISHED"
    assert len(ordeal.gateway._engine.timers._heap) < 20


# ── any text, in any pieces ──────────────────────────────────────────────────────────────────────


@given(
    pieces=st.lists(
        st.tuples(st.integers(-20, 60), st.binary(max_size=30), st.sampled_from(["A", "PA"])),
        max_size=12,
    )
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_each_byte_delivered_was_sent_for_its_place(
    pieces: list[tuple[int, bytes, str]],
) -> None:
    ordeal = Ordeal()
    one = victim(ordeal)
    possible: dict[int, set[int]] = {}
    for ahead, text, flags in pieces:
        one.hears(one.segment(flags, ahead, payload=text))
        for place, byte in enumerate(text, ahead):
            possible.setdefault(place, set()).add(byte)
    received = one.host.connection.rcv_nxt - one.seq
    assert len(one.host.delivered) == received
    assert all(byte in possible[place] for place, byte in enumerate(one.host.delivered))
    assert received not in possible, "a byte that has come is not missing"
    ordeal.wind_down()

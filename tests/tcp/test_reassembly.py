"""The reassembly queue against a map of what every number holds."""

from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.tcp.reassembly import MAX_BYTES, MAX_PIECES, Reassembly
from rootlessnet.tcp.sequence import MASK
from tests.tcp.playbook import guest_bytes


def drain(queue: Reassembly, start: int, position: int) -> tuple[bytes, bool]:
    """All that continues at `position`, and whether a FIN ended it."""
    data = b""
    while (piece := queue.take((start + position + len(data)) & MASK)) is not None:
        data += piece[0]
        if piece[1]:
            return data, True
    return data, False


@given(
    start=st.sampled_from([0, 1000, MASK, MASK - 50, MASK >> 1]),
    pieces=st.lists(st.tuples(st.integers(1, 120), st.integers(1, 60)), max_size=30),
    fin_at=st.none() | st.integers(1, 150),
    gap=st.integers(0, 40),
)
def test_what_continues_is_given_and_nothing_else(
    start: int, pieces: list[tuple[int, int]], fin_at: int | None, gap: int
) -> None:
    """Pieces lie ahead of number 0; then the bytes up to `gap` arrive."""
    queue, held = Reassembly(), set()
    end = 10_000 if fin_at is None else fin_at
    for at, size in pieces:
        length = min(size, end - at)
        if length <= 0:
            continue
        fin = at + length == end
        queue.insert((start + at) & MASK, guest_bytes(at, length), fin)
        held |= set(range(at, at + length))
        if fin:
            held.add(end)
    expected = gap
    while expected in held and expected < end:
        expected += 1
    data, finished = drain(queue, start, gap)
    assert data == guest_bytes(gap, expected - gap)
    assert finished == (expected == end and end in held and gap <= end)


def test_a_fin_alone() -> None:
    queue = Reassembly()
    queue.insert(100, b"", True)
    assert queue.take(99) is None
    assert drain(queue, 0, 100) == (b"", True)
    assert queue.take(100) is None


def test_a_repeat_is_not_kept_twice_unless_it_says_more() -> None:
    queue = Reassembly()
    queue.insert(100, b"abc", False)
    queue.insert(100, b"ab", False)
    queue.insert(100, b"abc", False)
    assert len(queue.pieces) == 1
    queue.insert(100, b"abcd", False)
    queue.insert(100, b"abcd", True)
    assert len(queue.pieces) == 3
    assert drain(queue, 0, 100) == (b"abcd", True)


def test_it_is_bounded_in_pieces() -> None:
    queue = Reassembly()
    for at in range(1, 2 * MAX_PIECES):
        queue.insert(2 * at, b"x", False)
    assert len(queue.pieces) == MAX_PIECES


def test_it_is_bounded_in_bytes_and_empty_again_when_it_was_taken() -> None:
    queue, piece = Reassembly(), bytes(65536)
    for at in range(40):
        queue.insert(1 + at * len(piece), piece, False)
    assert sum(len(data) for _, data, _ in queue.pieces) == MAX_BYTES
    assert len(drain(queue, 0, 1)[0]) == MAX_BYTES
    queue.insert(5, piece, False)
    assert len(queue.pieces) == 1, "there is room again"
    queue.clear()
    assert queue.take(5) is None

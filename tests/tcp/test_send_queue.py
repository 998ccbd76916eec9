"""The send queue against a plain string of bytes."""

from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.tcp.send_queue import SendQueue

FRACTION = st.floats(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.binary(min_size=1, max_size=300)),
        st.tuples(st.just("discard"), FRACTION),
        st.tuples(st.just("read"), st.tuples(FRACTION, FRACTION)),
        st.tuples(st.just("clear"), st.none()),
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_it_is_a_string_that_loses_its_head(
    steps: list[tuple[str, bytes | float | tuple[float, float] | None]],
) -> None:
    queue, model = SendQueue(), b""
    for name, argument in steps:
        match name, argument:
            case "append", bytes(data):
                queue.append(data)
                model += data
            case "discard", float(part):
                count = round(part * len(model))
                queue.discard(count)
                model = model[count:]
            case "read", (float(start), float(part)):
                offset = round(start * len(model))
                length = round(part * (len(model) - offset))
                assert bytes(queue.read(offset, length)) == model[offset : offset + length]
            case _:
                queue.clear()
                model = b""
        assert queue.size == len(model)
    assert bytes(queue.read(0, queue.size)) == model


def test_a_piece_is_read_by_reference() -> None:
    queue, piece = SendQueue(), bytes(100)
    queue.append(piece)
    queue.append(b"other")
    view = queue.read(10, 90)
    assert isinstance(view, memoryview)
    assert view.obj is piece
    assert queue.read(99, 2) == b"\0o"

"""Messages survive the way, with their descriptors, and the end of a peer is noticed."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.errors import CommandError, RootlessnetError
from rootlessnet.netns.messages import MESSAGE_MAX, Channel, Kind, Message


@given(
    st.sampled_from(Kind), st.integers(-(2**31), 2**31 - 1), st.text(st.characters(codec="utf-8"))
)
def test_decode_inverts_encode(kind: Kind, number: int, text: str) -> None:
    message = Message(kind, number, text)
    assert Message.decode(message.encode()) == message


def test_text_need_not_be_unicode() -> None:
    message = Message(Kind.FAILED, 1, os.fsdecode(b"caf\xe9"))
    assert Message.decode(message.encode()).text == message.text


def test_text_too_long_is_cut() -> None:
    assert len(Message(Kind.FAILED, 1, "x" * MESSAGE_MAX).encode()) == MESSAGE_MAX


def test_descriptors_arrive() -> None:
    ours, theirs = Channel.pair()
    read, write = os.pipe()
    assert ours.send(Message(Kind.TAP, descriptors=(read,)))
    message = theirs.receive(0)
    assert message is not None
    (received,) = message.descriptors
    assert not os.get_inheritable(received)
    os.write(write, b"through")
    assert os.read(received, 10) == b"through"
    for descriptor in (read, write, received):
        os.close(descriptor)
    ours.close()
    theirs.close()


def test_messages_keep_their_bounds() -> None:
    ours, theirs = Channel.pair()
    ours.send(Message(Kind.SIGNAL, 1))
    ours.send(Message(Kind.SIGNAL, 2))
    assert theirs.receive(0) == Message(Kind.SIGNAL, 1)
    assert theirs.receive(0) == Message(Kind.SIGNAL, 2)
    assert not theirs.readable()
    with pytest.raises(TimeoutError):
        theirs.receive(0)
    ours.close()
    theirs.close()


def test_end_of_the_peer() -> None:
    ours, theirs = Channel.pair()
    theirs.send(Message(Kind.EXITED, 3))
    theirs.close()
    assert not ours.send(Message(Kind.START))
    assert ours.receive(0) == Message(Kind.EXITED, 3)
    assert ours.receive(0) is None
    with pytest.raises(RootlessnetError, match="the peer ended too early"):
        ours.expect(Kind.TAP, "the peer")
    ours.close()


def test_end_of_a_peer_that_did_not_read() -> None:
    ours, theirs = Channel.pair()
    ours.send(Message(Kind.START))
    theirs.close()
    assert ours.receive(0) is None
    ours.close()


def test_what_the_kernel_refused_is_raised_on_the_other_side() -> None:
    with pytest.raises(PermissionError):
        Message(Kind.REFUSED, errno.EPERM).raise_if_failed()


@pytest.mark.parametrize(
    "error",
    [RootlessnetError("no device"), CommandError("not found", 127), CommandError("no", 126)],
)
def test_errors_are_raised_on_the_other_side(error: RootlessnetError) -> None:
    ours, theirs = Channel.pair()
    theirs.send(Message.failed(error))
    with pytest.raises(RootlessnetError, match=str(error)) as caught:
        ours.expect(Kind.TAP, "the peer")
    assert type(caught.value) is type(error)
    assert caught.value.exit_status == error.exit_status
    ours.close()
    theirs.close()

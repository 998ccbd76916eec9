"""Requests for the fuzzer: what a client says to a control socket, or to slirp4netns's API socket.

An input is a byte that says to which and whether that is all, then what is said. An answer is one
line that its own side reads.
"""

import asyncio
import json

from rootlessnet.config import AttachConfig
from rootlessnet.control.api import Objects
from rootlessnet.control.clients import MORE, Conversation
from rootlessnet.control.description import InstanceDescription, describe
from rootlessnet.control.protocol import ANSWER_SIZE, STOP_SECONDS_MOST, decode_answer
from rootlessnet.control.requests import MOST_PORTS
from rootlessnet.control.server import Lines
from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Forward, parse_forwards

API, COMPLETE = 1, 2  # bits of the first byte
TAKEN = 666  # a port that cannot be had
_CONFIG = AttachConfig(7)
_TELLTALE = tuple(map(chr, (*range(0x20), *range(0x7F, 0xA0))))  # what no line for a user has


class _Instance:
    """One that publishes nothing, and knows what it would."""

    def __init__(self) -> None:
        self.published: tuple[Forward, ...] = (Forward(80, 80), Forward(53, 53, "udp"))

    def describe(self) -> InstanceDescription:
        return describe(_CONFIG, "web", 1, 1.5, tuple(map(str, self.published)))

    def publish(self, *forwards: Forward | str) -> tuple[Forward, ...]:
        assert len(forwards) <= MOST_PORTS
        for one in forwards[::1000]:  # for speed; a range has them all alike
            assert parse_forwards(str(one)) == (one,)
        for one in forwards:
            assert isinstance(one, Forward)
            _CONFIG.network.require_guest(one)
            if TAKEN in (one.host_port, one.guest_port) or one in self.published:
                raise RootlessnetError(f"cannot publish {one}: the port is taken")
        self.published += tuple(one for one in forwards if isinstance(one, Forward))
        return self.published[len(self.published) - len(forwards) :]

    def placed(self, forward: Forward) -> Forward:
        return forward

    def withdraw(self, forward: Forward) -> None:
        self.published = tuple(one for one in self.published if one != forward)

    def terminate(self, seconds: float) -> None:
        assert 0 <= seconds <= STOP_SECONDS_MOST


_LOOP = asyncio.new_event_loop()  # which never runs


def encode(said: bytes, *, api: bool = False, complete: bool = False) -> bytes:
    """The input with this."""
    return bytes((API * api | COMPLETE * complete,)) + said


def explain(data: bytes) -> list[object]:
    """What is said, and whether to the API and whether that is all."""
    kind = data[0] if data else 0
    return [data[1:], bool(kind & API), bool(kind & COMPLETE)]


def play(data: bytes) -> None:
    """Raises whatever is wrong with how a request is answered."""
    kind, said = (data[0], data[1:]) if data else (0, b"")
    instance = _Instance()
    conversation: Conversation
    if kind & API:
        conversation = Objects(instance, _CONFIG.network.guest)
    else:
        conversation = Lines(_LOOP, instance)
    answer = conversation.answer(said, complete=bool(kind & COMPLETE))
    if not isinstance(answer, bytes):
        assert answer != MORE or not kind & COMPLETE
    elif kind & API:
        _check_object(answer)
    elif answer:
        _check_line(answer)


def _check_object(answer: bytes) -> None:
    match json.loads(answer):
        case {"error": {"desc": str() as message}}:
            _check_message(message)
        case {"return": dict()}:
            pass
        case other:
            raise AssertionError(other)


def _check_line(answer: bytes) -> None:
    assert answer.count(b"\n") == 1
    assert len(answer) <= ANSWER_SIZE
    try:
        decode_answer(answer)
    except RootlessnetError as error:
        _check_message(str(error))


def _check_message(message: str) -> None:
    assert message
    assert not any(one in message for one in _TELLTALE)

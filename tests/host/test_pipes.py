"""Pipes that many connections share: their number has a bound, and none is lost."""

import os

import pytest

from rootlessnet.host import pipes as pipes_module
from rootlessnet.host.pipes import Pipes
from tests.host.world import descriptors, no_descriptor_left


def test_one_that_was_given_back_is_taken_again() -> None:
    before = descriptors()
    pipes = Pipes()
    pipe = pipes.take()
    assert pipe is not None
    pipes.give_back(pipe)
    assert pipes.take() is pipe
    pipes.give_back(pipe)
    pipes.close()
    assert descriptors() == before


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one that was discarded no longer counts for."""
    monkeypatch.setattr(pipes_module, "_MAX_PIPES", 2)
    pipes = Pipes()
    first, second = pipes.take(), pipes.take()
    assert first is not None
    assert second is not None
    assert pipes.take() is None
    os.write(first.write, b"left")
    pipes.discard(first)
    third = pipes.take()
    assert third is not None
    assert pipes.take() is None
    for one in (second, third):
        pipes.give_back(one)
    pipes.close()


def test_no_descriptor_is_left() -> None:
    pipes = Pipes()
    with no_descriptor_left():
        assert pipes.take() is None
    pipe = pipes.take()
    assert pipe is not None
    pipes.discard(pipe)

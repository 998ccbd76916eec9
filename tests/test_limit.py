"""Limits that a user sets: words to bounds, and what each bound then does."""

from dataclasses import asdict, replace

import pytest

from rootlessnet.bounds import DEFAULTS, RANGES, Bounds
from rootlessnet.config import NetworkConfig
from rootlessnet.errors import UsageError
from rootlessnet.limit import bounds_of, defaults, parse_limit
from rootlessnet.tcp.engine import Engine
from rootlessnet.tcp.interface import WINDOW_SCALE
from rootlessnet.tcp.timers import Timers
from tests.stack import world as world_module
from tests.stack.tcp_guest import established
from tests.stack.world import World


def test_every_bound_has_a_range_with_its_default() -> None:
    assert list(asdict(DEFAULTS)) == list(RANGES)
    for name, value in asdict(DEFAULTS).items():
        assert value in RANGES[name], name
    assert bounds_of(map(parse_limit, defaults())) == DEFAULTS


@pytest.mark.parametrize("name", list(RANGES))
def test_the_ends_of_each_range(name: str) -> None:
    word = name.replace("_", "-")
    for possible in (RANGES[name][0], RANGES[name][-1]):
        bounds = bounds_of([parse_limit(f"{word}={possible}")])
        assert bounds == replace(DEFAULTS, **{name: possible})
        assert NetworkConfig(bounds=bounds).bounds == bounds
    for impossible in (RANGES[name][0] - 1, RANGES[name][-1] + 1):
        with pytest.raises(UsageError, match=f"{word}={impossible} is out of range: take "):
            NetworkConfig(bounds=replace(DEFAULTS, **{name: impossible}))


@pytest.mark.parametrize(
    "text",
    ["", "=", "tcp-flows", "tcp-flows=", "tcp-flows=x", "tcp-flows=-1", "tcp_flows=5", "x=5"],
)
def test_words_that_are_no_limit(text: str) -> None:
    with pytest.raises(UsageError, match="is none: write one of tcp-flows=32768, "):
        parse_limit(text)


def test_a_window_of_any_size_can_be_said() -> None:
    assert RANGES["tcp_connection_bytes"][-1] == 0xFFFF << WINDOW_SCALE


def test_memory_of_connections() -> None:
    engine = Engine(Timers(), bytes(16), Bounds(tcp_bytes=5 << 20, tcp_connection_bytes=70_000))
    assert (engine.spare, engine.connection_limit) == (5 << 20, 70_000)


def test_the_window_is_as_wide_as_a_connection_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(tcp_connection_bytes=70_000))
    host, _ = established(World())
    connection = host.connection
    assert connection._rcv_limit == 70_000
    assert (connection._rcv_adv - connection.rcv_nxt) <= 70_000
    assert connection.room() <= 70_000

"""Either family, and the ordeal of the hostile tests."""

from collections.abc import Iterator

import pytest

from tests.stack.ordeal import Ordeal
from tests.stack.side import V4, V6, Side
from tests.stack.tcp_guest import ISN, established, said
from tests.stack.world import tcp


@pytest.fixture(params=[V4, V6], ids=["ipv4", "ipv6"], scope="session")
def side(request: pytest.FixtureRequest) -> Side:
    """IPv4, and then IPv6."""
    assert isinstance(request.param, Side)
    return request.param


@pytest.fixture
def ordeal() -> Iterator[Ordeal]:
    """A gateway with a well-behaved connection, which must go on; in the end nothing is left."""
    world = Ordeal()
    bystander, number = established(world, sport=50000)
    yield world
    world.heard()
    world.send(tcp("PA", seq=ISN + 1, ack=number, payload=b"request", sport=50000))
    assert bystander.delivered == b"request"
    bystander.connection.send(b"response", world.now)
    assert said(world.heard_one()) == ("PA", number, ISN + 8, b"response")
    world.send(tcp("A", seq=ISN + 8, ack=number + 8, sport=50000))
    assert world.heard() == []
    world.wind_down()

"""What the tests of host/ share: a loop on which nothing may fail, and sockets of the far end."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest
import uvloop

from rootlessnet.host.forwards import Forwards
from rootlessnet.log import Log
from rootlessnet.stack.host import SocketAddress
from tests.host.recorder import Opened, open_on
from tests.host.world import LOOPBACK, LOOPBACK_6, FarEnd, HostReactor, HostWorld

MakeWorld = Callable[[Sequence[SocketAddress]], HostWorld]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop of the product. An exception in a callback fails the test."""
    failures: list[object] = []
    made = uvloop.new_event_loop()
    made.set_exception_handler(lambda _loop, context: failures.append(context))
    yield made
    made.close()
    assert failures == []


@pytest.fixture
def reactor(loop: asyncio.AbstractEventLoop) -> Iterator[HostReactor]:
    made = HostReactor(loop)
    yield made
    made.close()


@pytest.fixture
def make_world(reactor: HostReactor) -> Iterator[MakeWorld]:
    """For a world with these nameservers."""
    with ExitStack() as stack:

        def make(servers: Sequence[SocketAddress]) -> HostWorld:
            world = HostWorld(reactor, servers)
            stack.callback(world.close)
            return world

        yield make


@pytest.fixture
def world(make_world: MakeWorld) -> HostWorld:
    return make_world(())


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    with ExitStack() as stack:
        yield FarEnd(stack)


@pytest.fixture
def told() -> list[str]:
    """What is to be told to the user of `forwards`."""
    return []


@pytest.fixture
def forwards(world: HostWorld, told: list[str]) -> Iterator[Forwards]:
    log = Log(lambda _level, text: told.append(text))
    made = Forwards(world.reactor, world.gateway, world.host, log)
    yield made
    made.close_all()


@pytest.fixture(params=[LOOPBACK, LOOPBACK_6])
def opened(
    reactor: HostReactor, far_end: FarEnd, request: pytest.FixtureRequest
) -> Iterator[Opened]:
    made = open_on(reactor, far_end.udp(request.param))
    yield made
    made.datagrams.close()


@pytest.fixture
def peer(opened: Opened, far_end: FarEnd) -> socket.socket:
    """Of the same family."""
    return far_end.udp(opened.address[0])

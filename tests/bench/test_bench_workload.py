"""The agents: their words, and every kind of task between two of them on the bare host."""

from collections.abc import Iterator

import pytest

from bench.peers import Loopback
from bench.processes import User
from bench.session import Session, TaskError, begin, measure
from bench.workload import DATAGRAM, Kind, Task, default_route

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
tap0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tap0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    user = User.myself()
    opened = Session.open(Loopback(user), user, 65536)
    yield opened
    opened.ending.close()


def test_a_task_survives_its_way_to_the_agent() -> None:
    task = Task("udp_bulk", 1.5, serves=True, address="10.0.2.2", port=5, segmented=True)
    assert Task.from_json(task.to_json()) == task


def test_the_default_route_is_found() -> None:
    assert default_route(ROUTES) == ("tap0", "10.0.2.2")


def test_no_default_route() -> None:
    assert default_route("\n".join(ROUTES.splitlines()[:2])) == ("", "")


@pytest.mark.parametrize("kind", ["tcp_exchange", "udp_exchange", "tcp_connect"])
@pytest.mark.parametrize("forwarded", [False, True])
def test_exchanges_are_counted(session: Session, kind: Kind, forwarded: bool) -> None:
    halves = session.forwarded() if forwarded else session.outbound()
    tally = measure(Task(kind, 0.05, warm_up=0.01), *halves)
    assert tally.total >= 1
    assert tally.rate > 0


def test_64_connections_take_turns(session: Session) -> None:
    task = Task("tcp_exchange", 0.05, warm_up=0.01, connections=64)
    assert measure(task, *session.outbound()).total >= 64


@pytest.mark.parametrize("size", [1, 30])
def test_a_crowd_stays_until_it_was_looked_at(session: Session, size: int) -> None:
    server, client = session.outbound()
    task = Task("tcp_crowd", 0.05, warm_up=0.01, connections=size)
    begin(task, server, client)
    first, last = client.agent.gathered(task)
    assert first > 0
    assert last > 0
    client.agent.stop()
    assert client.agent.finish(task).rate > 0
    server.agent.stop()
    server.agent.finish(task)


@pytest.mark.parametrize("sends", [False, True])
@pytest.mark.parametrize("beside", [False, True])
def test_exchanges_are_timed_alone_and_beside_a_stream(
    session: Session, sends: bool, beside: bool
) -> None:
    task = Task("tcp_latency", 0.05, warm_up=0.01, connections=4, sends=sends, beside=beside)
    tally = measure(task, *session.outbound())
    assert tally.total >= 4
    assert tally.rate > 0


@pytest.mark.parametrize("sends", [False, True])
def test_a_receiver_stalls(session: Session, sends: bool) -> None:
    tally = measure(Task("tcp_stall", 0.05, warm_up=0.01, sends=sends), *session.outbound())
    assert tally.total > 0
    assert tally.rate > 0


@pytest.mark.parametrize("sends", [False, True])
@pytest.mark.parametrize("connections", [1, 8])
def test_streams_go_both_ways(session: Session, sends: bool, connections: int) -> None:
    task = Task("tcp_bulk", 0.05, warm_up=0.01, sends=sends, connections=connections)
    assert measure(task, *session.outbound()).total > 0


@pytest.mark.parametrize("sends", [False, True])
@pytest.mark.parametrize("segmented", [False, True])
def test_datagrams_go_both_ways(session: Session, sends: bool, segmented: bool) -> None:
    task = Task("udp_bulk", 0.05, warm_up=0.01, sends=sends, segmented=segmented)
    total = measure(task, *session.outbound()).total
    assert total > 0
    assert total % DATAGRAM == 0


def test_a_failure_says_why_and_the_agents_go_on(session: Session) -> None:
    server, client = session.outbound()
    hopeless = Task("tcp_exchange", 0.05, address=client.address, port=1)
    client.agent.begin(hopeless)
    with pytest.raises(TaskError, match="Connection refused"):
        client.agent.finish(hopeless)
    assert measure(Task("tcp_exchange", 0.05, warm_up=0.01), server, client).total > 0

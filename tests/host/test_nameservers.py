"""Which nameservers are asked, in which order; times are explicit."""

from rootlessnet.host.dns.nameservers import RETRY, Nameservers
from rootlessnet.stack.host import SocketAddress

FIRST, SECOND, THIRD = ("192.0.2.1", 53), ("2001:db8::1", 53), ("192.0.2.3", 53)
NOW = 1000.0


def order(servers: Nameservers) -> list[SocketAddress]:
    return [server.address for server in servers.in_order()]


def test_in_the_order_given_each_once() -> None:
    assert order(Nameservers([FIRST, SECOND, FIRST, THIRD])) == [FIRST, SECOND, THIRD]


def test_the_dead_come_last() -> None:
    servers = Nameservers([FIRST, SECOND, THIRD])
    first, second, _ = servers.in_order()
    first.failed(NOW)
    assert order(servers) == [SECOND, THIRD, FIRST]
    second.failed(NOW)
    assert order(servers) == [THIRD, FIRST, SECOND]
    first.answered(NOW)
    assert order(servers) == [FIRST, THIRD, SECOND]


def test_silence_is_death_unless_something_was_heard_meanwhile() -> None:
    servers = Nameservers([FIRST, SECOND])
    first, _ = servers.in_order()
    first.answered(NOW + 1)
    first.silent(NOW, NOW + 2)
    assert order(servers) == [FIRST, SECOND]
    first.silent(NOW + 1.5, NOW + 3.5)
    assert order(servers) == [SECOND, FIRST]


def test_a_dead_one_is_tried_again_now_and_then() -> None:
    servers = Nameservers([FIRST, SECOND])
    first, _ = servers.in_order()
    first.failed(NOW)
    assert servers.to_try(NOW + RETRY - 1) == []
    assert servers.to_try(NOW + RETRY) == [first]
    assert servers.to_try(NOW + RETRY) == []
    assert order(servers) == [SECOND, FIRST], "it has not answered yet"
    assert servers.to_try(NOW + 2 * RETRY) == [first]


def test_while_all_are_dead_they_are_asked_anyway() -> None:
    servers = Nameservers([FIRST, SECOND])
    for server in servers.in_order():
        server.failed(NOW)
    assert order(servers) == [FIRST, SECOND]
    assert servers.to_try(NOW + RETRY) == []


def test_others_begin_without_a_past() -> None:
    servers = Nameservers([FIRST, SECOND])
    servers.in_order()[0].failed(NOW)
    servers.replace([FIRST, THIRD])
    assert order(servers) == [FIRST, THIRD]
    servers.replace([])
    assert order(servers) == []

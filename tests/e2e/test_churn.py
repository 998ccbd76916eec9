"""Thousands of short connections from a hundred ports: every four-tuple returns after moments.

So each new connection meets what is left of the one before: a tombstone in the gateway, TIME_WAIT
in a kernel. A client that closes first would itself keep its port in TIME_WAIT for a minute: its
kernel is told to do without.

Read: RFC 9293 3.6.1 and 3.10.7.4 (MAY-2), tcp_max_tw_buckets in tcp(7).
"""

import pytest

from tests.e2e.addresses import IPV4, IPV6, Addresses
from tests.e2e.outside import make_outside, peer
from tests.e2e.test_tcp import inbound, outbound, published

COUNT = "5000"
TIMEOUT = 100  # seconds for what takes about five
NO_TIME_WAIT = "echo 0 > /proc/sys/net/ipv4/tcp_max_tw_buckets\n"

# Who closes first, as a server and a client that fit together.
CLOSES = [
    (IPV4, "echo", "close_first"),
    (IPV4, "answer_and_close", "close_second"),
    (IPV6, "echo", "close_first"),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("ip", "server", "client"), CLOSES, ids=str)
def test_ports_are_reused_outbound(ip: Addresses, server: str, client: str) -> None:
    guest = ("sh", "-euc", NO_TIME_WAIT + 'exec "$0" "$@"')
    with (
        make_outside() as outside,
        outside.program(*peer("tcp", server, ip.address, 5000, 0)).serving(),
    ):
        words = (*guest, *peer("tcp", client, ip.address, 5000, COUNT))
        assert outbound(outside, *words, timeout=TIMEOUT) == COUNT


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("ip", "server", "client"), CLOSES, ids=str)
def test_ports_are_reused_inbound(ip: Addresses, server: str, client: str) -> None:
    with (
        make_outside(NO_TIME_WAIT) as outside,
        published(outside, *peer("tcp", server, ip.every, 5000, 0)),
    ):
        words = peer("tcp", client, ip.address, 8080, COUNT)
        assert inbound(outside, *words, timeout=TIMEOUT) == COUNT

"""A gigabyte each way over one connection, at all MTUs, with the kernel's offload and without.

Read: docs/design.md, "Without offload".
"""

import pytest

from tests.e2e.addresses import IPV4, IPV6, Addresses
from tests.e2e.outside import Outside, peer
from tests.e2e.test_tcp import EACH_MTU, MTUS, inbound, outbound, published

COUNT = "1000000000"
ALL = [
    *((IPV4, f"--mtu {mtu}") for mtu in MTUS),
    *((IPV4, f"--mtu {mtu} --no-offload") for mtu in ("1500", "65520")),
    (IPV6, "--mtu 1500"),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("ip", "options"), ALL, ids=str)
def test_a_gigabyte_each_way_outbound(outside: Outside, ip: Addresses, options: str) -> None:
    with outside.program(*peer("tcp", "mirror", ip.address, 5000)).serving():
        client = peer("tcp", "trade", ip.address, 5000, COUNT)
        assert outbound(outside, *client, options=tuple(options.split()), timeout=290) == COUNT


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("ip", "mtu"), EACH_MTU, ids=str)
def test_a_gigabyte_each_way_inbound(outside: Outside, ip: Addresses, mtu: str) -> None:
    with published(outside, *peer("tcp", "mirror", ip.every, 5000), mtu=mtu):
        client = peer("tcp", "trade", ip.address, 8080, COUNT)
        assert inbound(outside, *client, timeout=110) == COUNT

"""A gigabyte each way over one connection, at all MTUs, with the kernel's offload and without.

Read: docs/design.md, "Without offload".
"""

import pytest

from tests.e2e.outside import ADDRESS, Outside, peer
from tests.e2e.test_tcp import MTUS, inbound, outbound, published

COUNT = "1000000000"
ALL = [
    *(("--mtu", mtu) for mtu in MTUS),
    *(("--mtu", mtu, "--no-offload") for mtu in ("1500", "65520")),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("options", ALL, ids=" ".join)
def test_a_gigabyte_each_way_outbound(outside: Outside, options: tuple[str, ...]) -> None:
    with outside.program(*peer("tcp", "mirror", ADDRESS, 5000)).serving():
        client = peer("tcp", "trade", ADDRESS, 5000, COUNT)
        assert outbound(outside, *client, options=options, timeout=290) == COUNT


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mtu", MTUS)
def test_a_gigabyte_each_way_inbound(outside: Outside, mtu: str) -> None:
    with published(outside, *peer("tcp", "mirror", "0.0.0.0", 5000), mtu=mtu):
        client = peer("tcp", "trade", ADDRESS, 8080, COUNT)
        assert inbound(outside, *client, timeout=110) == COUNT

"""An address of the loopback network for one guest."""

from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address, IPv4Network, ip_address

import pytest

from rootlessnet.errors import RootlessnetError
from rootlessnet.host import loopback_address
from rootlessnet.host.loopback_address import LoopbackAddress
from tests.conftest import find_free_port
from tests.host.world import FarEnd, descriptors


def draw(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """These are drawn, one after the other."""
    drawn: Iterator[IPv4Address] = map(IPv4Address, addresses)
    monkeypatch.setattr(loopback_address, "_draw", lambda: next(drawn))


def test_it_is_one_of_the_loopback_network_and_beyond_those_that_people_choose() -> None:
    with closing(LoopbackAddress()) as one:
        assert ip_address(one.address) in IPv4Network("127.0.0.0/8")
        assert ip_address(one.address) not in IPv4Network("127.0.0.0/16")


def test_nobody_else_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    draw(monkeypatch, "127.200.9.1", "127.200.9.1", "127.200.9.2", "127.200.9.1")
    with closing(LoopbackAddress()) as one, closing(LoopbackAddress()) as other:
        assert (str(one.address), str(other.address)) == ("127.200.9.1", "127.200.9.2")
    with closing(LoopbackAddress()) as again:
        assert str(again.address) == "127.200.9.1"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_another_program_listens_there(
    monkeypatch: pytest.MonkeyPatch, far_end: FarEnd, protocol: str
) -> None:
    bind = far_end.listen if protocol == "tcp" else far_end.udp
    bind("127.200.9.1", find_free_port())
    draw(monkeypatch, "127.200.9.1", "127.200.9.3")
    with closing(LoopbackAddress()) as one:
        assert str(one.address) == "127.200.9.3"


def test_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    draw(monkeypatch, *["127.200.9.1"] * 100)
    with closing(LoopbackAddress()):
        before = descriptors()
        with pytest.raises(RootlessnetError, match="name one with --host-ip"):
            LoopbackAddress()
        assert descriptors() == before

"""Which addresses the host has, asked of this machine's kernel."""

import socket
from ipaddress import ip_address

import pytest

from rootlessnet.errors import RootlessnetError
from rootlessnet.host import own_addresses
from rootlessnet.host.own_addresses import OwnAddresses
from tests.host.world import descriptors


@pytest.fixture
def own() -> OwnAddresses:
    return OwnAddresses()


@pytest.mark.parametrize(
    ("address", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.9.8.7", True),  # the host keeps all of its network
        ("255.255.255.255", True),
        ("192.0.2.250", False),
        ("::1", True),
        ("2001:db8::250", False),
    ],
)
def test_addresses(own: OwnAddresses, address: str, is_own: bool) -> None:
    for _ in range(3):
        assert (ip_address(address).packed in own) is is_own
    own.close()


def test_what_cannot_be_found_out_is_the_hosts_own(own: OwnAddresses) -> None:
    before = descriptors()
    own.close()
    own.close()
    assert len(before - descriptors()) == 1
    assert ip_address("192.0.2.250").packed in own


def test_answers_that_come_late_are_not_taken(own: OwnAddresses) -> None:
    """As after a question whose answer was lost sight of."""
    own._sequence += 1
    assert own._netlink is not None
    own._netlink.sendto(own_addresses._HEADER.pack(16, 0, 5, own._sequence, 0), (0, 0))
    assert ip_address("127.0.0.1").packed in own
    assert ip_address("192.0.2.250").packed not in own
    own.close()


def test_a_kernel_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError(1, "as a sandbox does")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(RootlessnetError, match="leave out --no-host-addresses"):
        OwnAddresses()

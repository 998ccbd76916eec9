"""Where what the guest opens comes from, as its far ends see it, all on the host's loopback."""

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest

from rootlessnet.errors import RootlessnetError
from rootlessnet.host.interfaces import address_of
from rootlessnet.host.sources import Sources
from rootlessnet.words import HostAddress


def source_of(sources: Sources, kind: socket.SocketKind, family: socket.AddressFamily) -> str:
    with socket.socket(family, kind) as one:
        if kind == socket.SOCK_DGRAM:
            sources.bind(one)
        else:
            sources.bind_before_connect(one, "192.0.2.1" if family == socket.AF_INET else "2001::1")
        return str(one.getsockname()[0])


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_an_address_is_for_its_family(kind: socket.SocketKind) -> None:
    sources = Sources([IPv4Address("127.0.0.2"), IPv6Address("::1")])
    assert source_of(sources, kind, socket.AF_INET) == "127.0.0.2"
    assert source_of(sources, kind, socket.AF_INET6) == "::1"
    only = Sources([IPv4Address("127.0.0.2")])
    assert source_of(only, kind, socket.AF_INET6) == "::"
    assert source_of(Sources(), kind, socket.AF_INET) == "0.0.0.0"


@pytest.mark.parametrize(
    ("remote", "bound"), [("127.0.0.1", "0.0.0.0"), ("128.0.0.1", "127.0.0.2")]
)
def test_the_loopback_is_left_to_the_kernel(remote: str, bound: str) -> None:
    with socket.socket() as one:
        Sources([IPv4Address("127.0.0.2")]).bind_before_connect(one, remote)
        assert one.getsockname()[0] == bound


def test_connections_share_a_port() -> None:
    """The kernel chooses it with the connection: none is taken before."""
    with socket.socket() as one:
        Sources([IPv4Address("127.0.0.2")]).bind_before_connect(one, "192.0.2.1")
        assert one.getsockname() == ("127.0.0.2", 0)


@pytest.mark.parametrize("address", [IPv4Address("192.0.2.250"), IPv6Address("2001:db8::fa")])
def test_an_address_that_is_not_here(address: HostAddress) -> None:
    with pytest.raises(RootlessnetError) as raised:
        Sources([address])
    assert str(raised.value) == (
        f"cannot send from {address} (Cannot assign requested address): "
        "take an address of this host"
    )


def test_the_address_of_an_interface() -> None:
    assert address_of("lo", 4) == IPv4Address("127.0.0.1")
    assert address_of("nosuch0", 4) is None
    assert address_of("a/b", 4) is None
    assert address_of("nosuch0", 6) is None
    assert address_of("lo", 6) is None  # ::1 is no global address

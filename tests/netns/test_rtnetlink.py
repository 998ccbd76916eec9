"""Requests to this machine's own kernel that change nothing; what changes something is e2e's."""

import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address

import pytest

from rootlessnet.netns import rtnetlink
from rootlessnet.netns.rtnetlink import Rtnetlink

NOBODY = 2**31 - 1  # the index of no interface


@pytest.fixture
def netlink() -> Iterator[Rtnetlink]:
    with closing(Rtnetlink()) as one:
        yield one


def test_addresses_come_with_their_interfaces(netlink: Rtnetlink) -> None:
    assert (IPv4Address("127.0.0.1"), socket.if_nametoindex("lo")) in netlink.addresses(
        socket.AF_INET
    )


def test_a_dump_has_one_family(netlink: Rtnetlink) -> None:
    assert all(
        isinstance(address, IPv6Address) for address, _ in netlink.addresses(socket.AF_INET6)
    )


def test_one_socket_serves_one_request_after_the_other(netlink: Rtnetlink) -> None:
    assert netlink.addresses(socket.AF_INET) == netlink.addresses(socket.AF_INET)
    assert netlink.default_routes(socket.AF_INET) == netlink.default_routes(socket.AF_INET)


def test_what_the_kernel_refuses_is_an_error(netlink: Rtnetlink) -> None:
    # The latter to a user who may not ask for such a thing at all.
    with pytest.raises(OSError, match=r"No such device|Operation not permitted"):
        netlink.set_link(NOBODY, {rtnetlink.IFLA_MTU: 1500})
    assert netlink.addresses(socket.AF_INET)  # and the socket goes on


def test_messages_begin_at_multiples_of_four() -> None:
    first = struct.pack("=IHHIIB", 17, 20, 0, 0, 0, 7)
    second = struct.pack("=IHHIIi", 20, 3, 0, 0, 0, 0)
    assert list(rtnetlink.split(first + bytes(3) + second)) == [(20, first), (3, second)]


def test_attributes_begin_at_multiples_of_four() -> None:
    head, first, second = bytes(7), struct.pack("=HHB", 5, 1, 8), struct.pack("=HHI", 8, 4, 9)
    message = struct.pack("=IHHII", 40, 16, 0, 0, 0) + head + bytes(1) + first + bytes(3) + second
    told = rtnetlink.read_attributes(message, struct.Struct("=7x"))
    assert told == {1: b"\x08", 4: struct.pack("=I", 9)}

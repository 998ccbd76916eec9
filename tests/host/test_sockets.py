"""The sockets that the stack asks for, by what they do."""

import errno
import socket
from functools import partial
from ipaddress import ip_address

import pytest
from hypothesis import given
from scapy.layers.inet import ICMP, IP

from rootlessnet.stack.host import PMTU_WANT
from rootlessnet.wire.families import IPV4, IPV6, Family
from tests.host.conftest import MakeWorld
from tests.host.recorder import Recorder
from tests.host.world import (
    LOOPBACK,
    LOOPBACK_6,
    FarEnd,
    HostReactor,
    HostWorld,
    address_of,
    descriptors,
    no_descriptor_left,
)
from tests.stack.world import DNS, assert_unreachable, echo, udp
from tests.wire.oracle import addresses_6, patient

ECHO_REQUEST = bytes.fromhex("0800 0000 0001 0002") + b"data"
HOST_UNREACHABLE, ADMIN_PROHIBITED = 1, 13


def may_ping() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
    except PermissionError:
        return False
    return True


needs_ping = pytest.mark.skipif(not may_ping(), reason="no ping sockets: net.ipv4.ping_group_range")


@needs_ping
@pytest.mark.parametrize("family", [IPV4, IPV6], ids=["ipv4", "ipv6"])
def test_echo(reactor: HostReactor, world: HostWorld, family: Family) -> None:
    recorder, loopback = Recorder(), {4: LOOPBACK, 6: LOOPBACK_6}[family.version]
    ping = world.host.open_echo(recorder, family)
    request = bytes([family.icmp.echo_request]) + ECHO_REQUEST[1:]
    ping.send(request, (loopback, 0), 0, 63, PMTU_WANT)
    reactor.wait(lambda: recorder.datagrams, "an answer")
    ((answer, remote, segment),) = recorder.datagrams
    assert (answer[:2], answer[6:], remote, segment) == (
        bytes([family.icmp.echo_reply, 0]),
        ECHO_REQUEST[6:],
        (loopback, 0),
        0,
    )


def test_a_socket_of_ipv6_has_nothing_to_do_with_ipv4(
    reactor: HostReactor, world: HostWorld
) -> None:
    recorder = Recorder()
    datagrams = world.host.open_udp(recorder, IPV6)
    reactor.run(partial(datagrams.send, b"x", ("::ffff:127.0.0.1", 9), 0, 63, PMTU_WANT))
    assert [(remote, error) for _, remote, error in recorder.refusals] == [
        (("::ffff:127.0.0.1", 9), errno.ENETUNREACH)
    ]


@given(addresses_6)
@patient
def test_the_kernel_writes_addresses_as_the_stack_does(address: bytes) -> None:
    """By their text the stack knows from whom a datagram is."""
    if address[0]:  # others lead nowhere
        assert socket.inet_ntop(socket.AF_INET6, address) == str(ip_address(address))


def test_each_udp_socket_has_a_port_of_its_own(world: HostWorld, far_end: FarEnd) -> None:
    server = far_end.udp()
    for _ in range(2):
        send = world.host.open_udp(Recorder(), IPV4).send
        world.reactor.run(partial(send, b"datagram", address_of(server), 0, 63, PMTU_WANT))
    (_, first), (_, second) = (server.recvfrom(100) for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("packet", "code"),
    [(udp(dst="192.0.2.1"), HOST_UNREACHABLE), (echo(), ADMIN_PROHIBITED)],
    ids=["udp", "echo"],
)
def test_no_descriptor_is_left(world: HostWorld, packet: IP, code: int) -> None:
    before = descriptors()
    with no_descriptor_left():
        world.send(packet)
    (answer,) = world.heard()
    assert_unreachable(answer, packet, code)
    assert ICMP in answer
    assert descriptors() == before


def test_queries_go_to_the_nameservers(make_world: MakeWorld, far_end: FarEnd) -> None:
    server = far_end.udp()
    world = make_world([address_of(server)])
    query = bytes.fromhex("beef 0100 0001 0000 0000 0000") + b"\4name\0\0\1\0\1"
    world.send(udp(query, dst=DNS, dport=53))
    asked, client = server.recvfrom(1000)
    server.sendto(asked[:2] + b"\x81\x80" + asked[4:], client)
    (answer,) = world.hear()
    assert answer[IP].src == DNS
    assert bytes(answer[IP].payload)[8:] == query[:2] + b"\x81\x80" + query[4:]

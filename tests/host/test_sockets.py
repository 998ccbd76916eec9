"""The sockets that the stack asks for, by what they do."""

import socket

import pytest
from scapy.layers.inet import ICMP, IP

from rootlessnet.stack.host import PMTU_WANT
from rootlessnet.wire.families import IPV4
from tests.host.conftest import MakeWorld
from tests.host.recorder import Recorder
from tests.host.world import (
    LOOPBACK,
    FarEnd,
    HostReactor,
    HostWorld,
    address_of,
    descriptors,
    no_descriptor_left,
)
from tests.stack.world import DNS, assert_unreachable, echo, udp

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
def test_echo(reactor: HostReactor, world: HostWorld) -> None:
    recorder = Recorder()
    ping = world.host.open_echo(recorder, IPV4)
    ping.send(ECHO_REQUEST, (LOOPBACK, 0), 0, 63, PMTU_WANT)
    reactor.wait(lambda: recorder.datagrams, "an answer")
    ((answer, remote, segment),) = recorder.datagrams
    assert (answer[:2], answer[6:], remote, segment) == (
        b"\0\0",
        ECHO_REQUEST[6:],
        (LOOPBACK, 0),
        0,
    )


def test_each_udp_socket_has_a_port_of_its_own(world: HostWorld, far_end: FarEnd) -> None:
    server = far_end.udp()
    for _ in range(2):
        world.host.open_udp(Recorder(), IPV4).send(
            b"datagram", address_of(server), 0, 63, PMTU_WANT
        )
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

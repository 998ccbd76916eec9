"""Host datagram sockets: datagrams come and go, bursts stay bursts."""

import socket
import struct

import pytest
from scapy.layers.inet import ICMP, UDP

from rootlessnet.stack.host import PMTU_DO, PMTU_DONT, PMTU_WANT
from tests.host.recorder import Opened, open_on
from tests.host.world import (
    LOOPBACK,
    LOOPBACK_6,
    FarEnd,
    HostReactor,
    HostWorld,
    address_of,
    port_of,
)
from tests.stack.world import GATEWAY, GATEWAY_6, head, udp

UDP_SEGMENT = 103  # linux/udp.h
IP_MTU_DISCOVER, IP_RECVTTL = 10, 12  # linux/in.h
IPV6_MTU_DISCOVER = 23  # linux/in6.h
MANY = 200  # datagrams, more than are read in one go


@pytest.mark.parametrize("payload", [b"", b"datagram", bytes(65507)], ids=len)
def test_there_and_back(opened: Opened, peer: socket.socket, payload: bytes) -> None:
    opened.send(payload, address_of(peer))
    data, (host, port, *_) = peer.recvfrom(65535)
    assert (data, (host, port)) == (payload, opened.address)
    peer.sendto(payload, opened.address)
    recorder = opened.recorder
    opened.reactor.wait(lambda: recorder.datagrams, "a datagram")
    assert recorder.datagrams == [(payload, address_of(peer), 0)]
    assert recorder.errors == []
    assert recorder.refusals == []


def test_a_burst_arrives_as_one(opened: Opened, peer: socket.socket) -> None:
    """UDP_GRO on our side; the sender has cut it by UDP_SEGMENT, the last one is shorter."""
    burst = bytes(range(250)) * 10
    segment = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", 1000))]
    peer.sendmsg([burst], segment, 0, opened.address)
    opened.reactor.wait(lambda: opened.recorder.datagrams, "a burst")
    assert opened.recorder.datagrams == [(burst, address_of(peer), 1000)]


@pytest.mark.parametrize(
    ("size", "segment", "sizes"),
    [
        (2500, 1000, [1000, 1000, 500]),
        (1000, 1000, [1000]),  # no burst
        (999, 1000, [999]),
        (MANY * 10, 10, [10] * MANY),  # more than the kernel cuts in one go
    ],
)
def test_a_burst_leaves_as_datagrams(
    opened: Opened, peer: socket.socket, size: int, segment: int, sizes: list[int]
) -> None:
    burst = (bytes(range(250)) * 10)[:size]
    opened.send(memoryview(burst), address_of(peer), segment)
    datagrams = [peer.recv(65535) for _ in sizes]
    assert [len(one) for one in datagrams] == sizes
    assert b"".join(datagrams) == burst


class Counted(socket.socket):
    """A socket that counts its settings."""

    settings = 0

    def setsockopt(self, *arguments: object) -> None:
        self.settings += 1
        super().setsockopt(*arguments)  # type: ignore[call-overload]


def test_ttl_and_df_are_those_of_the_datagram(reactor: HostReactor, far_end: FarEnd) -> None:
    counted, peer = Counted(socket.AF_INET, socket.SOCK_DGRAM), far_end.udp()
    peer.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    opened = open_on(reactor, counted)
    counted.settings = 0
    for hop_limit, discovery, settings in (
        (63, PMTU_WANT, 1),  # as it stands in the first datagram
        (63, PMTU_WANT, 0),  # and in nearly all that follow
        (5, PMTU_WANT, 1),
        (5, PMTU_DONT, 1),
        (5, PMTU_DONT, 0),
        (1, PMTU_DO, 2),
    ):
        opened.send(b"datagram", address_of(peer), hop_limit=hop_limit, discovery=discovery)
        _, ancillary, _, _ = peer.recvmsg(100, 100)
        assert ancillary == [(socket.IPPROTO_IP, socket.IP_TTL, struct.pack("=i", hop_limit))]
        assert counted.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER) == discovery
        assert counted.settings == settings
        counted.settings = 0
    opened.send(b"to the host itself", address_of(peer), hop_limit=0)
    assert counted.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 1
    opened.datagrams.close()


def test_hops_are_those_of_the_datagram_in_ipv6(reactor: HostReactor, far_end: FarEnd) -> None:
    counted, peer = Counted(socket.AF_INET6, socket.SOCK_DGRAM), far_end.udp(LOOPBACK_6)
    peer.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    opened = open_on(reactor, counted)
    counted.settings = 0
    for hop_limit, settings in ((63, 2), (63, 0), (5, 1), (0, 1)):
        opened.send(b"datagram", address_of(peer), hop_limit=hop_limit, discovery=PMTU_DONT)
        _, ancillary, _, _ = peer.recvmsg(100, 100)
        hops = struct.pack("=i", max(hop_limit, 1))
        assert ancillary == [(socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, hops)]
        assert counted.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER) == PMTU_DONT
        assert counted.settings == settings
        counted.settings = 0
    opened.datagrams.close()


def test_others_get_their_turn(opened: Opened, peer: socket.socket) -> None:
    for _ in range(MANY):
        peer.sendto(b"datagram", opened.address)
    received = opened.recorder.datagrams
    turns: list[int] = []

    def take_turn() -> None:
        turns.append(len(received))
        if len(received) < MANY:
            opened.reactor.defer(take_turn)

    take_turn()
    opened.reactor.wait(lambda: turns[-1] == MANY, "all of them")
    assert any(0 < already < MANY for already in turns)


def test_the_receiver_closes_the_socket(reactor: HostReactor, far_end: FarEnd) -> None:
    opened, peer = open_on(reactor, far_end.udp()), far_end.udp()
    opened.recorder.closes = True
    address = opened.address
    for _ in range(3):
        peer.sendto(b"datagram", address)
    reactor.wait(lambda: opened.recorder.datagrams, "a datagram")
    reactor.let_run()
    assert len(opened.recorder.datagrams) == 1


@pytest.mark.parametrize(
    ("gateway", "loopback"), [(GATEWAY, LOOPBACK), (GATEWAY_6, LOOPBACK_6)], ids=["ipv4", "ipv6"]
)
def test_the_guest_is_answered(
    world: HostWorld, far_end: FarEnd, gateway: str, loopback: str
) -> None:
    server = far_end.udp(loopback)
    world.send(udp(b"question", dst=gateway, dport=port_of(server)))
    question, client = server.recvfrom(100)
    server.sendto(question + b"!", client)
    (answer,) = world.hear()
    assert (head(answer).src, answer[UDP].sport) == (gateway, port_of(server))
    assert bytes(answer[UDP].payload) == b"question!"
    assert ICMP not in answer

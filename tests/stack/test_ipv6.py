"""What the gateway owes an IPv6 packet and an IPv4 packet has not, or has by other numbers.

Read: RFC 8200 4 and 5, RFC 4443 2.4 (which errors nobody is told) and 3.
"""

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.packet import Packet, Raw

from rootlessnet.stack.host import PMTU_DONT
from tests.stack.world import (
    DNS_6,
    GATEWAY_6,
    GATEWAY_LINK_LOCAL,
    GUEST_6,
    REMOTE_6,
    FakeTcp,
    World,
    echo,
    packet,
    tcp,
    udp,
)

GROUP = "ff02::1"
UNKNOWN_OPTION = IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0xC2)])
UNKNOWN_OPTION_ALSO_TO_MANY = IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x82)])


def extended(chain: Packet, dst: str = REMOTE_6, src: str | None = None) -> Packet:
    """A datagram behind extension headers."""
    chain = chain.copy()
    chain.lastlayer().nh = 17
    return packet(dst, src) / chain / udp(dst=dst, src=src).payload


def with_hops(one: Packet, hops: int) -> Packet:
    one.hlim = hops
    return one


def quote_of(answer: Packet) -> bytes:
    return bytes(answer[IPv6])[48:]


# ── hops ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hops", [0, 1])
@pytest.mark.parametrize(
    "one",
    [
        udp(b"probe", dst=REMOTE_6),
        udp(bytes(1400), dst=REMOTE_6),
        udp(b"probe", dst=REMOTE_6, src="fd00::50"),
        echo(b"probe", REMOTE_6),
        tcp("S", dst=REMOTE_6),
        packet(REMOTE_6) / Raw(b"12345678"),
    ],
    ids=lambda one: one.summary(),
)
def test_time_exceeded(one: Packet, hops: int) -> None:
    world, one = World(), with_hops(one.copy(), hops)
    answer = world.ask(one)
    assert (answer[IPv6].src, answer[IPv6].dst) == (GATEWAY_6, one.src)
    assert answer[ICMPv6TimeExceeded].code == 0
    assert quote_of(answer) == bytes(one)[:1232]
    assert len(answer[IPv6]) <= 1280
    assert [world.host.udp, world.host.tcp, world.host.echo] == [[], [], []]


@pytest.mark.parametrize("address", [GATEWAY_6, DNS_6, GATEWAY_LINK_LOCAL])
def test_what_is_for_the_stack_itself_has_arrived(address: str) -> None:
    assert World().ask(with_hops(echo(dst=address), 1))[IPv6].payload.type == 129


def test_each_datagram_has_its_own_hops_and_is_fragmented_at_need() -> None:
    world = World()
    for hops in (64, 2, 255):
        world.send(with_hops(udp(dst=REMOTE_6), hops))
        world.send(with_hops(echo(dst=REMOTE_6), hops))
    for socket in (*world.host.udp, *world.host.echo):
        assert socket.carried == [(hops, PMTU_DONT) for hops in (63, 1, 254)]


# ── extension headers ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "chain",
    [
        IPv6ExtHdrHopByHop(),
        IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x1E)]),
        IPv6ExtHdrRouting(segleft=0),
        IPv6ExtHdrFragment(id=1),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(id=1),
    ],
    ids=lambda chain: chain.summary(),
)
def test_what_is_behind_them_goes_its_way(chain: Packet) -> None:
    world = World()
    world.send(extended(chain))
    assert world.host.udp[0].sent == [(b"payload", (REMOTE_6, 7000), 0)]


@pytest.mark.parametrize(
    ("chain", "code", "pointer"),
    [
        (UNKNOWN_OPTION, 2, 42),
        (IPv6ExtHdrRouting(type=0, segleft=1, addresses=[REMOTE_6]), 0, 42),
        (IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop(), 1, 40),
    ],
    ids=lambda value: value.summary() if isinstance(value, Packet) else str(value),
)
def test_what_is_refused(chain: Packet, code: int, pointer: int) -> None:
    world, one = World(), extended(chain)
    answer = world.ask(one)
    assert (answer[IPv6].src, answer[IPv6].dst) == (GATEWAY_6, GUEST_6)
    problem = answer[ICMPv6ParamProblem]
    assert (problem.code, problem.ptr) == (code, pointer)
    assert quote_of(answer) == bytes(one)
    assert (world.gateway.dropped["malformed"], world.host.udp) == (1, [])


@pytest.mark.parametrize(
    "one",
    [
        extended(UNKNOWN_OPTION, dst=GROUP),
        extended(UNKNOWN_OPTION, src="::"),
        extended(UNKNOWN_OPTION_ALSO_TO_MANY, dst=GROUP, src="::"),
        extended(UNKNOWN_OPTION, src=REMOTE_6),
        extended(UNKNOWN_OPTION, src=GROUP),
    ],
    ids=lambda one: one.summary(),
)
def test_of_which_nobody_is_told(one: Packet) -> None:
    world = World()
    world.send(one)
    assert world.heard() == []
    assert world.gateway.dropped["malformed"] == 1


def test_a_node_with_another_address_is_told() -> None:
    one = extended(UNKNOWN_OPTION, src="fd00::50")
    assert World().ask(one)[IPv6].dst == "fd00::50"


def test_one_option_is_told_of_even_if_it_went_to_many() -> None:
    answer = World().ask(extended(UNKNOWN_OPTION_ALSO_TO_MANY, dst=GROUP))
    assert (answer[IPv6].src, answer[ICMPv6ParamProblem].code) == (GATEWAY_6, 2)


@pytest.mark.parametrize(
    ("one", "pointer"),
    [
        (IPv6(src=GUEST_6, dst=REMOTE_6, nh=200) / Raw(b"12345678"), 6),
        (packet(REMOTE_6) / IPv6ExtHdrDestOpt(nh=200) / Raw(b"12345678"), 40),
        (packet(REMOTE_6) / IPv6ExtHdrDestOpt(nh=51) / Raw(bytes(16)), 40),  # no IPsec here
    ],
    ids=["at once", "behind another", "authentication"],
)
def test_an_unknown_next_header(one: Packet, pointer: int) -> None:
    world = World()
    problem = world.ask(one)[ICMPv6ParamProblem]
    assert (problem.code, problem.ptr) == (1, pointer)
    assert world.gateway.dropped["unknown protocol"] == 1


@pytest.mark.parametrize(
    "one",
    [
        packet(REMOTE_6) / IPv6ExtHdrDestOpt(nh=59),
        IPv6(src=GUEST_6, dst=GROUP, nh=200) / Raw(b"12345678"),
    ],
    ids=["no next header", "to many"],
)
def test_nothing_is_said_of_these(one: Packet) -> None:
    world = World()
    world.send(one)
    assert world.heard() == []
    assert world.gateway.dropped["unknown protocol"] == 1


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 100, 127])
def test_no_error_tells_of_an_error(kind: int) -> None:
    world = World()
    error = IPv6(src=GUEST_6, dst=REMOTE_6, nh=58, hlim=1) / Raw(bytes([kind]) + bytes(60))
    world.send(error)
    assert world.heard() == []
    assert world.gateway.dropped["hop limit"] == 1


# ── the MTU of a path ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("told", "passed_on"),
    [(0, 1280), (1279, 1280), (1280, 1280), (1400, 1400), (1500, 1500), (1 << 31, 1500)],
)
def test_a_packet_too_big(told: int, passed_on: int) -> None:
    world = World()
    world.send(udp(dst=REMOTE_6))
    receiver = world.host.udp[0].receiver
    receiver.failed(b"payload", (REMOTE_6, 7000), 2, 0, "2001:db8:ffff::1", told)
    answer = world.heard_one()
    assert (answer[IPv6].src, answer[ICMPv6PacketTooBig].mtu) == ("2001:db8:ffff::1", passed_on)
    quote = IPv6(quote_of(answer))
    assert (quote.src, quote.dst, quote[UDP].dport) == (GUEST_6, REMOTE_6, 7000)


@pytest.mark.parametrize(
    "offender", ["::1", "::", "fd00::2", "fd00::50", GUEST_6, "fe80::1%eth0", "192.0.2.1"]
)
def test_nobody_speaks_for_the_guest_s_network(offender: str) -> None:
    world = World()
    world.send(udp(dst=REMOTE_6))
    world.host.udp[0].receiver.failed(b"payload", (REMOTE_6, 7000), 1, 4, offender, 0)
    assert world.heard_one()[IPv6].src == GATEWAY_6


@pytest.mark.parametrize("kind", [0, 5, 100, 128, 137])
def test_the_network_gives_the_guest_no_advice(kind: int) -> None:
    world = World()
    world.send(udp(dst=REMOTE_6))
    receiver = world.host.udp[0].receiver
    receiver.failed(b"payload", (REMOTE_6, 7000), kind, 0, REMOTE_6, 0)
    assert world.heard() == []


# ── TCP ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kind", "code"), [(1, 1), (1, 4), (1, 5), (1, 6), (4, 1)])
def test_a_firewall_of_the_guest_s_refuses_a_client(kind: int, code: int) -> None:
    world, user = World(), FakeTcp()
    world.gateway.tcp.open_inbound(user, ("2001:db8::7", 50000), 5000, world.now)
    syn = world.heard_one()[IPv6]
    assert (syn.src, syn.dst, syn[TCP].dport) == ("2001:db8::7", GUEST_6, 5000)
    error = ICMPv6DestUnreach(code=code) if kind == 1 else ICMPv6ParamProblem(code=code, ptr=6)
    world.send(packet("2001:db8::7") / error / Raw(bytes(syn)))
    assert user.calls == ["abort"]
    assert len(world.gateway.tcp) == 0


@pytest.mark.parametrize("error", [ICMPv6DestUnreach(code=0), ICMPv6PacketTooBig(mtu=1280)])
def test_what_may_pass_refuses_nothing(error: Packet) -> None:
    world, user = World(), FakeTcp()
    world.gateway.tcp.open_inbound(user, ("2001:db8::7", 50000), 5000, world.now)
    syn = world.heard_one()[IPv6]
    world.send(packet("2001:db8::7") / error / Raw(bytes(syn)))
    assert (user.calls, len(world.gateway.tcp)) == ([], 1)

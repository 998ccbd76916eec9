"""Dispatch: ARP, protocols nobody speaks, sources that are not the guest's, and damaged frames."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from rootlessnet.bounds import DEFAULTS
from rootlessnet.stack.gateway import Gateway
from tests.stack.world import (
    DNS,
    GATEWAY,
    GUEST,
    REMOTE,
    FakeHost,
    FakeLink,
    World,
    assert_unreachable,
    echo,
    network,
    tcp,
    udp,
)
from tests.wire.oracle import GATEWAY_MAC, GUEST_MAC, fragment, from_guest, patient

OTHER_MAC = "02:00:00:00:00:65"


def who_has(address: str, sender: str = GUEST, mac: str = GUEST_MAC, operation: int = 1) -> ARP:
    return ARP(op=operation, hwsrc=mac, psrc=sender, pdst=address)


# ── ARP ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("address", [GATEWAY, DNS])
def test_arp_is_answered_for_the_stack_s_addresses(address: str) -> None:
    answer = World().ask(who_has(address))
    octets = bytes(map(int, address.split(".")))
    assert answer[ARP].hwsrc == answer.src == "52:55:" + octets.hex(":")
    assert (answer[ARP].op, answer[ARP].psrc, answer[ARP].pdst) == (2, address, GUEST)
    assert answer[ARP].hwdst == answer.dst == GUEST_MAC


@pytest.mark.parametrize("address", [GUEST, "10.0.2.50", "10.0.2.255", REMOTE])
def test_arp_for_others_is_not_answered(address: str) -> None:
    world = World()
    world.send(who_has(address))
    assert world.heard() == []


def test_an_arp_reply_is_not_answered() -> None:
    world = World()
    world.send(who_has(GATEWAY, operation=2))
    assert world.heard() == []


@pytest.mark.parametrize(("sender", "learned"), [(GUEST, OTHER_MAC), ("10.0.2.50", GUEST_MAC)])
def test_the_guest_s_hardware_address_is_learned(sender: str, learned: str) -> None:
    world = World()
    assert world.ask(who_has(GATEWAY, sender, OTHER_MAC)).dst == OTHER_MAC
    answer = world.ask(echo(dst=GATEWAY))
    assert (answer.src, answer.dst) == (GATEWAY_MAC, learned)


# ── who may send what ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "source",
    [
        *(REMOTE, GATEWAY, DNS, "127.0.0.1", "0.0.0.0", "10.0.3.100"),
        *("10.0.2.0", "10.0.2.255", "224.0.0.1", "255.255.255.255"),  # nobody's own
    ],
)
@pytest.mark.parametrize("layer", [UDP(dport=9), TCP(flags="S"), ICMP(), Raw(b"?")], ids=type)
def test_a_foreign_source_is_dropped(source: str, layer: Packet) -> None:
    world = World()
    world.send(IP(src=source, dst=REMOTE) / layer)
    assert world.gateway.dropped["foreign source"] == 1
    assert world.heard() == []
    assert [world.host.udp, world.host.tcp, world.host.echo] == [[], [], []]


def test_another_address_of_the_subnet_is_the_guest_s_too() -> None:
    """A bridge or a container inside has one of its own."""
    world = World()
    world.send(udp(src="10.0.2.50"))
    world.receive(world.host.udp[0], b"answer", (REMOTE, 7000))
    assert world.heard_one()[IP].dst == "10.0.2.50"


def test_an_unknown_protocol_is_unreachable() -> None:
    world, packet = World(), IP(src=GUEST, dst=REMOTE, proto=200) / Raw(b"12345678")
    assert_unreachable(world.ask(packet), packet, code=2)
    assert world.gateway.dropped["unknown protocol"] == 1


@pytest.mark.parametrize("destination", ["224.0.0.22", "255.255.255.255", "10.0.2.255"])
def test_no_error_tells_of_a_packet_to_many(destination: str) -> None:
    """RFC 1122 3.2.2. Guests join multicast groups by IGMP."""
    world = World()
    world.send(IP(src=GUEST, dst=destination, proto=2) / Raw(b"12345678"))
    assert world.heard() == []
    assert world.gateway.dropped["unknown protocol"] == 1


def test_ipv6_is_counted() -> None:
    world = World(ipv6=False)
    world.send(IPv6())
    assert world.gateway.dropped["unknown protocol"] == 1
    assert world.heard() == []


# ── damaged frames ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "packet",
    [
        IP(src=GUEST, dst=REMOTE, len=1000),
        IP(src=GUEST, dst=REMOTE) / UDP(len=100),
        IP(src=GUEST, dst=REMOTE) / TCP(dataofs=15),
        IP(src=GUEST, dst=REMOTE, proto=1) / Raw(b"short"),
        IP(src=GUEST, dst=REMOTE, flags="MF") / Raw(b"not eight"),
        ARP(hwlen=8),
    ],
    ids=lambda packet: packet.summary(),
)
def test_a_malformed_packet_is_counted(packet: Packet) -> None:
    world = World()
    world.send(packet)
    assert world.gateway.dropped["malformed"] == 1
    assert world.heard() == []


@pytest.mark.parametrize("size", range(24))
def test_a_frame_without_its_header_is_counted(size: int) -> None:
    world = World()
    world.gateway.receive(memoryview(bytes(size)), world.now)
    assert world.gateway.dropped["malformed"] == 1


GOOD = [
    bytes(from_guest(packet))
    for packet in (
        who_has(GATEWAY),
        echo(dst=GATEWAY),
        echo(),
        udp(),
        udp(dst=DNS, dport=53),
        *fragment(udp(bytes(3000)), 1480),
        tcp("S"),
        tcp("A", seq=1001, ack=1),
        tcp("PA", seq=1001, ack=1, payload=b"request"),
        tcp("FA", seq=1008, ack=1),
        tcp("R", seq=1009),
        IP(src=GUEST, dst=REMOTE, proto=200),
    )
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    frame = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(0, 3))):
        frame[draw(st.integers(0, min(len(frame), 80) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: len(frame) - draw(st.integers(0, 60) | st.just(0))])


def fresh_gateway() -> tuple[Gateway, FakeLink, FakeHost]:
    link, host = FakeLink(), FakeHost()
    return Gateway(network(), link, host, bytes(16)), link, host


@given(st.binary(max_size=80), st.sampled_from([b"\x08\x00", b"\x08\x06", b"\x86\xdd", b""]))
@patient
def test_noise_never_raises(noise: bytes, kind: bytes) -> None:
    gateway, _, _ = fresh_gateway()
    gateway.receive(memoryview(bytes(22) + kind + noise), 0.0)
    gateway.end_batch(0.0)


@given(st.lists(st.tuples(damaged(), st.booleans()), min_size=1, max_size=20))
@settings(patient, max_examples=200)
def test_damage_never_raises_and_harms_nobody_else(frames: list[tuple[bytes, bool]]) -> None:
    gateway, link, host = fresh_gateway()
    now = 0.0
    for frame, accept in frames:
        gateway.receive(memoryview(frame), now)
        if accept and host.tcp:
            host.tcp[-1].connection.accept(now)
        now += 0.5
        gateway.end_batch(now)
        gateway.expire(now)
    link.written.clear()
    gateway.receive(from_guest(who_has(GATEWAY)), now)
    ((header, _),) = link.written
    assert Ether(header[10:])[ARP].psrc == GATEWAY
    gateway.expire(now + 20_000)  # longer than any patience
    gateway.expire(now + 40_000)
    assert len(gateway.udp) == len(gateway.echo) == 0


def test_the_tables_are_bounded() -> None:
    world = World()
    for identifier in range(DEFAULTS.echo_flows + 50):
        world.send(echo(identifier=identifier))
    assert len(world.gateway.echo) == DEFAULTS.echo_flows
    assert sum(not socket.closed for socket in world.host.echo) == DEFAULTS.echo_flows

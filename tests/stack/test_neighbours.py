"""Neighbour discovery: the gateway answers for its own addresses, and tells who probes them.

Read: RFC 4861 7.2.3 and 7.2.4, RFC 4862 5.4.3. The messages themselves: tests/wire/test_ndp.py.
"""

import pytest
from scapy.layers.inet6 import (
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from tests.stack.world import (
    DNS_6,
    GATEWAY_6,
    GATEWAY_LINK_LOCAL,
    GUEST_6,
    REMOTE_6,
    World,
    tcp,
    udp,
)
from tests.wire.oracle import GATEWAY_MAC, GUEST_MAC

GUEST_LINK_LOCAL = "fe80::ff:fe00:64"
OWN = [GATEWAY_6, DNS_6, GATEWAY_LINK_LOCAL]
OTHER_MAC = "02:00:00:00:00:99"


def group_of(target: str) -> str:
    """The solicited-node address of an address that ends in less than 0x10000."""
    return f"ff02::1:ff00:{target.rpartition(':')[2]}"


def solicitation(
    target: str, src: str = GUEST_6, dst: str | None = None, mac: str = GUEST_MAC
) -> Packet:
    message = IPv6(src=src, dst=dst or group_of(target), hlim=255) / ICMPv6ND_NS(tgt=target)
    return message if src == "::" else message / ICMPv6NDOptSrcLLAddr(lladdr=mac)


@pytest.mark.parametrize("src", [GUEST_6, GUEST_LINK_LOCAL, "fd00::abcd"])
@pytest.mark.parametrize("unicast", [False, True])
@pytest.mark.parametrize("target", OWN)
def test_the_gateway_answers_for_its_own(target: str, unicast: bool, src: str) -> None:
    answer = World().ask(solicitation(target, src, target if unicast else None))
    assert (answer[Ether].dst, answer[Ether].src) == (GUEST_MAC, GATEWAY_MAC)
    assert (answer[IPv6].src, answer[IPv6].dst, answer[IPv6].hlim) == (target, src, 255)
    message = answer[ICMPv6ND_NA]
    assert (message.tgt, message.R, message.S, message.O) == (target, 1, 1, 1)
    assert message[ICMPv6NDOptDstLLAddr].lladdr == GATEWAY_MAC


@pytest.mark.parametrize("target", OWN)
def test_who_probes_an_address_of_the_gateway_hears_that_it_is_taken(target: str) -> None:
    answer = World().ask(solicitation(target, "::"))
    assert (answer[IPv6].src, answer[IPv6].dst, answer[IPv6].hlim) == (target, "ff02::1", 255)
    message = answer[ICMPv6ND_NA]
    assert (message.tgt, message.R, message.S, message.O) == (target, 1, 0, 1)
    assert message[ICMPv6NDOptDstLLAddr].lladdr == GATEWAY_MAC


@pytest.mark.parametrize("target", [GUEST_6, GUEST_LINK_LOCAL, "fd00::50", REMOTE_6])
@pytest.mark.parametrize("src", ["::", GUEST_6])
def test_all_other_addresses_are_free(target: str, src: str) -> None:
    world = World()
    world.send(solicitation(target, src, "ff02::1:ff00:" + target[-2:].strip(":")))
    assert world.heard() == []
    assert world.gateway.dropped["malformed"] <= (src == "::")  # its group is another


def test_the_guest_s_hardware_address_is_learned() -> None:
    world = World()
    world.ask(solicitation(GATEWAY_6, mac=OTHER_MAC))
    world.send(udp(dst=REMOTE_6))
    world.receive(world.host.udp[0], b"answer", (REMOTE_6, 7000))
    assert world.heard_one()[Ether].dst == OTHER_MAC


def test_that_of_nobody_else_is() -> None:
    world = World()
    world.ask(solicitation(GATEWAY_6, "fd00::50", mac=OTHER_MAC))
    assert world.ask(solicitation(GATEWAY_6))[Ether].dst == GUEST_MAC


@pytest.mark.parametrize(
    "packet",
    [
        IPv6(src=GUEST_6, dst=GATEWAY_6, hlim=255) / ICMPv6ND_NA(tgt=GUEST_6),
        IPv6(src="::", dst="ff02::16", hlim=1)
        / IPv6ExtHdrHopByHop(options=[RouterAlert()])
        / ICMPv6MLReport2(),
        IPv6(src=GUEST_LINK_LOCAL, dst="ff02::16", hlim=1)
        / IPv6ExtHdrHopByHop(options=[RouterAlert()])
        / ICMPv6MLReport2(),
    ],
    ids=lambda packet: packet.summary(),
)
def test_other_messages_about_the_link_are_no_fault(packet: Packet) -> None:
    world = World()
    world.send(packet)
    assert world.heard() == []
    assert not any(world.gateway.dropped.values())


@pytest.mark.parametrize(
    "packet",
    [
        solicitation(GATEWAY_6, src=REMOTE_6),
        udp(dst=REMOTE_6, src="::"),
        tcp("S", dst=REMOTE_6, src=REMOTE_6),
        udp(dst=REMOTE_6, src=GATEWAY_6),
        udp(dst=REMOTE_6, src=GATEWAY_LINK_LOCAL),
        udp(dst=REMOTE_6, src="fd00::"),  # the anycast address of routers
        udp(dst=REMOTE_6, src="ff02::1"),
    ],
    ids=lambda packet: packet.summary(),
)
def test_foreign_sources(packet: Packet) -> None:
    world = World()
    world.send(packet)
    assert world.heard() == []
    assert world.gateway.dropped["foreign source"] == 1


@pytest.mark.parametrize("packet", [tcp("S", dst=REMOTE_6), udp(dst=REMOTE_6)], ids=["tcp", "udp"])
def test_what_is_of_the_link_does_not_leave_it(packet: Packet) -> None:
    """RFC 4443 3.1: code 2, beyond scope of source address."""
    packet = packet.copy()
    packet.src = GUEST_LINK_LOCAL
    answer = World().ask(packet)
    assert (answer[IPv6].src, answer[IPv6].dst) == (GATEWAY_6, GUEST_LINK_LOCAL)
    assert (answer[IPv6].payload.type, answer[IPv6].payload.code) == (1, 2)

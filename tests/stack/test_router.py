"""Router advertisements, on request and from time to time. Read: RFC 4861 6.2, RFC 8106."""

from ipaddress import IPv6Network, ip_address

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import (
    ICMPv6MLReport2,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDNSSL,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import mac2str

from rootlessnet.stack.gateway import Gateway
from rootlessnet.stack.network import Network, Plan
from rootlessnet.stack.reach import Reach
from rootlessnet.stack.router import INTERVAL, LIFETIME
from tests.stack.world import DNS_6, GATEWAY_LINK_LOCAL, GUEST, GUEST_6, MTU, World, network, udp
from tests.wire.oracle import GATEWAY_MAC, GUEST_MAC, from_guest

LINK_LOCAL = "fe80::77"
OTHER_MAC = "02:00:00:00:00:77"
ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"


def solicitation(src: str = LINK_LOCAL) -> Packet:
    return IPv6(src=src, dst="ff02::2", hlim=255) / ICMPv6ND_RS()


def test_an_advertisement_tells_what_a_guest_needs() -> None:
    answer = World(reserved={}).ask(solicitation())
    assert (answer[Ether].dst, answer[Ether].src) == (GUEST_MAC, GATEWAY_MAC)
    assert (answer[IPv6].src, answer[IPv6].dst) == (GATEWAY_LINK_LOCAL, LINK_LOCAL)
    assert answer[IPv6].hlim == 255
    message = answer[ICMPv6ND_RA]
    assert (message.chlim, message.M, message.O) == (64, 1, 1)
    assert message.routerlifetime == LIFETIME
    assert (message.reachabletime, message.retranstimer) == (0, 0)
    assert answer[ICMPv6NDOptSrcLLAddr].lladdr == GATEWAY_MAC
    assert answer[ICMPv6NDOptMTU].mtu == MTU
    prefix = answer[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen, prefix.L, prefix.A) == ("fd00::", 64, 1, 1)
    assert 0 < prefix.preferredlifetime < prefix.validlifetime
    assert answer[ICMPv6NDOptRDNSS].dns == [DNS_6]
    domains = answer[ICMPv6NDOptDNSSL].searchlist
    assert [name for name in domains if name != "."] == ["corp.example.", "example.org."]
    assert answer[ICMPv6NDOptRDNSS].lifetime == answer[ICMPv6NDOptDNSSL].lifetime == LIFETIME


def test_without_dhcp_there_is_nothing_more_to_ask_for() -> None:
    message = World().ask(solicitation())[ICMPv6ND_RA]
    assert (message.M, message.O) == (0, 0)


def test_without_a_forwarder() -> None:
    """A guest is told of no nameserver, and of the domains all the same."""
    answer = World(dns=False).ask(solicitation())
    assert ICMPv6NDOptRDNSS not in answer
    assert ICMPv6NDOptDNSSL in answer


def test_without_domains() -> None:
    world = World()
    world.host.search = []
    assert ICMPv6NDOptDNSSL not in world.ask(solicitation())


def test_who_has_no_address_hears_what_all_do() -> None:
    answer = World().ask(solicitation("::"))
    assert (answer[IPv6].dst, answer[Ether].dst) == (ALL_NODES, ALL_NODES_MAC)


def test_another_node_hears_it_at_its_own_interface() -> None:
    world = World()
    told = solicitation() / ICMPv6NDOptSrcLLAddr(lladdr=OTHER_MAC)
    assert world.ask(told)[Ether].dst == OTHER_MAC
    assert world.ask(solicitation(), mac=OTHER_MAC)[Ether].dst == OTHER_MAC
    assert world.ask(solicitation("fe80::78"))[Ether].dst == GUEST_MAC


def test_a_node_that_made_its_own_address_needs_to_ask_nobody() -> None:
    """It knows the router by the advertisement, and is known by its first packet."""
    world = World()
    world.ask(solicitation(), mac=OTHER_MAC)
    segment = TCP(sport=40000, dport=80, flags="S")
    world.send(IPv6(src="fd00::77", dst="2001:db8::1") / segment, mac=OTHER_MAC)
    world.host.tcp[0].connection.accept(world.now)
    answer = world.heard_one()
    assert (answer[IPv6].dst, answer[Ether].dst) == ("fd00::77", OTHER_MAC)


def test_a_prefix_of_another_size_is_no_source_of_addresses() -> None:
    """RFC 4862 5.5.3 d: with an interface identifier of 64 bits it would not make an address."""
    plan = network()
    addresses = map(ip_address, ("fd00::2", "fd00::3", "fd00::100"))
    other = Network(
        [plan.plans[0], Plan(IPv6Network("fd00::/96"), *addresses)],
        MTU,
        mac2str(GUEST_MAC),
        Reach(),
    )
    world = World()
    world.gateway = Gateway(other, world.link, world.host, bytes(16))
    prefix = world.ask(solicitation())[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefixlen, prefix.L, prefix.A) == (96, 1, 0)


def test_it_is_repeated_before_it_runs_out() -> None:
    world = World()
    world.ask(solicitation())
    shortest, longest = INTERVAL
    assert longest < LIFETIME / 2
    for _ in range(20):
        assert shortest <= world.gateway.next_deadline() - world.now <= longest
        world.pass_time(world.gateway.next_deadline() - world.now)
        answer = world.heard_one()
        assert (answer[IPv6].dst, answer[Ether].dst) == (ALL_NODES, ALL_NODES_MAC)
        assert answer[ICMPv6ND_RA].routerlifetime == LIFETIME


def test_what_changes_on_the_host_is_told_next_time() -> None:
    world = World()
    world.ask(solicitation())
    world.host.search = ["elsewhere.example"]
    world.pass_time(INTERVAL[1])
    domains = world.heard()[-1][ICMPv6NDOptDNSSL].searchlist
    assert domains[0] == "elsewhere.example."


def test_a_guest_that_does_not_ask_is_left_in_peace() -> None:
    world = World()
    world.send(udp())
    world.pass_time(7200)
    assert world.heard() == []
    assert world.gateway.next_deadline() == float("inf")


def test_a_guest_without_ipv6_has_no_router() -> None:
    world = World(ipv6=False)
    world.send(solicitation())
    assert world.heard() == []
    assert world.gateway.next_deadline() == float("inf")


@pytest.mark.parametrize(
    "bad",
    [
        IPv6(src=LINK_LOCAL, dst="ff02::2", hlim=254) / ICMPv6ND_RS(),
        IPv6(src=LINK_LOCAL, dst="ff02::2", hlim=255) / ICMPv6ND_RS(code=1),
        solicitation("::") / ICMPv6NDOptSrcLLAddr(lladdr=OTHER_MAC),
        solicitation() / Raw(b"\1\0" + bytes(6)),
    ],
)
def test_malformed(bad: Packet) -> None:
    world = World()
    world.send(bad)
    assert world.heard() == []
    assert world.gateway.dropped["malformed"] == 1
    assert world.gateway.next_deadline() == float("inf")


def test_a_solicitation_from_elsewhere() -> None:
    world = World()
    world.send(solicitation("2001:db8::5"))
    assert world.heard() == []
    assert world.gateway.dropped["foreign source"] == 1


def test_the_gateway_believes_no_other_router() -> None:
    world = World()
    world.send(IPv6(src=LINK_LOCAL, dst=ALL_NODES, hlim=255) / ICMPv6ND_RA())
    assert world.heard() == []
    assert not any(world.gateway.dropped.values())


# ── what a guest says of its groups is for routers that have a use for it ────────────────────────


@pytest.mark.parametrize("source", ["::", LINK_LOCAL])
def test_multicast_listeners_are_no_fault(source: str) -> None:
    world = World()
    alert = IPv6ExtHdrHopByHop(options=[RouterAlert()])
    world.send(IPv6(src=source, dst="ff02::16", hlim=1) / alert / ICMPv6MLReport2())
    assert world.heard() == []
    assert not any(world.gateway.dropped.values())


def test_members_of_groups_are_no_fault() -> None:
    """IGMP, version 3 with the router alert option of IPv4."""
    world = World()
    for options in ([], [b"\x94\x04\0\0"]):
        head = IP(src=GUEST, dst="224.0.0.22", ttl=1, proto=2, options=b"".join(options))
        world.send(head / Raw(b"\x22\0\xf9\x02\0\0\0\1\4\0\0\0\xe0\0\0\xfb"))
    assert world.heard() == []
    assert world.gateway.dropped["malformed"] == world.gateway.dropped["hop limit"] == 0


@pytest.mark.parametrize("destination", ["ff02::fb", "ff05::1:3", "ff02::1"])
def test_what_goes_to_a_group_is_met_with_silence(destination: str) -> None:
    world = World()
    for source in (LINK_LOCAL, GUEST_6):
        head = IPv6(src=source, dst=destination, hlim=1)
        world.send(head / udp(src=GUEST_6, dst=destination).payload)
    assert world.heard() == []
    assert world.host.udp == []
    assert not any(world.gateway.dropped.values())


def test_frames_have_a_source() -> None:
    assert bytes(from_guest(solicitation())[16:22]) == mac2str(GUEST_MAC)

"""Clients of DHCPv6, played by scapy, at explicit times. Sections: RFC 8415 unless named."""

from collections.abc import Sequence
from ipaddress import IPv6Address

import pytest
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_Advertise,
    DHCP6_Confirm,
    DHCP6_Decline,
    DHCP6_InfoRequest,
    DHCP6_Rebind,
    DHCP6_Release,
    DHCP6_Renew,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6_Solicit,
    DHCP6OptClientId,
    DHCP6OptDNSDomains,
    DHCP6OptDNSServers,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
    DHCP6OptInfoRefreshTime,
    DHCP6OptOptReq,
    DHCP6OptRapidCommit,
    DHCP6OptServerId,
    DHCP6OptStatusCode,
)
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import mac2str

from rootlessnet.stack.leases import DECLINED_TIME, LEASE_TIME, OFFER_TIME
from tests.stack.world import DNS_6, GATEWAY_6, GATEWAY_LINK_LOCAL, GUEST_6, World
from tests.wire.oracle import GATEWAY_MAC, GUEST_MAC, NO_OFFLOAD

OTHER_MAC = "02:00:00:00:00:77"
LINK_LOCAL = "fe80::77"
SERVERS = "ff02::1:2"
FIRST, SECOND = "fd00::15", "fd00::16"
SERVER = DHCP6OptServerId(duid=DUID_LL(lladdr=GATEWAY_MAC))
WANTED = DHCP6OptOptReq(reqopts=[23, 24])


@pytest.fixture
def world() -> World:
    return World(reserved={})


def association(*addresses: str, iaid: int = 1) -> Packet:
    return DHCP6OptIA_NA(
        iaid=iaid, ianaopts=[DHCP6OptIAAddress(addr=address) for address in addresses]
    )


def send(world: World, message: Packet, mac: str = OTHER_MAC, dst: str = SERVERS) -> None:
    """A client's message, which gets its identifier."""
    kind = message.copy()
    options, kind.payload = kind.payload, Packet()
    client = DHCP6OptClientId(duid=DUID_LL(lladdr=mac))
    packet = IPv6(src=LINK_LOCAL, dst=dst, hlim=1) / UDP(sport=546, dport=547) / kind / client
    frame = Ether(src=mac, dst="33:33:00:01:00:02") / packet / options
    world.gateway.receive(memoryview(NO_OFFLOAD + bytes(frame)), world.now)


def ask(world: World, message: Packet, mac: str = OTHER_MAC) -> Packet:
    """The answer to a client's message."""
    send(world, message, mac)
    answer = world.heard_one()
    assert (answer[Ether].dst, answer[IPv6].dst) == (mac, LINK_LOCAL)
    assert (answer[IPv6].src, answer[UDP].sport) == (GATEWAY_LINK_LOCAL, 547)
    assert answer[UDP].dport == 546
    assert answer[DHCP6OptServerId].duid.lladdr == GATEWAY_MAC
    assert answer[DHCP6OptClientId].duid.lladdr == mac
    return answer


def found(answer: Packet) -> list[tuple[str, int]]:
    """The addresses of the first association, with their lifetimes."""
    options: Sequence[Packet] = answer[DHCP6OptIA_NA].ianaopts
    return [(one.addr, one.validlft) for one in options if isinstance(one, DHCP6OptIAAddress)]


def status(answer: Packet) -> int:
    """That of the first association, which has nothing to renew."""
    (option,) = answer[DHCP6OptIA_NA].ianaopts
    assert (answer[DHCP6OptIA_NA].T1, answer[DHCP6OptIA_NA].T2) == (0, 0)
    return int(option.statuscode)


def leased(world: World, mac: str = OTHER_MAC, iaid: int = 1) -> str:
    answer = ask(world, DHCP6_Request() / SERVER / association(iaid=iaid), mac)
    assert DHCP6_Reply in answer
    ((address, lifetime),) = found(answer)
    assert lifetime == LEASE_TIME
    return address


def is_free(world: World, address: str) -> bool:
    """Whether a new client gets `address` when it asks for it."""
    mac = f"02:00:00:00:02:{world.now % 199:02.0f}"
    return found(ask(world, DHCP6_Solicit() / association(address), mac)) == [(address, LEASE_TIME)]


def test_four_messages(world: World) -> None:
    offer = ask(world, DHCP6_Solicit(trid=77) / association() / WANTED)
    assert offer[DHCP6_Advertise].trid == 77
    assert found(offer) == [(FIRST, LEASE_TIME)]
    answer = ask(world, DHCP6_Request(trid=78) / SERVER / association(FIRST) / WANTED)
    assert answer[DHCP6_Reply].trid == 78
    assert found(answer) == [(FIRST, LEASE_TIME)]
    identity = answer[DHCP6OptIA_NA]
    assert (identity.iaid, identity.T1) == (1, LEASE_TIME // 2)
    assert identity.T1 < identity.T2 < LEASE_TIME
    assert answer[DHCP6OptDNSServers].dnsservers == [DNS_6]
    assert answer[DHCP6OptDNSDomains].dnsdomains == ["corp.example.", "example.org."]


def test_a_client_hears_what_it_asks_for(world: World) -> None:
    answer = ask(world, DHCP6_Solicit() / association())
    assert DHCP6OptDNSServers not in answer
    assert DHCP6OptDNSDomains not in answer


def test_no_forwarder_no_nameserver() -> None:
    answer = ask(World(reserved={}, dns=False), DHCP6_Solicit() / association() / WANTED)
    assert DHCP6OptDNSServers not in answer
    assert DHCP6OptDNSDomains in answer


def test_two_messages(world: World) -> None:
    """18.3.1, rapid commit: the address is the client's at once."""
    answer = ask(world, DHCP6_Solicit() / DHCP6OptRapidCommit() / association())
    assert DHCP6_Reply in answer
    assert DHCP6OptRapidCommit in answer
    assert found(answer) == [(FIRST, LEASE_TIME)]
    world.pass_time(OFFER_TIME + 1)
    assert not is_free(world, FIRST)


def test_only_a_solicitation_is_rapid(world: World) -> None:
    answer = ask(world, DHCP6_Request() / SERVER / DHCP6OptRapidCommit() / association())
    assert DHCP6OptRapidCommit not in answer
    assert found(answer) == [(FIRST, LEASE_TIME)]


def test_an_offer_lapses(world: World) -> None:
    assert found(ask(world, DHCP6_Solicit() / association())) == [(FIRST, LEASE_TIME)]
    assert not is_free(world, FIRST)
    world.pass_time(OFFER_TIME + 1)
    assert is_free(world, FIRST)


def test_the_checksum_is_complete(world: World) -> None:
    send(world, DHCP6_Solicit() / association())
    ((header, _),) = world.link.written
    assert header[: len(NO_OFFLOAD)] == NO_OFFLOAD


def test_the_guest_s_own_interface_has_the_guest_s_address(world: World) -> None:
    assert leased(world, GUEST_MAC) == GUEST_6
    both = DHCP6_Request() / SERVER / association(iaid=1) / association(iaid=2)
    answer = ask(world, both, GUEST_MAC)
    assert found(answer) == [(GUEST_6, LEASE_TIME)]
    assert answer[DHCP6OptIA_NA].payload.ianaopts[0].addr == FIRST
    assert leased(world, OTHER_MAC) == SECOND


def test_a_reserved_address() -> None:
    world = World(reserved={mac2str(OTHER_MAC): IPv6Address("fd00::50").packed})
    assert leased(world, OTHER_MAC) == "fd00::50"
    assert leased(world, GUEST_MAC) == GUEST_6


def test_one_address_for_each_association(world: World) -> None:
    answer = ask(world, DHCP6_Request() / SERVER / association(iaid=1) / association(iaid=2))
    first = answer[DHCP6OptIA_NA]
    second = first.payload
    assert (first.iaid, second.iaid) == (1, 2)
    assert first.ianaopts[0].addr == FIRST
    assert second.ianaopts[0].addr == SECOND


def test_the_pool_is_exhausted(world: World) -> None:
    for iaid in range(0x31 - 0x15):
        leased(world, iaid=iaid)
    assert status(ask(world, DHCP6_Solicit() / association(iaid=99))) == 2
    assert status(ask(world, DHCP6_Request() / SERVER / association(iaid=99))) == 2


def test_an_address_of_another_link(world: World) -> None:
    assert status(ask(world, DHCP6_Request() / SERVER / association("2001:db8::9"))) == 4


@pytest.mark.parametrize(
    "message", [DHCP6_Renew() / SERVER, DHCP6_Rebind()], ids=["renew", "rebind"]
)
def test_a_lease_goes_on(world: World, message: Packet) -> None:
    leased(world)
    for _ in range(3):
        world.pass_time(LEASE_TIME / 2)
        assert found(ask(world, message / association(FIRST))) == [(FIRST, LEASE_TIME)]
    assert not is_free(world, FIRST)


@pytest.mark.parametrize(
    "message", [DHCP6_Renew() / SERVER, DHCP6_Rebind()], ids=["renew", "rebind"]
)
def test_a_client_of_another_time_keeps_what_is_free(world: World, message: Packet) -> None:
    """18.3.4: a server that has been started anew knows nothing of it."""
    assert found(ask(world, message / association("fd00::20"))) == [("fd00::20", LEASE_TIME)]
    other = ask(world, message / association("fd00::20"), "02:00:00:00:00:78")
    assert found(other) == [(FIRST, LEASE_TIME), ("fd00::20", 0)]


@pytest.mark.parametrize(
    ("addresses", "code"),
    [((FIRST,), 0), (("fd00::1234", FIRST), 0), ((FIRST, "2001:db8::9"), 4)],
)
def test_a_client_that_was_elsewhere(world: World, addresses: tuple[str, ...], code: int) -> None:
    """18.3.3"""
    answer = ask(world, DHCP6_Confirm() / association(*addresses))
    assert answer[DHCP6OptStatusCode].statuscode == code


def test_a_client_that_was_elsewhere_and_has_nothing(world: World) -> None:
    send(world, DHCP6_Confirm() / association())
    assert world.heard() == []


def test_a_lease_is_released(world: World) -> None:
    leased(world)
    answer = ask(world, DHCP6_Release() / SERVER / association(FIRST))
    assert answer[DHCP6OptStatusCode].statuscode == 0
    assert DHCP6OptIA_NA not in answer
    assert is_free(world, FIRST)


@pytest.mark.parametrize("kind", [DHCP6_Release(), DHCP6_Decline()], ids=["release", "decline"])
def test_what_nobody_has_cannot_be_given_back(world: World, kind: Packet) -> None:
    leased(world)
    answer = ask(world, kind / SERVER / association(FIRST), "02:00:00:00:00:78")
    assert status(answer) == 3
    assert not is_free(world, FIRST)


def test_an_address_that_is_in_use_is_given_to_nobody(world: World) -> None:
    leased(world)
    ask(world, DHCP6_Decline() / SERVER / association(FIRST))
    assert leased(world) == SECOND
    assert not is_free(world, FIRST)
    world.pass_time(DECLINED_TIME)
    assert is_free(world, FIRST)


def test_information_alone(world: World) -> None:
    """18.3.6, for those who have an address."""
    answer = ask(world, DHCP6_InfoRequest() / WANTED)
    assert answer[DHCP6OptDNSServers].dnsservers == [DNS_6]
    assert answer[DHCP6OptInfoRefreshTime].reftime == LEASE_TIME
    assert DHCP6OptIA_NA not in answer


def test_information_for_a_client_without_name(world: World) -> None:
    packet = IPv6(src=LINK_LOCAL, dst=SERVERS) / UDP(sport=546, dport=547) / DHCP6_InfoRequest()
    answer = world.ask(packet)
    assert DHCP6OptServerId in answer
    assert DHCP6OptClientId not in answer
    assert answer[Ether].dst == GUEST_MAC


def test_a_message_for_another_server(world: World) -> None:
    other = DHCP6OptServerId(duid=DUID_LL(lladdr=OTHER_MAC))
    for kind in (DHCP6_Request(), DHCP6_InfoRequest()):
        send(world, kind / other)
    assert world.heard() == []


def test_malformed(world: World) -> None:
    send(world, DHCP6_Request() / association())
    assert world.heard() == []
    assert world.gateway.dropped["malformed"] == 1


def test_unicast_is_not_for_servers(world: World) -> None:
    """18.4: no client was told that it may."""
    send(world, DHCP6_Solicit() / association(), dst=GATEWAY_6)
    send(world, DHCP6_Solicit() / association(), dst=GATEWAY_LINK_LOCAL)
    assert all(UDP not in answer or answer[UDP].sport != 547 for answer in world.heard())
    assert world.host.udp == []


@pytest.mark.parametrize("world", [World(), World(reserved={}, ipv6=False)])
def test_no_dhcp(world: World) -> None:
    send(world, DHCP6_Solicit() / association())
    assert world.heard() == []
    assert world.host.udp == []

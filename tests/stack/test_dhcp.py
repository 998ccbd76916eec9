"""Clients of DHCP, played by scapy, at explicit times. Sections: RFC 2131 unless named."""

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from scapy.utils import mac2str

from rootlessnet.bounds import Bounds
from rootlessnet.stack.leases import DECLINED_TIME, LEASE_TIME, OFFER_TIME
from tests.stack import world as world_module
from tests.stack.world import DNS, GATEWAY, GUEST, MTU, World, tcp, udp
from tests.wire.oracle import GUEST_MAC, NO_OFFLOAD

OTHER = "02:00:00:00:00:77"  # a node behind a bridge in the guest
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"  # nobody said which the guest's is
FIRST, LAST = "10.0.2.15", "10.0.2.30"
Option = tuple[str | int, str | int | bytes]
Options = dict[str | int, str | int | bytes]


@pytest.fixture
def world() -> World:
    return World(reserved={})


def said(
    kind: str,
    *options: Option,
    mac: str = OTHER,
    src: str = "0.0.0.0",
    dst: str = "255.255.255.255",
    flags: int = 0,
    giaddr: str = "0.0.0.0",
    ttl: int = 64,
) -> Packet:
    """A client's message; one that has an address says so in the field for it."""
    return (
        IP(src=src, dst=dst, ttl=ttl)
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=mac2str(mac), hlen=6, ciaddr=src, xid=99, flags=flags, giaddr=giaddr)
        / DHCP(options=[("message-type", kind), *options, "end"])
    )


def options_of(packet: Packet) -> Options:
    assert packet[BOOTP].xid == 99
    assert packet[UDP].sport == 67
    assert packet[UDP].dport == 68
    assert packet[IP].src == GATEWAY
    return {option[0]: option[1] for option in packet[DHCP].options if isinstance(option, tuple)}


def kind_of(packet: Packet) -> str:
    kinds = {2: "offer", 5: "ack", 6: "nak"}
    return kinds[int(options_of(packet)["message-type"])]


def requested(address: str, *options: Option, mac: str = OTHER, server: str = GATEWAY) -> Packet:
    named: list[Option] = [("requested_addr", address)]
    if server:
        named.append(("server_id", server))
    return said("request", *named, *options, mac=mac)


def leased(world: World, mac: str = OTHER, *options: Option) -> str:
    """The address that a client gets."""
    offer = world.ask(said("discover", *options, mac=mac))
    assert kind_of(offer) == "offer"
    address = str(offer[BOOTP].yiaddr)
    answer = world.ask(requested(address, *options, mac=mac))
    assert kind_of(answer) == "ack"
    assert answer[BOOTP].yiaddr == address
    return address


def test_an_offer_tells_all_that_the_network_has(world: World) -> None:
    options = options_of(world.ask(said("discover")))
    assert options == {
        "message-type": 2,
        "server_id": GATEWAY,
        "lease_time": LEASE_TIME,
        "subnet_mask": "255.255.255.0",
        "router": GATEWAY,
        "name_server": DNS,
        "interface-mtu": MTU,
        "broadcast_address": "10.0.2.255",
        "domain": b"corp.example",
        119: b"\4corp\7example\0\7example\3org\0",
        "classless_static_routes": ["0.0.0.0/0:" + GATEWAY],
    }


def test_a_client_hears_what_it_asks_for(world: World) -> None:
    offer = world.ask(said("discover", (55, bytes((6, 1, 42)))))
    assert set(options_of(offer)) == {
        "message-type",
        "server_id",
        "lease_time",
        "subnet_mask",
        "name_server",
    }


def test_no_domains_no_options(world: World) -> None:
    world.host.search = ["..", "bücher"]
    assert not options_of(world.ask(said("discover"))).keys() & {"domain", 119}


def test_no_forwarder_no_nameserver() -> None:
    offer = World(reserved={}, dns=False).ask(said("discover"))
    assert "name_server" not in options_of(offer)
    assert "domain" in options_of(offer)


def test_what_is_too_much_for_the_client_is_left_out(world: World) -> None:
    world.host.search = ["d" * 60 + f".{number}" for number in range(10)]
    name: Option = ("client_id", b"n" * 100)
    small, large = (
        options_of(world.ask(said("discover", name, ("max_dhcp_size", size))))
        for size in (576, 1000)
    )
    assert small["client_id"] == large["client_id"] == b"n" * 100
    assert large.keys() - small.keys() == {119}
    world.send(said("discover", name))
    (_, payload) = world.link.written[-1]
    assert 20 + len(payload) <= 576


def test_the_guest_s_own_interface_has_the_guest_s_address(world: World) -> None:
    assert leased(world, GUEST_MAC) == GUEST
    assert leased(world, OTHER) == FIRST


def test_a_machine_on_a_socket_is_the_guest() -> None:
    """The hardware address of its interface is known from its first question on."""
    world = World(reserved={}, guest_mac=BROADCAST_MAC)
    assert leased(world, GUEST_MAC) == GUEST
    assert leased(world, OTHER) == FIRST


def test_a_reserved_address() -> None:
    world = World(reserved={mac2str(OTHER): bytes((10, 0, 2, 50))})
    assert leased(world, OTHER) == "10.0.2.50"
    assert leased(world, GUEST_MAC) == GUEST


def test_the_guest_s_address_can_be_reserved_for_another() -> None:
    """For a virtual machine that ports are published for."""
    world = World(reserved={mac2str(OTHER): bytes((10, 0, 2, 100))})
    assert leased(world, OTHER) == GUEST
    assert leased(world, GUEST_MAC) == FIRST


def test_every_address_of_the_pool_is_given_once(world: World) -> None:
    macs = [f"02:00:00:00:01:{number:02x}" for number in range(17)]
    found = [leased(world, mac) for mac in macs[:16]]
    assert found == [f"10.0.2.{number}" for number in range(15, 31)]
    world.send(said("discover", mac=macs[16]))
    assert world.heard() == []
    world.pass_time(LEASE_TIME)
    assert leased(world, macs[16]) == FIRST


def test_an_offer_lapses(world: World) -> None:
    assert world.ask(said("discover"))[BOOTP].yiaddr == FIRST
    third = "02:00:00:00:00:78"
    assert world.ask(said("discover", ("requested_addr", FIRST), mac=third))[BOOTP].yiaddr != FIRST
    world.pass_time(OFFER_TIME + 1)
    fourth = "02:00:00:00:00:79"
    offer = world.ask(said("discover", ("requested_addr", FIRST), mac=fourth))
    assert offer[BOOTP].yiaddr == FIRST


def test_clients_are_known_by_their_identifier(world: World) -> None:
    """4.2: behind one hardware address there may be several."""
    one: Option = ("client_id", b"\0one")
    another: Option = ("client_id", b"\0another")
    assert leased(world, OTHER, one) == FIRST
    assert leased(world, OTHER, another) == "10.0.2.16"
    assert leased(world, "02:00:00:00:00:78", one) == FIRST


def test_a_client_without_identifier_is_its_hardware(world: World) -> None:
    assert leased(world, OTHER) == FIRST
    assert leased(world, OTHER, ("client_id", b"\1" + mac2str(OTHER))) == FIRST


@pytest.mark.parametrize(("flags", "address"), [(0, FIRST), (0x8000, "255.255.255.255")])
def test_the_client_says_how_it_can_be_reached(world: World, flags: int, address: str) -> None:
    answer = world.ask(said("discover", flags=flags))
    assert answer[IP].dst == address
    assert answer[Ether].dst == (OTHER if not flags else "ff:ff:ff:ff:ff:ff")
    assert answer[BOOTP].yiaddr == FIRST


def test_the_checksum_is_complete(world: World) -> None:
    """Clients that read packets see what the kernel would have completed."""
    world.send(said("discover"))
    ((header, _),) = world.link.written
    assert header[: len(NO_OFFLOAD)] == NO_OFFLOAD


def test_what_goes_to_another_node_goes_to_its_hardware(world: World) -> None:
    """4.1; and so does all that follows."""
    address = leased(world, OTHER)
    world.send(udp(src=address), mac=OTHER)
    (socket,) = world.host.udp
    world.receive(socket, b"answer", ("192.0.2.1", 7000))
    answer = world.heard_one()
    assert (answer[IP].dst, answer[Ether].dst) == (address, OTHER)
    world.send(udp(src=GUEST))
    world.receive(world.host.udp[1], b"answer", ("192.0.2.1", 7000))
    assert world.heard_one()[Ether].dst == GUEST_MAC


def test_who_sends_anything_is_learnt(world: World) -> None:
    """Without ARP, as a node that had it before we were started."""
    world.send(tcp("S", src="10.0.2.60"), mac=OTHER)
    world.host.tcp[0].connection.accept(world.now)
    assert world.heard_one()[Ether].dst == OTHER


def test_who_asks_by_arp_is_learnt(world: World) -> None:
    world.ask(ARP(op=1, hwsrc=OTHER, psrc="10.0.2.60", pdst=GATEWAY))
    world.send(tcp("S", src="10.0.2.60"), mac=OTHER)
    world.host.tcp[0].connection.accept(world.now)
    assert world.heard_one()[Ether].dst == OTHER


@pytest.mark.parametrize("sender", [GATEWAY, DNS, "10.0.2.255", "0.0.0.0", "192.0.2.1"])
def test_nobody_is_learnt_under_an_address_that_is_no_guest_s(world: World, sender: str) -> None:
    world.send(ARP(op=1, hwsrc=OTHER, psrc=sender, pdst=GATEWAY))
    world.heard()
    network = world.gateway.udp._network
    assert network.mac_of(bytes(map(int, sender.split(".")))) != mac2str(OTHER)


def test_the_table_of_neighbours_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(neighbours=3))
    world = World()
    network, mac = world.gateway.udp._network, mac2str(OTHER)
    addresses = [bytes((10, 0, 2, number)) for number in range(50, 54)]
    for address in addresses:
        assert network.learn(address, mac)
    assert [network.mac_of(address) == mac for address in addresses] == [False, True, True, True]
    moved = mac2str("02:00:00:00:00:78")
    assert network.learn(addresses[2], moved)
    assert [network.mac_of(address) for address in addresses[1:]] == [mac, moved, mac]


# ── 4.3.2: DHCPREQUEST ───────────────────────────────────────────────────────────────────────────


def test_a_lease_is_renewed(world: World) -> None:
    """RENEWING: by a message to this server alone."""
    address = leased(world)
    for _ in range(3):
        world.pass_time(LEASE_TIME / 2)
        answer = world.ask(said("request", src=address, dst=GATEWAY))
        assert kind_of(answer) == "ack"
        assert (answer[IP].dst, answer[BOOTP].yiaddr) == (address, address)
    assert not options_taken(world, address)


def options_taken(world: World, address: str) -> bool:
    """Whether a new client is offered `address` when it asks for it."""
    other = f"02:00:00:00:02:{world.now % 199:02.0f}"
    offer = world.ask(said("discover", ("requested_addr", address), mac=other))
    return bool(offer[BOOTP].yiaddr == address)


@pytest.mark.parametrize("destination", ["255.255.255.255", "10.0.2.255"])
def test_a_lease_is_rebound(world: World, destination: str) -> None:
    address = leased(world)
    assert kind_of(world.ask(said("request", src=address, dst=destination))) == "ack"


def test_a_client_that_comes_back_keeps_its_address(world: World) -> None:
    """INIT-REBOOT; a server that has been started anew knows nothing of it."""
    assert kind_of(world.ask(requested("10.0.2.20", server=""))) == "ack"
    assert kind_of(world.ask(requested("10.0.2.20", server="", mac="02:00:00:00:00:79"))) == "nak"


@pytest.mark.parametrize(
    "address", ["192.0.2.7", GATEWAY, DNS, GUEST, "10.0.2.14", "10.0.2.31", "10.0.2.255"]
)
def test_an_address_that_cannot_be_had_is_refused(world: World, address: str) -> None:
    answer = world.ask(requested(address, server=""))
    assert kind_of(answer) == "nak"
    assert (answer[IP].dst, answer[Ether].dst) == ("255.255.255.255", "ff:ff:ff:ff:ff:ff")
    assert answer[BOOTP].yiaddr == "0.0.0.0"
    assert set(options_of(answer)) == {"message-type", "server_id"}


def test_an_expired_lease_that_another_has_now_is_refused(world: World) -> None:
    address = leased(world)
    world.pass_time(LEASE_TIME)
    for number in range(16):
        leased(world, f"02:00:00:00:01:{number:02x}")
    assert kind_of(world.ask(said("request", src=address, dst=GATEWAY))) == "nak"


def test_a_client_that_chose_another_server_is_left_alone(world: World) -> None:
    world.ask(said("discover"))
    world.send(requested(FIRST, server="10.0.2.77"))
    assert world.heard() == []


@pytest.mark.parametrize(("wanted", "given"), [(600, 600), (1, 60), (1 << 31, LEASE_TIME)])
def test_a_client_may_want_less_time(world: World, wanted: int, given: int) -> None:
    answer = world.ask(requested(FIRST, ("lease_time", wanted)))
    assert options_of(answer)["lease_time"] == given
    world.pass_time(given - 1)
    assert not options_taken(world, FIRST)
    world.pass_time(1)
    assert options_taken(world, FIRST)


# ── 4.3.3 to 4.3.5: DHCPDECLINE, DHCPRELEASE, DHCPINFORM ─────────────────────────────────────────


def test_an_address_that_is_in_use_is_given_to_nobody(world: World) -> None:
    address = leased(world)
    world.send(said("decline", ("requested_addr", address), ("server_id", GATEWAY)))
    assert world.heard() == []
    assert leased(world) == "10.0.2.16"
    assert not options_taken(world, address)
    world.pass_time(DECLINED_TIME)
    assert options_taken(world, address)


def test_an_address_that_is_released_is_free(world: World) -> None:
    address = leased(world)
    world.send(said("release", ("server_id", GATEWAY), src=address, dst=GATEWAY))
    assert world.heard() == []
    assert options_taken(world, address)


def test_who_has_an_address_is_told_the_rest(world: World) -> None:
    answer = world.ask(said("inform", src="10.0.2.77", dst="255.255.255.255"))
    assert kind_of(answer) == "ack"
    assert (answer[IP].dst, answer[Ether].dst) == ("10.0.2.77", OTHER)
    assert (answer[BOOTP].yiaddr, answer[BOOTP].ciaddr) == ("0.0.0.0", "10.0.2.77")
    options = options_of(answer)
    assert options["name_server"] == DNS
    assert "lease_time" not in options


# ── what is not for us ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "packet",
    [
        said("discover", giaddr="10.9.0.1"),
        said("offer"),
        said("decline"),
        IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=mac2str(OTHER), hlen=6)
        / DHCP(options=["end"]),
    ],
)
def test_silence(world: World, packet: Packet) -> None:
    world.send(packet)
    assert world.heard() == []
    assert set(world.gateway.dropped.values()) == {0}


@pytest.mark.parametrize(
    "packet", [said("request"), said("inform"), said("discover", (50, b"short"))]
)
def test_malformed(world: World, packet: Packet) -> None:
    world.send(packet)
    assert world.heard() == []
    assert world.gateway.dropped["malformed"] == 1


@pytest.mark.parametrize(
    "packet",
    [
        udp(src="0.0.0.0", dst="255.255.255.255", dport=68),
        udp(src="0.0.0.0", dst="192.0.2.1", dport=67),
        udp(src="0.0.0.0", dst=GATEWAY, dport=67),
        udp(src="0.0.0.0", dst=DNS, dport=53),
        tcp("S", src="0.0.0.0", dst="255.255.255.255", dport=67),
    ],
)
def test_nobody_may_send_anything_else(world: World, packet: Packet) -> None:
    world.send(packet)
    assert world.heard() == []
    assert world.gateway.dropped["foreign source"] == 1
    assert world.host.udp == []


def test_what_is_for_this_link_needs_no_hops(world: World) -> None:
    assert kind_of(world.ask(said("discover", ttl=1))) == "offer"


def test_no_dhcp() -> None:
    world = World()
    world.send(said("discover"))
    assert world.heard() == []
    assert world.host.udp == []


def test_a_server_of_the_internet_is_another(world: World) -> None:
    world.send(udp(b"to it", dst="192.0.2.1", dport=67))
    assert world.host.udp[0].sent == [(b"to it", ("192.0.2.1", 67), 0)]


def test_the_last_of_the_pool() -> None:
    world = World(reserved={})
    assert kind_of(world.ask(requested(LAST, server=""))) == "ack"

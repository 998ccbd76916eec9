"""TCP to published ports: the guest sees its client, and no two clients are taken for one."""

import errno
from dataclasses import dataclass

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.packet import Packet, Raw

from rootlessnet.bounds import Bounds
from rootlessnet.stack import tcp_flows
from rootlessnet.stack.host import SocketAddress
from rootlessnet.tcp.connection import Connection
from rootlessnet.tcp.interface import SYN_GIVE_UP, TOMBSTONE
from tests.stack import world as world_module
from tests.stack.world import DNS, GATEWAY, GUEST, REMOTE, FakeTcp, World, tcp

CLIENT = ("198.51.100.7", 50000)
OTHER = "198.51.100.99"
PORT = 5000  # of the guest's server
ISN = 3000  # of the guest's
FIRST = tcp_flows._EPHEMERAL[0]  # the first port that a client gets in place of its own


@dataclass
class Opened:
    """A client's connection towards the guest."""

    host: FakeTcp
    connection: Connection
    syn: Packet
    peer: SocketAddress  # the client, as the guest sees it

    @property
    def number(self) -> int:
        """Of the client's first byte."""
        return int(self.syn[TCP].seq) + 1


def open_inbound(world: World, client: SocketAddress = CLIENT) -> Opened:
    host = FakeTcp()
    connection = world.gateway.tcp.open_inbound(host, client, PORT, world.now)
    syn = world.heard_one()
    assert (syn[IP].dst, syn[TCP].dport, syn[TCP].flags) == (GUEST, PORT, "S")
    return Opened(host, connection, syn, (syn[IP].src, syn[TCP].sport))


def test_another_address_of_the_guest_s() -> None:
    world, host = World(), FakeTcp()
    other = bytes([10, 0, 2, 101])
    world.gateway.tcp.open_inbound(host, CLIENT, PORT, world.now, guest=other)
    syn = world.heard_one()
    assert (syn[IP].dst, syn[TCP].dport) == ("10.0.2.101", PORT)
    address, port = CLIENT
    world.send(tcp("SA", ISN, syn.seq + 1, dst=address, dport=port, sport=PORT, src="10.0.2.101"))
    assert host.calls == ["established"]


def reply(
    flags: str, opened: Opened, seq: int = ISN, ahead: int = 0, payload: bytes = b""
) -> Packet:
    """A segment of the guest's server that acknowledges `ahead` bytes of the client's."""
    address, port = opened.peer
    ack = opened.number + ahead
    return tcp(flags, seq, ack, payload, dst=address, dport=port, sport=PORT)


def unreachable(code: int, quote: bytes) -> Packet:
    """The guest says that it did not take a packet."""
    return IP(src=GUEST, dst=GATEWAY) / ICMP(type=3, code=code) / Raw(quote)


def established(world: World, client: SocketAddress = CLIENT) -> Opened:
    opened = open_inbound(world, client)
    answer = world.ask(reply("SA", opened))
    assert (answer[TCP].flags, answer[TCP].seq, answer[TCP].ack) == ("A", opened.number, ISN + 1)
    assert opened.host.calls == ["established"]
    return opened


@pytest.mark.parametrize(
    ("client", "appears"),
    [
        (CLIENT, CLIENT),
        (("127.0.0.1", 50000), (GATEWAY, 50000)),
        (("127.9.9.9", 50000), (GATEWAY, 50000)),
        (("::1", 50000), (GATEWAY, 50000)),
        (("2001:db8::1", 50000), (GATEWAY, 50000)),
        (("10.0.2.9", 50000), (GATEWAY, 50000)),  # the guest would not send that to us
    ],
)
def test_how_the_guest_sees_its_client(client: SocketAddress, appears: SocketAddress) -> None:
    world = World(ipv6=False)
    assert open_inbound(world, client).peer == appears


@pytest.mark.parametrize("mtu", [1500, 65520])
def test_the_syn_says_what_we_take(mtu: int) -> None:
    options = dict(open_inbound(World(mtu=mtu)).syn[TCP].options)
    assert (options["MSS"], options["WScale"]) == (mtu - 40, 5)


def test_data_both_ways() -> None:
    world = World()
    opened = established(world)
    opened.connection.send(b"request", world.now)
    request = world.heard_one()
    assert (request[IP].src, request[TCP].sport) == CLIENT
    assert (request[TCP].seq, bytes(request[TCP].payload)) == (opened.number, b"request")
    world.send(reply("PA", opened, ISN + 1, 7, b"response"))
    assert opened.host.delivered == b"response"


def test_the_client_closes_first() -> None:
    world = World()
    opened = established(world)
    opened.connection.close(world.now)
    assert world.heard_one()[TCP].flags == "FA"
    world.send(reply("FPA", opened, ISN + 1, 1, b"bye"))
    assert (opened.host.delivered, opened.host.calls[-1]) == (b"bye", "finish")
    assert world.heard_one()[TCP].ack == ISN + 5
    world.pass_time(TOMBSTONE + 0.1)
    assert len(world.gateway.tcp) == 0


def test_the_guest_closes_first() -> None:
    world = World()
    opened = established(world)
    world.send(reply("FA", opened, ISN + 1))
    assert opened.host.calls[-1] == "finish"
    opened.connection.close(world.now)
    assert world.heard_one()[TCP].flags == "FA"
    world.send(reply("A", opened, ISN + 2, 1))
    assert (world.heard(), len(world.gateway.tcp)) == ([], 0)


def test_the_guest_refuses() -> None:
    world = World()
    opened = open_inbound(world)
    world.send(reply("RA", opened, seq=0))
    assert opened.host.calls == ["abort"]
    assert (world.heard(), len(world.gateway.tcp)) == ([], 0)


@pytest.mark.parametrize("code", [2, 3, 9, 10, 13])
@pytest.mark.parametrize("quoted", [8, 1000], ids=["as little as allowed", "all"])
def test_a_firewall_of_the_guest_s_refuses(code: int, quoted: int) -> None:
    """RFC 9293 MUST-54 and SHLD-26: the client need not wait until we give up."""
    world = World()
    opened = open_inbound(world)
    world.send(unreachable(code, bytes(opened.syn[IP])[: 20 + quoted]))
    assert opened.host.calls == ["abort"]
    assert (world.heard(), len(world.gateway.tcp)) == ([], 0)


@pytest.mark.parametrize("code", [0, 1, 4, 5])
def test_an_error_that_may_pass_refuses_nothing(code: int) -> None:
    """RFC 9293 MUST-56; 4 is about sizes."""
    world = World()
    opened = open_inbound(world)
    world.send(unreachable(code, bytes(opened.syn[IP])))
    assert (opened.host.calls, len(world.gateway.tcp)) == ([], 1)


@pytest.mark.parametrize("kind", [4, 11, 12])
def test_other_kinds_of_error_refuse_nothing(kind: int) -> None:
    """RFC 9293 MUST-55 and MUST-56: source quench, time exceeded, parameter problem."""
    world = World()
    opened = open_inbound(world)
    error = unreachable(3, bytes(opened.syn[IP]))
    error[ICMP].type = kind
    world.send(error)
    assert (opened.host.calls, len(world.gateway.tcp)) == ([], 1)


def test_an_error_does_not_end_a_connection_that_stands() -> None:
    """RFC 5927: whoever can send the guest a packet could make it report one."""
    world = World()
    opened = established(world)
    world.send(unreachable(3, bytes(opened.syn[IP])))
    assert (opened.host.calls, len(world.gateway.tcp)) == (["established"], 1)


@pytest.mark.parametrize("field", ["seq", "sport", "dport", "dst", "src", "proto"])
def test_an_error_about_something_else_refuses_nothing(field: str) -> None:
    world = World()
    opened = open_inbound(world)
    other = opened.syn.copy()
    for layer in (other[IP], other[TCP]):
        if field in layer.fields:
            layer.setfieldval(field, OTHER if field in ("dst", "src") else 17)
    world.send(unreachable(3, bytes(other[IP])))
    assert (opened.host.calls, len(world.gateway.tcp)) == ([], 1)


@pytest.mark.parametrize("size", [0, 1, 19, 27])
def test_an_error_that_quotes_too_little_is_malformed(size: int) -> None:
    world = World()
    opened = open_inbound(world)
    world.send(unreachable(3, bytes(opened.syn[IP])[:size]))
    assert (world.gateway.dropped["malformed"], opened.host.calls) == (1, [])


def test_the_guest_does_not_answer() -> None:
    world = World()
    opened = open_inbound(world)
    world.pass_time(SYN_GIVE_UP)
    repeated = world.heard()
    assert len(repeated) > 2
    assert {(one[TCP].flags.value, one[TCP].seq) for one in repeated} == {
        (opened.syn[TCP].flags.value, opened.syn[TCP].seq)
    }
    assert opened.host.calls == []
    world.pass_time(SYN_GIVE_UP)  # longer than the last of the growing pauses
    assert opened.host.calls == ["abort"]
    assert len(world.gateway.tcp) == 0


def test_the_client_goes_away_before_the_guest_has_answered() -> None:
    world = World()
    opened = open_inbound(world)
    opened.connection.abort()
    assert (world.heard(), len(world.gateway.tcp)) == ([], 0)
    assert world.ask(reply("SA", opened))[TCP].flags == "R"


# ── ports ────────────────────────────────────────────────────────────────────────────────────────


def test_clients_that_look_alike_get_ports_of_their_own() -> None:
    world = World(ipv6=False)
    clients = [(address, 50000) for address in ("127.0.0.1", "127.0.0.2", "::1", "2001:db8::1")]
    opened = [open_inbound(world, client) for client in clients]
    assert [one.peer for one in opened] == [
        (GATEWAY, port) for port in (50000, FIRST, FIRST + 1, FIRST + 2)
    ]
    for one in opened:
        assert world.ask(reply("SA", one))[TCP].flags == "A"
    for number, one in enumerate(opened):
        world.send(reply("PA", one, ISN + 1, payload=b"%d" % number))
    assert [one.host.delivered for one in opened] == [b"0", b"1", b"2", b"3"]


def test_a_connection_of_the_guest_s_is_not_taken_over() -> None:
    """The guest has connected from the port it now publishes to what is now a client's."""
    world = World()
    world.send(tcp("S", dst=CLIENT[0], dport=CLIENT[1], sport=PORT))
    assert open_inbound(world).peer == (CLIENT[0], FIRST)
    world.host.tcp[0].connection.accept(world.now)
    assert (world.heard_one()[TCP].flags, len(world.gateway.tcp)) == ("SA", 2)


def test_a_client_returns_to_its_port_in_place_of_a_tombstone() -> None:
    world = World()
    before = established(world)
    before.connection.close(world.now)
    world.send(reply("FA", before, ISN + 1, 1))
    world.heard()
    again = established(world)
    assert again.peer == CLIENT
    assert len(world.gateway.tcp) == 1
    world.pass_time(TOMBSTONE + 0.1)
    assert len(world.gateway.tcp) == 1
    assert before.host.calls[-1] == "finish"


def test_no_port_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_flows, "_EPHEMERAL", range(FIRST, FIRST + 2))
    world = World()
    for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        open_inbound(world, (address, 50000))
    one_too_many = FakeTcp()
    with pytest.raises(OSError, match="no port is left") as failure:
        world.gateway.tcp.open_inbound(one_too_many, ("127.0.0.4", 50000), PORT, world.now)
    assert failure.value.errno == errno.EADDRNOTAVAIL
    assert (world.heard(), one_too_many.calls, len(world.gateway.tcp)) == ([], [], 3)
    assert open_inbound(world, ("127.0.0.4", 50001)).peer == (GATEWAY, 50001)


def test_no_room_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "BOUNDS", Bounds(tcp_flows=1))
    world = World()
    opened = open_inbound(world)
    with pytest.raises(OSError, match="too many connections") as failure:
        world.gateway.tcp.open_inbound(FakeTcp(), ("127.0.0.1", 1), PORT, world.now)
    assert failure.value.errno == errno.ENOBUFS
    assert (world.heard(), len(world.gateway.tcp)) == ([], 1)
    world.send(reply("RA", opened, seq=0))
    open_inbound(world, ("127.0.0.1", 1))


@pytest.mark.parametrize("address", [DNS, REMOTE])
def test_others_do_not_answer_for_the_client(address: str) -> None:
    world = World()
    opened = open_inbound(world)
    stray = reply("SA", opened)
    stray[IP].dst = address
    assert world.ask(stray)[TCP].flags == "R"
    assert opened.host.calls == []

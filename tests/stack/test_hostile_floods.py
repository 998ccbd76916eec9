"""More of everything than there is room for: tables keep their bounds, go on, and drain."""

import errno
from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP
from scapy.packet import Packet, Raw

from rootlessnet.bounds import DEFAULTS
from rootlessnet.tcp.interface import SYN_GIVE_UP
from rootlessnet.tcp.state import State
from rootlessnet.wire.tcp import ACK, FIN, RST
from tests.stack.far_end import Kind
from tests.stack.ordeal import Ordeal
from tests.stack.tcp_guest import ISN
from tests.stack.world import GUEST, REMOTE, echo, tcp, udp
from tests.wire.oracle import from_guest

_AT_ONCE = 1000  # connects under way, which no other gives way to
_MANY = DEFAULTS.tcp_flows + 1000
_SOURCE_PORT_AT = 10 + 14 + 20
_IDENTIFIER_AT = 10 + 14 + 20 + 4  # of an ICMP echo
_NUMBERS_AT = _SOURCE_PORT_AT + 4
_FLAGS_AT = _SOURCE_PORT_AT + 13
_DESTINATION_AT = 10 + 14 + 16


def numbered(packet: Packet, at: int, count: int, size: int = 2) -> Iterator[memoryview]:
    """`count` frames that differ in one field; scapy makes the first of them."""
    frame = bytearray(from_guest(packet))
    for number in range(1, count + 1):
        frame[at : at + size] = number.to_bytes(size, "big")
        yield memoryview(frame)


def flood(ordeal: Ordeal, frames: Iterator[memoryview]) -> None:
    for frame in frames:
        ordeal.gateway.receive(frame, ordeal.now)
        ordeal.gateway.open_some(ordeal.now)
    ordeal.gateway.end_batch(ordeal.now)
    ordeal.check()


def syns() -> Iterator[memoryview]:
    """More than the table takes, from a port each; the bystander talks to another remote."""
    return numbered(tcp("S", dst="192.0.2.66"), _SOURCE_PORT_AT, _MANY)


def flood_and_connect(ordeal: Ordeal) -> None:
    """SYNs, each to a host that answers at once, until the table is full."""
    for frame in syns():
        known = len(ordeal.host.sockets)
        ordeal.gateway.receive(frame, ordeal.now)
        ordeal.gateway.open_some(ordeal.now)
        for socket in ordeal.host.sockets[known:]:
            socket.connection.accept(ordeal.now)


def test_syns_to_dead_hosts(ordeal: Ordeal) -> None:
    """The oldest gives way, without a word; what stands goes on."""
    flood(ordeal, syns())
    most = DEFAULTS.tcp_connecting
    assert 0.95 * most < len(ordeal.gateway.tcp) - 1 <= most
    assert sum(socket.is_open for socket in ordeal.host.sockets) == len(ordeal.gateway.tcp)
    assert ordeal.heard() == []


def test_syns_to_hosts_that_answer_and_are_not_heard(ordeal: Ordeal) -> None:
    flood_and_connect(ordeal)
    assert len(ordeal.link.written) == DEFAULTS.tcp_flows - 1
    ordeal.pass_time(2 * SYN_GIVE_UP)
    ordeal.link.written.clear()
    assert len(ordeal.gateway.tcp) == 1
    assert all(socket.calls == ["abort"] for socket in ordeal.host.sockets[1:])


@pytest.mark.parametrize("error", [errno.ECONNREFUSED, errno.ENETUNREACH, errno.EMFILE])
def test_syns_that_fail_at_once(ordeal: Ordeal, error: int) -> None:
    """No place of the table is taken, however many."""
    for frame in syns():
        ordeal.host.failure = error
        ordeal.gateway.receive(frame, ordeal.now)
        ordeal.gateway.open_some(ordeal.now)
    assert len(ordeal.gateway.tcp) == 1
    assert len(ordeal.link.written) == (0 if error == errno.EMFILE else _MANY)
    ordeal.link.written.clear()


def test_a_full_table_has_room_again(ordeal: Ordeal) -> None:
    flood_and_connect(ordeal)
    ordeal.send(tcp("S"))
    assert ordeal.host.sockets[-1].targets != ((REMOTE, 80),), "it is full"
    ordeal.host.sockets[-1].happen(Kind.RESETS, 0, ordeal.now)
    ordeal.link.written.clear()
    ordeal.send(tcp("S"))
    assert ordeal.host.sockets[-1].targets == ((REMOTE, 80),)
    ordeal.check()


def test_connections_that_have_ended_hold_no_memory(ordeal: Ordeal) -> None:
    """Their timers would keep each until a half-closed connection is probed."""
    frame = bytearray(from_guest(tcp("A", dst="192.0.2.66")))
    sockets = ordeal.host.sockets

    def each_says(flags: int, seq: int) -> None:
        for port, socket in enumerate(sockets[-_AT_ONCE:], 1):
            frame[_SOURCE_PORT_AT : _SOURCE_PORT_AT + 2] = port.to_bytes(2, "big")
            numbers = seq.to_bytes(4, "big") + socket.connection.snd_max.to_bytes(4, "big")
            frame[_NUMBERS_AT : _NUMBERS_AT + 8] = numbers
            frame[_FLAGS_AT] = flags
            ordeal.gateway.receive(memoryview(frame), ordeal.now)

    for _ in range(8):
        flood(ordeal, numbered(tcp("S", dst="192.0.2.66"), _SOURCE_PORT_AT, _AT_ONCE))
        for socket in sockets[-_AT_ONCE:]:
            socket.connection.accept(ordeal.now)
        each_says(ACK, ISN + 1)
        ordeal.pass_time(2)
        each_says(FIN | ACK, ISN + 1)
        assert {one.connection.state for one in sockets[-_AT_ONCE:]} == {State.CLOSE_WAIT}
        each_says(RST, ISN + 2)
    ordeal.link.written.clear()
    assert len(ordeal.gateway.tcp) == 1
    assert len(ordeal.gateway._engine.timers._heap) < 5000


def test_stray_segments_open_nothing(ordeal: Ordeal) -> None:
    flood(ordeal, numbered(tcp("A", dst="192.0.2.66", ack=1), _SOURCE_PORT_AT, _MANY))
    assert len(ordeal.link.written) == _MANY
    assert len(ordeal.gateway.tcp) == 1
    ordeal.link.written.clear()


def test_datagrams_from_every_port(ordeal: Ordeal) -> None:
    flood(ordeal, numbered(udp(), _SOURCE_PORT_AT, 2 * DEFAULTS.udp_flows))
    assert len(ordeal.gateway.udp) == DEFAULTS.udp_flows
    assert sum(not socket.closed for socket in ordeal.host.udp) == DEFAULTS.udp_flows


def test_datagrams_to_every_address(ordeal: Ordeal) -> None:
    """One socket, however many remotes; the newest are those that may answer."""
    flood(ordeal, numbered(udp(), _DESTINATION_AT + 1, 2 * DEFAULTS.udp_flows, 3))
    (socket,) = ordeal.host.udp
    assert len(socket.sent) == 2 * DEFAULTS.udp_flows
    assert len(ordeal.gateway.udp) == DEFAULTS.udp_flows
    for remote in (socket.sent[0][1], socket.sent[-1][1]):
        ordeal.receive(socket, b"answer", remote)
    assert ordeal.heard_one()[IP].src == socket.sent[-1][1][0]


def test_echo_requests_of_every_identifier(ordeal: Ordeal) -> None:
    flood(ordeal, numbered(echo(), _IDENTIFIER_AT, 2000))
    assert len(ordeal.gateway.echo) == DEFAULTS.echo_flows
    assert sum(not socket.closed for socket in ordeal.host.echo) == DEFAULTS.echo_flows


def test_fragments_of_datagrams_that_never_come(ordeal: Ordeal) -> None:
    first = IP(src=GUEST, dst=REMOTE, proto=6, flags="MF") / Raw(bytes(1400))
    flood(ordeal, numbered(first, 10 + 14 + 4, 5000))
    assert len(ordeal.gateway._fragments._datagrams) == DEFAULTS.fragmented

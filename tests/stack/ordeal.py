"""A gateway that anything may befall: a guest without manners, far ends that come and go, time.

An `Ordeal` plays steps. After each one the invariants of all connections hold, every bound is kept
and both streams are what was sent; `wind_down` lets the host's side and the timers come to their
end, and then nothing may be left. `tests/stack/test_hostile_schedules.py` makes schedules of steps
by rules, `tests/fuzz` makes them of bytes.
"""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from ipaddress import ip_address
from math import inf
from typing import NamedTuple
from unittest.mock import patch

from scapy.packet import Packet

from rootlessnet.bounds import Bounds
from rootlessnet.stack import router as router_module
from rootlessnet.stack.datagram_flows import Endpoint
from rootlessnet.stack.dhcp import DhcpServer
from rootlessnet.stack.dhcpv6 import Dhcpv6Server
from rootlessnet.stack.host import SocketAddress
from rootlessnet.stack.router import Router
from rootlessnet.tcp.sequence import MASK, distance
from rootlessnet.tcp.state import State
from rootlessnet.wire import ethernet, families, ip, tcp
from rootlessnet.wire.icmp import Reason
from tests.stack import world as world_module
from tests.stack.far_end import ERRORS, Kind, OrdealHost
from tests.stack.world import REMOTE, REMOTE_6, FakeDatagram, World, network
from tests.tcp.playbook import guest_bytes, host_bytes
from tests.tcp.simulation import check_invariants
from tests.wire.oracle import GUEST_MAC, NO_OFFLOAD

CLIENT, CLIENT_6 = "198.51.100.7", "2001:db8::7"  # of published ports
GUEST_PORT, CLIENT_PORT = 5000, 50000
_PLACES = 4  # four-tuples of a direction and family that the guest's segments may belong to
_DIRECTIONS = 2 * _PLACES  # four-tuples of a family


# ── what may happen ──────────────────────────────────────────────────────────────────────────────


class Frame(NamedTuple):
    """The guest sends these bytes, from the virtio-net header on."""

    data: bytes


class Segment(NamedTuple):
    """The guest sends a segment on four-tuple `which`, in numbers of the connection it has now:
    `ahead` of RCV.NXT, `acked` above SND.UNA. `data` are its options.
    """

    which: int
    flags: int
    ahead: int
    acked: int
    window: int
    length: int
    data: bytes


class Twist(NamedTuple):
    """The next frame loses its last `cut` bytes; `data` has places and what stands there."""

    cut: int
    data: bytes


class Pause(NamedTuple):
    """The batch ends, and time passes."""

    milliseconds: int


class Arrival(NamedTuple):
    """A client connects to a published port."""

    which: int


class Event(NamedTuple):
    """Something happens to a host TCP socket, counted from the newest."""

    which: int
    kind: int
    amount: int


class DatagramEvent(NamedTuple):
    """Something happens to a host datagram socket: about `data`, or `data` over and over."""

    which: int
    kind: int
    data: bytes


Step = Frame | Segment | Twist | Pause | Arrival | Event | DatagramEvent


class DatagramKind(IntEnum):
    """Of a `DatagramEvent`."""

    RECEIVED = 0
    RECEIVED_IN_SEGMENTS = 1
    TIME_EXCEEDED = 2
    TOO_LARGE = 3
    REFUSED = 4
    ANSWERED = 5  # the last DNS query


# ── the gateway between them ─────────────────────────────────────────────────────────────────────


class Ordeal(World):
    """Plays steps. `strict`: scapy judges every frame to the guest, which takes its time."""

    host: OrdealHost

    def __init__(self, *, strict: bool = False) -> None:
        super().__init__(host=OrdealHost(), reserved={})
        self._port, self._published = self.publish(GUEST_PORT)
        self._strict = strict
        self._twist: Twist | None = None

    def send(self, packet: Packet, vnet: bytes = NO_OFFLOAD, mac: str = GUEST_MAC) -> None:
        self.host.text_is_known = False
        super().send(packet, vnet, mac)

    def play(self, step: Step) -> None:
        """One step, and what must hold after it."""
        match step:
            case Frame():
                self.host.text_is_known = False
                self._receive(step.data)
            case Segment():
                self._receive(self._frame_of(step))
            case Twist():
                self.host.text_is_known = False
                self._twist = step
            case Pause():
                self.gateway.end_batch(self.now)
                assert not self.gateway._engine.batch
                self.pass_time(step.milliseconds / 1000)
            case Arrival():
                client = CLIENT if step.which % _DIRECTIONS < _PLACES else CLIENT_6
                self._arrive((client, CLIENT_PORT + step.which % _PLACES))
            case Event() if self.host.sockets:
                socket = self.host.sockets[-1 - step.which % len(self.host.sockets)]
                socket.happen(Kind(step.kind % len(Kind)), step.amount, self.now)
            case DatagramEvent():
                self._datagram_event(step)
            case _:
                pass
        self._check_sent()
        self.check()

    def check(self) -> None:
        """What is true of the gateway at every moment."""
        gateway = self.gateway
        for connection in gateway.tcp._flows.values():
            assert connection.state is not State.CLOSED
            check_invariants(connection)
        assert len(gateway.tcp) <= world_module.BOUNDS.tcp_flows
        assert len(gateway.udp) <= world_module.BOUNDS.udp_flows
        assert len(gateway.echo) <= world_module.BOUNDS.echo_flows
        assert len(gateway._fragments._datagrams) <= world_module.BOUNDS.fragmented
        assert len(gateway._network._neighbours) <= world_module.BOUNDS.neighbours
        for server in (self._made("_dhcp"), self._made("_dhcpv6")):
            if isinstance(server, DhcpServer | Dhcpv6Server):
                assert len(server._leases._leases) <= len(server._leases._pool) + 1

    def wind_down(self) -> None:
        """The far ends come to their end and the guest falls silent: nothing stays."""
        gateway, host = self.gateway, self.host
        while gateway.open_some(self.now):  # their far ends come to their end as well
            pass
        gateway.end_batch(self.now)
        for socket in host.sockets:
            socket.fail(errno.ETIMEDOUT)
            socket.go_on()
            socket.close(self.now)
        self._port.withdraw()
        router = self._made("_router")
        if isinstance(router, Router):
            router.deadline = inf  # it would speak as long as there is a guest
        for _ in range(1000):
            if gateway.next_deadline() == inf:
                break
            self.pass_time(max(gateway.next_deadline() - self.now, 1.0))
            self.check()
        assert gateway.next_deadline() == inf, "a timer for ever"
        assert (len(gateway.tcp), len(gateway.udp), len(gateway.echo)) == (0, 0, 0)
        assert not gateway._engine.batch
        assert not gateway._engine.delayed
        for socket in host.sockets:
            check_invariants(socket.connection)
            assert socket.connection.state is State.CLOSED
            assert not socket.is_open, f"a host socket stays: {socket.calls}"
        assert all(socket.closed for socket in host.udp + host.echo)

    def _made(self, name: str) -> object:
        """What the gateway has made to configure a guest, if it has."""
        return vars(self.gateway._configuration).get(name)

    # ── the guest ────────────────────────────────────────────────────────────────────────────────

    def _receive(self, frame: bytes) -> None:
        if self._twist is not None:
            twisted = bytearray(frame)
            for place, value in zip(self._twist.data[::2], self._twist.data[1::2], strict=False):
                if place < len(twisted):
                    twisted[place] = value
            frame = bytes(twisted[: max(len(twisted) - self._twist.cut, 0)])
            self._twist = None
        self.gateway.receive(memoryview(frame), self.now)

    def _frame_of(self, step: Segment) -> bytes:
        addresses, ports = _four_tuple(step.which)
        connection = self.gateway.tcp._flows.get(addresses + ports)
        seq, ack, position = step.ahead & MASK, step.acked & MASK, 0
        if connection is not None:
            seq = connection.rcv_nxt + step.ahead & MASK
            ack = connection.snd_una + step.acked & MASK
            position = distance(connection.irs + 1, seq)
        options = step.data[:40]
        options += bytes(-len(options) % 4)
        size = tcp.SIZE + len(options)
        header = ports + seq.to_bytes(4, "big") + ack.to_bytes(4, "big")
        header += bytes((size << 2, step.flags)) + step.window.to_bytes(2, "big") + bytes(4)
        family = families.of(addresses)
        text = guest_bytes(position, min(step.length, family.max_payload - size))
        return (
            NO_OFFLOAD
            + ethernet.HEADER.pack(bytes(6), bytes(6), family.ethertype)
            + family.build(addresses, ip.TCP, size + len(text), ip.DEFAULT_HOP_LIMIT)
            + header
            + options
            + text
        )

    def _check_sent(self) -> None:
        """What the guest was sent: each connection's text is the far end's."""
        flows = self.gateway.tcp._flows
        for header, text in self.link.written:
            family = families.OF_VERSION.get(header[ethernet.PAYLOAD] >> 4)
            if not text or family is None:
                continue
            network = ethernet.PAYLOAD
            at = network + family.header_size
            if header[network + (9 if family.version == 4 else 6)] == ip.TCP:
                addresses = header[network + family.addresses_at :][: 2 * family.address_size]
                key = ip.swapped(addresses) + header[at + 2 : at + 4]
                connection = flows.get(key + header[at : at + 2])
                if connection is not None:
                    seq = int.from_bytes(header[at + 4 : at + 8], "big")
                    position = distance(connection.iss + 1, seq)
                    assert text == host_bytes(position, len(text))
        if self._strict:
            self.heard()
        self.link.written.clear()

    # ── the host ─────────────────────────────────────────────────────────────────────────────────

    def _arrive(self, client: SocketAddress) -> None:
        if len(self.gateway.tcp) >= world_module.BOUNDS.tcp_flows:
            return
        socket = self.host.open_tcp()
        socket.join(self.gateway.tcp.open_inbound(socket, client, GUEST_PORT, self.now))

    def _datagram_event(self, step: DatagramEvent) -> None:
        if step.kind % len(DatagramKind) == DatagramKind.ANSWERED:
            if self.host.queries:
                self.host.queries.pop()[1](step.data)
            return
        sockets = [one for one in self.host.udp + self.host.echo if not one.closed]
        sockets.append(self._published)
        socket = sockets[step.which % len(sockets)]
        self._datagram(socket, DatagramKind(step.kind % len(DatagramKind)), step)

    def _datagram(self, socket: FakeDatagram, kind: DatagramKind, step: DatagramEvent) -> None:
        receiver, remotes = socket.receiver, [(CLIENT, CLIENT_PORT + step.which)]
        if isinstance(receiver, Endpoint):
            remotes += receiver.flows
        remote = remotes[-1 - step.which % len(remotes)]
        errors = families.OF_VERSION[6 if ":" in remote[0] else 4].icmp.numbers
        router = "2001:db8:ffff::1" if ":" in remote[0] else "203.0.113.1"
        match kind:
            case DatagramKind.RECEIVED:
                self.receive(socket, step.data * (1 + step.which), remote)
            case DatagramKind.RECEIVED_IN_SEGMENTS:
                self.receive(socket, step.data * (1 + step.which), remote, max(len(step.data), 1))
            case DatagramKind.TIME_EXCEEDED:
                error = errors[Reason.HOP_LIMIT_EXCEEDED]
                receiver.failed(step.data, remote, *error, router, 0)
            case DatagramKind.TOO_LARGE:
                receiver.failed(step.data, remote, *errors[Reason.TOO_BIG], router, 1280)
            case _:
                receiver.refused(step.data, remote, ERRORS[step.which % len(ERRORS)])


def _four_tuple(which: int) -> tuple[bytes, bytes]:
    """Addresses and ports of a connection as the guest sees it: four outbound, four inbound, and
    the same in IPv6.
    """
    is_ipv6 = which % (2 * _DIRECTIONS) >= _DIRECTIONS
    guest, place = network().plans[is_ipv6].guest, which % _PLACES
    if which % _DIRECTIONS < _PLACES:
        remote = ip_address(REMOTE_6 if is_ipv6 else REMOTE).packed
        return guest + remote, (40000 + place).to_bytes(2, "big") + b"\x00\x50"
    ports = GUEST_PORT.to_bytes(2, "big") + (CLIENT_PORT + place).to_bytes(2, "big")
    return guest + ip_address(CLIENT_6 if is_ipv6 else CLIENT).packed, ports


@contextmanager
def small_bounds() -> Generator[None]:
    """Tables so small that a short schedule fills them."""
    with (
        patch.object(
            world_module,
            "BOUNDS",
            Bounds(tcp_flows=6, udp_flows=4, echo_flows=3, fragmented=3, neighbours=3),
        ),
        patch.object(router_module, "INTERVAL", (200.0, 200.0)),  # so that a schedule is one
    ):
        yield

"""Flows that had to wait for their turn, with real sockets."""

from rootlessnet.stack.openings import PER_BATCH
from tests.host.world import FarEnd, HostWorld, is_readable, port_of
from tests.stack.world import GATEWAY, udp
from tests.wire.oracle import from_guest


def test_what_waited_leaves_with_its_round(world: HostWorld, far_end: FarEnd) -> None:
    """Also what is gathered for the end of the round, when a line ends at the end of one."""
    one, other = far_end.udp(), far_end.udp()
    packets = [
        udp(b"1", sport=1000 + n, dst=GATEWAY, dport=port_of(other)) for n in range(PER_BATCH)
    ]
    packets += [udp(data, sport=2000, dst=GATEWAY, dport=port_of(one)) for data in (b"2", b"3")]

    def send() -> None:
        for packet in packets:
            world.gateway.receive(from_guest(packet), world.reactor.now)

    world.reactor.run(send)
    assert one.recv(100) == b"2"
    assert is_readable(one)
    assert one.recv(100) == b"3"

"""TCP as a guest of few words speaks it: it opens, and its segments are told in short."""

from scapy.layers.inet import TCP
from scapy.packet import Packet

from tests.stack.world import REMOTE, FakeTcp, World, tcp

ISN = 1000  # of tcp()


def opening(world: World, syn: Packet) -> FakeTcp:
    """The host socket that a SYN brings about."""
    known = len(world.host.tcp)
    world.send(syn)
    (host,) = world.host.tcp[known:]
    return host


def established(world: World, sport: int = 40000, dst: str = REMOTE) -> tuple[FakeTcp, int]:
    """The host's half of a connection, and the number of the next byte to the guest."""
    host = opening(world, tcp("S", sport=sport, dst=dst))
    host.connection.accept(world.now)
    number = world.heard_one()[TCP].seq + 1
    world.send(tcp("A", seq=ISN + 1, ack=number, sport=sport, dst=dst))
    assert host.calls == ["established"]
    assert world.heard() == []
    return host, number


def said(packet: Packet) -> tuple[str, int, int, bytes]:
    """Flags, sequence and acknowledgement number and text of a segment."""
    segment = packet[TCP]
    return str(segment.flags), segment.seq, segment.ack, bytes(segment.payload)

"""Connections for a hostile guest to attack, one in every state, and the guest's words for it."""

from dataclasses import dataclass

from scapy.layers.inet import TCP
from scapy.packet import Packet

from rootlessnet.tcp.state import State
from tests.stack.far_end import HostSocket
from tests.stack.ordeal import Ordeal
from tests.stack.tcp_guest import ISN, said
from tests.stack.world import tcp

UNANSWERED = "UNANSWERED"  # SYN_RECEIVED while the host's connect is under way
SYNCHRONISED = [
    state.name for state in State if state not in (State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED)
]
STATES = [UNANSWERED, State.SYN_RECEIVED.name, *SYNCHRONISED]


@dataclass
class Victim:
    """A connection: the guest's next number, the gateway's next number, and where they meet."""

    ordeal: Ordeal
    host: HostSocket
    seq: int = ISN + 1
    ack: int = 0

    @property
    def state(self) -> str:
        return self.host.connection.state.name

    def segment(self, flags: str, ahead: int = 0, acked: int = 0, payload: bytes = b"") -> Packet:
        """A segment of the guest's in the numbers of the connection."""
        mask = 0xFFFFFFFF
        return tcp(flags, self.seq + ahead & mask, self.ack + acked & mask, payload)

    def hears(self, packet: Packet) -> list[tuple[str, int, int, bytes]]:
        """What the guest is told for a packet, by the end of the batch."""
        self.ordeal.send(packet)
        self.ordeal.check()
        return [said(answer) for answer in self.ordeal.heard()]

    @property
    def truth(self) -> tuple[str, int, int, bytes]:
        """The acknowledgement that says where both sides stand."""
        return "A", self.ack & 0xFFFFFFFF, self.seq & 0xFFFFFFFF, b""


def victim(ordeal: Ordeal, state: str = "ESTABLISHED", isn: int = ISN) -> Victim:
    """A connection in this state; the guest has been told everything."""
    ordeal.send(tcp("S", seq=isn))
    one = Victim(ordeal, ordeal.host.sockets[-1], isn + 1 & 0xFFFFFFFF)
    if state == UNANSWERED:
        return one
    one.host.connection.accept(ordeal.now)
    one.ack = ordeal.heard_one()[TCP].seq + 1
    if state == "SYN_RECEIVED":
        return one
    ordeal.send(one.segment("A"))
    if state in ("CLOSE_WAIT", "LAST_ACK"):
        ordeal.send(one.segment("FA"))
        one.seq += 1
    if state not in ("ESTABLISHED", "CLOSE_WAIT"):
        one.host.close(ordeal.now)
        one.ack += 1
    if state == "FIN_WAIT_2":
        ordeal.send(one.segment("A"))
    elif state in ("CLOSING", "TIME_WAIT"):
        ordeal.send(one.segment("FA", acked=0 if state == "TIME_WAIT" else -1))
        one.seq += 1
    ordeal.pass_time(0.01)
    ordeal.heard()
    assert one.state == state
    return one

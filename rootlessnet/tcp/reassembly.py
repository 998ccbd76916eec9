"""Segments that arrived ahead of RCV.NXT, until the gap before them is filled.

The guest's queue towards us overflows when it bursts past its length, so loss in this direction is
real, and without this queue every segment behind a lost one would travel twice. It is bounded in
bytes, because pieces may overlap, and in pieces, because they may be of one byte. Read: RFC 9293
3.10.7.4.
"""

from rootlessnet.tcp.sequence import distance

MAX_PIECES = 512
MAX_BYTES = 1 << 20


class Reassembly:
    """Pieces sorted by sequence number; they may overlap. `size` is their length in sum."""

    __slots__ = ("pieces", "size")

    def __init__(self) -> None:
        self.pieces: list[tuple[int, bytes, bool]] = []
        self.size = 0

    def insert(self, seq: int, data: bytes, fin: bool) -> int:
        """Keep a piece that begins at `seq`; `fin` says that a FIN follows it. The bytes added."""
        pieces = self.pieces
        at = len(pieces)
        while at and distance(pieces[at - 1][0], seq) < 0:
            at -= 1
        if at and pieces[at - 1][0] == seq and len(pieces[at - 1][1]) >= len(data) and not fin:
            return 0  # a repeat
        if len(pieces) >= MAX_PIECES or self.size + len(data) > MAX_BYTES:
            return 0
        self.size += len(data)
        pieces.insert(at, (seq, data, fin))
        return len(data)

    def take(self, rcv_nxt: int) -> tuple[memoryview, bool] | None:
        """The bytes from `rcv_nxt` on and whether a FIN follows; None while there is a gap."""
        pieces = self.pieces
        while pieces:
            seq, data, fin = pieces[0]
            ahead = distance(rcv_nxt, seq)
            if ahead > 0:
                return None
            del pieces[0]
            self.size -= len(data)
            if len(data) + ahead > 0 or (fin and len(data) + ahead == 0):
                return memoryview(data)[-ahead:] if ahead else memoryview(data), fin
        return None

    def clear(self) -> None:
        self.pieces.clear()
        self.size = 0

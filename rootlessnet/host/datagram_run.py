"""Datagrams that were read one behind the other, to be given on as one burst.

What UDP_GRO does for a sender that uses segmentation, done here for those who do not: a burst costs
the guest's device one write. Read: udp(7) for UDP_SEGMENT, which has the same rules.
"""

from rootlessnet.stack.host import SocketAddress
from rootlessnet.wire.udp import MAX_PAYLOAD


class Run:
    """Datagrams from one remote that lie in the buffer one behind the other, all of `segment` bytes
    but the last, which may have fewer; or one datagram, if that is 0.
    """

    __slots__ = ("end", "is_open", "remote", "segment", "start")

    def __init__(
        self, start: int, end: int, remote: SocketAddress, segment: int, is_open: bool
    ) -> None:
        """`is_open`: more may follow, of the size of this one."""
        self.start = start
        self.end = end
        self.remote = remote
        self.segment = segment
        self.is_open = is_open

    def admits(self, size: int, remote: SocketAddress) -> bool:
        """Take in a datagram that lies behind, if it belongs here."""
        segment = self.segment or self.end - self.start
        if (
            not 0 < size <= segment
            or self.end + size - self.start > MAX_PAYLOAD
            or remote != self.remote
        ):
            return False
        self.end += size
        self.segment = segment
        self.is_open = size == segment
        return True

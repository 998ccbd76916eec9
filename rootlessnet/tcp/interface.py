"""The two sides of a connection, as the engine sees them, and the bounds it keeps
besides those that its user may change (`rootlessnet.bounds`).

`Link` is below (segments towards the guest), `User` above (the host socket): the TCP/lower-level
and TCP/user interfaces of RFC 9293 3.9. Both are injected, so the engine runs in a test without
either.
"""

from typing import Protocol

SEND_PIECES = 1024  # reads of the host socket in flight, for each costs an object however small
SHARE = 6  # one connection may hold 1/2**SHARE of what is left of `Bounds.tcp_bytes`
LEAST_SHARE = 2048  # bytes it may hold all the same, so that every connection goes on
WINDOW_SCALE = 5  # lets the 16 bits of a header express the widest window
BURST = (
    65535 - 60
)  # payload of the largest frame: IP length less IP and TCP headers (IPv6: 40 + 20)
# Bytes of text that a guest takes in a segment whatever MSS it offers, as Linux has it: an MSS of 1
# would make 65,000 segments of one frame.
LEAST_MSS = 48

DELAYED_ACK = 0.001  # seconds; long enough for an answer to carry the acknowledgement
PERSIST_MIN = 0.2  # seconds between zero-window probes, doubled up to PERSIST_MAX
PERSIST_MAX = 60.0
GIVE_UP = 100.0  # seconds without an answer after which a guest counts as dead (RFC 9293 R2)
SYN_GIVE_UP = 20.0  # the same for a SYN: a client of a forward waits meanwhile
KEEP_ALIVE = 75.0  # seconds between keep-alive probes of a half-closed connection
HALF_CLOSED_LIMIT = 7200.0  # seconds a half-closed connection may stay without any data
TOMBSTONE = 1.0  # seconds of TIME_WAIT: only a lost last ACK needs it here
CHALLENGE_LIMIT = 100  # challenge ACKs a second, over all connections (RFC 5961 10)


class Link(Protocol):
    """Where segments leave for the guest."""

    def emit(
        self,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        payload: bytes | memoryview,
        mss: int,
        options: bytes,
    ) -> None:
        """Send one segment; a payload above `mss` leaves as several. Buffers may be reused then.

        Options, a SYN's, leave without payload.
        """

    def closed(self) -> None:
        """The connection holds no more state."""


class User(Protocol):
    """The host's half of the connection."""

    def deliver(self, data: memoryview | bytes) -> int:
        """Take in-order bytes; how many were taken, or -1 when the host's half is gone."""

    def finish(self) -> None:
        """The guest has sent its FIN and every byte before it was taken: no more will come."""

    def resume(self, now: float) -> None:
        """`Connection.room` has grown: read on."""

    def established(self, now: float) -> None:
        """The handshake with the guest has ended: `send` and `close` may be called from here on."""

    def orphaned(self) -> None:
        """The guest's half has ended in order; bytes of its are held that the far end has yet to
        take, and that are there for `deliver` as long as it takes some.
        """

    def abort(self) -> None:
        """The guest has reset or refused the connection, or vanished: reset the far end."""

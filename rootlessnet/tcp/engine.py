"""What all connections of a stack share: deadlines, acknowledgements that are owed, randomness,
memory.

An acknowledgement is owed to a connection at most once for each batch of frames, and for small
segments it waits about a millisecond for an answer to ride on: each saved frame saves a system call
on both sides (RFC 9293 3.8.6.3 allows up to half a second).

The memory that connections hold is shared by dynamic thresholds: each may hold a fixed fraction of
what is left, so a few stalled ones have all they want, many get equal parts of the whole, and it
never runs out. Read: Choudhury and Hahne, Dynamic Queue Length Thresholds, 1998.
"""

from hashlib import blake2s
from math import inf
from typing import Protocol

from rootlessnet.bounds import DEFAULTS, Bounds
from rootlessnet.tcp.interface import (
    CHALLENGE_LIMIT,
    DELAYED_ACK,
    LEAST_SHARE,
    SHARE,
)
from rootlessnet.tcp.sequence import MASK
from rootlessnet.tcp.timers import Timers


class Acknowledging(Protocol):
    """A connection, as far as the engine knows it."""

    def acknowledge(self) -> None:
        """Send the acknowledgement that is owed, if it still is."""


class Engine:
    """One for each stack. `secret` (16 bytes) keys the initial sequence numbers."""

    __slots__ = (
        "_challenges",
        "_challenges_from",
        "_delayed_until",
        "_secret",
        "batch",
        "connection_limit",
        "delayed",
        "spare",
        "timers",
    )

    def __init__(self, timers: Timers, secret: bytes, bounds: Bounds = DEFAULTS) -> None:
        self.timers = timers
        self.batch: list[Acknowledging] = []  # owe an acknowledgement at the end of this batch
        self.delayed: list[Acknowledging] = []  # may wait for an answer until `_delayed_until`
        self._delayed_until = inf
        self.connection_limit = bounds.tcp_connection_bytes  # of each direction
        # Bytes that connections may hold yet; they count for themselves.
        self.spare = bounds.tcp_bytes
        self._secret = secret
        self._challenges = 0
        self._challenges_from = -inf

    def initial_sequence_number(self, flow: bytes, now: float) -> int:
        """A clock of 4 µs and a keyed hash of addresses and ports (RFC 6528 3)."""
        digest = blake2s(flow, digest_size=4, key=self._secret).digest()
        return (int(now * 250_000) + int.from_bytes(digest, "big")) & MASK

    def share(self) -> int:
        """How many bytes one connection may hold at this moment, for one direction."""
        share = self.spare >> SHARE
        if share < LEAST_SHARE:  # `max` would cost five times as much, for each segment
            return LEAST_SHARE
        return share

    def may_challenge(self, now: float) -> bool:
        """Whether one more challenge ACK is allowed in this second (RFC 5961 7)."""
        if now >= self._challenges_from + 1.0:
            self._challenges_from, self._challenges = now, 0
        self._challenges += 1
        return self._challenges <= CHALLENGE_LIMIT

    def end_batch(self, now: float) -> None:
        """Send the acknowledgements that cannot wait."""
        batch = self.batch
        if batch:
            for connection in batch:
                connection.acknowledge()
            batch.clear()
        if self._delayed_until == inf and self.delayed:
            self._delayed_until = now + DELAYED_ACK

    def next_deadline(self) -> float:
        """When to call `expire` next; inf for never."""
        deadline = self.timers.next_deadline()
        if self._delayed_until < deadline:
            return self._delayed_until
        return deadline

    def expire(self, now: float) -> None:
        """Send delayed acknowledgements and run the timers that are due."""
        if self._delayed_until <= now:
            self._delayed_until = inf
            delayed, self.delayed = self.delayed, []
            for connection in delayed:
                connection.acknowledge()
        self.timers.expire(now)

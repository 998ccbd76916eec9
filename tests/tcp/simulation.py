"""Two engines joined by a link that loses, repeats, delays and reorders segments, in virtual time.

It also shrinks windows: a side then believes of the other what no kernel should say, that room
which it promised is gone (RFC 9293 3.8.6: MUST-34), down to nothing.

Everything is decided by a seed, so a schedule that fails can be played again. The link calms down
after `Conditions.calm_after` seconds: only then can a bound be demanded of the time it takes.

Each `Peer` is a connection and its user: it sends a stream in pieces, takes what arrives at a pace
of its own, and closes when it has sent everything. `check` asserts what must hold at every moment.
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from random import Random

from rootlessnet.bounds import DEFAULTS
from rootlessnet.tcp.connection import Connection
from rootlessnet.tcp.engine import Engine
from rootlessnet.tcp.sequence import HALF, MASK, distance
from rootlessnet.tcp.state import State
from rootlessnet.tcp.timers import Timers
from rootlessnet.wire.tcp import ACK, FIN, PSH, RST, SYN, Segment
from tests.tcp.playbook import guest_bytes

RECEIVE_LIMIT = DEFAULTS.tcp_connection_bytes

_LATENCY = 0.0005  # seconds
_BEGINNING = 1_000.0  # of the clock
_MOST_EVENTS = 200_000  # of a schedule: far more than any needs


@dataclass(frozen=True)
class Habits:
    """How a user behaves."""

    sends: int = 100_000  # bytes in all
    piece: int = 30_000  # at most at once
    thinks: float = 0.0  # seconds between pieces
    takes: int | None = None  # bytes at once; None: everything
    rests: float = 0.0  # seconds between taking
    closes_last: bool = False  # only when the other has closed


@dataclass(frozen=True)
class Conditions:
    """What the link does to segments; the first four are probabilities."""

    loss: float = 0.0
    repetition: float = 0.0
    reordering: float = 0.0
    shrinking: float = 0.0
    jitter: float = 0.01  # seconds by which a reordered segment is late
    calm_after: float = 10.0  # seconds


class Simulation:
    """A link, a clock and two peers: `active` opens, `passive` is connected after `patience`."""

    def __init__(
        self,
        seed: int,
        conditions: Conditions,
        active: Habits,
        passive: Habits,
        mss: int = 1400,
        patience: float = 0.0,
    ) -> None:
        self.random = Random(seed)
        self.now = _BEGINNING
        self.patience = patience
        self._conditions = conditions
        self._events: list[tuple[float, int, Peer, Segment | None]] = []
        self._order = count()
        isn = [self.random.choice([0, MASK, HALF - 1, MASK - 50_000]) for _ in range(2)]
        self.active = Peer(self, "active", active, mss, isn[0])
        self.passive = Peer(self, "passive", passive, mss, isn[1])
        self.active.other, self.passive.other = self.passive, self.active

    def run(self) -> float:
        """Play to the end; the virtual seconds it took."""
        self.active.open()
        active, passive = self.active, self.passive
        for _ in range(_MOST_EVENTS):
            deadline, peer = active.engine.next_deadline(), active
            if passive.engine.next_deadline() < deadline:
                deadline, peer = passive.engine.next_deadline(), passive
            if self._events and self._events[0][0] <= deadline:
                when, _, peer, segment = heappop(self._events)
                self.now = max(self.now, when)
                peer.wake(segment)
            elif deadline < float("inf"):
                self.now = max(self.now, deadline)
                peer.engine.expire(self.now)
            else:
                return self.now - _BEGINNING
            peer.check()
        raise AssertionError("it does not end")

    def after(self, delay: float, peer: "Peer", segment: Segment | None = None) -> None:
        """Give `peer` a segment, or time for itself."""
        heappush(self._events, (self.now + delay, next(self._order), peer, segment))

    def carry(self, to: "Peer", segment: Segment) -> None:
        """Treat one segment as the link treats segments."""
        conditions, random = self._conditions, self.random
        if self.now - _BEGINNING > conditions.calm_after:
            self.after(_LATENCY, to, segment)
            return
        if random.random() < conditions.loss:
            return
        if random.random() < conditions.shrinking:
            segment.window = random.choice([0, random.randint(0, segment.window)])
        copies = 2 if random.random() < conditions.repetition else 1
        for _ in range(copies):
            late = random.random() < conditions.reordering
            self.after(_LATENCY + (random.random() * conditions.jitter if late else 0), to, segment)


class Peer:
    """One side: the connection's `Link` and `User`, and the stack around it."""

    other: "Peer"

    def __init__(self, world: Simulation, name: str, habits: Habits, mss: int, iss: int) -> None:
        self.engine = Engine(Timers(), bytes(16))
        self.connection = Connection(self.engine, self, self, mss, iss)
        self.received = self.sent = 0  # bytes
        self.closed_count = self.finished_count = self.abort_count = 0
        self.closing = False
        self.idle = 0.0  # seconds that the user took for itself, which no stack can make shorter
        self._world, self._name, self._habits = world, name, habits
        self._opened = self._established = False
        self._may_take_from = self._may_send_from = 0.0
        self._edge: int | None = None  # the right edge of our window, as last announced

    def open(self) -> None:
        self._opened = True
        self.connection.active_open(self._world.now)

    # ── the stack ────────────────────────────────────────────────────────────────────────────────

    def wake(self, segment: Segment | None) -> None:
        """A segment arrives, or the user's time has come."""
        now = self._world.now
        if segment is None:
            self._go_on(now)
        elif self.closed_count or not self._opened:
            self._arrives_unknown(segment)
        else:
            self.connection.segment_arrives(segment, now)
        if self._world.random.random() < 0.7:  # else the batch goes on
            self.engine.end_batch(now)
        else:
            self._world.after(0.0, self)

    def _arrives_unknown(self, segment: Segment) -> None:
        """RFC 9293 3.10.7.1."""
        if not self.closed_count and segment.flags & (SYN | ACK | RST) == SYN:
            self._opened = True
            self.connection.passive_open(segment)
            self._may_send_from = self._world.now + self._world.patience
            self._world.after(self._world.patience, self)
        elif segment.flags & (RST | ACK) == ACK:
            self.emit(segment.ack, 0, RST, 0, b"", 1, b"")

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
        assert not (flags & ACK and self.closed_count), "a segment after the end"
        if flags & (ACK | RST | SYN) == ACK:  # a repeated SYN cannot express what came after it
            self._check_edge((ack + (window << self.connection._rcv_scale)) & MASK)
        data = bytes(payload)
        last = max(len(data) - 1, 0) // mss * mss
        for at in range(0, last + 1, mss):
            self._world.carry(
                self.other,
                Segment(
                    seq=(seq + at) & MASK,
                    ack=ack,
                    flags=flags if at == last else flags & ~(FIN | PSH),
                    window=window,
                    payload=memoryview(data[at : at + mss]),
                    options=options,
                ),
            )

    def _check_edge(self, edge: int) -> None:
        """A window is never taken back (SHLD-14), but for what its scale cannot express."""
        if self._edge is None or distance(self._edge, edge) > 0:
            self._edge = edge
        assert distance(edge, self._edge) < 1 << self.connection._rcv_scale, "a window shrank"

    def closed(self) -> None:
        self.closed_count += 1

    # ── the user ─────────────────────────────────────────────────────────────────────────────────

    def _go_on(self, now: float) -> None:
        connection = self.connection
        if connection.awaits_accept and now >= self._may_send_from:
            connection.accept(now)
        connection.user_ready()
        if self._established:
            self._send(now)

    def _send(self, now: float) -> None:
        habits, connection = self._habits, self.connection
        while self.sent < habits.sends:
            if now < self._may_send_from:
                return
            room = connection.room()
            if not room:
                connection.wait_for_room(now)
                return
            length = min(
                room, habits.sends - self.sent, self._world.random.randint(1, habits.piece)
            )
            data = guest_bytes(self.sent, length)
            self.sent += length
            if habits.thinks:
                self.idle += habits.thinks
                self._may_send_from = now + habits.thinks
                self._world.after(habits.thinks, self)
            connection.send(data, now)
        if not self.closing and not (habits.closes_last and not self.finished_count):
            self.closing = True
            connection.close(now)

    def established(self, now: float) -> None:
        assert not self._established
        self._established = True
        self._send(now)

    def resume(self, now: float) -> None:
        self._send(now)

    def deliver(self, data: memoryview | bytes) -> int:
        habits, now = self._habits, self._world.now
        assert not self.finished_count, "bytes behind the FIN"
        taken = len(data)
        if habits.takes is not None:
            if now < self._may_take_from:
                return 0
            taken = min(taken, habits.takes)
            self.idle += habits.rests
            self._may_take_from = now + habits.rests
            self._world.after(habits.rests, self)
        assert data[:taken] == guest_bytes(self.received, taken), f"{self._name} {self.received}"
        self.received += taken
        return taken

    def finish(self) -> None:
        self.finished_count += 1
        self._world.after(0.0, self)

    def orphaned(self) -> None:
        """It takes some yet, as its habits are."""

    def abort(self) -> None:
        self.abort_count += 1

    # ── what must hold ───────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """What is true of a connection at every moment."""
        connection = self.connection
        check_invariants(connection)
        assert self.engine.spare == DEFAULTS.tcp_bytes - held_by(connection)
        assert self.closed_count == (self._opened and connection.state is State.CLOSED)


def held_by(connection: Connection) -> int:
    """The bytes that a connection holds, in both directions."""
    held = connection._queue.size + len(connection._receive_buffer)
    return held + connection._reassembly.size


def check_invariants(connection: Connection) -> None:
    """What is true of every connection at every moment, whatever the other side sends."""
    una = connection.snd_una
    in_flight = (connection.snd_max - una) & MASK
    assert (connection.snd_nxt - una) & MASK <= in_flight < HALF, "SND.UNA <= SND.NXT <= SND.MAX"
    assert (connection._rcv_adv - connection.rcv_nxt) & MASK <= RECEIVE_LIMIT, "RCV.NXT <= edge"
    assert len(connection._receive_buffer) <= RECEIVE_LIMIT
    assert connection._queue.size <= RECEIVE_LIMIT
    assert connection._reassembly.size <= RECEIVE_LIMIT
    if connection.state is State.CLOSED:
        assert connection.deadline == float("inf"), "no timer outlives the connection"
        assert not connection._queue.size
        assert not connection._reassembly.pieces

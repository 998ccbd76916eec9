"""The variables of a connection in RFC 9293's names, and the segments that leave it.

Every segment carries the acknowledgement and the window of its moment, so whatever leaves settles
what is owed. The window never takes back what it promised (RFC 9293 3.8.6.2.2), and less than a
segment counts as nothing. Read: RFC 9293 3.3.1.
"""

from enum import Enum, auto
from math import inf

from rootlessnet.tcp.engine import Engine
from rootlessnet.tcp.interface import BURST, PERSIST_MIN, Link, User
from rootlessnet.tcp.reassembly import Reassembly
from rootlessnet.tcp.retransmission import RetransmissionTimeout
from rootlessnet.tcp.send_queue import SendQueue
from rootlessnet.tcp.sequence import MASK
from rootlessnet.tcp.state import State
from rootlessnet.tcp.timers import Timed
from rootlessnet.wire.tcp import ACK, SYN


class Timer(Enum):
    """What the connection's one deadline stands for."""

    NONE = auto()
    RETRANSMISSION = auto()
    PERSIST = auto()
    KEEP_ALIVE = auto()
    TIME_WAIT = auto()


class Owed(Enum):
    """Whether an acknowledgement is owed, and how long it may wait."""

    NOTHING = auto()
    DELAYED = auto()
    AT_END_OF_BATCH = auto()


# Those of nearly every segment: a member costs 50 ns through its class, and 3 by a name of its own.
NO_TIMER, RETRANSMISSION = Timer.NONE, Timer.RETRANSMISSION
NOTHING, DELAYED, AT_END_OF_BATCH = Owed.NOTHING, Owed.DELAYED, Owed.AT_END_OF_BATCH


class Tcb(Timed):
    """The transmission control block. `mss` is what our side takes in one segment, in bytes."""

    __slots__ = (
        "_blocked",
        "_duplicate_acks",
        "_engine",
        "_fin_end",
        "_heard",
        "_in_delayed",
        "_link",
        "_max_snd_wnd",
        "_mss",
        "_owed",
        "_peer_mss",
        "_persist",
        "_progress",
        "_queue",
        "_rcv_adv",
        "_rcv_limit",
        "_rcv_scale",
        "_reassembly",
        "_receive_buffer",
        "_receive_finished",
        "_rtt_from",
        "_rtt_seq",
        "_snd_scale",
        "_timeout",
        "_timer",
        "_unacknowledged",
        "_user",
        "burst",
        "irs",
        "iss",
        "rcv_nxt",
        "snd_max",
        "snd_mss",
        "snd_nxt",
        "snd_una",
        "snd_wl1",
        "snd_wl2",
        "snd_wnd",
        "state",
    )

    def __init__(self, engine: Engine, link: Link, user: User, mss: int, iss: int) -> None:
        super().__init__()
        self._engine, self._link, self._user, self._mss = engine, link, user, mss
        self.state = State.CLOSED

        self.iss = self.snd_una = self.snd_nxt = self.snd_max = iss
        self.snd_wnd = self._max_snd_wnd = self.snd_wl1 = self.snd_wl2 = 0
        self.snd_mss = self._peer_mss = mss
        self.burst = BURST  # bytes of the largest frame, in whole segments
        self._snd_scale = 0
        self._queue = SendQueue()
        self._fin_end = -1  # the number behind our FIN, once the host has sent its last byte
        self._blocked = False  # the user found no room, and must be told when there is some

        self.irs = self.rcv_nxt = self._rcv_adv = 0
        self._rcv_scale = 0
        # The widest window, as the scale allows.
        self._rcv_limit = min(engine.connection_limit, 0xFFFF)
        self._receive_buffer = bytearray()  # what the user did not take yet
        self._reassembly = Reassembly()
        self._receive_finished = False  # the user was told of the guest's FIN
        self._owed = NOTHING
        self._in_delayed = False  # in the engine's list of delayed acknowledgements
        self._unacknowledged = 0  # bytes received since an acknowledgement left

        self._timer = NO_TIMER
        self._timeout = RetransmissionTimeout()
        self._rtt_seq, self._rtt_from = -1, 0.0  # the number being timed (-1: none), and since when
        self._persist = PERSIST_MIN
        self._duplicate_acks = 0
        self._heard = self._progress = 0.0  # when any segment came; when any data moved

    def acknowledge(self) -> None:
        """Send the acknowledgement that is owed, if it still is."""
        self._in_delayed = False
        if self._owed is not NOTHING:
            self._emit_acknowledgement()

    def _emit_acknowledgement(self) -> None:
        """An empty segment, numbered as far on as the guest's window takes.

        SND.NXT will not do when it has fallen back: the guest would find an old number, drop what
        the segment acknowledges and answer the same, and two such sides answer each other for ever.
        """
        ahead = min((self.snd_max - self.snd_una) & MASK, self.snd_wnd)
        self._emit((self.snd_una + ahead) & MASK, ACK, b"")

    def _owe_acknowledgement(self, owed: Owed) -> None:
        if owed is AT_END_OF_BATCH:
            if self._owed is not owed:
                self._owed = owed
                self._engine.batch.append(self)
        elif self._owed is NOTHING:
            self._owed = owed
            if not self._in_delayed:
                self._in_delayed = True
                self._engine.delayed.append(self)

    def _emit(
        self, seq: int, flags: int, payload: bytes | memoryview, options: bytes = b""
    ) -> None:
        """Send one segment with the acknowledgement and the window as they stand."""
        rcv_nxt = self.rcv_nxt
        limit, share = self._rcv_limit, self._engine.share()
        if share < limit:
            limit = share
        window = limit - len(self._receive_buffer)
        promised = (self._rcv_adv - rcv_nxt) & MASK
        # RFC 9293 3.8.6.2.2: a window that is smaller than a segment, and than half, is silly.
        if window < promised or (window < self._mss and window < limit >> 1):
            window = promised
        scale = 0 if flags & SYN else self._rcv_scale
        # Rounded down, or a guest that sends less than the scale expresses would be granted more
        # room with every acknowledgement. What was promised is taken all the same (RFC 7323 2.4).
        field = window >> scale
        if field > 0xFFFF:
            field = 0xFFFF
        if field << scale > promised:
            self._rcv_adv = (rcv_nxt + (field << scale)) & MASK
        self._owed = NOTHING
        self._unacknowledged = 0
        self._link.emit(seq, rcv_nxt, flags, field, payload, self.snd_mss, options)

    def _start(self, timer: Timer, deadline: float) -> None:
        self._timer = timer
        self._engine.timers.schedule(self, deadline)

    def _release(self) -> None:
        """Hold no more state towards the guest. What the host has yet to take stays for it."""
        self.state = State.CLOSED
        self._timer = NO_TIMER
        self.deadline = inf
        self._owed = NOTHING
        self._engine.spare += self._queue.size
        self._queue.clear()
        self._clear_reassembly()
        self._link.closed()
        if self._receive_buffer:
            self._user.orphaned()

    def _clear_reassembly(self) -> None:
        self._engine.spare += self._reassembly.size
        self._reassembly.clear()

    def _discard_received(self) -> None:
        """There is no host any more that could take it."""
        self._engine.spare += len(self._receive_buffer)
        self._receive_buffer.clear()

"""The sending half: from the host's bytes to acknowledged segments.

Bytes stay in the send queue until they are acknowledged. SND.NXT may fall back behind `snd_max`,
the highest number ever sent: after a time-out, and when the guest has shut its window on segments
in flight; sending goes on from there as if for the first time. One deadline serves the
retransmission, persist, keep-alive and TIME_WAIT timers, which exclude one another. Read: RFC 9293
3.8.1-3.8.6 and 3.10.7.4 (fifth), RFC 6298, RFC 5681 3.2, RFC 5961 5.
"""

from math import inf

from rootlessnet.tcp.interface import (
    BURST,
    GIVE_UP,
    HALF_CLOSED_LIMIT,
    KEEP_ALIVE,
    PERSIST_MAX,
    PERSIST_MIN,
    SEND_PIECES,
    SYN_GIVE_UP,
)
from rootlessnet.tcp.sequence import HALF, MASK
from rootlessnet.tcp.state import State
from rootlessnet.tcp.tcb import AT_END_OF_BATCH, NO_TIMER, RETRANSMISSION, Tcb, Timer
from rootlessnet.wire.tcp import ACK, FIN, PSH, RST, SYN, Segment, build_options

SYN_SENT = State.SYN_SENT
SYN_RECEIVED = State.SYN_RECEIVED
FIN_WAIT_2 = State.FIN_WAIT_2
CLOSE_WAIT = State.CLOSE_WAIT
SENDING = (State.ESTABLISHED, CLOSE_WAIT)  # the host may still send data

_DUPLICATE_ACKS = 3  # RFC 5681 3.2
_MINIMUM_SEGMENT = 536  # what a segment is never cut below for the sake of half a window


class Sender(Tcb):
    """A TCB that sends."""

    __slots__ = ()

    def room(self) -> int:
        """How many bytes `send` takes now.

        Silly windows are avoided here (RFC 9293 3.8.6.2.1): less than a segment is offered only
        while nothing is in flight.
        """
        queue, engine = self._queue, self._engine
        held = queue.size
        share = most = engine.share()
        if engine.connection_limit < most:
            most = engine.connection_limit
        if self.snd_wnd < most:
            most = self.snd_wnd
        free = most - held
        if (
            free > 0
            and (not held or free >= self.snd_mss or free >= share >> 1)
            and len(queue.pieces) < SEND_PIECES
            and self.state in SENDING
        ):
            return free
        return 0

    def wait_for_room(self, now: float) -> None:
        """The user has bytes and found no room: `User.resume` will be called when there is some.

        The window is probed when nothing is in flight that would bring an answer.
        """
        self._blocked = True
        if self._timer in (NO_TIMER, Timer.KEEP_ALIVE) and self.state in SENDING:
            self._start_persist(now)

    def send(self, data: bytes, now: float) -> None:
        """Send bytes of the host, at most `room()` of them."""
        queue = self._queue
        unsent = queue.size - ((self.snd_nxt - self.snd_una) & MASK)
        queue.append(data)
        self._engine.spare -= len(data)
        if unsent or len(data) > self.burst:
            self._output(now)
        else:
            self._emit_data(data, now)

    # ── output ───────────────────────────────────────────────────────────────────────────────────

    def _emit_data(self, data: bytes | memoryview, now: float) -> None:
        seq = self.snd_nxt
        self._sent(len(data), now)
        self._emit(seq, ACK | PSH, data)

    def _sent(self, length: int, now: float) -> None:
        """Account for `length` sequence numbers from SND.NXT on."""
        una = self.snd_una
        self.snd_nxt = nxt = (self.snd_nxt + length) & MASK
        if (nxt - una) & MASK > (self.snd_max - una) & MASK:
            self.snd_max = nxt
            if self._rtt_seq < 0:  # Karn: never a number that was sent before
                self._rtt_seq, self._rtt_from = nxt, now
        if self._timer is not RETRANSMISSION:
            self._progress = now  # the guest's time to answer begins
            self._start(RETRANSMISSION, now + self._timeout.value)

    def _output(self, now: float) -> None:
        """Send what the window takes of what is queued and of the FIN behind it."""
        queue = self._queue
        while True:
            offset = (self.snd_nxt - self.snd_una) & MASK
            unsent = queue.size - offset
            length = min(unsent, self.snd_wnd - offset, self.burst)
            if length <= 0 or (length < unsent and length < self.snd_mss and offset):
                break
            self._emit_data(queue.read(offset, length), now)
        if self._fin_end >= 0 and unsent == 0 and offset < self.snd_wnd:
            seq = self.snd_nxt
            self._sent(1, now)
            self._emit(seq, ACK | FIN, b"")
        elif not offset:
            self._start_persist(now)

    def _emit_syn(self, now: float) -> None:
        """The first segment of a handshake, or its repetition."""
        if self.snd_max == self.iss:
            self._sent(1, now)
        else:
            self._rtt_seq = -1  # Karn
        self._start(RETRANSMISSION, now + self._timeout.value)
        flags = SYN if self.state is SYN_SENT else SYN | ACK
        self._emit(self.iss, flags, b"", build_options(self._mss, self._rcv_scale or None))

    # ── acknowledgements ─────────────────────────────────────────────────────────────────────────

    def _take_ack(self, segment: Segment, now: float) -> bool:
        """Process the acknowledgement and the window. False: drop the segment (RFC 9293 fifth)."""
        una = self.snd_una
        ack = segment.ack
        acked = (ack - una) & MASK
        outstanding = (self.snd_max - una) & MASK
        self._heard = now
        if acked > outstanding:
            if acked < HALF or (una - ack) & MASK > self._max_snd_wnd:  # RFC 5961 5.2
                self._challenge(now)
                return False
            return True  # an old acknowledgement
        if acked:
            self._acknowledged(ack, acked, outstanding, now)
        elif self._timer is RETRANSMISSION and not segment.length:
            self._count_duplicate(segment, now)
        window = segment.window << self._snd_scale
        if window > self.snd_wnd or (
            (segment.seq - self.snd_wl1) & MASK < HALF
            and (segment.seq != self.snd_wl1 or (ack - self.snd_wl2) & MASK < HALF)
        ):
            self._set_window(segment, window)
        if self._queue.size > (self.snd_nxt - self.snd_una) & MASK or (
            self._fin_end >= 0 and self.snd_nxt != self._fin_end
        ):
            self._output(now)
        if self._blocked:
            if self.room():
                self._blocked = False
                self._user.resume(now)
            else:
                self.wait_for_room(now)
        return True

    def _acknowledged(self, ack: int, acked: int, outstanding: int, now: float) -> None:
        self.snd_una = ack
        if (self.snd_nxt - ack) & MASK >= HALF:
            self.snd_nxt = ack  # it had fallen back, and the guest held more than was thought
        # Our SYN and FIN count as acknowledged too, and lie in no queue.
        queue = self._queue
        discarded = queue.size
        if acked < discarded:
            discarded = acked
        queue.discard(discarded)
        self._engine.spare += discarded
        self._duplicate_acks = 0
        self._progress = now
        if self._rtt_seq >= 0 and (ack - self._rtt_seq) & MASK < HALF:
            self._timeout.sample(now - self._rtt_from)
            self._rtt_seq = -1
        if acked < outstanding:
            self._start(RETRANSMISSION, now + self._timeout.value)
        else:
            self._stop_timer(now)

    def _set_window(self, segment: Segment, window: int) -> None:
        self.snd_wl1, self.snd_wl2 = segment.seq, segment.ack
        self.snd_wnd = window
        if window > self._max_snd_wnd:
            # A segment above half the window would stop the guest from ever opening it in time.
            self._max_snd_wnd = window
            self.snd_mss = min(self._peer_mss, max(window // 2, _MINIMUM_SEGMENT))
            self.burst = max(BURST // self.snd_mss, 1) * self.snd_mss

    def _count_duplicate(self, segment: Segment, now: float) -> None:
        """Fast retransmit on the third duplicate (RFC 5681 3.2)."""
        if segment.window << self._snd_scale != self.snd_wnd:
            return
        self._duplicate_acks += 1
        if self._duplicate_acks == _DUPLICATE_ACKS and self._queue.size:
            self._rtt_seq = -1
            self._emit(
                self.snd_una, ACK | PSH, self._queue.read(0, min(self.snd_mss, self._queue.size))
            )

    def _challenge(self, now: float) -> None:
        """Answer a segment that may be forged with the truth (RFC 5961)."""
        if self._engine.may_challenge(now):
            self._owe_acknowledgement(AT_END_OF_BATCH)

    # ── timers ───────────────────────────────────────────────────────────────────────────────────

    def _stop_timer(self, now: float) -> None:
        state = self.state
        if state is FIN_WAIT_2 or state is CLOSE_WAIT:  # half closed
            self._start(Timer.KEEP_ALIVE, now + KEEP_ALIVE)
        else:
            self._timer = NO_TIMER
            self.deadline = inf

    def _start_persist(self, now: float) -> None:
        if self._timer is not Timer.PERSIST:
            self._heard, self._persist = now, PERSIST_MIN
            self._start(Timer.PERSIST, now + PERSIST_MIN)

    def timer_expired(self, now: float) -> None:
        match self._timer:
            case Timer.RETRANSMISSION:
                self._retransmit(now)
            case Timer.PERSIST if self._blocked or self._queue.size or self._fin_end >= 0:
                self._probe(now, self._persist)
                self._persist = min(self._persist * 2, PERSIST_MAX)
            case Timer.PERSIST:
                self._stop_timer(now)  # the window opened, and nobody had anything to send
            case Timer.KEEP_ALIVE:
                if now - self._progress >= HALF_CLOSED_LIMIT:
                    self._give_up()
                else:
                    self._probe(now, KEEP_ALIVE)
            case Timer.TIME_WAIT:
                self._release()
            case Timer.NONE:
                pass

    def _retransmit(self, now: float) -> None:
        handshake = self.state in (SYN_SENT, SYN_RECEIVED)
        if now - self._progress >= (SYN_GIVE_UP if handshake else GIVE_UP):
            self._give_up()
            return
        self._timeout.back_off()
        self._rtt_seq = -1
        if handshake:
            self._emit_syn(now)
            return
        self.snd_nxt = self.snd_una
        self._duplicate_acks = 0
        if not self.snd_wnd:
            self._start_persist(now)
            return
        self._start(RETRANSMISSION, now + self._timeout.value)
        if self._queue.size:
            # One segment; the acknowledgement tells what else was lost.
            self._emit_data(
                self._queue.read(0, min(self.snd_mss, self.snd_wnd, self._queue.size)), now
            )
        else:
            self._output(now)

    def _probe(self, now: float, interval: float) -> None:
        """Ask for the window and for a sign of life, by an empty segment just before SND.UNA."""
        if now - self._heard >= max(GIVE_UP, 2 * interval):
            self._give_up()
            return
        self._emit((self.snd_una - 1) & MASK, ACK, b"")
        self._start(self._timer, now + interval)

    def _give_up(self) -> None:
        """The guest is dead or refuses to go on."""
        self._emit(self.snd_max, RST | ACK, b"")
        self._discard_received()
        self._release()
        self._user.abort()

"""The connection: opening, closing and the segments that arrive (RFC 9293 3.10).

Segments come in through `segment_arrives`, host events through `accept`, `send`, `close`, `abort`
and `user_ready`, time through `timer_expired`; segments leave through `Link.emit`. The states are
walked as section 3.10.7 walks them, behind a short cut for the segment that nearly always comes: in
order, in ESTABLISHED, with no flag but ACK and PSH.

Received bytes go straight from the frame's buffer to the host; `_receive_buffer` holds only what
the host did not take, and the window closes as it fills.
"""

from rootlessnet.tcp.interface import LEAST_MSS, TOMBSTONE, WINDOW_SCALE
from rootlessnet.tcp.sender import SYN_RECEIVED, SYN_SENT, Sender
from rootlessnet.tcp.sequence import MASK, distance
from rootlessnet.tcp.state import State
from rootlessnet.tcp.tcb import AT_END_OF_BATCH, DELAYED, NO_TIMER, Timer
from rootlessnet.wire.tcp import ACK, FIN, PSH, RST, SYN, Segment, parse_options

CLOSED, ESTABLISHED, TIME_WAIT = State.CLOSED, State.ESTABLISHED, State.TIME_WAIT
RECEIVING = (ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)  # the guest may send data
FINISHED = (State.CLOSING, State.LAST_ACK, TIME_WAIT)  # both have sent their FIN

_ON_CLOSE = {ESTABLISHED: State.FIN_WAIT_1, State.CLOSE_WAIT: State.LAST_ACK}
_ON_FIN = {
    ESTABLISHED: State.CLOSE_WAIT,
    State.FIN_WAIT_1: State.CLOSING,
    State.FIN_WAIT_2: TIME_WAIT,
}
_ON_FIN_ACKNOWLEDGED = {
    State.FIN_WAIT_1: State.FIN_WAIT_2,
    State.CLOSING: TIME_WAIT,
    State.LAST_ACK: CLOSED,
}
_NOT_PSH = 0xFF & ~PSH


class Connection(Sender):
    """The guest's half of a proxied connection."""

    __slots__ = ()

    # ── opening ──────────────────────────────────────────────────────────────────────────────────

    def passive_open(self, segment: Segment) -> None:
        """Take the guest's SYN. Nothing is answered before `accept`: only the far end can accept.

        Data on the SYN is left for the guest to send again.
        """
        self.state = SYN_RECEIVED
        self._take_syn(segment)

    def accept(self, now: float) -> None:
        """The host's connect has succeeded: answer the SYN."""
        if self.awaits_accept:
            self._emit_syn(now)

    def active_open(self, now: float) -> None:
        """Open towards the guest, for a forward."""
        self.state = SYN_SENT
        self._rcv_scale = WINDOW_SCALE
        self._emit_syn(now)

    @property
    def awaits_accept(self) -> bool:
        """Whether the guest's SYN is still unanswered, so that anything may yet be said of it."""
        return self.state is SYN_RECEIVED and self.snd_max == self.iss

    @property
    def is_tombstone(self) -> bool:
        """Whether all is said and only the number of the last FIN is remembered."""
        return self.state is TIME_WAIT

    @property
    def held(self) -> int:
        """How many bytes of the guest the user has yet to take."""
        return len(self._receive_buffer)

    @property
    def queued(self) -> int:
        """How many bytes of the user the guest has yet to acknowledge."""
        return self._queue.size

    def may_be_reopened_by(self, segment: Segment) -> bool:
        """Whether a SYN on the same four-tuple begins a new connection (RFC 9293 MAY-2)."""
        newer = distance(self.rcv_nxt, segment.seq) >= 0
        return self.is_tombstone and segment.flags & (SYN | ACK | RST) == SYN and newer

    def abandon(self) -> None:
        """End without a word to the guest, which will ask again, and give up the host's connect."""
        self._release()
        self._user.abort()

    def refused(self, seq: int) -> None:
        """An ICMP error says for good that the segment with this number did not get through.

        Only a connection that does not stand yet is given up for it, as kernels have it (RFC 5461).
        """
        if self.state is SYN_SENT and seq == self.iss:
            self._reset_by_guest()

    def forget(self) -> None:
        """End without a word to the guest: something else tells it."""
        self._release()

    def _take_syn(self, segment: Segment) -> None:
        self.irs = segment.seq
        self.rcv_nxt = self._rcv_adv = (segment.seq + 1) & MASK
        peer_mss, window_scale = parse_options(segment.options)
        scaled = window_scale is not None
        self._snd_scale, self._rcv_scale = window_scale or 0, WINDOW_SCALE if scaled else 0
        limit = self._engine.connection_limit
        self._rcv_limit = limit if scaled else min(limit, 0xFFFF)
        self._max_snd_wnd = 0
        self._peer_mss = min(max(peer_mss, LEAST_MSS), self._mss)
        self._set_window(segment, segment.window)  # RFC 7323 2.2: not scaled in a SYN

    # ── the host's side ──────────────────────────────────────────────────────────────────────────

    def close(self, now: float) -> None:
        """The host has sent its last byte: FIN, behind what is queued."""
        state = _ON_CLOSE.get(self.state)
        if state is not None:
            self.state = state
            self._fin_end = (self.snd_una + self._queue.size + 1) & MASK
            self._output(now)

    def abort(self) -> None:
        """The host's half was reset or refused: so is the guest's."""
        self._discard_received()
        if self.state in (TIME_WAIT, CLOSED):
            return
        if self.awaits_accept:
            self._emit(0, RST | ACK, b"")  # without ACK the guest would not heed it
        elif self.state is not SYN_SENT:
            self._emit(self.snd_max, RST | ACK, b"")
        self._release()

    def user_ready(self) -> None:
        """The user can take bytes again: deliver what is held, and open the window."""
        held = self._receive_buffer
        if not held:
            return
        with memoryview(held) as view:
            taken = self._user.deliver(view)
        if taken < 0:
            self.abort()
            return
        del held[:taken]
        self._engine.spare += taken
        if self.state in RECEIVING:
            self._announce_window()
        elif not held:
            self._finish_receiving()

    def _announce_window(self) -> None:
        """Tell the guest of room it does not know of, when it is worth a segment."""
        promised = (self._rcv_adv - self.rcv_nxt) & MASK
        limit = min(self._rcv_limit, self._engine.share())
        grown = limit - len(self._receive_buffer) - promised
        if grown >= limit // 4 or (promised < self._mss <= grown):
            self._emit_acknowledgement()

    def _finish_receiving(self) -> None:
        if not self._receive_finished:
            self._receive_finished = True
            self._user.finish()

    # ── segments from the guest ──────────────────────────────────────────────────────────────────

    def segment_arrives(self, segment: Segment, now: float) -> None:
        """Process one segment. Its payload is not used after the return."""
        state = self.state
        payload = segment.payload
        if (
            state is ESTABLISHED
            and segment.seq == self.rcv_nxt
            and segment.flags & _NOT_PSH == ACK
            and len(payload) <= (self._rcv_adv - self.rcv_nxt) & MASK
            and not self._reassembly.pieces
        ):
            if self._take_ack(segment, now) and payload and self.state in RECEIVING:
                self._take_payload(payload, now)
        elif state is SYN_SENT:
            self._syn_sent(segment, now)
        elif self.awaits_accept:
            self._awaiting_accept(segment)
        elif state is not CLOSED:
            self._otherwise(segment, now)

    def _awaiting_accept(self, segment: Segment) -> None:
        """The host's connect is under way: SYNs repeat, and the guest may lose patience."""
        if segment.flags & RST:
            if segment.seq == self.rcv_nxt:
                self._reset_by_guest()
        elif segment.flags & (SYN | ACK) == SYN:
            self._take_syn(segment)  # the newest counts: the guest may have begun anew

    def _syn_sent(self, segment: Segment, now: float) -> None:
        """RFC 9293 3.10.7.3."""
        flags = segment.flags
        acceptable = flags & ACK and segment.ack == self.snd_nxt
        if flags & ACK and not acceptable:
            if not flags & RST:
                self._link.emit(segment.ack, 0, RST, 0, b"", self._mss, b"")
                if self._rtt_seq >= 0:  # once only: the reset has cleared the way
                    self._emit_syn(now)
            return
        if flags & RST:
            if acceptable:
                self._reset_by_guest()
            return
        if not flags & SYN:
            return
        self._take_syn(segment)
        if acceptable:
            self._acknowledged(segment.ack, 1, 1, now)
            self._owe_acknowledgement(AT_END_OF_BATCH)
            self._establish(now)
        else:  # both opened at once
            self.state = SYN_RECEIVED
            self._emit_syn(now)

    def _otherwise(self, segment: Segment, now: float) -> None:
        """RFC 9293 3.10.7.4, in its order."""
        flags = segment.flags
        if self.state is SYN_RECEIVED and flags & (SYN | RST) == SYN and segment.seq == self.irs:
            self._syn_repeated(segment, now)
            return
        if not self._trim(segment):
            if not flags & RST:
                self._owe_acknowledgement(AT_END_OF_BATCH)
                self._hear_old_news(segment, now)
            return
        if flags & RST:
            if segment.seq == self.rcv_nxt:
                self._reset_by_guest()
            else:
                self._challenge(now)
            return
        if flags & SYN:
            self._challenge(now)
            return
        if not flags & ACK:
            return
        if self.state is SYN_RECEIVED and not self._complete_handshake(
            segment, segment.window << self._snd_scale, now
        ):
            return
        if not self._take_ack(segment, now):
            return
        self._check_fin_acknowledged(now)
        if self.state in RECEIVING:
            self._take_text(segment, now)

    def _trim(self, segment: Segment) -> bool:
        """First: check the sequence number, and cut what lies outside the window.

        A full window does not stop acknowledgements and resets at its edge from being heard.
        """
        ahead = distance(self.rcv_nxt, segment.seq)
        window = (self._rcv_adv - self.rcv_nxt) & MASK
        if ahead > window:
            return False
        if ahead < 0:
            if ahead + segment.length <= 0 or segment.flags & (SYN | RST):
                return False
            segment.payload = segment.payload[-ahead:]
            segment.seq = self.rcv_nxt
            ahead = 0
        excess = ahead + len(segment.payload) - window
        if excess > 0:
            segment.payload = segment.payload[: len(segment.payload) - excess]
            segment.flags &= ~FIN
            self._owe_acknowledgement(AT_END_OF_BATCH)
        return True

    def _syn_repeated(self, segment: Segment, now: float) -> None:
        if not segment.flags & ACK:
            self._emit_syn(now)  # our answer was lost
        elif self._complete_handshake(segment, segment.window, now):  # both had opened at once
            self._owe_acknowledgement(AT_END_OF_BATCH)

    def _hear_old_news(self, segment: Segment, now: float) -> None:
        """The number of a segment is old, what it acknowledges may be new.

        RFC 9293 drops it whole, BSD does not: two sides that have lost acknowledgements, and that
        each believe the other's window shut, number all that they say too low ever to be heard.
        """
        if self.state is TIME_WAIT:
            if segment.flags & FIN:
                self._start(Timer.TIME_WAIT, now + TOMBSTONE)
        elif (
            segment.flags & (SYN | ACK) == ACK
            and segment.ack != self.snd_una
            and self.state is not SYN_RECEIVED
        ):
            self._take_ack(segment, now)
            self._check_fin_acknowledged(now)

    def _complete_handshake(self, segment: Segment, window: int, now: float) -> bool:
        if segment.ack != (self.iss + 1) & MASK:
            self._link.emit(segment.ack, 0, RST, 0, b"", self._mss, b"")
            return False
        self._acknowledged(segment.ack, 1, 1, now)
        self._set_window(segment, window)
        self._establish(now)
        return self.state is not CLOSED

    def _establish(self, now: float) -> None:
        self.state = ESTABLISHED
        self._timeout.handshake_ended()
        self._heard = now
        self._user.established(now)

    def _reset_by_guest(self) -> None:
        if self.state in FINISHED:
            self._release()
            return  # what the guest sent is complete, and stays for the host
        self._discard_received()
        self._release()
        self._user.abort()

    # ── text and FIN ─────────────────────────────────────────────────────────────────────────────

    def _take_text(self, segment: Segment, now: float) -> None:
        """Seventh and eighth: take the segment's text and FIN, or keep them for later."""
        payload, fin = segment.payload, bool(segment.flags & FIN)
        if segment.seq != self.rcv_nxt:
            if payload or fin:
                self._keep_for_later(segment.seq, payload, fin)
                self._owe_acknowledgement(AT_END_OF_BATCH)
            return
        if payload and not self._take_payload(payload, now):
            return
        while not fin and self.state in RECEIVING:
            held = self._reassembly.size
            piece = self._reassembly.take(self.rcv_nxt)
            self._engine.spare += held - self._reassembly.size
            if piece is None:
                break
            payload, fin = piece
            self._owe_acknowledgement(AT_END_OF_BATCH)
            if payload and not self._take_payload(payload, now):
                return
        if fin and self.state in RECEIVING:
            self._take_fin(now)

    def _keep_for_later(self, seq: int, payload: memoryview | bytes, fin: bool) -> None:
        """Keep a piece ahead of a gap. That is for speed alone: without it, it would come again."""
        if len(payload) <= self._engine.spare:
            self._engine.spare -= self._reassembly.insert(seq, bytes(payload), fin)

    def _take_payload(self, payload: memoryview | bytes, now: float) -> bool:
        """Hand in-order bytes to the user. False when some, or the connection, had to be dropped.

        What was promised to many at once may be more than there is memory when all hosts stall. The
        excess is not acknowledged, so the guest sends it again.
        """
        held = self._receive_buffer
        taken = 0 if held else self._user.deliver(payload)
        offered = length = len(payload)
        if taken < length:
            if taken < 0:
                self.abort()
                return False
            length = min(length, taken + max(self._engine.spare, 0))
            self._engine.spare -= length - taken
            held += payload[taken:length]  # the one copy of this direction
        self.rcv_nxt = (self.rcv_nxt + length) & MASK
        self._progress = now
        self._unacknowledged += length
        at_once = self._unacknowledged >= 2 * self._mss
        self._owe_acknowledgement(AT_END_OF_BATCH if at_once else DELAYED)
        return length == offered

    def _take_fin(self, now: float) -> None:
        if self.rcv_nxt == self._rcv_adv:
            self._rcv_adv = (self._rcv_adv + 1) & MASK  # a full window takes a FIN yet
        self.rcv_nxt = (self.rcv_nxt + 1) & MASK
        self._clear_reassembly()
        self._owe_acknowledgement(DELAYED)
        self._enter(_ON_FIN[self.state], now)
        if not self._receive_buffer:
            self._finish_receiving()

    def _check_fin_acknowledged(self, now: float) -> None:
        if self.snd_una == self._fin_end:
            state = _ON_FIN_ACKNOWLEDGED.get(self.state)
            if state is not None:
                self._enter(state, now)

    def _enter(self, state: State, now: float) -> None:
        self.state = state
        if state is CLOSED:
            self._release()
        elif state is TIME_WAIT:
            self.acknowledge()
            self._start(Timer.TIME_WAIT, now + TOMBSTONE)
        elif self._timer is NO_TIMER:
            self._stop_timer(now)

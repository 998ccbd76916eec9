"""The retransmission time-out. Read: RFC 6298.

The link is memory, so a round trip takes as long as the guest needs to be scheduled: the lower
bound is the 200 ms of Linux, not the second of the RFC, which was set for wide networks.
"""

INITIAL = 1.0  # seconds; RFC 6298 2.1
AFTER_LOST_SYN = 3.0  # RFC 6298 5.7: whatever delayed the handshake may delay the first bytes
MINIMUM = 0.2
MAXIMUM = 60.0
_GRANULARITY = 0.001  # of the event loop's timers


class RetransmissionTimeout:
    """SRTT, RTTVAR and the back-off. `value` is the time-out in seconds.

    The back-off lasts until the next sample: a guest that takes longer than the time-out to answer
    would otherwise be sent everything twice, and so nothing could ever be measured.
    """

    __slots__ = ("_rttvar", "_srtt", "value")

    def __init__(self) -> None:
        self._srtt = 0.0
        self._rttvar = 0.0
        self.value = INITIAL

    def sample(self, rtt: float) -> None:
        """Take in one round-trip time, measured on a segment that was sent once (Karn)."""
        srtt, rttvar = self._srtt, self._rttvar
        if srtt:
            error = rtt - srtt
            srtt += error / 8
            if error < 0:
                error = -error
            rttvar += (error - rttvar) / 4
        else:
            srtt, rttvar = rtt, rtt / 2
        self._srtt, self._rttvar = srtt, rttvar
        margin = 4 * rttvar
        if margin < _GRANULARITY:
            margin = _GRANULARITY
        timeout = srtt + margin
        if timeout < MINIMUM:
            timeout = MINIMUM
        elif timeout > MAXIMUM:
            timeout = MAXIMUM
        self.value = timeout

    def back_off(self) -> None:
        """Double the time-out (RFC 6298 5.5)."""
        self.value = min(self.value * 2, MAXIMUM)

    def handshake_ended(self) -> None:
        """Data may be sent from here on."""
        if not self._srtt and self.value > INITIAL:
            self.value = AFTER_LOST_SYN

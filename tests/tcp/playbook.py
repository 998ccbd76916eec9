"""A play-book for the TCP engine: segments in, segments out, the host's events, at explicit times.

A play is a transcript, one line an event:

    0.000  > SYN 0 win 64000 mss 1000 scale 7
    0.300  ! accept
           < SYN+ACK 0 ack 1 mss 1000 scale 5
    0.301  > ACK 1 ack 1
           * established

    >  the guest sends a segment                  <  the stack sends one to the guest
    !  the host's side does something             *  the host's side is told something
    =  a variable has this value                  -  nothing; only time passes

`>` and `!` are what is played. `<` and `*` must come out, all of them, in this order and at these
times. A line with a time runs the timers up to it and begins a new batch of frames; a line without
belongs to the batch above it. `#` begins a comment.

Segments: flags, sequence number (`1+100` with 100 bytes), then what is not usual: `ack`, `win`
(in bytes; the guest's stays as it was, ours is left out while it is as wide as can be), `mss`,
`scale`, and `cut` with the size in which a larger payload is cut. Numbers count from each side's
initial one. Bytes follow a pattern of their position, so that one at a wrong place does not pass.

    ! accept              the host's connect has succeeded
    ! send N              N bytes, which must not be more than there is room for
    ! wait                bytes that find no room
    ! close, abort, forget
    ! take N|all          what the host takes from now on
    ! ready               it can take bytes again
    ! lose                it takes nothing any more, for it is gone
    ! spare N|all         the memory that is left for all connections together
    ! on EVENT: ACTION, …  do this, once, from within `established`, `resume` or `finish`
    * data 1+100          bytes delivered
    * established, finish, resume, orphaned, abort
    * closed              the connection holds no more state
    = state NAME; room, queued N; spare N|all
"""

from collections.abc import Callable, Iterator
from difflib import ndiff

from rootlessnet.bounds import DEFAULTS
from rootlessnet.tcp.connection import Connection
from rootlessnet.tcp.engine import Engine
from rootlessnet.tcp.sequence import MASK, distance
from rootlessnet.tcp.timers import Timers
from rootlessnet.wire import tcp
from rootlessnet.wire.tcp import ACK, RST, SYN, Segment

RECEIVE_LIMIT = DEFAULTS.tcp_connection_bytes

ISS = 1_000_000
IRS = 7_000_000
MSS = 1000  # bytes, what our side takes in one segment

FLAGS = {
    "SYN": SYN,
    "FIN": tcp.FIN,
    "RST": RST,
    "PSH": tcp.PSH,
    "ACK": ACK,
    "URG": tcp.URG,
    "ECE": tcp.ECE,
    "CWR": tcp.CWR,
}
_BEGINNING = 50_000.0  # of the clock: it never begins at 0 in the field
_EPSILON = 1e-6  # seconds; transcripts are written in decimals, clocks are floats
_UNSCALED = 0xFFFF  # the widest window without scaling, in bytes

_PERIOD = 251  # of the patterns: a prime, so they do not repeat with a power of two
_GUEST = bytes(range(_PERIOD)) * 6000
_HOST = _GUEST[::-1]

OUTBOUND = """
    0.000  > SYN 0 win 64000 mss 1000 scale 7
           ! accept
           < SYN+ACK 0 ack 1 mss 1000 scale 5
           > ACK 1 ack 1
           * established
"""
INBOUND = """
    0.000  ! open
           < SYN 0 mss 1000 scale 5
           > SYN+ACK 0 ack 1 win 64000 mss 1000 scale 7
           * established
           < ACK 1 ack 1
"""
# An outbound connection in each state. Time is 0, sequence numbers are as the FINs make them.
STATES = {
    "SYN_SENT": """
        0.000  ! open
               < SYN 0 mss 1000 scale 5
    """,
    "SYN_RECEIVED": """
        0.000  > SYN 0 win 64000 mss 1000 scale 7
               ! accept
               < SYN+ACK 0 ack 1 mss 1000 scale 5
    """,
    "ESTABLISHED": OUTBOUND,
    "FIN_WAIT_1": OUTBOUND
    + """
               ! close
               < FIN+ACK 1 ack 1
    """,
    "FIN_WAIT_2": OUTBOUND
    + """
               ! close
               < FIN+ACK 1 ack 1
               > ACK 1 ack 2
    """,
    "CLOSE_WAIT": OUTBOUND
    + """
               > FIN+ACK 1 ack 1
               * finish
    0.001      < ACK 1 ack 2
    """,
    "CLOSING": OUTBOUND
    + """
               ! close
               < FIN+ACK 1 ack 1
               > FIN+ACK 1 ack 1
               * finish
    0.001      < ACK 2 ack 2
    """,
    "LAST_ACK": OUTBOUND
    + """
               > FIN+ACK 1 ack 1
               * finish
               ! close
               < FIN+ACK 1 ack 2
    """,
    "TIME_WAIT": OUTBOUND
    + """
               ! close
               < FIN+ACK 1 ack 1
               > FIN+ACK 1 ack 2
               < ACK 2 ack 2
               * finish
    """,
}


def opened(window: int, mss: int = 1000) -> str:
    """An outbound connection to a guest that does not scale, with this window."""
    return f"""
        0.000  > SYN 0 win {window} mss {mss}
               ! accept
               < SYN+ACK 0 ack 1 mss 1000
               > ACK 1 ack 1
               * established
    """


def guest_bytes(position: int, length: int) -> bytes:
    """What the guest sends at this sequence number, counted from its initial one."""
    start = position % _PERIOD
    return _GUEST[start : start + length]


def host_bytes(position: int, length: int) -> bytes:
    """The same for the host; another pattern, so that the two cannot be taken for one another."""
    start = position % _PERIOD
    return _HOST[start : start + length]


def play(
    script: str, opening: str = OUTBOUND, iss: int = ISS, irs: int = IRS, mss: int = MSS
) -> "Play":
    """Play `script` after `opening`, and fail with a diff when something else comes out."""
    __tracebackhide__ = True
    stage = Play(iss, irs, mss)
    stage.run(opening)
    stage.run(script)
    return stage


class Play:
    """One connection on a stage: the engine's `Link` and `User`, and the clock."""

    def __init__(self, iss: int = ISS, irs: int = IRS, mss: int = MSS) -> None:
        self.engine = Engine(Timers(), bytes(16))
        self.connection = Connection(self.engine, self, self, mss, iss)
        self._iss, self._irs = iss, irs
        self._now = _BEGINNING
        self._happened: list[str] = []
        self._opened = False
        # the guest
        self._window = 0  # the window of its last segment, in bytes
        self._guest_scale = self._stack_scale = 0
        self._scale_offered = False
        # the host
        self._sent = self._received = 1  # positions
        self._takes: int | None = None  # bytes it still takes; None: all
        self._lost = False
        self._reactions: dict[str, str] = {}

    def run(self, script: str) -> None:
        """Play these lines."""
        __tracebackhide__ = True
        expected = []
        self._happened = []
        time = self._now - _BEGINNING
        for when, line in _lines(script):
            if when is not None:
                time = when
                self._advance(time)
            expected.append(_entry(time, line))
            self._perform(line)
        self.engine.end_batch(self._now)
        if expected != self._happened:
            difference = "\n".join(ndiff(expected, self._happened))
            raise AssertionError(f"the play took another course (+):\n{difference}")

    def segment(self, text: str) -> Segment:
        """A segment of the guest, as a line of a play writes it."""
        words = text.split()
        flags = sum(FLAGS[name] for name in words[0].split("+"))
        position, _, length = words[1].partition("+")
        values = dict(zip(words[2::2], words[3::2], strict=True))
        options = bytes.fromhex(values.get("options", ""))
        if "mss" in values:
            options += tcp.build_options(int(values["mss"]), None)
        if "scale" in values:
            options += bytes((1, 3, 3, int(values["scale"])))
        self._window = int(values.get("win", self._window))
        scale = 0 if flags & SYN else self._guest_scale
        assert self._window % (1 << scale) == 0, f"win {self._window} at scale {scale}"
        return Segment(
            seq=(self._irs + int(position)) & MASK,
            ack=(self._iss + int(values["ack"])) & MASK if "ack" in values else 0,
            flags=flags,
            window=self._window >> scale,
            payload=memoryview(guest_bytes(int(position), int(length or 0))),
            options=options,
        )

    # ── the clock ────────────────────────────────────────────────────────────────────────────────

    def _advance(self, time: float) -> None:
        engine = self.engine
        engine.end_batch(self._now)
        until = _BEGINNING + time
        while engine.next_deadline() <= until + _EPSILON:
            self._now = max(self._now, engine.next_deadline())
            engine.expire(self._now)
            engine.end_batch(self._now)
        self._now = max(self._now, until)

    def _record(self, line: str) -> None:
        self._happened.append(_entry(self._now - _BEGINNING, line))

    # ── what is played ───────────────────────────────────────────────────────────────────────────

    def _perform(self, line: str) -> None:
        symbol, _, text = line.partition(" ")
        match symbol:
            case ">":
                self._record(line)
                self._guest_sends(text)
            case "!":
                self._record(line)
                self._act(text)
            case "=":
                name = text.split()[0]
                self._record(f"= {name} {self._variable(name)}")
            case "-":
                self._record(line)
            case "<" | "*":
                pass  # must come by itself
            case _:
                raise ValueError(f"not a line of a play: {line}")

    def _guest_sends(self, text: str) -> None:
        segment = self.segment(text)
        if segment.flags & SYN and segment.options:
            scale = tcp.parse_options(segment.options)[1]
            self._scale_offered, self._guest_scale = scale is not None, scale or 0
        if self._opened:
            self.connection.segment_arrives(segment, self._now)
        else:
            self._opened = True
            self.connection.passive_open(segment)

    def _act(self, text: str) -> None:
        connection, now = self.connection, self._now
        verb, _, argument = text.partition(" ")
        match verb:
            case "open":
                self._opened = True
                connection.active_open(now)
            case "accept":
                connection.accept(now)
            case "send":
                length = int(argument)
                assert length <= connection.room(), f"{connection.room()} bytes of room"
                data = host_bytes(self._sent, length)
                self._sent += length
                connection.send(data, now)
            case "wait":
                connection.wait_for_room(now)
            case "take":
                self._takes = None if argument == "all" else int(argument)
            case "lose":
                self._lost = True
            case "spare":
                self.engine.spare = DEFAULTS.tcp_bytes if argument == "all" else int(argument)
            case "on":
                event, _, action = argument.partition(": ")
                self._reactions[event] = action
            case "close":
                connection.close(now)
            case _:
                simple: dict[str, Callable[[], None]] = {
                    "ready": connection.user_ready,
                    "abort": connection.abort,
                    "forget": connection.forget,
                }
                simple[verb]()

    def _variable(self, name: str) -> str:
        match name:
            case "state":
                return self.connection.state.name
            case "room":
                return str(self.connection.room())
            case "spare":
                spare = self.engine.spare
                return "all" if spare == DEFAULTS.tcp_bytes else str(spare)
            case "queued":
                return str(self.connection._queue.size)
            case _:
                raise ValueError(f"not a variable: {name}")

    # ── what comes out: the link ─────────────────────────────────────────────────────────────────

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
        assert not options or flags & SYN, "MUST-65: options belong on a SYN"
        position = distance(self._iss, seq)
        line = "< " + "+".join(name for name, bit in FLAGS.items() if flags & bit)
        line += f" {position}"
        if payload:
            line += f"+{len(payload)}"
            assert payload == host_bytes(position, len(payload)), f"wrong bytes at {position}"
        if flags & ACK:
            line += f" ack {distance(self._irs, ack)}"
        if flags & SYN:
            line += self._describe_syn(flags, options)
        if not flags & RST:
            line += self._describe_window(flags, window)
        if len(payload) > mss:
            line += f" cut {mss}"
        self._record(line)

    def _describe_syn(self, flags: int, options: bytes) -> str:
        mss, scale = tcp.parse_options(options)
        self._stack_scale = scale or 0
        return f" mss {mss}" + (f" scale {scale}" if scale is not None else "")

    def _describe_window(self, flags: int, window: int) -> str:
        scaled = self._scale_offered and self._stack_scale and not flags & SYN
        size = window << self._stack_scale if scaled else window
        return "" if size == (RECEIVE_LIMIT if scaled else _UNSCALED) else f" win {size}"

    def closed(self) -> None:
        self._record("* closed")

    # ── what comes out: the user ─────────────────────────────────────────────────────────────────

    def deliver(self, data: memoryview | bytes) -> int:
        if self._lost:
            return -1
        taken = len(data) if self._takes is None else min(len(data), self._takes)
        if self._takes is not None:
            self._takes -= taken
        if taken:
            assert data[:taken] == guest_bytes(self._received, taken), f"at {self._received}"
            self._record(f"* data {self._received}+{taken}")
            self._received += taken
        return taken

    def finish(self) -> None:
        self._tell("finish")

    def resume(self, now: float) -> None:
        assert now == self._now
        self._tell("resume")

    def established(self, now: float) -> None:
        assert now == self._now
        self._tell("established")

    def orphaned(self) -> None:
        self._tell("orphaned")

    def abort(self) -> None:
        self._tell("abort")

    def _tell(self, event: str) -> None:
        self._record(f"* {event}")
        if event in self._reactions:
            for action in self._reactions.pop(event).split(", "):
                self._act(action)


def _lines(script: str) -> Iterator[tuple[float | None, str]]:
    for raw in script.splitlines():
        line = " ".join(raw.partition("#")[0].split())
        if not line:
            continue
        time, _, rest = line.partition(" ")
        if time[0].isdigit():
            yield float(time), rest.lstrip()
        else:
            yield None, line


def _entry(time: float, line: str) -> str:
    return f"{time:10.4f}  {line}"

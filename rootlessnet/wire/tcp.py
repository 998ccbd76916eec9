"""TCP headers and the options that a gateway needs: MSS and window scale. Read: RFC 9293 3.1, RFC
7323.

`Segment` is one slotted object that the stack fills again for every frame (0.5 µs for all fields; a
dataclass for each segment would cost four times that).
"""

from struct import Struct
from struct import error as StructError

from rootlessnet.wire import MalformedError

HEADER = Struct("!HHIIBBHHH")
SIZE = HEADER.size  # 20
CHECKSUM_OFFSET = 16
_FIELDS = Struct("!4sIIBBH")

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80

DEFAULT_MSS = 536  # RFC 9293 3.7.1: what a peer that sends no MSS option takes
MAX_WINDOW_SCALE = 14  # RFC 7323 2.3

_OPTION_END, _OPTION_NOP, _OPTION_MSS, _OPTION_WINDOW_SCALE = 0, 1, 2, 3
_MSS = Struct("!BBH")
_WINDOW_SCALE = Struct("!BBBB")


class Segment:
    """A TCP segment. `ports` are the 4 bytes of both; `payload` lies in the frame's buffer."""

    __slots__ = ("ack", "flags", "options", "payload", "ports", "seq", "window")

    def __init__(
        self,
        seq: int = 0,
        ack: int = 0,
        flags: int = 0,
        window: int = 0,
        payload: memoryview | bytes = b"",
        options: bytes = b"",
        ports: bytes = bytes(4),
    ) -> None:
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.window = window
        self.payload = payload
        self.options = options
        self.ports = ports

    @property
    def length(self) -> int:
        """SEG.LEN: the payload in bytes, SYN and FIN counting one each."""
        flags = self.flags
        return len(self.payload) + (flags & FIN) + ((flags & SYN) >> 1)


def parse(frame: memoryview, start: int, end: int, segment: Segment) -> None:
    """Fill `segment` from `frame[start:end]`, or raise MalformedError."""
    try:
        segment.ports, segment.seq, segment.ack, offset, segment.flags, segment.window = (
            _FIELDS.unpack_from(frame, start)
        )
    except StructError:
        raise MalformedError("TCP header is too short") from None
    header_size = (offset >> 4) * 4
    payload = start + header_size
    if header_size < SIZE or payload > end:
        raise MalformedError("TCP header does not fit its packet")
    segment.options = bytes(frame[start + SIZE : payload]) if header_size > SIZE else b""
    segment.payload = frame[payload:end]


def parse_options(options: bytes) -> tuple[int, int | None]:
    """The peer's MSS in bytes and its window scale (None: it does not scale).

    Unknown options are stepped over; a malformed list ends where it stops making sense, as every
    kernel has it (RFC 9293 3.1: a receiver must cope with any option).
    """
    mss, window_scale = DEFAULT_MSS, None
    at = 0
    while at < len(options) and options[at] != _OPTION_END:
        kind = options[at]
        if kind == _OPTION_NOP:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if length < 2 or at + length > len(options):
            break
        if kind == _OPTION_MSS and length == 4:
            mss = int.from_bytes(options[at + 2 : at + 4], "big") or DEFAULT_MSS
        elif kind == _OPTION_WINDOW_SCALE and length == 3:
            window_scale = min(options[at + 2], MAX_WINDOW_SCALE)
        at += length
    return mss, window_scale


def build_options(mss: int, window_scale: int | None) -> bytes:
    """The options of a SYN, a multiple of four bytes long."""
    options = _MSS.pack(_OPTION_MSS, 4, mss)
    if window_scale is not None:
        options += _WINDOW_SCALE.pack(_OPTION_NOP, _OPTION_WINDOW_SCALE, 3, window_scale)
    return options

"""UDP headers. Read: RFC 768."""

from struct import Struct

from rootlessnet.wire import MalformedError

HEADER = Struct("!HHHH")
SIZE = HEADER.size  # 8
CHECKSUM_OFFSET = 6
MAX_PAYLOAD = 65507  # over IPv4: 65535 - 20 - 8


def parse(frame: memoryview, start: int, end: int) -> tuple[int, int, memoryview]:
    """Source port, destination port and payload of the datagram in `frame[start:end]`."""
    if end - start < SIZE:
        raise MalformedError("UDP header is too short")
    source, destination, length, _ = HEADER.unpack_from(frame, start)
    if not SIZE <= length <= end - start:
        raise MalformedError("UDP length does not fit its packet")
    return source, destination, frame[start + SIZE : start + length]

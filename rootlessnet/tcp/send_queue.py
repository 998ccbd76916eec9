"""The bytes between SND.UNA and the end of what the host has sent: kept until acknowledged.

The pieces that came from the host socket stay as they are, by reference; only a read that spans
small pieces joins them. The adapter reads from the host no more than the guest's window takes, so
the kernel's socket buffer is *the* buffer and this queue is what is in flight.
"""

from collections import deque


class SendQueue:
    """`size` is the number of bytes held, `pieces` are the objects that hold them."""

    __slots__ = ("_head", "pieces", "size")

    def __init__(self) -> None:
        self.pieces: deque[bytes] = deque()
        self._head = 0  # bytes of the first piece that are acknowledged already
        self.size = 0

    def append(self, data: bytes) -> None:
        self.pieces.append(data)
        self.size += len(data)

    def discard(self, count: int) -> None:
        """Drop the first `count` bytes, at most `size`."""
        self.size -= count
        pieces = self.pieces
        count += self._head
        while pieces and count >= len(pieces[0]):
            count -= len(pieces.popleft())
        self._head = count

    def clear(self) -> None:
        self.pieces.clear()
        self._head = self.size = 0

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """`length` bytes from `offset` on, by reference when they lie in one piece."""
        offset += self._head
        parts: list[memoryview] = []
        for piece in self.pieces:
            if offset >= len(piece):
                offset -= len(piece)
                continue
            part = memoryview(piece)[offset : offset + length]
            offset = 0
            length -= len(part)
            parts.append(part)
            if not length:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

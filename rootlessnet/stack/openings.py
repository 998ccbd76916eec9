"""Frames that want a flow: a few of them are processed with each batch, the others wait.

A flow that is opened costs as much as thirty frames of one that stands: a host socket, its options,
its first event. A guest that opens them without end, by a scan or a flood, would so hold up all
that stands, for its interface has one queue. Here they wait in a line of their own, in their order;
frames of flows that stand pass them by. What finds the line full is lost, as in any queue: who is
in earnest sends again. Read: RFC 4987 (SYN flooding).
"""

from collections import deque
from collections.abc import Callable, Iterator

PER_BATCH = 2  # more would leave less than half of the time to flows that stand
_MOST_LOOKED_AT = 64  # frames in line of which the flow stands meanwhile are no openings
_MOST_BYTES = 4 << 20  # in line


class Openings:
    """The line of the `waiting`, `most` at a time. `full` is called when there is no place for one.
    `left` is how many flows may yet be opened in this batch.
    """

    def __init__(self, most: int, full: Callable[[], None]) -> None:
        self._most = most
        self._full = full
        self.waiting: deque[bytes] = deque()
        self.left = PER_BATCH  # of this batch
        self._size = 0
        self._is_turn = False

    def admits(self, frame: memoryview) -> bool:
        """Whether a flow may be opened for this frame now. If not, it will be received once more,
        or is lost.
        """
        if self.left and (self._is_turn or not self.waiting):
            self.left -= 1
            return True
        if len(self.waiting) < self._most and self._size + len(frame) <= _MOST_BYTES:
            self.waiting.append(bytes(frame))
            self._size += len(frame)
        else:
            self._full()
        return False

    def turn(self) -> Iterator[memoryview]:
        """The frames whose turn it is at the end of a batch, to be received."""
        self.left = PER_BATCH
        self._is_turn = True
        for _ in range(_MOST_LOOKED_AT):
            if not self.waiting or not self.left:
                break
            frame = self.waiting.popleft()
            self._size -= len(frame)
            yield memoryview(frame)
        self._is_turn = False
        if self.waiting:
            self.left = 0  # nobody overtakes

"""Frames that want a flow: a few of them are processed with each batch, the others wait.

A flow that is opened costs as much as thirty frames of one that stands: a host socket, its options,
its first event. A guest that opens them without end, by a scan or a flood, would so hold up all
that stands, for its interface has one queue. Here they wait in lines of their own, in their order;
frames of flows that stand pass them by. What finds its line full is lost, as in any queue: who is
in earnest sends again. Each kind has a line, and they take turns, so a flood of one leaves others
open: beside one of SYNs in a single line, 97 of 100 names were not resolved. Read: RFC 4987 (SYN
flooding), RFC 8290 (taking turns).
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal

PER_BATCH = 2  # more would leave less than half of the time to flows that stand
_MOST_LOOKED_AT = 64  # frames in line of which the flow stands meanwhile are no openings
_MOST_BYTES = 4 << 20  # in a line

Kind = Literal["tcp", "udp", "dns", "echo"]


class Openings:
    """The lines in which somebody is `waiting`, whose turn it is first, each of `most` frames.
    `full` is called when there is no place for one. `left` is how many flows may yet be opened in
    this batch.
    """

    def __init__(self, most: int, full: Callable[[], None]) -> None:
        self._most = most
        self._full = full
        self.waiting: dict[Kind, deque[bytes]] = {}
        self.left = PER_BATCH  # of this batch
        self._sizes: dict[Kind, int] = {}  # of the lines, in bytes

    def admits(self, kind: Kind, frame: memoryview) -> bool:
        """Whether a flow may be opened for this frame now. If not, it will be received once more,
        or is lost.
        """
        if self.left:  # none is, while anybody waits whose turn it is not
            self.left -= 1
            return True
        line = self.waiting.get(kind)
        size = len(frame) if line is None else len(frame) + self._sizes[kind]
        if size > _MOST_BYTES or (line is not None and len(line) >= self._most):
            self._full()
            return False
        if line is None:
            line = self.waiting[kind] = deque()
        line.append(bytes(frame))
        self._sizes[kind] = size
        return False

    def turn(self) -> Iterator[memoryview]:
        """The frames whose turn it is at the end of a batch, to be received."""
        self.left = PER_BATCH
        waiting = self.waiting
        for _ in range(_MOST_LOOKED_AT):
            if not waiting or not self.left:
                break
            kind = next(iter(waiting))
            line = waiting.pop(kind)
            frame = line.popleft()
            self._sizes[kind] -= len(frame)
            if line:
                waiting[kind] = line  # behind the others
            yield memoryview(frame)
        if waiting:
            self.left = 0  # nobody overtakes

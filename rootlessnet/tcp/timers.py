"""Deadlines of many things with one timer to arm: a heap with lazy deletion.

A deadline that moves later, as the retransmission time-out does with every acknowledgement, costs
one attribute: the heap keeps the old entry, and puts the item back when that entry comes up too
early. So the cost of a packet does not grow with the number of flows. When the heap has doubled,
entries that stand for nothing are swept out, lest they keep what has ended for a minute.
"""

from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

_FEW = 1000  # entries that are not worth a sweep


class Timed:
    """Something with a deadline. `deadline` is in seconds of the injected clock; inf: none."""

    __slots__ = ("_entry", "deadline")

    def __init__(self) -> None:
        self.deadline = inf
        self._entry = inf  # the time of the earliest heap entry that stands for this item

    def timer_expired(self, now: float) -> None:
        """The deadline has passed; it is already cleared."""
        raise NotImplementedError


class Timers:
    """The deadlines of all `Timed` items of a stack."""

    __slots__ = ("_heap", "_most", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timed]] = []
        self._most = _FEW  # entries, before the next sweep
        self._order = count()  # breaks ties, so items are never compared

    def schedule(self, item: Timed, deadline: float) -> None:
        """Set the deadline of `item`, in place of any other."""
        item.deadline = deadline
        if deadline < item._entry:
            item._entry = deadline
            heappush(self._heap, (deadline, next(self._order), item))
            if len(self._heap) > self._most:
                self._sweep()

    def _sweep(self) -> None:
        heap = self._heap
        for _, _, item in heap:
            if item.deadline == inf:
                item._entry = inf
        heap[:] = [entry for entry in heap if entry[0] == entry[2]._entry]  # in place, for `expire`
        heapify(heap)
        self._most = max(2 * len(heap), _FEW)

    def next_deadline(self) -> float:
        """When to call `expire` next; inf for never. May be early, never late."""
        return self._heap[0][0] if self._heap else inf

    def expire(self, now: float) -> None:
        """Tell every item whose deadline has passed."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            when, _, item = heappop(heap)
            if when != item._entry:
                continue  # an earlier entry already stood for it
            item._entry = inf
            deadline = item.deadline
            if deadline <= now:
                item.deadline = inf
                item.timer_expired(now)
            elif deadline != inf:
                self.schedule(item, deadline)

"""Deadlines of many things with one timer to arm: a heap with lazy deletion.

A deadline that moves later, as the retransmission time-out does with every acknowledgement, costs
one attribute: the heap keeps the old entry, and puts the item back when that entry comes up too
early. So the cost of a packet does not grow with the number of flows.
"""

from heapq import heappop, heappush
from itertools import count
from math import inf


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

    __slots__ = ("_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timed]] = []
        self._order = count()  # breaks ties, so items are never compared

    def schedule(self, item: Timed, deadline: float) -> None:
        """Set the deadline of `item`, in place of any other."""
        item.deadline = deadline
        if deadline < item._entry:
            item._entry = deadline
            heappush(self._heap, (deadline, next(self._order), item))

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

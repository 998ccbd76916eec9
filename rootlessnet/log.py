"""The log: one line an event, each fault once a minute.

A fault that lasts, or that a guest provokes, would fill a disk: of each kind the first is told, the
next a minute later at the earliest, with the number of those between; `faults` counts them all.
What happens to a single packet is never logged, so the way of a packet pays nothing for this.

Where a line goes is the business of a `Sink`; it must not raise. Texts may hold what a guest, a far
end or a file name brought with it: whoever shows them escapes what is not printable.
"""

from collections.abc import Callable
from enum import IntEnum
from time import monotonic

INTERVAL = 60.0  # seconds between two lines about one kind of fault


class Level(IntEnum):
    """How grave an event is, gravest last."""

    DEBUG = 1
    INFO = 2
    WARNING = 3
    ERROR = 4


Sink = Callable[[Level, str], None]


def _nowhere(_level: Level, _text: str) -> None:
    """For who does not want to know."""


class Log:
    """Takes events, and gives those of a `level` or above to `sink`."""

    def __init__(
        self,
        sink: Sink = _nowhere,
        level: Level = Level.INFO,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`clock` tells seconds that never go back."""
        self._sink = sink
        self._level = level
        self._clock = clock
        self._told: dict[str, float] = {}  # when, by the kind of fault
        self._silent: dict[str, int] = {}  # how often since
        self.faults: dict[str, int] = {}  # how often in all

    def debug(self, text: str) -> None:
        """What only who looks for a defect wants to know."""
        self._write(Level.DEBUG, text)

    def info(self, text: str) -> None:
        """What goes as it should."""
        self._write(Level.INFO, text)

    def warning(self, text: str) -> None:
        """What the user may want to mend; it happens once."""
        self._write(Level.WARNING, text)

    def answer(self, text: str) -> None:
        """What was asked for: it is told at any level."""
        self._sink(Level.INFO, text)

    def fault(self, kind: str, text: str, level: Level = Level.WARNING) -> None:
        """Something went wrong, maybe again. Faults of one `kind`, a few words, have one `text`, or
        nearly so.
        """
        self.faults[kind] = self.faults.get(kind, 0) + 1
        now = self._clock()
        if kind in self._told and now < self._told[kind] + INTERVAL:
            self._silent[kind] = self._silent.get(kind, 0) + 1
            return
        self._told[kind] = now
        silent = self._silent.pop(kind, 0)
        self._write(
            level, f"{text} (and {silent} times since this was last said)" if silent else text
        )

    def _write(self, level: Level, text: str) -> None:
        if level >= self._level:
            self._sink(level, text)

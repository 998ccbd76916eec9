"""Where a long run is: lines to keep, and on a terminal one that is rewritten at each step."""

import shutil
import time
from collections.abc import Callable
from typing import TextIO

CLEAR = "\r\x1b[K"


def duration(seconds: float) -> str:
    """95 is '1 min 35 s'."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Progress:
    """Counts the steps of a run; `clock` in seconds."""

    def __init__(
        self, stream: TextIO, steps: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._steps = steps
        self._clock = clock
        self._started = clock()
        self._taken = 0
        self._live = stream.isatty()

    def step(self, text: str) -> None:
        """A step begins. Shown on a terminal only."""
        left = ""
        if self._taken:
            each = (self._clock() - self._started) / self._taken
            left = f", {duration(each * (self._steps - self._taken))} left"
        self._taken += 1
        if self._live:
            line = f"[{self._taken}/{self._steps}{left}] {text}"
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(CLEAR + line[:width])
            self._stream.flush()

    def line(self, text: str) -> None:
        """Something to keep."""
        self.clear()
        self._stream.write(text + "\n")
        self._stream.flush()

    def clear(self) -> None:
        if self._live:
            self._stream.write(CLEAR)
            self._stream.flush()

"""Pipes that splice(2) moves data through, shared by all connections.

A connection has one only while it moves something, or while its sink does not take what is in it.
So a few serve thousands of connections, and an idle connection costs no descriptor. Their number is
bounded because a user's pipes are: those of all her programs shrink to a page each when they hold
more than fs.pipe-user-pages-soft, 64 MiB by default. Read: pipe(7), fcntl(2) for F_SETPIPE_SZ.
"""

import fcntl
import os
from contextlib import suppress

_MAX_PIPES = 16  # a quarter of what the user may have of this size
_SIZE = 1 << 20  # bytes, the most that fs.pipe-max-size lets everybody have; 256 KiB: -5 %


class Pipe:
    """One pipe, which is empty whenever nobody has it."""

    __slots__ = ("read", "size", "write")

    def __init__(self) -> None:
        """Raises OSError."""
        self.read, self.write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):  # the user has too many already
            fcntl.fcntl(self.write, fcntl.F_SETPIPE_SZ, _SIZE)
        self.size: int = fcntl.fcntl(self.write, fcntl.F_GETPIPE_SZ)

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)


class Pipes:
    """Those that nobody has, and how many there are."""

    def __init__(self) -> None:
        self._idle: list[Pipe] = []
        self._count = 0

    def take(self) -> Pipe | None:
        """An empty pipe; None when no more are to be had."""
        if self._idle:
            return self._idle.pop()
        if self._count >= _MAX_PIPES:
            return None
        try:
            pipe = Pipe()
        except OSError:
            return None
        self._count += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Take back a pipe that is empty."""
        self._idle.append(pipe)

    def discard(self, pipe: Pipe) -> None:
        """Take back a pipe that still holds something."""
        self._count -= 1
        pipe.close()

    def close(self) -> None:
        """Close those that nobody has."""
        while self._idle:
            self.discard(self._idle.pop())

"""The human at a terminal: presses keys, looks at what appears, drags the window.

Read: pty(7), termios(3).
"""

import errno
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from typing import Protocol

PATIENCE = 8.0  # seconds for what takes a fraction of one
SHELL = ("bash", "--norc", "--noprofile", "-i")


class Screen:
    """A terminal on which `words` run as the session's first process."""

    def __init__(self, words: list[str], term: str) -> None:
        self.seen = ""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(words[0], words, os.environ | {"PS1": "$ ", "TERM": term})
            finally:
                os._exit(127)

    def type(self, text: str) -> None:
        """Press the keys."""
        os.write(self.terminal, text.encode())

    def read_until(self, pattern: str) -> str:
        """Look until the pattern appears; what appeared since the last look, up to its end."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.seen)):
            assert self._read(deadline), f"{pattern!r} did not appear in {self.seen!r}"
        text, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return text

    def read_to_end(self) -> tuple[str, int]:
        """What appears until the session ends, and the first process's exit code, -n for a death
        by signal n.
        """
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        os.close(self.terminal)
        self.terminal = -1
        _, status = os.waitpid(self.pid, 0)
        return self.seen, os.waitstatus_to_exitcode(status)

    def resize(self, rows: int, columns: int) -> None:
        """Drag a corner of the window."""
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def close(self) -> None:
        """Close the window. Idempotent."""
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1
            os.waitpid(self.pid, 0)

    def _read(self, deadline: float) -> bool:
        """More of what appears; False when nothing more will."""
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([self.terminal], [], [], left)
        assert ready, f"nothing more appeared after {self.seen!r}"
        try:
            data = os.read(self.terminal, 4096)
        except OSError as error:
            if error.errno != errno.EIO:  # which says that nobody has the terminal any more
                raise
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


class OpenScreen(Protocol):
    """Opens a screen, which is closed when the test ends."""

    def __call__(self, words: list[str], term: str = ...) -> Screen: ...

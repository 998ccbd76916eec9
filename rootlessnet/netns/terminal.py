"""Giving the terminal back.

An interactive shell puts itself in the foreground of its terminal and, when it ends, puts back the
process group that was there before it. In a PID namespace it cannot: the group has no number there.
So the parent takes the terminal back, if it had it and nobody alive has it now.

Read: tcsetpgrp(3), credentials(7), tty_ioctl(4).
"""

import os
import signal
from contextlib import suppress


class Terminal:
    """The controlling terminal, as it was when this object was made."""

    def __init__(self) -> None:
        self._was_ours = False
        with suppress(OSError):  # there is none
            descriptor = _open()
            self._was_ours = os.tcgetpgrp(descriptor) == os.getpgrp()
            os.close(descriptor)

    def restore(self) -> None:
        """Be in the foreground again, when the group that is there now has died out."""
        if not self._was_ours:
            return
        with suppress(OSError):  # hung up
            descriptor = _open()
            try:
                if not _is_alive(os.tcgetpgrp(descriptor)):
                    _take(descriptor)
            finally:
                os.close(descriptor)


def _open() -> int:
    return os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _take(descriptor: int) -> None:
    # A background process that does this is stopped, unless it blocks the signal.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(descriptor, os.getpgrp())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

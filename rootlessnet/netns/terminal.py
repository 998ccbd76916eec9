"""Giving the terminal back.

An interactive shell puts itself in the foreground of its terminal and, when it ends, puts back the
process group that was there before it. In a PID namespace it cannot: the group has no number there.
So the parent takes the terminal back, if it had it and nobody alive has it now. The terminal is
opened beforehand: who has hardened itself since may not open it any more.

Read: tcsetpgrp(3), credentials(7), tty_ioctl(4).
"""

import os
import signal
from contextlib import suppress


class Terminal:
    """The controlling terminal, as it was when this object was made. Whoever has one must `close`
    it in the end.
    """

    def __init__(self) -> None:
        self._descriptor = -1
        with suppress(OSError):  # there is none
            self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
            if os.tcgetpgrp(self._descriptor) != os.getpgrp():
                self.close()

    def restore(self) -> None:
        """Be in the foreground again, when the group that is there now has died out."""
        if self._descriptor >= 0:
            with suppress(OSError):  # hung up
                if not _is_alive(os.tcgetpgrp(self._descriptor)):
                    _take(self._descriptor)

    def close(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


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

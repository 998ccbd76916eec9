"""Signals for the command, passed on as it would have had them had it run bare.

The command shares our process group and terminal, so what the terminal sends reaches it without us;
only what a process sent to us alone must be passed on. siginfo tells the two apart, and a signalfd
is the way to siginfo that fits a loop; what to do about each is the receiver's business. The stop
signals are not for here: `Guest` stops us when the command has stopped. Read: signalfd(2),
sigaction(2) for si_code.
"""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from struct import Struct

_PASSED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH)
_SI_KERNEL = 0x80
_SIGINFO = Struct("=Iii116x")  # struct signalfd_siginfo: number, errno, code
_SIGSET_SIZE = 128  # sizeof(sigset_t) in every Linux libc


class Signals:
    """Calls `passed` with the number of each signal, and whether the whole process group had it
    from the terminal.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, passed: Callable[[int, bool], None]
    ) -> None:
        self._loop = loop
        self._passed = passed
        self.received: set[int] = set()  # whoever sent them
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED)
        self._fd = _signalfd()
        loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Restore the signals' own effects, which those that have come no longer have."""
        self._read()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _readable(self) -> None:
        for number, code in self._read():
            self._passed(number, code == _SI_KERNEL and number in _FROM_TERMINAL)

    def _read(self) -> list[tuple[int, int]]:
        """The number and the code of each signal that waits."""
        try:
            data = os.read(self._fd, 16 * _SIGINFO.size)
        except BlockingIOError:
            return []
        signals = [(number, code) for number, _, code in _SIGINFO.iter_unpack(data)]
        self.received.update(number for number, _ in signals)
        return signals


def _signalfd() -> int:
    """A descriptor that reports `_PASSED`. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    mask = (ctypes.c_ubyte * _SIGSET_SIZE)()
    libc.sigemptyset(ctypes.byref(mask))
    for number in _PASSED:
        libc.sigaddset(ctypes.byref(mask), ctypes.c_int(number))
    descriptor: int = libc.signalfd(-1, ctypes.byref(mask), os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return descriptor

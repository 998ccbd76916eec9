"""The calls of the kernel that this room makes, which Python has no function for.

Each raises OSError as the functions of `os` do.

Read: prctl(2), capset(2), sigaction(2), syscall(2).
"""

import ctypes
import os
from struct import Struct

_CAPABILITY_HEADER = Struct("=Ii")  # version, process id
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, second: int = 0, third: int = 0) -> int:
    """One operation on this process."""
    return _checked(_libc.prctl(option, *map(ctypes.c_ulong, (second, third, 0, 0))))


def capabilities(sets: bytes, *, change: bool) -> bytes:
    """What capget(2) says of this process or, with `change`, after capset(2) to `sets`.

    `sets` has the size of the answer.
    """
    header = ctypes.create_string_buffer(_CAPABILITY_HEADER.pack(_CAPABILITY_VERSION_3, 0))
    buffer = ctypes.create_string_buffer(sets, len(sets))
    _checked((_libc.capset if change else _libc.capget)(header, buffer))
    return buffer.raw


def syscall(number: int, *arguments: object) -> int:
    """A call by its number; of the arguments, integers are as long as a register."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words))


def handle(number: int, action: ctypes.Structure) -> None:
    """Have the signal `number` handled as this struct sigaction of the C library says."""
    _checked(_libc.sigaction(number, ctypes.byref(action), None))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result

"""What belongs to the process itself: its privileges, its core dumps, its descriptors.

Read: capabilities(7), prctl(2), getrlimit(2), core(5).
"""

import fcntl
import os
import resource
from collections.abc import Iterable
from contextlib import suppress
from struct import Struct

from rootlessnet.hardening import kernel

NET_BIND_SERVICE = 10  # capabilities(7)

_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_SETS = Struct("=6I")  # effective, permitted and inheritable, of 32 capabilities, then of the rest
_MANY = 64


def forbid_new_privileges() -> None:
    """No program that this process could execute gains any privilege from it."""
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities(kept: int = NET_BIND_SERVICE) -> None:
    """Drop all but the capability `kept`, where this process has that: published ports below 1024
    need it. What is not inheritable is not ambient either. The bounding set too, as far as the
    process may: who may not has nothing to fear from it without a program to execute.
    """
    with suppress(OSError):  # there are no more capabilities, or no right to drop any
        for number in range(_MANY):
            if number != kept:
                kernel.prctl(_PR_CAPBSET_DROP, number)
    effective, permitted, *_ = _SETS.unpack(kernel.capabilities(bytes(_SETS.size), change=False))
    permitted &= 1 << kept
    kernel.capabilities(_SETS.pack(effective & permitted, permitted, 0, 0, 0, 0), change=True)


def forbid_core_dumps() -> None:
    """What passes through this process is nobody's to find in a file.

    A limit of 1 byte, not 0: the kernel gives a core to a program that collects them (core(5)) at
    any limit but this one.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 0 if hard == 0 else 1
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))


def close_inherited(keep: Iterable[int] = ()) -> None:
    """Close what whoever started this program has left open, but for 0 to 2 and `keep`.

    Python opens nothing that would survive an exec, so what did survive one is not ours.
    """
    kept = {0, 1, 2, *keep}
    with suppress(OSError):  # without /proc nobody can tell
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            with suppress(OSError):  # the one that listed the directory is closed already
                flags = fcntl.fcntl(descriptor, fcntl.F_GETFD)
                if descriptor not in kept and not flags & fcntl.FD_CLOEXEC:
                    os.close(descriptor)

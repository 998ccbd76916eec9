"""Which files this process may open: to read, some; to write or to execute, none.

A ruleset names the rights that it takes away, and gives them back below certain files and
directories. It holds for files that are opened from then on. A kernel knows the rights of its
version alone, so no more are asked for.

A process under Landlock cannot look into processes that are not: of others, /proc shows no
descriptors and no namespaces.

Read: landlock(7), landlock_create_ruleset(2), linux/landlock.h.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from struct import Struct

from rootlessnet.hardening import kernel

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_GET_VERSION = 1
_PATH_BENEATH = 1
_RULESET = Struct("=Q")
_BENEATH = Struct("=Qi")  # the rights, and a descriptor of where they begin

_READ_FILE, _READ_DIRECTORY, _REMOVE_FILE = 1 << 2, 1 << 3, 1 << 5
_OF_FILES = 1 << 0 | 1 << 1 | _READ_FILE | 1 << 14 | 1 << 15  # what a file can have
# How many rights each version of Landlock knows; the last one here is of Linux 6.10.
_RIGHTS = (0, 13, 14, 15, 15, 16)


def version() -> int:
    """That of this kernel's Landlock; 0 when it has none, or none that is in force."""
    with suppress(OSError):
        return kernel.syscall(_CREATE, None, 0, _GET_VERSION)
    return 0


def restrict(readable: Iterable[str], removable: Iterable[str]) -> None:
    """Have what is at or below the paths `readable` read, and files in the directories `removable`
    removed, and nothing else, where the kernel has Landlock.

    Paths that do not exist are left out. For this thread and those it makes; it must have
    no_new_privs.
    """
    known = version()
    if not known:
        return
    handled = (1 << _RIGHTS[min(known, len(_RIGHTS) - 1)]) - 1
    with suppress(OSError):
        ruleset = kernel.syscall(_CREATE, _RULESET.pack(handled), _RULESET.size, 0)
        try:
            for path in readable:
                _allow(ruleset, path, _READ_FILE | _READ_DIRECTORY)
            for path in removable:
                _allow(ruleset, path, _READ_DIRECTORY | _REMOVE_FILE)
            kernel.syscall(_RESTRICT, ruleset, 0)
        finally:
            os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        beginning = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(f"/proc/self/fd/{beginning}"):
            rights &= _OF_FILES
        kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, _BENEATH.pack(rights, beginning), 0)
    finally:
        os.close(beginning)

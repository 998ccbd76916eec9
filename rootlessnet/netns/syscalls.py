"""The system calls that Python 3.11's standard library lacks.

Each function does one call and raises `OSError` as the functions of `os` do. Constants are the
kernel's own, the same on every architecture that Python runs on.

Read: unshare(2), setns(2), prctl(2), mount(2), pivot_root(2), open_tree(2), move_mount(2),
mount_setattr(2).
"""

import ctypes
import os
from struct import Struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_REC, MS_SLAVE = 1 << 14, 1 << 19
MNT_DETACH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37

# From Linux 5.2 on, new calls have one number for all architectures.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_MOUNT_ATTR_RDONLY = 1
_MOUNT_ATTR = Struct("=4Q")  # to set, to clear, propagation, user namespace

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Give this process new namespaces of the kinds in `flags`; a PID namespace only to its
    children.
    """
    _call("unshare", flags)


def setns(fd: int, kind: int) -> None:
    """Enter the namespace that `fd` refers to, which must be of `kind`."""
    _call("setns", fd, kind)


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send us signal `number` when the thread that is our parent ends."""
    _call("prctl", _PR_SET_PDEATHSIG, number, 0, 0, 0)


def forbid_tracing() -> None:
    """Nobody traces this process, or takes its descriptors, who could not do so to its first
    ancestor that was executed: root in a user namespace that came later may not.
    """
    _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def set_child_subreaper(enabled: bool) -> None:
    """Whether orphaned descendants become children of this process instead of init's."""
    _call("prctl", _PR_SET_CHILD_SUBREAPER, int(enabled), 0, 0, 0)


def is_child_subreaper() -> bool:
    """Whether orphaned descendants become children of this process."""
    answer = ctypes.c_int()
    _call("prctl", _PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)


def mount(source: str, target: str, filesystem: str, flags: int = 0, options: str = "") -> None:
    """Mount a new file system on `target`, or change how mounts there propagate."""
    _call(
        "mount",
        source.encode(),
        os.fsencode(target),
        filesystem.encode(),
        flags,
        os.fsencode(options),
    )


def unmount(target: str) -> None:
    """Take the mount at `target` out of the tree; it ends when its last user does."""
    _call("umount2", os.fsencode(target), MNT_DETACH)


def pivot_root(new: str, old: str) -> None:
    """Make the mount at `new` this mount namespace's root, and put the former one at `old`."""
    _call("pivot_root", os.fsencode(new), os.fsencode(old))


def clone_mount(path: str, *, recursive: bool = False) -> int:
    """A descriptor of a new mount of the file or directory at `path`, not yet part of the tree;
    with `recursive`, of what is mounted within too.
    """
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _call("syscall", _SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)


def attach_mount(mount: int, target: int) -> None:
    """Put what `clone_mount` made on top of `target`, an O_PATH descriptor, be it of a symlink."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    _call("syscall", _SYS_MOVE_MOUNT, mount, b"", target, b"", flags)


def make_read_only(mount: int, *, recursive: bool) -> None:
    """Nobody writes by way of this mount; with `recursive`, nor of those within."""
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    attributes = _MOUNT_ATTR.pack(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    _call("syscall", _SYS_MOUNT_SETATTR, mount, b"", flags, attributes, len(attributes))


def _call(name: str, *arguments: int | bytes | object) -> int:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result: int = getattr(_libc, name)(*words)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result

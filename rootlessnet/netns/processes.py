"""Beginning and ending processes, also a family whose members fork while it is being ended.

A child subreaper inherits the orphans among its descendants. So it can end all of them without
knowing them: kill and reap its own children, which makes grandchildren children, until there are
none left.

Read: prctl(2), PR_SET_CHILD_SUBREAPER; proc_pid_stat(5); ioctl_ns(2).
"""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

from rootlessnet.errors import RootlessnetError
from rootlessnet.netns import kernel_file, syscalls

_NS_GET_PARENT = 0xB702


class Subreaper:
    """The claims on this process being a child subreaper; after the last one it is what it was
    before.
    """

    _claims = 0
    _before = False

    @classmethod
    def claim(cls) -> None:
        """Be a child subreaper from now on."""
        if cls._claims == 0:
            cls._before = syscalls.is_child_subreaper()
            syscalls.set_child_subreaper(True)
        cls._claims += 1

    @classmethod
    def release(cls) -> None:
        """Undo one `claim`."""
        cls._claims -= 1
        if cls._claims == 0:
            syscalls.set_child_subreaper(cls._before)


def fork() -> int:
    """As `os.fork`, but raises a `RootlessnetError` that names the remedy."""
    try:
        return os.fork()
    except OSError as error:
        raise RootlessnetError(
            f"cannot start a process ({error.strerror}): raise the limit (ulimit -u) or end others"
        ) from None


def children() -> Iterator[int]:
    """The process ids of this process's children, the unreaped dead included."""
    me = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                stat = kernel_file.read(f"/proc/{name}/stat")
                _, parent, *_ = stat.rpartition(")")[2].split()  # a name may contain anything
                if int(parent) == me:
                    yield int(name)


def end_children(belongs: Callable[[int], bool] = lambda pid: True) -> None:
    """Kill and reap the children for which `belongs`, and those they leave, until there are none.

    This process must be a child subreaper, and /proc must show its own PID namespace.
    """
    while family := [pid for pid in children() if belongs(pid)]:
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def minds(pid: int, number: int) -> bool:
    """Whether process `pid` catches, blocks or ignores a signal, so that it does not have the
    signal's own effect. /proc must show the PID namespace that `pid` is of.
    """
    with suppress(OSError):  # it ended, or there is no /proc
        for line in kernel_file.read(f"/proc/{pid}/status").split("\n"):
            name, _, mask = line.partition(":")
            if name in ("SigBlk", "SigIgn", "SigCgt") and int(mask, 16) >> number - 1 & 1:
                return True
    return False


def user_namespace_of(pid: int) -> int:
    """The inode number of a process's user namespace, which tells it from every other one alive."""
    return os.stat(f"/proc/{pid}/ns/user").st_ino


def lives_below(namespace: int, pid: int) -> bool:
    """Whether process `pid` is in the user namespace with inode number `namespace`, or in one
    within.
    """
    try:
        current = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it ended, or is out of our reach and so none of ours
        return False
    while os.fstat(current).st_ino != namespace:
        try:
            parent = fcntl.ioctl(current, _NS_GET_PARENT)
        except PermissionError:  # above our own one
            return False
        finally:
            os.close(current)
        current = parent
    os.close(current)
    return True

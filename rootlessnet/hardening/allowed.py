"""The system calls that a hardened process may make: data alone, each with its reason.

A call that is not here ends the process. Where an argument tells harm from need it is looked at; an
argument that is a pointer cannot be. What a C library only tries, ready to do without, is answered
as if the kernel had no such call.

The order is that of the filter: kernels before 5.11 go through it at every call, so what a packet
costs comes first.

Read: the manual page of each call; docs/security.md, which lists them too.
"""

import fcntl
import os
import socket
import termios
from typing import NamedTuple

# linux/sockios.h, linux/prctl.h, linux/sched.h, bits/socket.h
_SIOCGIFNAME, _SIOCGIFINDEX, _SIOCOUTQ = 0x8910, 0x8933, termios.TIOCOUTQ
_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER, _PR_SET_VMA = 15, 36, 0x53564D41
_CLONE_THREAD, _CLONE_NEW = 0x00010000, 0x7E020080  # the latter: every kind of namespace
_SOCKET_KIND = 0x0F  # what remains without SOCK_NONBLOCK and SOCK_CLOEXEC
_NETLINK_ROUTE = 0
_WRITE, _EXECUTE = 2, 4  # PROT_WRITE and PROT_EXEC
_O_TMPFILE = 0o20000000
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | _O_TMPFILE


class Argument(NamedTuple):
    """A test: of the bits `mask` of argument `number`, the lower half, to be one of `values`."""

    number: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


Alternatives = tuple[tuple[Argument, ...], ...]
"""The call is allowed when every test of one of these passes."""

ALWAYS: Alternatives = ((),)

_READ_ONLY = Argument(1, (0,), _CHANGES)
_READ_ONLY_AT = Argument(2, (0,), _CHANGES)
_CONNECTED = (socket.SOCK_STREAM, socket.SOCK_DGRAM)

_MOVING = """
    read readv write writev recvfrom sendto recvmsg sendmsg recvmmsg sendmmsg splice tee
    epoll_wait epoll_pwait epoll_pwait2 epoll_ctl clock_gettime"""
_SOCKETS = """
    connect accept accept4 bind listen shutdown getsockname getpeername getsockopt setsockopt"""
_DESCRIPTORS = """
    close close_range dup dup2 dup3 pipe pipe2 poll ppoll select pselect6 epoll_create
    epoll_create1 eventfd2 timerfd_create timerfd_settime timerfd_gettime inotify_init1
    inotify_add_watch inotify_rm_watch lseek pread64 preadv flock getdents64 fstat fstatfs"""
_NAMES = """
    stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getcwd statfs
    unlink unlinkat"""
_MEMORY = "brk munmap mremap madvise mincore membarrier"
_PROCESS = """
    futex rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait sigaltstack
    restart_syscall wait4 waitid exit exit_group getpid gettid getppid getpgrp getpgid getsid
    getuid geteuid getgid getegid getgroups getrlimit getrusage capget umask uname sysinfo times
    time gettimeofday getcpu getrandom clock_getres clock_nanosleep nanosleep pause alarm
    getitimer setitimer sched_yield sched_getaffinity sched_getparam sched_getscheduler
    sched_get_priority_min sched_get_priority_max set_robust_list get_robust_list set_tid_address
    rseq arch_prctl"""


def allowed(own: int, signalled: tuple[int, ...] | None) -> dict[str, Alternatives]:
    """The list, by the names of the calls, for the process `own`.

    `signalled` are the other processes that it may signal; None: any. Whether a process lives may
    always be asked.
    """
    rules = dict.fromkeys(_MOVING.split(), ALWAYS)
    rules |= {
        # No raw and no packet sockets. A datagram socket of the unix family is what interfaces are
        # asked about; what runs programs for others (D-Bus, systemd, a container engine) listens
        # on sockets of another kind.
        "socket": (
            (
                Argument(0, (socket.AF_INET, socket.AF_INET6)),
                Argument(1, _CONNECTED, _SOCKET_KIND),
            ),
            (
                Argument(0, (socket.AF_UNIX,)),
                Argument(1, (socket.SOCK_DGRAM,), _SOCKET_KIND),
            ),
            (Argument(0, (socket.AF_NETLINK,)), Argument(2, (_NETLINK_ROUTE,))),
        ),
        "socketpair": ((Argument(0, (socket.AF_UNIX,)),),),
        "ioctl": (
            (
                Argument(
                    1,
                    (
                        _SIOCOUTQ,
                        termios.FIONREAD,
                        termios.FIONBIO,
                        termios.FIOCLEX,
                        termios.FIONCLEX,
                        _SIOCGIFNAME,  # of a scope, as in fe80::1%eth0
                        _SIOCGIFINDEX,
                        termios.TCGETS,  # isatty(3)
                        termios.TIOCGWINSZ,
                        termios.TIOCGPGRP,  # whose the terminal is, and taking it back
                        termios.TIOCSPGRP,
                    ),
                ),
            ),
        ),
        "fcntl": (
            (
                Argument(
                    1,
                    (
                        fcntl.F_GETFD,
                        fcntl.F_SETFD,
                        fcntl.F_GETFL,
                        fcntl.F_SETFL,
                        fcntl.F_DUPFD_CLOEXEC,
                        fcntl.F_GETPIPE_SZ,
                        fcntl.F_SETPIPE_SZ,
                    ),
                ),
            ),
        ),
        # Memory that was written is never executed.
        "mmap": ((Argument(2, (0, _WRITE, _EXECUTE), _WRITE | _EXECUTE),),),
        "mprotect": ((Argument(2, (0, _WRITE, _EXECUTE), _WRITE | _EXECUTE),),),
        "openat": ((_READ_ONLY_AT,),),
        "open": ((_READ_ONLY,),),
        # Threads, but no processes and no namespaces.
        "clone": ((Argument(0, (_CLONE_THREAD,), _CLONE_THREAD | _CLONE_NEW),),),
        "prctl": ((Argument(0, (_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER, _PR_SET_VMA)),),),
        "prlimit64": ((Argument(0, (0,)),),),  # its own limits
        "tgkill": ((Argument(0, (own,)),),),
        "kill": ALWAYS
        if signalled is None
        else ((Argument(0, (own, *signalled)),), (Argument(1, (0,)),)),
    }
    for names in (_SOCKETS, _DESCRIPTORS, _NAMES, _MEMORY, _PROCESS):
        rules |= dict.fromkeys(names.split(), ALWAYS)
    return rules


MISSING = ("clone3", "openat2", "io_uring_setup")
"""Calls that do not exist here: what matters about them is behind a pointer."""

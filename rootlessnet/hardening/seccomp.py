"""The filter of system calls, and what is said of the process that meets it.

A call that the filter does not allow is not made; the kernel sends SIGSYS instead, to the thread
that made it and at that very instruction. So what handles the signal need not fear what it has
interrupted, and says in one line which call it was before it ends the process. Where the handler is
gone the kernel ends the process by itself.

Read: seccomp(2), SECCOMP_RET_TRAP; sigaction(2) for siginfo_t.
"""

import ctypes
import os
import signal
from contextlib import suppress
from struct import Struct

from rootlessnet.hardening import bpf, kernel
from rootlessnet.hardening.allowed import MISSING, allowed
from rootlessnet.hardening.calls import Architecture, architecture

EXIT_STATUS = 128 + signal.SIGSYS

_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_ALL_THREADS, _NO_MITIGATION = 1, 4  # SECCOMP_FILTER_FLAG_TSYNC and _SPEC_ALLOW
_SA_SIGINFO = 4
_SIGSET_SIZE = 128  # sizeof(sigset_t) in every Linux libc
_SIGINFO = Struct("=24xi")  # si_syscall is behind three ints, a gap and a pointer

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class _Action(ctypes.Structure):
    """struct sigaction of glibc and musl."""

    _fields_ = (
        ("handler", _Handler),
        ("mask", ctypes.c_ubyte * _SIGSET_SIZE),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class _Program(ctypes.Structure):
    """struct sock_fprog: the number of instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


_kept: list[object] = []  # the C library has their addresses


def is_available() -> bool:
    """Whether this kernel filters calls, and this room knows those of the machine."""
    machine = architecture()
    if machine is None:
        return False
    action = ctypes.byref(ctypes.c_uint32(bpf.TRAP))
    with suppress(OSError):
        kernel.syscall(machine.numbers["seccomp"], _GET_ACTION_AVAIL, 0, action)
        return True
    return False


def restrict(signalled: tuple[int, ...] | None) -> None:
    """Allow this process the calls of `allowed` alone, for ever, where that can be had. `signalled`
    are the other processes that it may signal; None: any.

    It must have no_new_privs, and no thread that has a filter of its own.
    """
    machine = architecture()
    if machine is not None:
        _explain_traps(machine)
        _install(machine, bpf.program(machine, allowed(os.getpid(), signalled), MISSING))


def forbid_rings() -> None:
    """Have the kernel seem to lack io_uring from now on, where that can be had.

    What goes through a ring passes no filter, and libuv makes one for each loop that it can.
    """
    machine = architecture()
    if machine is not None:
        _install(machine, bpf.program_without(machine, ("io_uring_setup",)))


def _install(machine: Architecture, code: bytes) -> None:
    program = _Program(len(code) // bpf.INSTRUCTION.size, code)
    # Without the second flag older kernels make every branch of the process slower, in case it
    # runs code that nobody trusts: ours does not.
    for flags in (_ALL_THREADS | _NO_MITIGATION, _ALL_THREADS):
        with suppress(OSError):
            number = machine.numbers["seccomp"]
            if kernel.syscall(number, _SET_MODE_FILTER, flags, ctypes.byref(program)) == 0:
                return


def _explain_traps(machine: Architecture) -> None:
    def trapped(_signal: int, info: int | None, _context: int | None) -> None:
        try:
            (number,) = _SIGINFO.unpack(ctypes.string_at(info or 0, _SIGINFO.size))
            name = machine.name(number) or "unknown"
            line = (
                f"rootlessnet: system call {number} ({name}) is not allowed to a hardened process, "
                "which ends here: please report this; --no-hardening does without\n"
            )
            os.write(2, line.encode())
        finally:
            os._exit(EXIT_STATUS)

    handler = _Handler(trapped)
    action = _Action(handler=handler, flags=_SA_SIGINFO)
    _kept.extend((handler, action))
    kernel.handle(signal.SIGSYS, action)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGSYS})

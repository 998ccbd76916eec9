"""The filter of system calls, run call by call: the same verdicts on every architecture.

Read: `rootlessnet.hardening.allowed` for what they should be.
"""

import mmap
import os
import signal
import socket
import termios
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.hardening import bpf
from rootlessnet.hardening.allowed import ALWAYS, MISSING, allowed
from rootlessnet.hardening.calls import Architecture, architecture
from tests.hardening.machine import verdict

OWN, INIT = 4710, 4711  # the process, and one that it may signal
ANY = 3  # an argument that nobody looks at
AT = -100  # AT_FDCWD
THREAD, NEW_USER, NEW_TIME = 0x10000, 0x10000000, 0x80
TIOCSTI, TUNSETIFF, SIOCSIFFLAGS = 0x5412, 0x400454CA, 0x8914
NAMED = [(name, known) for name in ("x86_64", "aarch64") if (known := architecture(name))]
MACHINES = pytest.mark.parametrize(
    "machine", [known for _, known in NAMED], ids=[name for name, _ in NAMED]
)


def compiled(machine: Architecture, signalled: tuple[int, ...] | None = (INIT,)) -> bytes:
    return bpf.program(machine, allowed(OWN, signalled), MISSING)


def judge(machine: Architecture, name: str, *arguments: int) -> int:
    return verdict(compiled(machine), machine, machine.numbers[name], arguments)


@MACHINES
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read", ()),
        ("socket", (socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, 0)),
        ("socket", (socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)),
        ("socket", (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)),
        ("socket", (socket.AF_UNIX, socket.SOCK_DGRAM, 0)),
        ("socket", (socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)),
        ("openat", (AT, ANY, os.O_RDONLY | os.O_CLOEXEC)),
        ("openat", (AT, ANY, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)),
        ("ioctl", (ANY, termios.FIONBIO)),
        ("clone", (THREAD | 0x3D0F00,)),  # as pthread_create(3) does
        ("mmap", (0, 4096, mmap.PROT_READ | mmap.PROT_WRITE)),
        ("mmap", (0, 4096, mmap.PROT_READ | mmap.PROT_EXEC)),
        ("prlimit64", (0,)),
        ("kill", (INIT, signal.SIGKILL)),
        ("kill", (OWN, signal.SIGSTOP)),
        ("tgkill", (OWN, ANY, signal.SIGABRT)),
        ("kill", (-INIT, 0)),
        ("kill", (1, 0)),
    ],
)
def test_what_a_network_needs(machine: Architecture, name: str, arguments: tuple[int, ...]) -> None:
    assert judge(machine, name, *arguments) == bpf.ALLOW


@MACHINES
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("execve", ()),
        ("execveat", ()),
        ("ptrace", ()),
        ("process_vm_writev", ()),
        ("mount", ()),
        ("unshare", (NEW_USER,)),
        ("setns", ()),
        ("bpf", ()),
        ("memfd_create", ()),
        ("io_uring_enter", ()),
        ("renameat2", ()),
        ("clone", (signal.SIGCHLD,)),  # a fork
        ("clone", (THREAD | NEW_USER,)),
        ("clone", (THREAD | NEW_TIME,)),
        ("socket", (socket.AF_PACKET, socket.SOCK_RAW, 0)),
        ("socket", (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)),
        ("socket", (socket.AF_UNIX, socket.SOCK_STREAM, 0)),
        ("socket", (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0)),
        ("socket", (socket.AF_NETLINK, socket.SOCK_RAW, 12)),  # NETLINK_NETFILTER
        ("openat", (AT, ANY, os.O_WRONLY)),
        ("openat", (AT, ANY, os.O_RDWR | os.O_CLOEXEC)),
        ("openat", (AT, ANY, os.O_RDONLY | os.O_CREAT)),
        ("openat", (AT, ANY, os.O_RDONLY | os.O_TRUNC)),
        ("openat", (AT, ANY, os.O_RDONLY | os.O_APPEND)),
        ("openat", (AT, ANY, os.O_RDONLY | os.O_TMPFILE)),
        ("openat", (AT, ANY, 1 << 40 | os.O_RDWR)),
        ("ioctl", (ANY, TIOCSTI)),
        ("ioctl", (ANY, TUNSETIFF)),
        ("ioctl", (ANY, SIOCSIFFLAGS)),
        ("mmap", (0, 4096, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)),
        ("mprotect", (0, 4096, mmap.PROT_WRITE | mmap.PROT_EXEC)),
        ("prctl", (4,)),  # PR_SET_DUMPABLE
        ("prlimit64", (INIT,)),
        ("kill", (INIT + 1, signal.SIGKILL)),
        ("kill", (-INIT, signal.SIGKILL)),
        ("kill", (-1, signal.SIGKILL)),
        ("tgkill", (INIT + 1, INIT + 1, signal.SIGKILL)),
        ("pidfd_send_signal", ()),
    ],
)
def test_what_it_does_not(machine: Architecture, name: str, arguments: tuple[int, ...]) -> None:
    assert judge(machine, name, *arguments) == bpf.TRAP


@MACHINES
def test_every_call_has_the_verdict_of_the_list(machine: Architecture) -> None:
    program, rules = compiled(machine), allowed(OWN, (INIT,))
    for name, number in machine.numbers.items():
        found = verdict(program, machine, number)
        if name in MISSING:
            assert found == bpf.NO_SUCH_CALL, name
        elif rules.get(name) == ALWAYS:
            assert found == bpf.ALLOW, name
        elif name not in rules:
            assert found == bpf.TRAP, name


@given(
    st.sampled_from(NAMED),
    st.sampled_from([name for name, rule in allowed(OWN, (INIT,)).items() if rule != ALWAYS]),
    st.data(),
)
def test_arguments_are_judged_as_the_list_says(
    named: tuple[str, Architecture], name: str, data: st.DataObject
) -> None:
    _, machine = named
    alternatives = allowed(OWN, (INIT,))[name]
    if name not in machine.numbers:
        return
    interesting = st.sampled_from(
        [value for tests in alternatives for test in tests for value in test.values]
    )
    word = st.integers(0, (1 << 64) - 1)
    mixed = st.tuples(interesting, word).map(lambda pair: pair[0] ^ pair[1] << 32)
    arguments: Sequence[int] = data.draw(
        st.lists(interesting | mixed | word, min_size=6, max_size=6)
    )
    fits = any(
        all(arguments[test.number] & test.mask in test.values for test in tests)
        for tests in alternatives
    )
    assert (judge(machine, name, *arguments) == bpf.ALLOW) == fits


@MACHINES
def test_anybody_may_be_signalled_where_nobody_is_named(machine: Architecture) -> None:
    program = compiled(machine, None)
    arguments = (INIT + 1, signal.SIGKILL)
    assert verdict(program, machine, machine.numbers["kill"], arguments) == bpf.ALLOW


@MACHINES
def test_calls_of_other_kinds(machine: Architecture) -> None:
    program = compiled(machine)
    foreign = machine._replace(audit=0x40000003)  # i386
    assert verdict(program, foreign, machine.numbers["read"]) == bpf.KILL
    assert verdict(program, machine, 0x40000000 | machine.numbers["read"]) == bpf.KILL  # x32
    assert verdict(program, machine, machine.last + 1) == bpf.NO_SUCH_CALL
    assert verdict(program, machine, -1) == bpf.KILL


@MACHINES
def test_a_program_that_only_hides(machine: Architecture) -> None:
    program = bpf.program_without(machine, ("io_uring_setup",))
    for name, number in machine.numbers.items():
        wanted = bpf.NO_SUCH_CALL if name == "io_uring_setup" else bpf.ALLOW
        assert verdict(program, machine, number) == wanted


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("x86_64", {"read": 0, "execve": 59, "openat": 257, "rseq": 334, "clone3": 435}),
        ("aarch64", {"io_setup": 0, "openat": 56, "execve": 221, "recvmmsg": 243, "wait4": 260}),
        ("aarch64", {"ppoll": 73, "rseq": 293, "kexec_file_load": 294, "clone3": 435}),
        ("x86_64", {"landlock_create_ruleset": 444, "mseal": 462, "file_setattr": 469}),
    ],
)
def test_numbers(name: str, numbers: dict[str, int]) -> None:
    machine = architecture(name)
    assert machine is not None
    assert numbers.items() <= machine.numbers.items()
    assert [machine.name(number) for number in numbers.values()] == list(numbers)
    assert len(set(machine.numbers.values())) == len(machine.numbers)


def test_every_name_of_the_list_is_a_call() -> None:
    known = {name for _, machine in NAMED for name in machine.numbers}
    assert {*allowed(OWN, None), *MISSING} <= known
    assert architecture("sparc") is None

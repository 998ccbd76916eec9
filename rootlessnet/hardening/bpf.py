"""From rules to a program of the classic Berkeley Packet Filter, as seccomp(2) runs it.

The program sees struct seccomp_data, 64 bytes of the call at hand: its number, its architecture and
its six arguments. Of an argument the lower half is looked at, which is all that the kernel takes
of an int. Both architectures are little-endian.

For each call: if it is another one, skip what follows; else run its tests and return. No jump is
ever longer than the tests of one call, far below the 255 that a jump can be.

Read: seccomp(2), Documentation/networking/filter.rst, linux/filter.h.
"""

from collections.abc import Iterable, Iterator, Mapping
from struct import Struct

from rootlessnet.hardening.allowed import Alternatives
from rootlessnet.hardening.calls import Architecture

# What the program returns, from linux/seccomp.h.
ALLOW = 0x7FFF0000
TRAP = 0x00030000  # the call is not made; SIGSYS
KILL = 0x80000000
NO_SUCH_CALL = 0x00050000 | 38  # the call fails with ENOSYS

LOAD, EQUAL, AT_LEAST, AND, RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
INSTRUCTION = Struct("=HBBI")  # code, jumps when true and when false, operand
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_X32 = 0x40000000  # numbers from here on are another set of calls of x86_64
_ALL = 0xFFFFFFFF

Instruction = tuple[int, int, int, int]


def program(
    architecture: Architecture, rules: Mapping[str, Alternatives], missing: Iterable[str]
) -> bytes:
    """The program that allows the calls of `rules` and answers those of `missing`, and those newer
    than the list, with ENOSYS; any other traps. Names that the architecture lacks are left out.
    """
    numbers = architecture.numbers
    code: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, architecture.audit),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
    ]
    for name, alternatives in rules.items():
        if name in numbers:
            code += _call(numbers[name], alternatives)
    code += _missing(architecture, missing)
    code += (
        (AT_LEAST, 0, 1, _X32),
        (RETURN, 0, 0, KILL),
        (AT_LEAST, 0, 1, architecture.last + 1),
        (RETURN, 0, 0, NO_SUCH_CALL),
        (RETURN, 0, 0, TRAP),
    )
    return _pack(code)


def program_without(architecture: Architecture, missing: Iterable[str]) -> bytes:
    """The program that answers the calls of `missing` with ENOSYS and allows any other."""
    start: Instruction = (LOAD, 0, 0, NUMBER)
    return _pack([start, *_missing(architecture, missing), (RETURN, 0, 0, ALLOW)])


def _pack(code: Iterable[Instruction]) -> bytes:
    return b"".join(INSTRUCTION.pack(*one) for one in code)


def _missing(architecture: Architecture, names: Iterable[str]) -> Iterator[Instruction]:
    for name in names:
        yield (EQUAL, 0, 1, architecture.numbers[name])
        yield (RETURN, 0, 0, NO_SUCH_CALL)


def _call(number: int, alternatives: Alternatives) -> Iterator[Instruction]:
    body: list[Instruction] = []
    for tests in alternatives:
        checks: list[Instruction] = []
        for test in tests:
            # A test that fails goes on behind this alternative, one that passes behind itself.
            last = len(test.values) - 1
            compare = [
                (EQUAL, last - index, len(checks) + 1 if index == last else 0, value)
                for index, value in enumerate(test.values)
            ]
            load: list[Instruction] = [(LOAD, 0, 0, ARGUMENTS + 8 * test.number)]
            if test.mask != _ALL:
                load.append((AND, 0, 0, test.mask))
            checks = load + compare + checks
        body += (*checks, (RETURN, 0, 0, ALLOW))
    if alternatives[-1]:  # else nothing comes here
        body.append((RETURN, 0, 0, TRAP))
    yield (EQUAL, 0, len(body), number)
    yield from body

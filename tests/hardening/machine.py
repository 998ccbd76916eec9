"""The kernel's virtual machine for filter programs, as far as ours use it.

Read: Documentation/networking/filter.rst, seccomp(2) for struct seccomp_data.
"""

from collections.abc import Sequence
from struct import Struct

from rootlessnet.hardening import bpf
from rootlessnet.hardening.calls import Architecture

_DATA = Struct("=iIQ6Q")  # number, architecture, instruction pointer, arguments
_WORD = Struct("=I")
_LONGEST_JUMP, _LONGEST_PROGRAM = 255, 4096  # the kernel takes no more


def verdict(
    program: bytes, architecture: Architecture, number: int, arguments: Sequence[int] = ()
) -> int:
    """What the program returns for a call."""
    words = [argument & (1 << 64) - 1 for argument in arguments] + [0] * (6 - len(arguments))
    data = _DATA.pack(number, architecture.audit, 0, *words)
    code = list(bpf.INSTRUCTION.iter_unpack(program))
    assert len(code) <= _LONGEST_PROGRAM
    accumulator = position = 0
    while True:
        operation, when_true, when_false, operand = code[position]
        assert max(when_true, when_false) <= _LONGEST_JUMP
        position += 1
        match operation:
            case bpf.LOAD:
                assert operand % _WORD.size == 0
                (accumulator,) = _WORD.unpack_from(data, operand)
            case bpf.AND:
                accumulator &= operand
            case bpf.EQUAL:
                position += when_true if accumulator == operand else when_false
            case bpf.AT_LEAST:
                position += when_true if accumulator >= operand else when_false
            case bpf.RETURN:
                result: int = operand
                return result
            case _:
                raise AssertionError(f"no such operation: {operation:#x}")

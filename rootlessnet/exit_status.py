"""How a command ended, as a number and as what the number hides.

A shell stops a script for Ctrl-C only when the program that it waits for has died of SIGINT too: an
exit status of 130 means that the program has dealt with it. Whoever stands in for a command must
therefore know which of the two it was.

Read: bash(1), EXIT STATUS and SIGNALS; wait(2), WIFSIGNALED.
"""

from typing import Self


class ExitStatus(int):
    """0 to 255: the command's own, or 128+n after its death by signal n; `signal` is n then, and
    None otherwise.
    """

    signal: int | None = None

    @classmethod
    def of(cls, code: int) -> Self:
        """`code` is negative after a death by signal, as `os.waitstatus_to_exitcode` has it."""
        made = cls(code if code >= 0 else 128 - code)
        made.signal = -code if code < 0 else None
        return made

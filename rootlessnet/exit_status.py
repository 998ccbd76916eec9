"""How a command ended, as a number and as what the number hides.

A shell stops a script for Ctrl-C only when the program that it waits for has died of SIGINT too: an
exit status of 130 means that the program has dealt with it. Whoever stands in for a command must
therefore know which of the two it was.

Read: bash(1), EXIT STATUS and SIGNALS; wait(2), WIFSIGNALED.
"""

from typing import Self


class ExitStatus(int):
    """0 to 255: the command's own, or 128+n after its death by signal n.

    `signal` is n when the signal came to this process too, which then should end in the same way;
    None otherwise.
    """

    signal: int | None

    def __new__(cls, status: int, signals: frozenset[int] = frozenset()) -> Self:
        """`signals` are the numbers of those that came to this process."""
        made = super().__new__(cls, status)
        made.signal = status - 128 if status - 128 in signals else None
        return made

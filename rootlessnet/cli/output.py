"""What the program itself says on standard output and standard error.

A reader that went away (`rootlessnet doctor | head -1`) ends the program as SIGPIPE would: quietly.
A complaint is one line, whatever bytes a file name or an argument brought into it, so that no
terminal can be made to obey them.

Read: signal(7) for SIGPIPE, no-color.org for the environment variable.
"""

import os
import signal
import sys
from typing import TextIO

from rootlessnet.errors import RootlessnetError


def write(text: str) -> None:
    """Write `text` to standard output at once.

    Raises `RootlessnetError` when it cannot be written, SystemExit(141) when its reader went away.
    """
    if sys.stdout is None:  # the caller closed it: nobody wants to know
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise SystemExit(128 + signal.SIGPIPE) from None
        raise RootlessnetError(
            f"cannot write to standard output: {error.strerror}: send it elsewhere"
        ) from error


def complain(message: str) -> None:
    """One line on standard error, under the program's name."""
    write_error(f"rootlessnet: {one_line(message)}\n")


def write_error(line: str) -> None:
    """A line that is one, with its end, on standard error."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)  # nowhere is left to say so; the exit status tells


def one_line(text: str) -> str:
    """`text` with each control character, line break and undecodable byte as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def colour_wanted() -> bool:
    """True when standard output is a terminal that shows colours and the user did not object."""
    return (
        sys.stdout is not None
        and sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "dumb") != "dumb"
    )


def _discard(stream: TextIO) -> None:
    """Let the interpreter's flush at exit succeed: what is left of the text has no reader."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
